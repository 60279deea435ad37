//! One scanner for all formats.

use crate::drive::Driver;
use crate::format::Format;
use crate::mark::Mark;
use crate::mysql::MysqlDump;
use crate::outcome::Outcome;
use crate::pg::PgDump;
use crate::tar::Tar;

/// Watches a stream and says where its parts are.
#[derive(Debug)]
pub struct Scanner {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Pg(Driver<PgDump>),
    Mysql(Driver<MysqlDump>),
    Tar(Driver<Tar>),
}

impl Scanner {
    /// A scanner for the start of a stream.
    pub fn new(format: Format) -> Self {
        let inner = match format {
            Format::PgDump => Inner::Pg(Driver::new(PgDump::of_database())),
            Format::PgDumpAll => Inner::Pg(Driver::new(PgDump::of_cluster())),
            Format::MysqlDump => Inner::Mysql(Driver::new(MysqlDump::new())),
            Format::Tar => Inner::Tar(Driver::new(Tar::new())),
        };
        Self { inner }
    }

    /// Looks at the next bytes, and returns how many of them are settled.
    ///
    /// `input` starts exactly where the bytes settled by the last call ended. The marks within the settled bytes are
    /// appended in order; none lies beyond them, and none before what an earlier call settled. At most 64 KiB stay
    /// unsettled, so that a larger buffer always makes progress. With `last` everything settles.
    pub fn scan(&mut self, input: &[u8], last: bool, marks: &mut Vec<Mark>) -> usize {
        match &mut self.inner {
            Inner::Pg(driver) => driver.scan(input, last, marks),
            Inner::Mysql(driver) => driver.scan(input, last, marks),
            Inner::Tar(driver) => driver.scan(input, last, marks),
        }
    }

    /// What the stream was; to be asked after the last scan.
    pub fn finish(self) -> Outcome {
        match self.inner {
            Inner::Pg(driver) => driver.into_machine().outcome(),
            Inner::Mysql(driver) => driver.into_machine().outcome(),
            Inner::Tar(driver) => driver.into_machine().outcome(),
        }
    }
}
