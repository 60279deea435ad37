//! A pack while it grows.

use icecore_format::{PackHeader, PackId, PackToc, StoreKey};

use super::EncodedBody;

/// A finished pack: immutable from here on.
#[derive(Debug)]
pub(crate) struct SealedPack {
    pub(crate) id: PackId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) toc: PackToc,
}

/// Collects bodies until there are enough of them for a pack.
#[derive(Debug)]
pub(crate) struct PackBuilder {
    header: PackHeader,
    bytes: Vec<u8>,
    hasher: blake3::Hasher,
    toc: PackToc,
    toc_len: usize,
}

impl PackBuilder {
    /// A pack of the writer with this salt, whose first body will be number `first_body`.
    pub(crate) fn new(encrypted: bool, salt: [u8; 32], first_body: u64) -> Self {
        let header = PackHeader::new(encrypted, salt, first_body);
        let bytes = header.encode();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        Self { header, bytes, hasher, toc: PackToc::default(), toc_len: 0 }
    }

    /// Appends a body; they must come in the order of their numbers.
    pub(crate) fn push(&mut self, body: EncodedBody) {
        self.bytes.extend_from_slice(&body.stored);
        self.hasher.update(&body.stored);
        self.toc_len += body.entry.toc_len();
        self.toc.bodies.push(body.entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.toc.bodies.is_empty()
    }

    /// Bytes the pack would have if it were sealed now, about.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.toc_len
    }

    /// Adds the table of contents, and names the pack.
    pub(crate) fn seal(mut self, key: &StoreKey) -> SealedPack {
        let toc = self.toc.encode(&self.header, self.bytes.len() as u64, key);
        self.hasher.update(&toc);
        self.bytes.extend_from_slice(&toc);
        let id = PackId::from_bytes(*self.hasher.finalize().as_bytes());
        SealedPack { id, bytes: self.bytes, toc: self.toc }
    }
}
