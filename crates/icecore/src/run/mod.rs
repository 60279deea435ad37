//! What a run of a command between two snapshots needs to know: its steps, and what they changed.
//!
//! The program around it takes the snapshots by [`crate::create`], runs the commands with its terminal, and goes back by an ordinary restore. Here is only what can
//! be known without a terminal.

mod changes;
mod fault;
mod plan;

pub use changes::{Changes, PartChange, PartSize, PartVerdict, compare_snapshots};
pub use plan::{RunPlan, RunStep, StepCommand};

/// What a snapshot is tagged with that was taken before a command ran, if it was given no other tag. It names nothing: a snapshot with no other
/// is pruned as one that nobody named.
pub const BEFORE_RUN_TAG: &str = "before-run";
/// And what one is tagged with that was taken after it.
pub const AFTER_RUN_TAG: &str = "after-run";
