//! Dumps of a shop that never was, as `pg_dump` and `mariadb-dump` would have written them.
//!
//! The frame of a dump (header, tables, indexes, footer) is a template taken from the real tools; the
//! rows are made from the seed while they are written, so that memory stays bounded and the same spec
//! gives the same bytes for ever. Tests pin that.

mod history;
mod rng;
mod row;
mod table;
mod time;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write};

use history::{History, RowState};
use rng::Rng;
use row::{RowText, push_hex};
use table::{Content, Table};
use time::Timestamp;
use vocabulary::Vocabulary;

/// Rows of each table that are looked at to learn how long a row is.
const SAMPLE_ROWS: u64 = 400;
/// `mariadb-dump` starts a new statement before one would reach this length.
const INSERT_LEN_MAX: usize = 1_046_528;

/// What a dump is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct DumpSpec {
    pub seed: u64,
    /// About how large the dump is before any night.
    pub bytes: u64,
    pub dialect: Dialect,
    /// What happened since, one after the other.
    pub nights: Vec<Night>,
}

/// Whose dump tool it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `pg_dump` 15, plain.
    Postgres,
    /// `mariadb-dump` 10.11.
    MariaDb,
}

/// What happened to the rows between two dumps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Night {
    /// The share of all rows, from 0 to 1; they are chosen at random.
    pub changed: f64,
    pub how: Change,
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Rows change where they lie.
    InPlace,
    /// Rows change and move to the end of their table, as in PostgreSQL's heap. MariaDB keeps its rows
    /// in the order of their keys: there, the same as [`Change::InPlace`].
    Moved,
    /// New rows at the end of each table.
    Inserted,
    /// Rows disappear.
    Deleted,
}

/// Writes the dump as it looks after all nights of the spec.
pub fn write_dump(spec: &DumpSpec, out: &mut dyn Write) -> io::Result<()> {
    let content = content(spec);
    let histories = Table::ALL.map(|table| {
        History::new(spec.seed, table, content.rows[table as usize], &spec.nights, spec.dialect)
    });
    let template = match spec.dialect {
        Dialect::Postgres => include_str!("dump/postgres.sql"),
        Dialect::MariaDb => include_str!("dump/mariadb.sql"),
    };
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (hole, after) = after.split_once("}}").expect("the templates close what they open");
        out.write_all(before.as_bytes())?;
        let table = |name: &str| {
            Table::ALL.into_iter().find(|table| table.name() == name).expect("templates name tables")
        };
        rest = after;
        match hole.split_once(' ') {
            Some(("rows", name)) => {
                let table = table(name);
                write_rows(spec.dialect, &content, table, &histories[table as usize], &mut out)?;
                rest = after.strip_prefix('\n').unwrap_or(after);
            }
            Some(("last", name)) => write!(out, "{}", histories[table(name) as usize].last_id())?,
            Some(("next", name)) => write!(out, "{}", histories[table(name) as usize].last_id() + 1)?,
            _ if hole == "restrict" => out.write_all(&restrict_key(spec))?,
            _ if hole == "completed" => out.write_all(&completed(spec))?,
            _ => unreachable!("the templates have no hole named {hole}"),
        }
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}

fn write_rows(
    dialect: Dialect,
    content: &Content,
    table: Table,
    history: &History,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut text = RowText::new(dialect);
    let insert = format!("INSERT INTO `{}` VALUES\n", table.name());
    let mut statement_len = 0;
    for row in history.rows() {
        text.clear();
        content.push_row(table, row, &mut text);
        let bytes = text.finish();
        match dialect {
            Dialect::Postgres => out.write_all(bytes)?,
            Dialect::MariaDb if statement_len > 0 && statement_len + bytes.len() < INSERT_LEN_MAX => {
                out.write_all(b",\n")?;
                out.write_all(bytes)?;
                statement_len += bytes.len() + 2;
            }
            Dialect::MariaDb => {
                if statement_len > 0 {
                    out.write_all(b";\n")?;
                }
                out.write_all(insert.as_bytes())?;
                out.write_all(bytes)?;
                statement_len = insert.len() + bytes.len();
            }
        }
        if dialect == Dialect::Postgres {
            out.write_all(b"\n")?;
        }
    }
    if statement_len > 0 {
        out.write_all(b";\n")?;
    }
    Ok(())
}

/// How many rows of each table make up the size that was asked for.
fn content(spec: &DumpSpec) -> Content {
    // Ids are as long as in a large dump; what the sample refers to need not exist.
    let mut content =
        Content { seed: spec.seed, vocabulary: Vocabulary::new(), rows: [spec.bytes / 1000 + 1; 6] };
    let mut text = RowText::new(spec.dialect);
    let rows = Table::ALL.map(|table| {
        let mut sample_len = 0;
        for id in 1..=SAMPLE_ROWS {
            text.clear();
            let id = id * (spec.bytes / 1000 / SAMPLE_ROWS).max(1);
            content.push_row(table, RowState { id, version: 0 }, &mut text);
            sample_len += text.finish().len() as u64 + 1;
        }
        (u128::from(spec.bytes) * u128::from(table.percent_of_bytes()) * u128::from(SAMPLE_ROWS)
            / u128::from(sample_len * 100))
        .try_into()
        .unwrap_or(u64::MAX)
    });
    content.rows = rows;
    content
}

/// Since 15.14, `pg_dump` writes a random word, another one in each dump.
fn restrict_key(spec: &DumpSpec) -> Vec<u8> {
    let mut key = Vec::new();
    push_hex(&mut key, &mut Rng::of(&[spec.seed, 0x006b_6579, spec.nights.len() as u64]), 63);
    key
}

fn completed(spec: &DumpSpec) -> Vec<u8> {
    let mut text = Vec::new();
    let time = Timestamp::FIRST_DUMP.plus_days(spec.nights.len() as u64).plus_seconds(12_207);
    time.push_seconds(&mut text);
    // The tool pads the hour with a blank.
    let hour = text.iter().position(|&byte| byte == b' ').map(|space| space + 1);
    if let Some(hour) = hour.and_then(|hour| text.get_mut(hour)).filter(|digit| **digit == b'0') {
        *hour = b' ';
    }
    text
}
