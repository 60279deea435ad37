//! Lines of a stream, of which only so much is held back.

/// The longest stretch of a line that is waited for. A `COPY` line names every column, so it can be long.
pub(crate) const LINE_MAX: usize = 32 << 10;

/// The longest run of comments that waits to learn which part it belongs to. Together with a line it stays well
/// under the 64 KiB that may be unsettled.
pub(crate) const COMMENT_MAX: u64 = 16 << 10;

/// The start of `rest` up to its first line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// With its line feed, unless the stream ends without one.
    Whole(&'a [u8]),
    /// The first [`LINE_MAX`] bytes of a longer line.
    Head(&'a [u8]),
}

impl<'a> Line<'a> {
    /// The next line, or `None` if more bytes are needed to tell.
    pub(crate) fn take(rest: &'a [u8], last: bool) -> Option<Self> {
        let window = rest.get(..LINE_MAX).unwrap_or(rest);
        if let Some(end) = memchr::memchr(b'\n', window) {
            return window.get(..=end).map(Line::Whole);
        }
        if window.len() == LINE_MAX {
            return Some(Line::Head(window));
        }
        last.then_some(Line::Whole(window))
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Line::Whole(bytes) | Line::Head(bytes) => bytes,
        }
    }
}

/// Everything up to and including the first line feed, or all of it, and whether the line ended.
pub(crate) fn rest_of_line(rest: &[u8]) -> (&[u8], bool) {
    match memchr::memchr(b'\n', rest).and_then(|end| rest.get(..=end)) {
        Some(line) => (line, true),
        None => (rest, false),
    }
}
