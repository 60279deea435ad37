//! A foreign key, field by field: what was written down is said anew, never run as it stands.

use serde::{Deserialize, Serialize};

use super::super::super::session::{Session, Trouble, ident, literal, text};
use super::Name;

/// One of a table, or of another one that points at it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ForeignKey {
    name: String,
    /// Whose it is.
    table: Name,
    columns: Vec<String>,
    /// What it points at.
    target: Name,
    target_columns: Vec<String>,
    /// `f` for a full match.
    matches: String,
    /// As `pg_constraint` says it: `a`, `r`, `c`, `n`, `d`.
    on_update: String,
    on_delete: String,
    /// The columns that a delete sets; empty for all.
    delete_columns: Vec<String>,
    deferrable: bool,
    deferred: bool,
    validated: bool,
    comment: String,
}

const QUERY: &str = "
SELECT json_build_object('name', k.conname, 'table', json_build_object('schema', n.nspname, 'table', c.relname),
    'columns', {conkey}, 'target', json_build_object('schema', tn.nspname, 'table', t.relname), 'target_columns', {confkey},
    'matches', k.confmatchtype, 'on_update', k.confupdtype, 'on_delete', k.confdeltype, 'delete_columns', coalesce({delete}, '[]'::json),
    'deferrable', k.condeferrable, 'deferred', k.condeferred, 'validated', k.convalidated,
    'comment', coalesce(obj_description(k.oid, 'pg_constraint'), ''))
FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND coalesce(to_jsonb(k) ->> 'conparentid', '0') = '0' AND {which}
ORDER BY n.nspname, c.relname, k.conname";

impl ForeignKey {
    /// Those of a table. One that points at the table itself goes where it goes.
    pub(super) fn of(session: &mut Session, oid: &str) -> Result<Vec<Self>, Trouble> {
        Self::ask(session, &format!("k.conrelid = {oid} AND k.confrelid <> {oid}"))
    }

    /// Those of other tables that point at it.
    pub(super) fn to(session: &mut Session, oid: &str) -> Result<Vec<Self>, Trouble> {
        Self::ask(session, &format!("k.confrelid = {oid} AND k.conrelid <> {oid}"))
    }

    fn ask(session: &mut Session, which: &str) -> Result<Vec<Self>, Trouble> {
        let names = |numbers: &str, table: &str| {
            format!(
                "(SELECT json_agg(a.attname ORDER BY place) FROM {numbers} WITH ORDINALITY AS u (num, place)
                    JOIN pg_attribute a ON a.attrelid = {table} AND a.attnum = u.num::int)"
            )
        };
        let delete = "jsonb_array_elements_text(nullif(to_jsonb(k) -> 'confdelsetcols', 'null'::jsonb))";
        let query = QUERY
            .replace("{conkey}", &names("unnest(k.conkey)", "k.conrelid"))
            .replace("{confkey}", &names("unnest(k.confkey)", "k.confrelid"))
            .replace("{delete}", &names(delete, "k.conrelid"))
            .replace("{which}", which);
        let rows = session.rows(&query)?;
        let parsed = rows.iter().map(|row| serde_json::from_str(&text(row, 0))).collect::<Result<_, _>>();
        parsed.map_err(|error| session.says(&format!("tells of foreign keys what makes no sense: {error}")))
    }

    /// Takes it away from the table that has it, which may be called otherwise by now.
    pub(super) fn drop_from(&self, session: &mut Session, table: &Name) -> Result<(), Trouble> {
        session.run(&format!("ALTER TABLE {} DROP CONSTRAINT {}", table.ident(), ident(&self.name)))
    }

    /// Takes it away from the other table.
    pub(super) fn drop(&self, session: &mut Session) -> Result<(), Trouble> {
        self.drop_from(session, &self.table)
    }

    /// Makes it again, and checks the rows, unless they never were.
    pub(super) fn make(&self, session: &mut Session) -> Result<(), Trouble> {
        let list = |names: &[String]| names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ");
        let (table, name) = (self.table.ident(), ident(&self.name));
        let mut statement = format!(
            "ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({}) REFERENCES {} ({})",
            list(&self.columns),
            self.target.ident(),
            list(&self.target_columns)
        );
        if self.matches == "f" {
            statement += " MATCH FULL";
        }
        statement += &format!(" ON UPDATE {} ON DELETE {}", action(&self.on_update), action(&self.on_delete));
        if !self.delete_columns.is_empty() {
            statement += &format!(" ({})", list(&self.delete_columns));
        }
        for (is_so, words) in [
            (self.deferrable, " DEFERRABLE"),
            (self.deferred, " INITIALLY DEFERRED"),
            (!self.validated, " NOT VALID"),
        ] {
            statement += if is_so { words } else { "" };
        }
        session.run(&statement)?;
        match self.comment.is_empty() {
            true => Ok(()),
            false => {
                session.run(&format!("COMMENT ON CONSTRAINT {name} ON {table} IS {}", literal(&self.comment)))
            }
        }
    }

    /// The same key of a table of this name.
    pub(super) fn on(&self, table: &Name) -> Self {
        Self { table: table.clone(), ..self.clone() }
    }
}

fn action(letter: &str) -> &'static str {
    match letter {
        "r" => "RESTRICT",
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => "NO ACTION",
    }
}
