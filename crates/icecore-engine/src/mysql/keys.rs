//! Foreign keys of a table, and to it. They follow a table to wherever it goes, and what is to lead elsewhere is dropped and added again: so
//! they are written down before.

use serde::{Deserialize, Serialize};

use super::session::{Session, Trouble, ident, text};

/// What keys may do; the rest is what they do where nobody says anything.
const RULES: [&str; 4] = ["CASCADE", "SET NULL", "NO ACTION", "SET DEFAULT"];

/// A table as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) schema: String,
    pub(super) table: String,
}

impl Place {
    pub(super) fn new(schema: &str, table: &str) -> Self {
        Self { schema: schema.to_owned(), table: table.to_owned() }
    }

    /// As SQL writes it.
    pub(super) fn ident(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.table))
    }

    /// A condition: columns of a catalog name it.
    fn is(&self, session: &Session, schema: &str, table: &str) -> String {
        format!("{} AND {}", session.named(schema, &self.schema), session.named(table, &self.table))
    }

    /// Whether it is the same table to the server.
    pub(super) fn is_same(&self, session: &Session, other: &Self) -> bool {
        session.is_same(&self.schema, &other.schema) && session.is_same(&self.table, &other.table)
    }

    pub(super) fn is_there(&self, session: &mut Session) -> Result<bool, Trouble> {
        let is_it = self.is(session, "TABLE_SCHEMA", "TABLE_NAME");
        let count = format!(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE {is_it} AND TABLE_TYPE NOT IN ('VIEW', 'SEQUENCE')"
        );
        Ok(session.value(&count)? != "0")
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// Where it starts.
    pub(super) from: Place,
    name: String,
    columns: Vec<String>,
    /// Where it leads.
    pub(super) to: Place,
    to_columns: Vec<String>,
    on_update: String,
    on_delete: String,
}

/// Those of a table, without those that lead to itself, which go along with it.
pub(super) fn of(session: &mut Session, table: &Place) -> Result<Vec<Key>, Trouble> {
    let starts_there = table.is(session, "k.TABLE_SCHEMA", "k.TABLE_NAME");
    find(session, &format!("{starts_there} AND k.REFERENCED_TABLE_NAME IS NOT NULL"), table)
}

/// Those of other tables that lead to one.
pub(super) fn to(session: &mut Session, table: &Place) -> Result<Vec<Key>, Trouble> {
    let leads_there = table.is(session, "k.REFERENCED_TABLE_SCHEMA", "k.REFERENCED_TABLE_NAME");
    find(session, &leads_there, table)
}

fn find(session: &mut Session, condition: &str, of: &Place) -> Result<Vec<Key>, Trouble> {
    let rows = session.rows(format!(
        "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,
            k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE
        FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
            ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
        WHERE {condition} ORDER BY 1, 2, 3, k.ORDINAL_POSITION"
    ))?;
    let mut keys: Vec<Key> = Vec::new();
    for row in &rows {
        let text = |column| text(row, column);
        let (from, name) = (Place::new(&text(0), &text(1)), text(2));
        match keys.last_mut().filter(|key| (&key.from, &key.name) == (&from, &name)) {
            Some(key) => {
                key.columns.push(text(3));
                key.to_columns.push(text(6));
            }
            None => keys.push(Key {
                from,
                name,
                columns: vec![text(3)],
                to: Place::new(&text(4), &text(5)),
                to_columns: vec![text(6)],
                on_update: text(7),
                on_delete: text(8),
            }),
        }
    }
    keys.retain(|key| !key.from.is_same(session, of) || !key.to.is_same(session, of));
    Ok(keys)
}

impl Key {
    /// The same between other tables.
    pub(super) fn between(&self, from: Place, to: Place) -> Self {
        Self { from, to, ..self.clone() }
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.to_lowercase() == name.to_lowercase()
    }

    /// Which it is, for people.
    pub(super) fn display_name(&self) -> String {
        format!("foreign key {} of {}", self.name, self.from.table)
    }

    pub(super) fn drop_it(&self, session: &mut Session) -> Result<(), Trouble> {
        let statement = format!("ALTER TABLE {} DROP FOREIGN KEY {}", self.from.ident(), ident(&self.name));
        session.run(statement).map(drop)
    }

    /// What adds it.
    pub(super) fn statement(&self) -> String {
        let list = |columns: &[String]| columns.iter().map(|it| ident(it)).collect::<Vec<_>>().join(", ");
        let mut statement = format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
            self.from.ident(),
            ident(&self.name),
            list(&self.columns),
            self.to.ident(),
            list(&self.to_columns),
        );
        for (when, rule) in [("DELETE", &self.on_delete), ("UPDATE", &self.on_update)] {
            // They are kept in a table, where somebody else may have put them.
            if RULES.contains(&rule.as_str()) {
                statement.push_str(&format!(" ON {when} {rule}"));
            }
        }
        statement
    }

    /// Whether the server takes such a key between these tables; what it leads to need not be there by that name yet.
    pub(super) fn try_out(&self, session: &mut Session) -> Result<(), Trouble> {
        session.run(self.statement())?;
        self.drop_it(session)
    }

    /// That rows are there which it should not allow, in words.
    pub(super) fn leads_nowhere(&self, count: u64) -> String {
        let (from, to) = (&self.from.table, &self.to.table);
        format!("{count} rows of {from} lead to rows that {to} does not have, by the {}", self.display_name())
    }

    /// How many rows it would leave without what it leads to.
    pub(super) fn astray(
        &self,
        session: &mut Session,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<u64, Trouble> {
        let is_set = self.columns.iter().map(|column| format!("c.{} IS NOT NULL", ident(column)));
        let pairs = self.columns.iter().zip(&self.to_columns);
        let is_same = pairs.map(|(from, to)| format!("p.{} = c.{}", ident(to), ident(from)));
        let all = |conditions: Vec<String>| conditions.join(" AND ");
        let query = format!(
            "SELECT COUNT(*) FROM {} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
            self.from.ident(),
            all(is_set.collect()),
            self.to.ident(),
            all(is_same.collect()),
        );
        let rows = session.rows_unless(is_cancelled, &query)?;
        Ok(rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or_default())
    }
}

/// Makes keys what they are to be, wherever they lead now. What is as it should be is not touched, and neither are tables that are gone.
/// Returns those that could not be added.
///
/// # Errors
/// If the connection is lost.
pub(super) fn give(session: &mut Session, keys: &[Key]) -> Result<Vec<(Key, Trouble)>, Trouble> {
    let mut missing = Vec::new();
    for key in keys {
        if !key.from.is_there(session)? {
            continue;
        }
        let there = of(session, &key.from)?.into_iter().find(|it| session.is_same(&it.name, &key.name));
        if there.as_ref().is_some_and(|it| it.to.is_same(session, &key.to) && it.columns == key.columns) {
            continue;
        }
        let dropped = there.map_or(Ok(()), |it| it.drop_it(session));
        let given = match dropped {
            Ok(()) if !key.to.is_there(session)? => {
                let what = format!("there is no table {}", key.to.table);
                Err(Trouble { code: Some(0), ..session.says(&what) })
            }
            // The session checks no keys: to look at all rows again would take long, in which others wait.
            dropped => dropped.and_then(|()| session.run(key.statement()).map(drop)),
        };
        match given {
            Ok(()) => (),
            Err(trouble) if trouble.code.is_none() => return Err(trouble),
            Err(trouble) => missing.push((key.clone(), trouble)),
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_as_it_was_and_says_nothing_else() {
        let key = Key {
            from: Place::new("shop", "lines"),
            name: "of`an order".to_owned(),
            columns: vec!["a".to_owned(), "b".to_owned()],
            to: Place::new("shop", "orders"),
            to_columns: vec!["x".to_owned(), "y".to_owned()],
            on_update: "RESTRICT".to_owned(),
            on_delete: "CASCADE".to_owned(),
        };
        let said = "ALTER TABLE `shop`.`lines` ADD CONSTRAINT `of``an order` FOREIGN KEY (`a`, `b`) REFERENCES `shop`.`orders` (`x`, `y`) ON DELETE CASCADE";
        assert_eq!(key.statement(), said);
        assert_eq!(serde_json::from_str::<Key>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    }
}
