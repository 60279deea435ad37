//! Parity: what heals a pack, or does not.

use icecore_format::{Digest, PackId, Parity, names};

use crate::input::split_tail;

/// Bytes of a head, and those of it that its checksum covers.
const HEAD_LEN: usize = 96;
const COVERED_LEN: usize = 64;

/// The pack that inputs are about: long enough for several shards, short enough for a corpus.
pub(crate) fn pack() -> Vec<u8> {
    let mut bytes = vec![0; 9000];
    blake3::Hasher::new().update(b"pack").finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn id() -> PackId {
    PackId(Digest::of(&pack()))
}

/// The last two bytes say how long what is left of the pack is, which comes first; its parity follows. The parity is tried as it is, and
/// with right checksums of its heads.
pub(crate) fn heal(input: &[u8]) {
    let (rest, len) = split_tail::<2>(input);
    let (left, parity) = rest.split_at(usize::from(u16::from_le_bytes(len)).min(rest.len()));
    check(left, parity);
    let mut right = parity.to_vec();
    if let Some(head) = right.first_chunk_mut::<HEAD_LEN>() {
        set_checksum(head);
    }
    if let Some(head) = right.last_chunk_mut::<HEAD_LEN>() {
        set_checksum(head);
    }
    check(left, &right);
}

fn check(left: &[u8], bytes: &[u8]) {
    let id = id();
    let is_whole = Parity::check(&id, bytes).is_ok();
    let Ok(parity) = Parity::decode(&id, bytes) else {
        assert!(!is_whole);
        return;
    };
    if let Some(healed) = parity.heal(left) {
        assert!(parity.can_heal(left));
        assert_eq!(PackId(Digest::of(&healed)), id);
    }
}

fn set_checksum(head: &mut [u8; HEAD_LEN]) {
    let name = names::parity(&id());
    let (covered, checksum) = head.split_at_mut(COVERED_LEN);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(covered);
    checksum.copy_from_slice(hasher.finalize().as_bytes());
}
