//! What can be said about the end of a stream that no scanner follows.

use icecore_dump::looks_like_sql;

/// How many last bytes tell whether a dump of SQLite's shell is whole.
pub(super) const TAIL_LEN: usize = 64;
const SQLITE_HEADER_LEN: usize = 100;

/// How a stream should end, as far as its beginning tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// A SQLite database, whose header says how many bytes it has.
    Database { len: u64 },
    /// What `sqlite3 .dump` prints: one transaction.
    Transaction,
    /// Statements of SQL, which may end anywhere.
    Anywhere,
    /// Nothing is known of it.
    Unknown,
}

impl Ending {
    /// Judges by the first bytes of a stream.
    pub(super) fn foretold_by(head: &[u8]) -> Self {
        if let Some(len) = database_len(head) {
            return Self::Database { len };
        }
        let mut statements = head.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let pragma = statements.next().is_some_and(|first| first.starts_with(b"PRAGMA foreign_keys"));
        if pragma && statements.next() == Some(b"BEGIN TRANSACTION") {
            return Self::Transaction;
        }
        if looks_like_sql(head) { Self::Anywhere } else { Self::Unknown }
    }

    /// What is missing from a stream of `len` bytes with these last ones, in words.
    pub(super) fn missing(self, len: u64, tail: &[u8]) -> Option<String> {
        match self {
            Self::Database { len: promised } if len < promised => {
                Some(format!("the {promised} bytes of a SQLite database that its header promises"))
            }
            Self::Transaction if !tail.trim_ascii_end().ends_with(b"COMMIT;") => {
                Some("the COMMIT of its transaction".to_owned())
            }
            _ => None,
        }
    }
}

/// The length that a SQLite header promises. The page count counts only if the last writer kept it
/// (<https://www.sqlite.org/fileformat2.html#in_header_database_size>).
fn database_len(head: &[u8]) -> Option<u64> {
    let header = head.get(..SQLITE_HEADER_LEN).filter(|header| header.starts_with(b"SQLite format 3\0"))?;
    let number = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let page_size = match u16::from_be_bytes([*header.get(16)?, *header.get(17)?]) {
        1 => 65536,
        size => u64::from(size),
    };
    let is_kept = number(24)? == number(92)?;
    is_kept.then_some(page_size * u64::from(number(28)?))
}
