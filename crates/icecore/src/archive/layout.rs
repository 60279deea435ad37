//! What a snapshot's content is in an archive.

use icecore_engine::files::check_name;
use icecore_format::{Part, PartKind, SnapshotInfo};

use super::entry::Entry;
use super::{CUTS, MANIFEST, README, SUMS};
use crate::create::BASE_BACKUP;

/// Where files lie that have names of their own.
const FILES: &str = "files/";
/// Where a cluster lies.
const DATA: &str = "data/";
/// What an archive of `pg_dump` begins with.
const PG_ARCHIVE: &[u8] = b"PGDMP";

/// What a snapshot's content is in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// One file.
    File(Vec<u8>),
    /// An entry for each part, below this name.
    Tree(&'static str),
}

impl Layout {
    /// `first` and `head` are the first part and the first bytes of the content.
    pub(super) fn of(info: &SnapshotInfo, first: Option<&Part>, head: &[u8]) -> Self {
        let name = match info.form.as_str() {
            "directory" => return Self::Tree(FILES),
            BASE_BACKUP => return Self::Tree(DATA),
            "pg_dump" | "pg_schema" | "pg_table" | "pg_dumpall" | "mysqldump" => "dump.sql",
            "rdb" => "dump.rdb",
            "sqlite" => "database.sqlite",
            "tar" => "content.tar",
            _ if head.starts_with(PG_ARCHIVE) => "dump.pgdump",
            _ => match first {
                Some(part) if info.parts == 1 && is_plain_name(&part.name) => {
                    return Self::File([FILES.as_bytes(), &part.name].concat());
                }
                _ => "content",
            },
        };
        Self::File(name.as_bytes().to_vec())
    }

    /// The same from what a manifest says; `None` if it is nothing that an export writes.
    pub(super) fn parse(info: &SnapshotInfo, name: &[u8]) -> Option<Self> {
        let tree = match info.form.as_str() {
            "directory" => Some(FILES),
            BASE_BACKUP => Some(DATA),
            _ => None,
        };
        match tree {
            Some(prefix) => (name == prefix.as_bytes()).then_some(Self::Tree(prefix)),
            None => {
                let own = [README, MANIFEST, CUTS, SUMS].iter().any(|own| own.as_bytes() == name);
                let is_right = !own && !name.is_empty() && check_name(name).is_ok();
                is_right.then(|| Self::File(name.to_vec()))
            }
        }
    }

    /// As the manifest says it.
    pub(super) fn name(&self) -> &[u8] {
        match self {
            Self::File(name) => name,
            Self::Tree(prefix) => prefix.as_bytes(),
        }
    }

    /// The entry of the one file. `only` is the part, if there is no other.
    pub(super) fn file_entry(&self, only: Option<&Part>, len: u64, mtime: i64) -> Option<Entry> {
        let Self::File(name) = self else { return None };
        Some(match only.and_then(|part| Some((part, part.file.as_deref()?))) {
            Some((part, file)) if part.kind == PartKind::File => Entry::file(name, file, len),
            _ => Entry::plain(name, 0o600, len, mtime),
        })
    }
}

/// Whether a name is a single one that a file may have.
fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'/') && check_name(name).is_ok()
}
