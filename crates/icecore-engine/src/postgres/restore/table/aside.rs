//! What a table loses when it is put aside: its foreign keys, for rows that nobody uses must not bind those that somebody does. Its comment
//! says what they were.

use serde::{Deserialize, Serialize};

use super::super::super::facts::ASIDE_MARK;
use super::super::super::session::{Session, Trouble, literal, text};
use super::Name;

/// What must come back when the table does.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Aside {
    comment: String,
    foreign_keys: Vec<ForeignKey>,
}

/// A foreign key of the table.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ForeignKey {
    /// As SQL writes it.
    name: String,
    definition: String,
    comment: String,
}

impl Aside {
    /// Takes the keys away. Those to itself stay: they go where it goes.
    pub(super) fn take(session: &mut Session, table: &Name, oid: &str) -> Result<Self, Trouble> {
        let rows = session.rows(&format!(
            "SELECT quote_ident(conname), pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
            FROM pg_constraint WHERE contype = 'f' AND conrelid = {oid} AND confrelid <> {oid} ORDER BY 1"
        ))?;
        let key = |row| ForeignKey { name: text(row, 0), definition: text(row, 1), comment: text(row, 2) };
        let foreign_keys: Vec<ForeignKey> = rows.iter().map(key).collect();
        for key in &foreign_keys {
            session.run(&format!("ALTER TABLE {} DROP CONSTRAINT {}", table.ident(), key.name))?;
        }
        Ok(Self { comment: comment_of(session, oid)?, foreign_keys })
    }

    /// Writes down what was taken.
    pub(super) fn note(&self, session: &mut Session, table: &Name) -> Result<(), Trouble> {
        let note = serde_json::to_string(self).unwrap_or_default();
        let note = literal(&format!("{ASIDE_MARK}{note}"));
        session.run(&format!("COMMENT ON TABLE {} IS {note}", table.ident()))
    }

    /// What was written down.
    pub(super) fn read(session: &mut Session, oid: &str) -> Result<Self, Trouble> {
        let comment = comment_of(session, oid)?;
        let noted = comment.strip_prefix(ASIDE_MARK).and_then(|note| serde_json::from_str(note).ok());
        Ok(noted.unwrap_or_else(|| Self { comment: comment.clone(), foreign_keys: Vec::new() }))
    }

    /// Gives it back to the table.
    pub(super) fn give_back(&self, session: &mut Session, table: &Name) -> Result<(), Trouble> {
        let table = table.ident();
        session.run(&format!("COMMENT ON TABLE {table} IS {}", comment(&self.comment)))?;
        for key in &self.foreign_keys {
            let ForeignKey { name, definition, .. } = key;
            session.run(&format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))?;
            if !key.comment.is_empty() {
                let comment = comment(&key.comment);
                session.run(&format!("COMMENT ON CONSTRAINT {name} ON {table} IS {comment}"))?;
            }
        }
        Ok(())
    }
}

fn comment_of(session: &mut Session, oid: &str) -> Result<String, Trouble> {
    session.value(&format!("SELECT obj_description({oid}, 'pg_class')"))
}

fn comment(text: &str) -> String {
    if text.is_empty() { "NULL".to_owned() } else { literal(text) }
}
