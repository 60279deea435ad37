//! The tables whose rows are dumped, and the statements that read them.

use std::collections::BTreeSet;

use super::aside;
use super::session::{Session, Trouble, ident, literal, text};

/// A table with rows of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// As `pg_dump` and people call it.
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) owner: String,
    /// As SQL writes it, with its schema.
    pub(super) ident: String,
    /// As SQL writes them, with commas; empty if there are none.
    pub(super) columns: String,
    /// Which rows belong to the user, for a table of an extension: a clause, or nothing.
    pub(super) filter: String,
    /// How many pages it has, if its rows can be read by where they lie.
    pub(super) pages: u32,
}

/// Which tables there are, in order. What icecore put aside is none of them. Partitioned tables have no rows, those of extensions are theirs but for what they say is the user's.
const QUERY: &str = "
SELECT c.oid, n.nspname, c.relname, pg_get_userbyid(c.relowner), quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND {generated}),
    e.extcondition[array_position(e.extconfig, c.oid)],
    CASE WHEN m.amname = 'heap' THEN pg_relation_size(c.oid) / current_setting('block_size')::bigint ELSE 0 END
FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_am m ON m.oid = {am}
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    LEFT JOIN pg_extension e ON e.oid = d.refobjid
WHERE c.relkind = '{kind}' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))
    AND {without}
ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

impl Table {
    /// All tables with rows.
    pub(super) fn all(session: &mut Session) -> Result<Vec<Self>, Trouble> {
        Self::ask(session, 'r')
    }

    /// All of them, or the one that is wanted.
    pub(super) fn wanted(session: &mut Session, name: Option<&str>) -> Result<Vec<Self>, Trouble> {
        let mut tables = Self::all(session)?;
        let Some(name) = name else { return Ok(tables) };
        let exact = tables.iter().any(|table| table.part_name() == name);
        tables.retain(|table| if exact { table.part_name() == name } else { table.name == name });
        match tables.len() {
            1 => Ok(tables),
            0 => {
                let why = not_a_table(session, name)?;
                let none = || format!("there is no table {name} with rows of its own");
                Err(session.says(&why.unwrap_or_else(none)))
            }
            _ => {
                let names: Vec<String> = tables.iter().map(Self::part_name).collect();
                Err(session.says(&format!("{name} may be {}: name its schema too", names.join(" or "))))
            }
        }
    }

    /// The numbers of the sequences that belong to its columns.
    pub(super) fn own_sequences(&self, session: &mut Session) -> Result<BTreeSet<u32>, Trouble> {
        let rows = session.rows(&format!(
            "SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
                AND refobjid = {} AND refobjsubid > 0 AND deptype IN ('a', 'i')",
            self.oid
        ))?;
        Ok(rows.iter().filter_map(|row| text(row, 0).parse().ok()).collect())
    }

    /// As `pg_dump` takes it for a name and no pattern.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// All sequences.
    pub(super) fn sequences(session: &mut Session) -> Result<Vec<Self>, Trouble> {
        Self::ask(session, 'S')
    }

    fn ask(session: &mut Session, kind: char) -> Result<Vec<Self>, Trouble> {
        let generated = if session.major() >= 12 { "a.attgenerated = ''" } else { "true" };
        let am =
            if session.major() >= 12 { "c.relam" } else { "(SELECT oid FROM pg_am WHERE amname = 'heap')" };
        let query =
            QUERY.replace("{generated}", generated).replace("{am}", am).replace("{kind}", &kind.to_string());
        let query = query.replace("{without}", &aside::without(&aside::all(session)?));
        // Without ranges of places, a part of a table costs as much as all of it.
        let has_ranges = session.major() >= 14;
        let rows = session.rows(&query)?;
        let table = |row| Self {
            oid: text(row, 0).parse().unwrap_or_default(),
            schema: text(row, 1),
            name: text(row, 2),
            owner: text(row, 3),
            ident: text(row, 4),
            columns: text(row, 5),
            filter: text(row, 6),
            pages: text(row, 7).parse().ok().filter(|_| has_ranges).unwrap_or_default(),
        };
        Ok(rows.iter().map(table).collect())
    }

    /// The name that its part has.
    pub(super) fn part_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// What stands before its rows in a dump.
    pub(super) fn heading(&self) -> String {
        let Self { schema, name, owner, ident, columns, .. } = self;
        let [schema, name, owner] = [schema, name, owner].map(|text| text.replace(['\n', '\r'], " "));
        let columns = if columns.is_empty() { String::new() } else { format!("({columns})") };
        format!(
            "--\n-- Data for Name: {name}; Type: TABLE DATA; Schema: {schema}; Owner: {owner}\n--\n\nCOPY {ident} {columns} FROM stdin;\n"
        )
    }

    /// The statement that reads the rows of some pages; of all, if no range is given.
    pub(super) fn copy(&self, pages: Option<(u32, Option<u32>)>) -> String {
        let Self { ident, columns, filter, .. } = self;
        match pages {
            Some((first, end)) => {
                let end = end.map(|end| format!(" AND ctid < '({end},0)'")).unwrap_or_default();
                format!(
                    "COPY (SELECT {columns} FROM ONLY {ident} WHERE ctid >= '({first},0)'{end}) TO STDOUT"
                )
            }
            None if !filter.is_empty() => {
                format!("COPY (SELECT {columns} FROM ONLY {ident} {filter}) TO STDOUT")
            }
            None if columns.is_empty() => format!("COPY {ident} TO STDOUT"),
            None => format!("COPY {ident} ({columns}) TO STDOUT"),
        }
    }
}

/// What has this name without being a table with rows of its own, if anything has, and what to do instead; in words.
fn not_a_table(session: &mut Session, name: &str) -> Result<Option<String>, Trouble> {
    let rows = session.rows(&format!(
        "SELECT n.nspname || '.' || c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {} IN (n.nspname || '.' || c.relname, c.relname::text) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1",
        literal(name)
    ))?;
    let what = |row| {
        let what = match text(row, 1).as_str() {
            "v" => "a view, whose rows are those of others: take the whole database",
            "m" => "a materialised view, which is made of the rows of others: take the whole database",
            "p" => "a partitioned table, whose rows are in its partitions: take those, or the whole database",
            "f" => "a foreign table, whose rows are on another server",
            "S" => "a sequence, which belongs to a table or is taken with the whole database",
            _ => return None,
        };
        Some(format!("{} is {what}", text(row, 0)))
    };
    Ok(rows.iter().find_map(what))
}

/// Which tables, whatever changed in them.
pub(super) fn oids(tables: &[Table]) -> BTreeSet<u32> {
    tables.iter().map(|table| table.oid).collect()
}
