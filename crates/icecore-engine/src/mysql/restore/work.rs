//! What a restore or a rollback is called while it is under way, and how its tables are known.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use super::super::aside::NAME_LEN_MAX;
pub(super) use super::super::aside::OLD;
use super::super::objects::{self, COMMENT, MARK};
use super::super::session::{Session, Trouble, ident, literal, text};
use crate::database::name_beside;

/// What is being made; some digits follow.
pub(super) const NEW: &str = "__ice_new_";
/// What is on its way out.
pub(super) const GOING: &str = "__ice_gone";
/// Code that could not be made again; some digits follow.
const LEFT: &str = "__ice_left_";
/// The code that there was, until the tables have moved.
pub(super) const BEFORE: &str = "__icecore_old";
/// The code that there is to be.
pub(super) const AFTER: &str = "__icecore_new";
/// The same, once the tables have moved back.
pub(super) const BACK: &str = "__icecore_back";
/// A table of ours that is not needed any more.
pub(super) const DONE: &str = "__icecore_done";
/// The same, where nothing was there before a rollback.
pub(super) const NOTHING: &str = "__icecore_none";
const OURS: [&str; 6] = [MARK, BEFORE, AFTER, BACK, DONE, NOTHING];
const DIGITS: usize = 8;

/// A name beside that of a database.
pub(super) fn beside(database: &str, suffix: &str) -> String {
    name_beside(database, suffix, NAME_LEN_MAX)
}

/// Whether a table of this name is one of ours, on any server.
pub(super) fn is_name_of_ours(table: &str) -> bool {
    OURS.iter().any(|ours| ours.eq_ignore_ascii_case(table))
}

/// What names of new databases begin with.
pub(super) fn new_start(database: &str) -> String {
    let mut name = beside(database, &format!("{NEW}{:0DIGITS$}", 0));
    name.truncate(name.len() - DIGITS);
    name
}

/// A name for a database that nobody else takes.
fn numbered(database: &str, suffix: &str) -> String {
    let number = RandomState::new().build_hasher().finish();
    beside(database, &format!("{suffix}{:08x}", number & 0xffff_ffff))
}

/// A name for a database of code that could not be made.
pub(super) fn left_name(database: &str) -> String {
    numbered(database, LEFT)
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Restore,
    Rollback,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Rollback => "rollback",
        }
    }
}

/// One restore or rollback, whose tables say so in their comments. Who writes a snapshot cannot know the digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) kind: Kind,
    /// The database that is replaced.
    pub(super) live: String,
    /// The one that is made for it.
    pub(super) new: String,
}

impl Work {
    /// Makes a new database.
    pub(super) fn begin(
        server: &mut Session,
        kind: Kind,
        live: &str,
        texts: Option<&(String, String)>,
    ) -> Result<Self, Trouble> {
        let work = Self { kind, live: live.to_owned(), new: numbered(live, NEW) };
        let texts = texts.map(|(charset, collation)| {
            format!(" CHARACTER SET {} COLLATE {}", literal(charset), literal(collation))
        });
        server.run(format!("CREATE DATABASE {}{}", ident(&work.new), texts.unwrap_or_default()))?;
        objects::make_table(server, &work.new, MARK, &work.label())?;
        Ok(work)
    }

    /// What is under way in a database, if it is one of ours.
    pub(super) fn find(server: &mut Session, live: &str, new: &str) -> Result<Option<Self>, Trouble> {
        for kind in [Kind::Restore, Kind::Rollback] {
            let work = Self { kind, live: live.to_owned(), new: new.to_owned() };
            if work.owns(server, new, MARK)? {
                return Ok(Some(work));
            }
        }
        Ok(None)
    }

    /// What its tables say of themselves.
    pub(super) fn label(&self) -> String {
        format!("a {} of {} by {}", self.kind.as_str(), self.live, self.new)
    }

    /// Whether there is such a table, and it is of this work.
    pub(super) fn owns(&self, server: &mut Session, schema: &str, table: &str) -> Result<bool, Trouble> {
        Ok(label_of(server, schema, table)?.is_some_and(|label| label == self.label()))
    }
}

/// What a table of ours says of itself; `None` if there is none.
pub(super) fn label_of(server: &mut Session, schema: &str, table: &str) -> Result<Option<String>, Trouble> {
    let (is_in_it, is_it) = (server.named("TABLE_SCHEMA", schema), server.named("TABLE_NAME", table));
    let rows = server
        .rows(format!("SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE {is_in_it} AND {is_it}"))?;
    Ok(rows.first().and_then(|row| text(row, 0).strip_prefix(COMMENT).map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_database_are_never_too_long_and_found_by_their_start() {
        for database in ["shop", &"ä".repeat(32), &"x".repeat(64)] {
            let new = numbered(database, NEW);
            assert!(new.len() <= NAME_LEN_MAX && new.starts_with(&new_start(database)), "{new}");
            assert_ne!(new, numbered(database, NEW));
            assert_ne!(beside(database, OLD), beside(database, GOING));
        }
    }
}
