//! Every stored object: there and back, on hostile bytes, and pinned.

mod golden;
mod hostile;
mod parity;
mod round_trip;
mod values;
