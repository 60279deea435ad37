//! Understanding dumps: where the parts of a dump or of a tarball begin and end.
//!
//! A [`Scanner`] watches the bytes of a stream as they pass and appends [`Mark`]s: here a table begins, there it
//! ends after so many rows. [`recognise`] chooses the [`Format`] from the first bytes, and the [`Outcome`] says
//! whether the dump reached its end marker, and which server wrote it.
//!
//! What is said here only *suggests*: where to cut, and what to call it. A dump that is misread costs deduplication
//! and a wrong name in a list, never a byte. So nothing here fails: what is not understood belongs to the part that
//! is open. The one verdict with consequences is [`Completeness::Cut`], and it rests on markers that the dumping
//! programs are known to write.
//!
//! The crate is pure: no I/O, no panic on any input, and memory that does not grow with the stream but for a few
//! bytes per table name. Scanning in pieces of any size gives the same marks as scanning at once.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
#![warn(missing_docs)]

mod archive;
mod drive;
mod format;
mod ident;
mod line;
mod mark;
mod mysql;
mod outcome;
mod parts;
mod pg;
pub mod rdb;
mod scanner;
mod statement;
mod tar;
#[cfg(test)]
mod tests;

pub use archive::warn_about;
pub use format::{Format, looks_like_sql, recognise};
pub use icecore_chunk::Grain;
pub use mark::Mark;
pub use mysql::script as mysql_script;
pub use outcome::{Completeness, Outcome};
pub use pg::script;
pub use scanner::Scanner;
