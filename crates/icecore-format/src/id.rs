//! Identities: digests that cannot be taken for one another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A blake3 hash of 32 bytes, plain or keyed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The plain blake3 hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_hex().get(..12).unwrap_or_default())
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 64 hexadecimal digits")]
pub struct ParseIdError;

impl FromStr for Digest {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| ParseIdError)?;
        Ok(Self(*hash.as_bytes()))
    }
}

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub Digest);

        impl $name {
            /// Its first digits, as people are shown them: 8, where a selector needs 4.
            pub fn brief(&self) -> String {
                self.as_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
            }

            /// The id's 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }

            /// The id whose bytes these are.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Digest(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_hex()
            }
        }
    };
}

digest_id! {
    /// A chunk's identity: the blake3 hash of its plain bytes, keyed if the store is encrypted.
    ChunkId
}
impl ChunkId {
    /// The id's first eight bytes: they lie in the order of the ids.
    pub fn first(&self) -> u64 {
        self.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// The id's first half.
    pub fn short(&self) -> ShortId {
        ShortId(self.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// The first half of a chunk's id: 128 bits are enough to tell chunks apart, for whoever compares the whole id of what is made from them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId(pub [u8; 16]);

impl ShortId {
    /// The least and the greatest id that begins like this.
    pub fn bounds(&self) -> (ChunkId, ChunkId) {
        let filled = |with: u8| {
            let mut bytes = [with; 32];
            bytes.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
            ChunkId::from_bytes(bytes)
        };
        (filled(0), filled(0xff))
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortId({self})")
    }
}

digest_id! {
    /// A pack's identity: the plain blake3 hash of the whole file.
    PackId
}
digest_id! {
    /// A snapshot's identity: the blake3 hash of its manifest's payload, keyed if the store is encrypted.
    SnapshotId
}
digest_id! {
    /// A store's identity: drawn at random when the store is made.
    StoreId
}
