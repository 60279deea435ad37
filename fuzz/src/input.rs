//! How one input stands for several things.

/// The input without its last `N` bytes, and those, zero where there are none: parameters at the end leave the front of
/// the input what it looks like.
pub(crate) fn split_tail<const N: usize>(input: &[u8]) -> (&[u8], [u8; N]) {
    match input.split_last_chunk::<N>() {
        Some((front, tail)) => (front, *tail),
        None => (input, [0; N]),
    }
}

/// The input as text; what is not UTF-8 is replaced, as arguments that are not UTF-8 do not get this far.
pub(crate) fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}
