//! When services are captured: pure, with the clock and the time zone given.
//!
//! [`Schedule`] is a cron expression; [`Agenda`] says which service is due, and when the next one is. What was missed, be it that the machine
//! slept or that another run took too long, is caught up with once.

mod agenda;
mod calendar;
mod expression;
mod fault;
mod timer;

pub(crate) use agenda::LONG;
pub use agenda::{Agenda, Appointment, jitter};
pub use calendar::Calendar;
pub use expression::Schedule;
pub use fault::ScheduleFault;
pub use timer::{Mark, Timer, Unit, with_lines};

#[cfg(test)]
mod tests;
