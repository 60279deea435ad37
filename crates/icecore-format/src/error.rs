//! Why bytes could not be read as what they should be.

/// Bytes that are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes do not start with icecore's magic.
    #[error("not an icecore object")]
    NotIcecore,
    /// An icecore object, but of another kind than the place it lies in asks for.
    #[error("an object of kind {found:?} lies where one of kind {expected:?} belongs")]
    WrongKind {
        /// The kind byte that the place asks for.
        expected: char,
        /// The kind byte that was found.
        found: char,
    },
    /// Written by a newer icecore.
    #[error("format version {found} is newer than {supported}, the newest this program reads")]
    TooNew {
        /// The version of the object.
        found: u16,
        /// The newest version this program reads.
        supported: u16,
    },
    /// A checksum or an authentication tag does not match.
    #[error("the checksum does not match")]
    Damaged,
    /// The bytes end early, or a field holds an impossible value.
    #[error("{what} is malformed at byte {offset}")]
    Malformed {
        /// What was being decoded.
        what: &'static str,
        /// Where, in bytes from the start of what was being decoded.
        offset: usize,
    },
    /// The object is encrypted, or is not, against what the store's configuration says.
    #[error("the object's encryption does not match the store's")]
    CryptoMismatch,
}

pub(crate) type Result<T> = std::result::Result<T, DecodeError>;
