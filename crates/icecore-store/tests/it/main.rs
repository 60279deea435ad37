//! What the store promises, seen from outside.
#![expect(clippy::unwrap_used, reason = "in the helpers of tests too")]

mod crash;
mod deltas;
mod encryption;
mod evidence;
mod faults;
mod gc;
mod hostile;
mod index;
mod meanwhile;
mod order;
mod parity;
mod round_trip;
mod simulation;
mod support;
mod threads;
mod transfer;
mod verify;
