//! What is done every night: capture, read back, push, prune, collect, and read back some of what is old.
//!
//! [`nightly`] goes through the steps of each service, and then through those of the store. What fails keeps nothing else from being done, but for
//! what depends on it: nothing of a service is deleted in a night in which it was not captured, read back and pushed as it should, and nothing is collected
//! in one in which damage was found. A [`Watcher`] hears of each step as it begins and ends, and the [`Journal`] remembers the last ones for those who
//! ask on another day.

mod caller;
mod entries;
mod hook;
mod journal;
mod night;
mod notice;
mod remotes;
mod step;
mod teller;
mod walk;

pub use entries::{Entries, Record, Run};
pub use journal::Journal;
pub use night::Night;
pub use step::{Grade, Outcome, Step, StepReport, Task};
pub use teller::tell_of_failure;
pub use walk::{Watcher, nightly};
