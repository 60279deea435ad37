//! Deleting the snapshots that no policy keeps.
//!
//! [`plan_prune`] judges every snapshot of the sources that are meant, by the policies that were asked for or that `icecore.toml` has. It can be
//! printed, or carried out by [`prune`], which judges once more what is there then: another machine may have deleted something meanwhile, or
//! somebody named what was to go.

mod apply;
mod plan;

pub use apply::{Pruned, prune};
pub use plan::{Judged, PruneOptions, PrunePlan, SeriesPlan, plan_prune};
