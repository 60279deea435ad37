//! Frames with right checksums around any payload: what a stranger could put into a plain store.
//!
//! Written from `docs/format.md` and not with the program's own encoder, which would refuse to write most of it.

use icecore_format::PackHeader;

/// The bytes of an object called `name`, of the kind with this byte.
pub(crate) fn object(kind: u8, name: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = b"ICECORE".to_vec();
    out.push(kind);
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&0_u16.to_le_bytes());
    out.extend_from_slice(&len32(payload));
    out.extend_from_slice(payload);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(&out);
    out.extend_from_slice(hasher.finalize().as_bytes());
    out
}

/// The trailer of a pack whose stored table is `table` and lies at `toc_offset`.
pub(crate) fn trailer(header: &PackHeader, toc_offset: u64, table: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.encode());
    hasher.update(table);
    hasher.update(&toc_offset.to_le_bytes());
    hasher.update(&len32(table));
    let mut out = toc_offset.to_le_bytes().to_vec();
    out.extend_from_slice(&len32(table));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(hasher.finalize().as_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(b"ICECOREp");
    out
}

fn len32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("inputs are shorter than 4 GiB").to_le_bytes()
}
