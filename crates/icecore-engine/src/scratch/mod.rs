//! Servers of our own, which live for one restore: to find out whether it can be done, and what comes of it.
//!
//! A server keeps everything in a folder of its own below the directory for temporary files, listens on a socket there and nowhere else, and
//! is asked for speed instead of safety. It ends with the value that stands for it, and so does the folder. What a killed process has left
//! is cleared by the next one that makes a folder: each holds the lock in its own for as long as it lives.

mod folder;
mod process;

pub use folder::Folder;
pub(crate) use process::{Process, Programs};

/// What was found in a restored database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// Tables.
    pub tables: u64,
    /// Rows in them; 0 if they were counted before.
    pub rows: u64,
    /// What was looked at, and how many of them.
    pub checks: Vec<(&'static str, u64)>,
    /// What could not be looked at, in words.
    pub unproved: Vec<String>,
    /// The first thing that is wrong.
    pub fault: Option<String>,
}

impl Examined {
    /// Together with what was found in another database.
    pub(crate) fn add(&mut self, other: Self) {
        self.tables += other.tables;
        self.rows += other.rows;
        for (name, count) in other.checks {
            match self.checks.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => self.checks.push((name, count)),
            }
        }
        for unproved in other.unproved {
            if !self.unproved.contains(&unproved) {
                self.unproved.push(unproved);
            }
        }
        self.fault = self.fault.take().or(other.fault);
    }
}
