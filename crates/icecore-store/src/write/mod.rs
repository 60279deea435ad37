//! Writing a snapshot: a pipeline of five threads around a pool.
//!
//! ```text
//! caller: parts, cuts ──> [pool: hash] ──> sequencer: known? trees ──> [pool: join, sketch] ──> coder: bases?
//!     ──> [pool: difference, compress] ──> packer: residues, seal ──> storer
//! ```
//! Work that is done on the pool is handed on in the order in which it was begun, by a queue of one-shot channels. Every queue is
//! bounded: memory does not depend on the input. The storer makes a pack durable, then tells the index of it, and only then
//! are its chunks looked up there instead of among the pending ones. The manifest comes last.

mod coder;
mod feeder;
mod packer;
mod pending;
mod sequencer;
mod snapshot_writer;

pub use snapshot_writer::{Again, SnapshotHead, SnapshotWriter, Written};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use icecore_format::{ChunkId, ChunkRef, Difference, Run, Tree};

use crate::pack::EncodedBody;

/// Whose bytes a chunk holds: bodies are made of one kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Content,
    Catalog,
}

/// Chunks that were cut from one block of memory.
#[derive(Debug)]
struct Batch {
    lane: Lane,
    chunks: Vec<Bytes>,
}

/// A batch whose chunks have ids.
#[derive(Debug)]
struct HashedBatch {
    lane: Lane,
    chunks: Vec<(ChunkId, Bytes)>,
}

/// What the caller's thread sends to the sequencer.
#[derive(Debug)]
enum Feed {
    /// New bytes, being hashed.
    Batch(Receiver<HashedBatch>),
    /// Content that is in the store already.
    Known(Vec<ChunkRef>),
}

/// Chunks that are in no pack yet, to be coded together.
#[derive(Debug)]
struct NewRun {
    lane: Lane,
    run: Run,
    /// Their bytes, one after the other.
    plain: Vec<u8>,
}

/// A run that is coded.
#[derive(Debug)]
enum CodedRun {
    /// By itself.
    Plain(EncodedBody),
    /// On its bases.
    Delta(Run, Difference),
    /// Not yet: with these bytes of its bases and what the pack will list.
    Listed { run: Run, plain: Vec<u8>, bases: Vec<u8> },
}

/// What the sequencer found out.
#[derive(Debug, Default)]
struct Sequenced {
    content: Tree,
    catalog: Option<Tree>,
    chunks: u64,
    new_chunks: u64,
    changed_bytes: u64,
}
