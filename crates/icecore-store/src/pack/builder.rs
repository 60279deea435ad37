//! A pack while it grows.

use icecore_format::{BodyCipher, PackHeader, PackId, PackToc, StoreKey};

use super::EncodedBody;

/// A finished pack: immutable from here on.
#[derive(Debug)]
pub(crate) struct SealedPack {
    pub(crate) id: PackId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) toc: PackToc,
}

/// Fills one pack after the other with bodies, which it numbers and seals.
#[derive(Debug)]
pub(crate) struct PackBuilder {
    key: StoreKey,
    salt: [u8; 32],
    cipher: BodyCipher,
    next_body: u64,
    growing: Growing,
}

/// What there is of the next pack.
#[derive(Debug)]
struct Growing {
    header: PackHeader,
    bytes: Vec<u8>,
    hasher: blake3::Hasher,
    toc: PackToc,
    toc_len: usize,
}

impl PackBuilder {
    /// A builder of all packs of one writer, which has drawn this salt for them.
    pub(crate) fn new(key: StoreKey, salt: [u8; 32]) -> Self {
        let cipher = key.pack_cipher(&salt);
        let growing = Growing::new(PackHeader::new(key.is_encrypted(), salt, 0));
        Self { key, salt, cipher, next_body: 0, growing }
    }

    /// Appends a body.
    pub(crate) fn push(&mut self, body: EncodedBody) {
        let stored = self.cipher.seal_body(self.next_body, body.coded);
        self.next_body += 1;
        let mut entry = body.entry;
        entry.stored_len = u32::try_from(stored.len()).expect("bodies are bounded");
        let growing = &mut self.growing;
        growing.bytes.extend_from_slice(&stored);
        growing.hasher.update(&stored);
        growing.toc_len += entry.toc_len();
        growing.toc.bodies.push(entry);
    }

    /// What a node could say of the chunks in the pack: see [`PackToc::listing`].
    pub(crate) fn listing(&self) -> Vec<u8> {
        self.growing.toc.listing(usize::MAX)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.growing.toc.bodies.is_empty()
    }

    /// Bytes the pack would have if it were sealed now, about.
    pub(crate) fn len(&self) -> usize {
        self.growing.bytes.len() + self.growing.toc_len
    }

    /// Adds the table of contents, names the pack, and begins the next one.
    pub(crate) fn seal(&mut self) -> SealedPack {
        let next = PackHeader::new(self.key.is_encrypted(), self.salt, self.next_body);
        let Growing { header, mut bytes, mut hasher, toc, .. } =
            std::mem::replace(&mut self.growing, Growing::new(next));
        let stored_toc = toc.encode(&header, bytes.len() as u64, &self.key);
        hasher.update(&stored_toc);
        bytes.extend_from_slice(&stored_toc);
        let id = PackId::from_bytes(*hasher.finalize().as_bytes());
        SealedPack { id, bytes, toc }
    }
}

impl Growing {
    fn new(header: PackHeader) -> Self {
        let bytes = header.encode();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        Self { header, bytes, hasher, toc: PackToc::default(), toc_len: 0 }
    }
}
