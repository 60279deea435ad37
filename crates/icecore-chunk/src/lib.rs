//! Where to cut, what resembles what, and what is the same in both.
//!
//! A [`Cutter`] finds the end of the next chunk from its bytes alone: FastCDC (Xia et al., "The Design of Fast Content-Defined
//! Chunking for Data Deduplication Based Storage Systems", TPDS 2020, normalisation level 1) by the `fastcdc` crate, then moved
//! forward to the next row end, tuple end or page if the source has a [`Grain`]. Equal bytes after a cut are cut equally again,
//! wherever they lie. The cuts are part of the format: golden tests pin them against new versions of the library.
//!
//! A [`Sketcher`] draws from a chunk the few numbers by which similar ones are found, and a [`Matcher`] finds how one run of bytes differs
//! from another.
//!
//! Pure: no I/O, no panic on any input.
#![warn(missing_docs)]

mod cutter;
mod gear;
mod grain;
mod matcher;
mod sketch;

pub use cutter::Cutter;
pub use grain::Grain;
pub use matcher::Matcher;
pub use sketch::Sketcher;
