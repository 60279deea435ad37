//! What is done with hostile input: a target for every decoder, scanner and selector.
//!
//! A [`Target`] takes any bytes, gives them to the program's code, and asserts what must hold of the answer: what was
//! decoded encodes to the same value again, marks lie in order within the stream, a piecewise scan says what a scan at
//! once says. Not to panic is the least of it. [`Target::run`] also asserts that memory stays in proportion to the input.
//!
//! `fuzz/README.md` says how targets are run, by `make test` and by libFuzzer.
#![warn(missing_docs)]

mod catalog;
mod dump;
mod envelope;
mod input;
mod mutate;
mod names;
mod objects;
mod pack;
mod parity;
mod records;
mod seeds;
mod select;
mod snapshots;
mod stream;
mod target;
mod tree;
#[allow(dead_code, reason = "the program uses what no target does")]
#[path = "../../crates/icecore-cli/src/units.rs"]
mod units;
mod units_target;

pub use mutate::mutate;
pub use seeds::seeds;
pub use target::{TARGETS, Target};
