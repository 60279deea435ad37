//! Removing what no snapshot reaches, while others write.
//!
//! 1. Raise the epoch; wait for (or fence) the writers of older epochs: whatever they refer to is published now.
//! 2. [Mark](mark) from the manifests; [plan](plan) which packs go and which are rewritten.
//! 3. Where chains of deltas lead through many [links] that nothing else needs, code what is coded on them anew, and mark and plan once more.
//! 4. Rewrite half-dead packs: the new pack is durable and in the index before the old one is condemned.
//! 5. Write the list of condemned packs. Writers that register from now on treat them as absent. What an earlier collection's list
//!    named and is still dead goes now: every writer that runs knows that list.
//! 6. Raise the epoch again. If a writer of the epoch between is running, stop: it may not know the list, and the next
//!    collection goes on from here. Otherwise mark what was published since, acquit what has become live, and delete the rest.

mod apply;
mod bases;
mod basis;
mod chains;
mod chunk_set;
mod doomed;
mod links;
mod mark;
mod plan;
mod rewrite;
mod users;
mod weight;

pub use apply::GcReport;
pub(crate) use basis::Basis;
pub(crate) use mark::Marks;
pub use plan::{GcOptions, GcPlan, PackUse, PackVerdict};
pub(crate) use rewrite::Rewriter;
