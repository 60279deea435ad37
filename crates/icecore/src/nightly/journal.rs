//! What happened last, on this machine.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use icecore_format::Digest;
use jiff::Timestamp;

use super::entries::{Entries, Event, Record};
use super::step::StepReport;
use crate::{Error, Result, io_message};

/// Bytes that are given up for a journal that has no room, at least.
const RESERVE_LEN: usize = 64 << 10;
/// How the names of files begin that say that something is lacking.
const LACKING: &str = "lacking-";

/// A machine's record of its last runs. It lies beside the index, and like that it may be lost: then nobody knows when something failed, and what is due is
/// told by the snapshots alone.
///
/// A disk that is full makes nights fail, and that they did must be known all the same: room for it is kept in a reserve. Where that does not do either, an
/// empty file says that the journal lacks something. Copies know of each other what could not be written.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
    file: String,
    unwritten: Arc<Mutex<Unwritten>>,
}

/// What has happened since the journal could be written.
#[derive(Debug, Default)]
struct Unwritten {
    events: Vec<Event>,
    /// Why it could not be.
    why: String,
}

/// Held while a service's steps are done: nobody else does them.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "closing it lets others in")] File);

impl Journal {
    /// That of the machine `host`, in `dir`, which is made when something is written.
    pub fn new(dir: &Path, host: &str) -> Self {
        let name: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Self { dir: dir.to_owned(), file: format!("{name}.json"), unwritten: Arc::default() }
    }

    /// What it says; nothing, if there is none.
    pub fn read(&self) -> Entries {
        let path = self.path();
        let fault = |why: String| {
            let fault = format!("cannot use {}: {why}; it may be deleted", path.display());
            Entries { fault: Some(fault), ..Entries::default() }
        };
        let mut entries: Entries = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::default(),
            Err(error) => fault(io_message(&error)),
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| fault(error.to_string())),
        };
        if let Some(mark) = self.lacking() {
            entries.fault.get_or_insert_with(|| {
                format!(
                    "{} lacks what could not be written there, until what is missing has run again: was its disk full? {} may be deleted",
                    path.display(),
                    mark.display()
                )
            });
        }
        let unwritten = self.unwritten();
        if !unwritten.events.is_empty() {
            entries
                .fault
                .get_or_insert_with(|| format!("cannot write {}: {}", path.display(), unwritten.why));
        }
        unwritten.events.iter().for_each(|event| event.apply(&mut entries));
        drop(unwritten);
        for (service, run) in &mut entries.services {
            run.died = run.ended.is_none() && matches!(self.turn(service), Ok(Some(_)));
        }
        entries
    }

    /// A service's run has ended.
    pub(super) fn end(&self, service: &str, now: Timestamp) -> Result<()> {
        self.note(Event::Ended { service: service.to_owned(), at: now })
    }

    /// A service's run begins.
    pub(super) fn begin(&self, service: &str, now: Timestamp) -> Result<()> {
        self.note(Event::Begun { service: service.to_owned(), at: now })
    }

    /// A step is over.
    pub(super) fn add(&self, report: &StepReport, now: Timestamp) -> Result<()> {
        self.note(Event::Over(Box::new(Record {
            task: report.task.clone(),
            at: now,
            grade: report.grade(),
            remark: report.remarks().into_iter().next(),
            snapshot: report.snapshot(),
        })))
    }

    /// The turn of a service; `None` while somebody else has it for longer than it takes to look whether somebody has.
    pub(super) fn wait_for_turn(&self, service: &str) -> Result<Option<Turn>> {
        for _ in 0..20 {
            if let Some(turn) = self.turn(service)? {
                return Ok(Some(turn));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }

    fn turn(&self, service: &str) -> Result<Option<Turn>> {
        let file = self.lock_file(&format!("{}.lock", name_of(service)));
        match file.map(|file| (file.try_lock(), file)).map_err(|error| self.fault(error))? {
            (Ok(()), file) => Ok(Some(Turn(file))),
            (Err(TryLockError::WouldBlock), _) => Ok(None),
            (Err(TryLockError::Error(error)), _) => Err(self.fault(error)),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(&self.file)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.{suffix}", self.file))
    }

    /// The file that says that it lacks something of a service, or of the store. It goes when the next run of that is written down, whoever else writes before.
    fn mark(&self, service: Option<&str>) -> PathBuf {
        self.beside(&format!("{LACKING}{}", name_of(service.unwrap_or_default())))
    }

    fn lacking(&self) -> Option<PathBuf> {
        let marks = format!("{}.{LACKING}", self.file);
        let mut files = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        files.find(|file| file.file_name().to_string_lossy().starts_with(&marks)).map(|file| file.path())
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes it down, with all that could not be written before.
    fn note(&self, event: Event) -> Result<()> {
        let lock = self.lock_file("journal.lock").and_then(|file| file.lock().map(|()| file));
        let written = lock.and_then(|lock| {
            let mut entries = self.read();
            event.apply(&mut entries);
            let written = self.write(&entries);
            drop(lock);
            written
        });
        let mut unwritten = self.unwritten();
        match written {
            Ok(()) => {
                for known in unwritten.events.drain(..).chain([event]) {
                    // As a rule there is none.
                    fs::remove_file(self.mark(known.service())).unwrap_or_default();
                }
                Ok(())
            }
            Err(error) => {
                // A name takes no room, as a rule; where even that cannot be written, the error is all that is left.
                File::create(self.mark(event.service())).map(drop).unwrap_or_default();
                unwritten.events.push(event);
                unwritten.why = io_message(&error);
                Err(self.fault(error))
            }
        }
    }

    /// A lock on a file that never goes: one on a file without a name keeps nobody out.
    fn lock_file(&self, name: &str) -> io::Result<File> {
        fs::create_dir_all(&self.dir)?;
        File::options().create(true).truncate(false).write(true).open(self.dir.join(name))
    }

    fn write(&self, entries: &Entries) -> io::Result<()> {
        let text = serde_json::to_vec(entries)?;
        let mut written = self.replace(&text);
        if written.as_ref().is_err_and(is_full) && fs::remove_file(self.beside("reserve")).is_ok() {
            written = self.replace(&text);
        }
        if written.is_ok() {
            self.keep_reserve(text.len());
        }
        written
    }

    /// Whoever reads it, and whenever this dies, it is the old one or the new one.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let new = self.beside("new");
        let written = write_whole(&new, text).and_then(|()| fs::rename(&new, self.path()));
        if written.is_err() {
            // It takes up the room that it lacks.
            fs::remove_file(&new).unwrap_or_default();
        }
        written
    }

    /// Keeps enough for the next journal to be written beside one of `len` bytes. Where there is no room now, there may be some the next time.
    fn keep_reserve(&self, len: usize) {
        let (path, len) = (self.beside("reserve"), (2 * len).next_multiple_of(RESERVE_LEN));
        if fs::metadata(&path).is_ok_and(|found| found.len() >= len as u64) {
            return;
        }
        // File systems that compress would keep nothing for zeros.
        let mut noise = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        if write_whole(&path, &noise).is_err() {
            fs::remove_file(&path).unwrap_or_default();
        }
    }

    fn fault(&self, source: io::Error) -> Error {
        Error::Journal { path: self.path(), source }
    }
}

/// What is no name of a file is one.
fn name_of(service: &str) -> String {
    let digest = Digest::of(service.as_bytes()).to_hex();
    digest.get(..16).unwrap_or(&digest).to_owned()
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn files(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
        names.sort();
        names
    }

    #[test]
    fn what_could_not_be_written_is_known_here_and_missed_elsewhere_until_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path(), "host");
        journal.begin("shop", at(1)).unwrap();
        journal.end("shop", at(2)).unwrap();
        // Nothing can take the place of a directory that is not empty.
        fs::remove_file(dir.path().join("host.json")).unwrap();
        fs::create_dir_all(dir.path().join("host.json/in/the/way")).unwrap();
        journal.begin("shop", at(3)).unwrap_err();
        journal.end("shop", at(4)).unwrap_err();
        let known = journal.clone().read();
        assert_eq!(known.services["shop"].ended, Some(at(4)));
        assert!(known.fault.is_some());
        assert_eq!(files(dir.path()).len(), 3, "{:?}", files(dir.path()));
        fs::remove_dir_all(dir.path().join("host.json")).unwrap();
        // Others write, and still it is missed.
        let other = Journal::new(dir.path(), "host");
        other.begin("ledger", at(5)).unwrap();
        other.end("ledger", at(5)).unwrap();
        assert!(other.read().fault.unwrap().contains("lacks what could not be written"));
        journal.begin("shop", at(6)).unwrap();
        journal.end("shop", at(7)).unwrap();
        assert_eq!(files(dir.path()), ["host.json", "host.json.reserve"]);
        for journal in [&journal, &other, &Journal::new(dir.path(), "host")] {
            let entries = journal.read();
            assert_eq!(entries.fault, None);
            assert_eq!(entries.services["shop"].ended, Some(at(7)));
            assert_eq!(entries.services["ledger"].ended, Some(at(5)));
        }
    }

    #[test]
    fn the_reserve_is_as_long_as_two_journals() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path(), "host");
        journal.begin("shop", at(1)).unwrap();
        let reserve = || fs::metadata(dir.path().join("host.json.reserve")).unwrap().len();
        assert_eq!(reserve(), 64 << 10);
        // One that was cut off is made whole.
        fs::write(dir.path().join("host.json.reserve"), "short").unwrap();
        journal.begin(&"s".repeat(40_000), at(1)).unwrap();
        assert_eq!(reserve(), 128 << 10);
        let len = fs::metadata(dir.path().join("host.json")).unwrap().len();
        assert!(reserve() >= 2 * len);
    }
}
