//! Every byte that icecore stores, as values.
//!
//! A store is a set of objects: one [`Config`], [`KeyFile`]s, packs (described by [`PackHeader`] and [`PackToc`]), perhaps their [`Parity`],
//! [`Manifest`]s, [`Label`]s, and the small objects of the concurrency protocol ([`Claim`], [`Epoch`], [`Condemned`]).
//! This crate turns them into bytes and back, names them ([`names`]), and hashes and seals them ([`StoreKey`]).
//!
//! It is pure: no I/O, no clock, no randomness (salts are arguments), and no panic on any input. Bytes that come from
//! outside are decoded into checked values; a value in hand is valid. `docs/format.md` is the text of all of this.
#![deny(clippy::indexing_slicing)]
#![warn(missing_docs)]

mod catalog;
mod config;
mod cursor;
mod envelope;
mod error;
mod evidence;
mod id;
mod key_file;
mod keys;
mod label;
mod manifest;
pub mod names;
mod pack;
mod parity;
mod protocol;
mod residue;
mod sketch;
mod tree;

pub use catalog::{Extent, FileAttributes, PART_NAME_LEN_MAX, Part, PartKind, decode_parts, encode_part};
pub use config::{ChunkSizes, Config, CryptoSuite};
pub use cursor::Cursor;
pub use envelope::ObjectKind;
pub use error::DecodeError;
pub use evidence::{Check, EVIDENCE_ENTRIES_MAX, EVIDENCE_TEXT_MAX, Evidence, EvidenceKind};
pub use id::{ChunkId, Digest, PackId, ShortId, SnapshotId, StoreId};
pub use key_file::{KdfCost, KeyFile, WrongPassword};
pub use keys::{BodyCipher, SecretBytes, StoreKey};
pub use label::Label;
pub use manifest::{Catalog, Manifest, SnapshotInfo};
pub use pack::{
    Base, Body, Codec, DEPTH_MAX, PACK_HEADER_LEN, PACK_TRAILER_LEN, PackHeader, PackToc, PackTrailer, Run,
    TocChunk,
};
pub use parity::Parity;
pub use protocol::{Claim, Condemned, Epoch};
pub use residue::{Copy, Difference, Layout, Residue, Segment, Segments};
pub use sketch::Sketch;
pub use tree::{ChunkRef, NodeRef, Tree, TreeNode};

/// The newest format this program writes; it reads every older one.
pub const FORMAT_VERSION: u16 = 2;

/// No chunk is longer than this, whatever a store's parameters say: the bound on what a reader allocates for one.
pub const CHUNK_LEN_MAX: u32 = 16 << 20;

/// No body holds more plain bytes than this: the bound on what a reader allocates to decode one.
pub const BODY_LEN_MAX: u32 = 64 << 20;
