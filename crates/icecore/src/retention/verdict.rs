//! What becomes of a snapshot, and why.

use std::fmt;

use super::Rule;

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A rule keeps it.
    Rule(Rule),
    /// It is the newest of its source that is whole.
    LastGood,
    /// It is the newest of all, from which ages count, and nothing else keeps it: the others would grow younger.
    Newest,
    /// It was taken after now: some clock is wrong.
    Ahead,
    /// When it was taken cannot be read.
    Undated,
    /// What it is tagged with cannot be read: somebody may have named it.
    LabelUnread,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{rule}"),
            Self::LastGood => f.write_str("the last good one"),
            Self::Newest => f.write_str("the newest one"),
            Self::Ahead => f.write_str("its time is yet to come"),
            Self::Undated => f.write_str("its time cannot be read"),
            Self::LabelUnread => f.write_str("a tag or note of it cannot be read"),
        }
    }
}

/// What becomes of a snapshot: it stays for any of the reasons, and goes if there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it stays: all that is true.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// Whether it goes.
    pub fn goes(&self) -> bool {
        self.reasons.is_empty()
    }
}
