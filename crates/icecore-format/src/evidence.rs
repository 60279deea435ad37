//! What is known of a snapshot because somebody tried: that it was read back whole, or restored and looked at.

use serde::{Deserialize, Serialize};

/// No text in a piece of evidence is longer.
pub const EVIDENCE_TEXT_MAX: usize = 4 << 10;
/// No piece of evidence tells of more checks, or of more that it does not prove.
pub const EVIDENCE_ENTRIES_MAX: usize = 256;

/// How it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// All that the snapshot needs was read back, and compared with its ids.
    Verified,
    /// It was restored into something that was thrown away, and looked at there.
    Restored,
}

impl EvidenceKind {
    /// The word for it, and the last component of its object's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Restored => "restored",
        }
    }
}

/// What came of the last attempt. One that failed is kept as well: a later one takes its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// How it was tried.
    pub kind: EvidenceKind,
    /// When it was done, RFC 3339.
    pub at: String,
    /// The machine it was done on.
    pub host: String,
    /// The version of icecore that did it.
    pub tool_version: String,
    /// What the snapshot was restored into, with its version: `PostgreSQL 17.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// References to chunks whose data was read and compared.
    #[serde(default)]
    pub chunks: u64,
    /// Plain bytes of the content that was read.
    #[serde(default)]
    pub bytes: u64,
    /// Tables that were there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Rows, or keys, that were there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// What was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What this does not prove, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproved: Vec<String>,
    /// What was wrong, in words; nothing if all was well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Something that was looked at, and how often.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Check {
    /// What: `indexes`, `foreign keys`.
    pub name: String,
    /// How many of them.
    pub count: u64,
}

impl Evidence {
    /// Whether all was well.
    pub fn is_ok(&self) -> bool {
        self.fault.is_none()
    }

    /// The same with nothing in it that is longer than what is read back.
    #[must_use]
    pub fn clipped(mut self) -> Self {
        self.checks.truncate(EVIDENCE_ENTRIES_MAX);
        self.unproved.truncate(EVIDENCE_ENTRIES_MAX);
        for text in self.texts_mut() {
            text.truncate(text.floor_char_boundary(EVIDENCE_TEXT_MAX));
        }
        self
    }

    /// Whether nothing in it is too long.
    pub(crate) fn is_bounded(&self) -> bool {
        let are_few = self.checks.len().max(self.unproved.len()) <= EVIDENCE_ENTRIES_MAX;
        are_few && self.texts().all(|text| text.len() <= EVIDENCE_TEXT_MAX)
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let checks = self.checks.iter().map(|check| &check.name);
        let optional = self.engine.iter().chain(&self.fault).chain(&self.unproved);
        [&self.at, &self.host, &self.tool_version].into_iter().chain(optional).chain(checks)
    }

    fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let checks = self.checks.iter_mut().map(|check| &mut check.name);
        let optional = self.engine.iter_mut().chain(&mut self.fault).chain(&mut self.unproved);
        [&mut self.at, &mut self.host, &mut self.tool_version].into_iter().chain(optional).chain(checks)
    }
}
