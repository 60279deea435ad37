//! What a table loses when it is put aside: its foreign keys, for rows that nobody uses must not bind those that somebody does. Its comment
//! says what they were.

use serde::{Deserialize, Serialize};

use super::super::super::facts::ASIDE_MARK;
use super::super::super::session::{Session, Trouble, literal};
use super::Name;
use super::foreign_key::ForeignKey;

/// What must come back when the table does.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    comment: String,
    foreign_keys: Vec<ForeignKey>,
}

impl Note {
    /// Takes the keys away from a table that is called `table` by now, and writes them down.
    pub(super) fn take(session: &mut Session, table: &Name, oid: &str) -> Result<Self, Trouble> {
        let foreign_keys = ForeignKey::of(session, oid)?;
        foreign_keys.iter().try_for_each(|key| key.drop_from(session, table))?;
        Ok(Self { comment: comment_of(session, oid)?, foreign_keys })
    }

    /// Makes it the comment of the table.
    pub(super) fn write(&self, session: &mut Session, table: &Name) -> Result<(), Trouble> {
        let note = serde_json::to_string(self).unwrap_or_default();
        session.run(&comment_on(table, &format!("{ASIDE_MARK}{note}")))
    }

    /// What was written down.
    pub(super) fn read(session: &mut Session, oid: &str) -> Result<Self, Trouble> {
        let comment = comment_of(session, oid)?;
        let noted = comment.strip_prefix(ASIDE_MARK).and_then(|note| serde_json::from_str(note).ok());
        Ok(noted.unwrap_or(Self { comment, foreign_keys: Vec::new() }))
    }

    /// Gives it back to the table.
    pub(super) fn give_back(&self, session: &mut Session, table: &Name) -> Result<(), Trouble> {
        session.run(&comment_on(table, &self.comment))?;
        self.foreign_keys.iter().try_for_each(|key| key.on(table).make(session))
    }
}

fn comment_of(session: &mut Session, oid: &str) -> Result<String, Trouble> {
    session.value(&format!("SELECT obj_description({oid}, 'pg_class')"))
}

fn comment_on(table: &Name, comment: &str) -> String {
    let comment = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
    format!("COMMENT ON TABLE {} IS {comment}", table.ident())
}
