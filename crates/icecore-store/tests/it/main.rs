//! What the store promises, seen from outside.

mod encryption;
mod faults;
mod gc;
mod index;
mod order;
mod round_trip;
mod support;
mod threads;
mod verify;
