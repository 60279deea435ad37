//! What a restore or a rollback is called while it is under way, and how its tables are known.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use icecore_format::Digest;

use super::super::keys::Place;
use super::super::objects::{self, Object};
use super::super::saved::{COMMENT, DRAFT, MARK, Saved, make_table};
use super::super::session::{Session, Trouble, ident, literal, text};
use super::place::{exists, keys_from_elsewhere, keys_to_one_from_elsewhere, tables};
use crate::RestoreError;
use crate::database::name_beside;

/// What is being made; some digits follow.
pub(super) const NEW: &str = "__ice_new_";
/// What a rollback brings back.
pub(super) const OLD: &str = "__ice_old";
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
const OURS: [&str; 7] = [MARK, DRAFT, BEFORE, AFTER, BACK, DONE, NOTHING];
/// No name of a database is longer, in characters.
const NAME_LEN_MAX: usize = 64;
const DIGITS: usize = 8;

/// A name beside that of a database.
pub(super) fn beside(database: &str, suffix: &str) -> String {
    name_beside(database, suffix, NAME_LEN_MAX)
}

/// Where what is there goes, and comes back from: one of the tables, or the whole database.
pub(super) fn aside(database: &str, table: Option<&str>) -> String {
    let Some(table) = table else { return beside(database, OLD) };
    let name = format!("{database}{OLD}_{table}");
    if name.len() <= NAME_LEN_MAX {
        return name;
    }
    let hash = Digest::of(table.as_bytes()).to_hex();
    beside(database, &format!("{OLD}_{}", hash.get(..DIGITS).unwrap_or(&hash)))
}

/// Whether a table of this name is one of ours, on any server.
pub(super) fn is_name_of_ours(table: &str) -> bool {
    OURS.iter().any(|ours| ours.eq_ignore_ascii_case(table))
}

/// Whether a database is called as those are that icecore makes, and drops.
pub(super) fn is_beside(database: &str) -> bool {
    let name = database.to_lowercase();
    [NEW, OLD, GOING, LEFT].iter().any(|ours| name.contains(ours))
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
    /// The database that is replaced, or has the table that is.
    pub(super) live: String,
    /// The table, if it is about one alone.
    pub(super) table: Option<String>,
    /// The database that is made for it.
    pub(super) new: String,
}

impl Work {
    /// Makes a new database.
    pub(super) fn begin(
        server: &mut Session,
        kind: Kind,
        (live, table): (&str, Option<&str>),
        texts: Option<&(String, String)>,
    ) -> Result<Self, Trouble> {
        let (new, table) = (numbered(live, NEW), table.map(str::to_owned));
        let work = Self { kind, live: live.to_owned(), table, new };
        let texts = texts.map(|(charset, collation)| {
            format!(" CHARACTER SET {} COLLATE {}", literal(charset), literal(collation))
        });
        server.run(format!("CREATE DATABASE {}{}", ident(&work.new), texts.unwrap_or_default()))?;
        make_table(server, &work.new, MARK, &work.label())?;
        Ok(work)
    }

    /// What is under way in a database, if it is one of ours.
    pub(super) fn find(server: &mut Session, live: &str, new: &str) -> Result<Option<Self>, Trouble> {
        let Some(label) = label_of(server, new, MARK)? else { return Ok(None) };
        for kind in [Kind::Restore, Kind::Rollback] {
            let start = format!("a {} of ", kind.as_str());
            let subject =
                label.strip_prefix(&start).and_then(|rest| rest.strip_suffix(&format!(" by {new}")));
            let table = subject
                .and_then(|it| it.strip_prefix("the table ")?.strip_suffix(&format!(" of {live}")))
                .filter(|_| subject != Some(live))
                .map(str::to_owned);
            if table.is_some() || subject == Some(live) {
                return Ok(Some(Self { kind, live: live.to_owned(), table, new: new.to_owned() }));
            }
        }
        Ok(None)
    }

    /// What it is about, for people.
    pub(super) fn subject(&self) -> String {
        match &self.table {
            Some(table) => format!("the table {table} of {}", self.live),
            None => self.live.clone(),
        }
    }

    /// What its tables say of themselves.
    pub(super) fn label(&self) -> String {
        format!("a {} of {} by {}", self.kind.as_str(), self.subject(), self.new)
    }

    /// What it is about in another database, for people.
    pub(super) fn shown(&self, schema: &str) -> String {
        match &self.table {
            Some(table) => format!("{schema}.{table}"),
            None => schema.to_owned(),
        }
    }

    /// Where what is replaced is kept.
    pub(super) fn aside(&self) -> String {
        aside(&self.live, self.table.as_deref())
    }

    /// Whether what was put aside somewhere is what a work of this kind replaced.
    pub(super) fn is_aside(&self, server: &mut Session, schema: &str) -> Result<bool, Trouble> {
        let label = label_of(server, schema, MARK)?.unwrap_or_default();
        let subject = format!(" of {} by ", self.subject());
        Ok([Kind::Restore, Kind::Rollback].iter().any(|kind| {
            let start = format!("a {}{subject}", kind.as_str());
            label.get(..start.len()).is_some_and(|it| server.is_same(it, &start))
        }))
    }

    /// Its table in a database.
    pub(super) fn place(&self, schema: &str) -> Option<Place> {
        self.table.as_deref().map(|table| Place::new(schema, table))
    }

    /// Whether what it is about is there.
    pub(super) fn is_there(&self, server: &mut Session) -> Result<bool, Trouble> {
        match self.place(&self.live) {
            Some(place) => place.is_there(server),
            None => exists(server, &self.live),
        }
    }

    /// The tables of a database that it is about.
    pub(super) fn tables(&self, server: &mut Session, schema: &str) -> Result<Vec<String>, Trouble> {
        match self.place(schema) {
            Some(place) => Ok(if place.is_there(server)? { vec![place.table] } else { Vec::new() }),
            None => Ok(tables(server, schema)?.into_iter().filter(|table| !is_name_of_ours(table)).collect()),
        }
    }

    /// What of it does not go where tables go.
    pub(super) fn saved(&self, server: &mut Session) -> Result<Saved, Trouble> {
        match self.place(&self.live) {
            Some(place) => Saved::read_table(server, &place),
            None => Saved::read(server, &self.live),
        }
    }

    /// The code of a database that it is about.
    pub(super) fn code(&self, server: &mut Session, schema: &str) -> Result<Vec<Object>, Trouble> {
        match self.place(schema) {
            Some(place) => objects::read_triggers(server, &place),
            None => objects::read(server, schema),
        }
    }

    /// Whether there was no database, so that one is made.
    pub(super) fn makes_database(&self, before: &Saved) -> bool {
        self.table.is_none() && before.texts.is_none()
    }

    /// What is there must not be followed by keys of other databases.
    pub(super) fn refuse_keys(&self, server: &mut Session) -> Result<(), RestoreError> {
        let why = match self.place(&self.live) {
            Some(place) => keys_to_one_from_elsewhere(server, &place),
            None => keys_from_elsewhere(server, &self.live),
        };
        why?.map_or(Ok(()), |why| Err(RestoreError::Refused(why)))
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
    fn what_is_put_aside_of_one_table_is_apart_from_all_else() {
        assert_eq!(aside("shop", None), "shop__ice_old");
        assert_eq!(aside("shop", Some("orders")), "shop__ice_old_orders");
        let long = "o".repeat(64);
        let names = [
            aside("shop", Some(&long)),
            aside(&"s".repeat(64), Some("orders")),
            aside("shop", Some(&"p".repeat(64))),
        ];
        assert!(names.iter().all(|name| name.len() <= NAME_LEN_MAX), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2]);
    }

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
