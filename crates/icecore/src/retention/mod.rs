//! Which snapshots of a source are kept, by a policy: `7d all, 30d daily, 1y weekly, then monthly`.
//!
//! A [`Policy`] is a list of [rules](Rule), each of which keeps what it says; what none of them keeps goes. [`decide`] applies two, one to
//! snapshots that somebody named and one to the others, and gives each snapshot its [`Verdict`], with all reasons for which it stays.
//! Nothing is read or deleted here: see [`crate::plan_prune`].
//!
//! Three things hold whatever a policy says. What is not whole pushes nothing out that is: it is counted by itself. The age of a
//! snapshot counts from the newest whole one, so that nothing grows too old while captures fail. And the newest one that is whole and not
//! known to be damaged stays.

mod decide;
mod fault;
mod period;
mod policy;
mod rule;
mod verdict;
mod window;

pub use decide::{AgesFrom, Candidate, Policies, decide};
pub use fault::PolicyFault;
pub use period::Period;
pub use policy::Policy;
pub use rule::Rule;
pub use verdict::{Reason, Verdict};
pub use window::Window;

#[cfg(test)]
mod tests;
