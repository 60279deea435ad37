//! Moving a cut forward to where the data has a seam.

/// How far a cut may be moved to reach a row's end. A longer row is cut inside.
pub(crate) const ROW_SEARCH_LEN: usize = 2 << 10;
/// Longer pages are none: their chunks would be longer than a reader accepts.
const PAGE_LEN_MAX: u32 = 1 << 20;

/// Where a source's bytes have seams. A wrong grain costs deduplication, never bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grain {
    /// Anywhere.
    #[default]
    Byte,
    /// After a line end, where rows end in COPY data.
    Line,
    /// After `),`, where rows end in extended inserts.
    Tuple,
    /// At multiples of this many bytes from the last forced cut.
    Page(u32),
}

impl Grain {
    /// How many bytes behind a cut this grain wants to see.
    pub(crate) fn lookahead(self) -> usize {
        match self {
            Self::Byte => 0,
            Self::Line | Self::Tuple => ROW_SEARCH_LEN,
            Self::Page(len) if len > PAGE_LEN_MAX => 0,
            Self::Page(len) => len as usize,
        }
    }

    /// Moves `cut` forward to the next seam of `data`, at most by [`Grain::lookahead`].
    pub(crate) fn snap(self, data: &[u8], cut: usize) -> usize {
        let window = data.get(cut..data.len().min(cut + self.lookahead())).unwrap_or_default();
        match self {
            Self::Byte => cut,
            Self::Line => memchr::memchr(b'\n', window).map_or(cut, |at| cut + at + 1),
            Self::Tuple => memchr::memmem::find(window, b"),").map_or(cut, |at| cut + at + 2),
            Self::Page(len) if len == 0 || len > PAGE_LEN_MAX => cut,
            Self::Page(len) => cut.next_multiple_of(len as usize).min(data.len()),
        }
    }
}
