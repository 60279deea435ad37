//! When services are captured: pure, with the clock and the time zone given.
//!
//! [`Schedule`] is a cron expression; [`Agenda`] says which service is due, and when the next one is. What was missed, be it that the machine
//! slept or that another run took too long, is caught up with once.

mod agenda;
mod expression;

pub use agenda::{Agenda, Appointment, jitter};
pub use expression::{Schedule, ScheduleFault};

#[cfg(test)]
mod tests;
