//! What time it is, and saying so on lines that nobody reads at once.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Gives another time, for tests: one that stands still, or `@FILE`, in which it stands.
const NOW_VARIABLE: &str = "ICECORE_NOW";
/// By which systemd says which stream leads to its journal.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// Where the time comes from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    System,
    Still(Timestamp),
    /// A file that may say another time whenever it is read.
    File(PathBuf),
}

/// What lines of a log begin with: the time, as people here write it.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) clock: Clock,
    pub(crate) zone: TimeZone,
}

impl Clock {
    /// The one that the environment says.
    pub(crate) fn of_environment() -> Self {
        let Ok(text) = std::env::var(NOW_VARIABLE) else { return Self::System };
        match (text.parse(), text.strip_prefix('@')) {
            (Ok(time), _) => Self::Still(time),
            (_, Some(file)) => Self::File(PathBuf::from(file)),
            _ => Self::System,
        }
    }

    /// What time it is.
    pub(crate) fn time(&self) -> Timestamp {
        let said = match self {
            Self::System => None,
            Self::Still(time) => Some(*time),
            Self::File(file) => fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()),
        };
        said.unwrap_or_else(icecore::now)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.clock.time().to_zoned(self.zone.clone());
        write!(f, "{}", time.strftime("%Y-%m-%d %H:%M:%S "))
    }
}

/// Whether standard error leads to the journal of systemd, which knows when each line came.
pub(crate) fn is_journal() -> bool {
    let own = rustix::fs::fstat(io::stderr()).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    std::env::var(JOURNAL_VARIABLE).is_ok_and(|said| own.is_ok_and(|own| own == said))
}
