//! Finding out whether a snapshot would do if it were needed, and keeping what was found in the store.
//!
//! [`verify_and_record`] reads all that some snapshots need; the evidence of each says whether that was well.

mod verify;

use icecore_format::{Evidence, EvidenceKind};
use jiff::Timestamp;

pub use verify::{Verified, verify_and_record};

use crate::time::format_time;

/// Who looks, and when.
#[derive(Debug, Clone)]
pub struct Witness {
    /// The machine's name.
    pub host: String,
    /// The time now.
    pub now: Timestamp,
}

impl Witness {
    /// Evidence of nothing yet.
    fn evidence(&self, kind: EvidenceKind) -> Evidence {
        Evidence {
            kind,
            at: format_time(self.now),
            host: self.host.clone(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: None,
            chunks: 0,
            bytes: 0,
            tables: None,
            rows: None,
            checks: Vec::new(),
            unproved: Vec::new(),
            fault: None,
        }
    }
}
