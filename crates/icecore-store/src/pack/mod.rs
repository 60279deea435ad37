//! Packs as files: building one, coding bodies, reading tables and bodies back.

mod body;
mod builder;
mod cache;
mod delta_run;
mod deltas;
mod reader;

pub(crate) use body::{EncodedBody, decode_frame, encode_deltas, encode_plain};
pub(crate) use builder::{PackBuilder, SealedPack};
pub(crate) use delta_run::DeltaRun;
pub(crate) use deltas::DeltaGroup;
pub(crate) use reader::{ChunkSpan, Frame, OpenPack, PackReader, RunPlace};
