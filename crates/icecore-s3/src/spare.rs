//! Buffers that are used again.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

/// How many are kept: as many packs as a transfer has under way, and one.
const KEPT_MAX: usize = 4;
/// In bytes; shorter ones cost little.
const LEN_MIN: usize = 1 << 20;

/// Buffers of long objects, kept for the next ones. Of a new buffer the system clears each page when it is first touched: that was a third of
/// the time that a pull took.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<BytesMut>>);

/// Bytes in a buffer that goes back when the last of those who hold them is gone.
struct Lent {
    bytes: BytesMut,
    home: Arc<Spare>,
}

impl Spare {
    /// An empty buffer with room for `len` bytes, and not for many times that. There are never more than were in use at once.
    pub(crate) fn take(&self, len: usize) -> BytesMut {
        if len < LEN_MIN {
            return BytesMut::with_capacity(len);
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &BytesMut| (len..=2 * len).contains(&buffer.capacity());
        if let Some(found) = kept.iter().position(fits) {
            return kept.swap_remove(found);
        }
        kept.pop();
        // Packs are about as long as one another. What is not touched takes no memory.
        BytesMut::with_capacity(len + len / 4)
    }

    /// The bytes of a buffer, which comes back here afterwards.
    pub(crate) fn lend(self: &Arc<Self>, bytes: BytesMut) -> Bytes {
        if bytes.len() < LEN_MIN {
            return bytes.freeze();
        }
        Bytes::from_owner(Lent { bytes, home: Arc::clone(self) })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.swap_remove(0);
        }
        kept.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_buffer_is_used_again_once_nobody_holds_its_bytes() {
        let spare = Arc::new(Spare::default());
        let mut buffer = spare.take(3 << 20);
        buffer.resize(3 << 20, 7);
        let place = buffer.as_ptr();
        let lent = spare.lend(buffer);
        let part = lent.slice(5..10);
        drop(lent);
        assert_ne!(spare.take(3 << 20).as_ptr(), place, "somebody holds some of it");
        assert_eq!(part[..], [7; 5]);
        drop(part);
        let again = spare.take((3 << 20) + 1);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn few_are_kept_and_none_for_what_is_far_shorter() {
        let spare = Arc::new(Spare::default());
        let kept = || spare.0.lock().expect("sound").len();
        let fill = |len: usize| spare.lend(BytesMut::zeroed(len));
        drop((0..6).map(|_| fill(32 << 20)).collect::<Vec<_>>());
        assert_eq!(kept(), KEPT_MAX);
        drop(fill(100));
        assert_eq!(kept(), KEPT_MAX, "a short one is not worth it");
        assert!(spare.take(2 << 20).capacity() < 4 << 20);
        assert_eq!(kept(), KEPT_MAX - 1, "one more is in use, and one less kept");
    }
}
