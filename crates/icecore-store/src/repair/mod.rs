//! Making a damaged store usable again.
//!
//! A pack that its parity can heal is healed, and is then what it was. Otherwise nothing is thrown away: what cannot be read is moved below `damaged/`, after what can be read of it was copied. Then its chunks count
//! as absent, so that the next snapshot that has them stores them anew, and every snapshot that needs them is whole again. Snapshots that
//! stay broken are dropped only when that is asked for.
//!
//! The same store elsewhere may give what is lost ([`fetch`]): a pack under its own name heals like one that has parity, and what lies in other packs there
//! comes as with a pull, after what could be read here was copied.

mod apply;
mod fetch;
mod plan;

pub use apply::{RepairOptions, RepairReport};
pub use fetch::{FetchPlan, NotFetched};
pub use plan::{BrokenSnapshot, DamagedPack, RepairPlan};
