//! A disk in memory that crashes where it is told to, and then shows what a real one might have kept.
//!
//! It promises what POSIX does and nothing more: a file's bytes are durable once the file was synced, a name is once its directory
//! was. Every call that changes something is one *step*; a crash comes before a step, and from then on every call fails.
//! Crashing before each step in turn covers crashing after each, for what comes before the next step is what comes after this one.

mod state;
mod survival;

use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use icecore_storage::{Disk, DiskFile, Entry};

use state::{Inode, Node, State};
pub use survival::Survival;

/// The disk. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    machine: Arc<Machine>,
}

#[derive(Debug, Default)]
struct Machine {
    state: Mutex<State>,
    /// Told whenever a lock is given back, and when the machine goes off.
    unlocked: Condvar,
}

impl Machine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one step, unless the machine is off or goes off instead.
    fn step<T>(
        &self,
        what: &str,
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        let stepped = state.step(what, path);
        if stepped.is_err() {
            self.unlocked.notify_all();
        }
        stepped?;
        work(&mut state)
    }

    fn look<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        state.check_on()?;
        work(&mut state)
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Crashes before the step with this number, counted from zero and from now.
    pub fn crash_at(&self, step: u64) {
        let mut state = self.machine.state();
        state.steps = 0;
        state.log.clear();
        state.crash_at = Some(step);
    }

    /// How many steps were taken since the last [`SimDisk::crash_at`].
    pub fn steps(&self) -> u64 {
        self.machine.state().steps
    }

    /// Whether it has crashed.
    pub fn has_crashed(&self) -> bool {
        self.machine.state().off
    }

    /// The steps that were taken, and the one that was not, in words.
    pub fn log(&self) -> Vec<String> {
        self.machine.state().log.clone()
    }

    /// What is there after a crash. This disk stays as it is, so that every way of surviving can be looked at.
    pub fn reboot(&self, survival: Survival) -> Self {
        let state = survival::after(&self.machine.state(), survival);
        Self { machine: Arc::new(Machine { state: Mutex::new(state), unlocked: Condvar::new() }) }
    }

    fn file(&self, inode: Inode, path: &Path) -> SimFile {
        let handle = self.machine.state().new_handle();
        SimFile { machine: Arc::clone(&self.machine), inode, handle, path: path.to_owned() }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let inode = self.machine.step("create", path, |state| state.create(path, Node::file()))?;
        Ok(self.file(inode, path))
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let inode = self.machine.look(|state| state.find(path))?;
        Ok(self.file(inode, path))
    }

    fn open_lock(&self, path: &Path) -> io::Result<SimFile> {
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path),
            opened => opened,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.machine.look(|state| {
            let inode = state.find(path)?;
            Ok(state.file(inode)?.data.to_vec())
        })
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.machine.look(|state| {
            let inode = state.find(path)?;
            Ok(state.file(inode)?.data.len() as u64)
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine.step("link", to, |state| {
            let inode = state.find(from)?;
            state.add(to, inode)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine.step("rename", to, |state| {
            let inode = state.find(from)?;
            state.replace(to, inode)?;
            state.remove(from)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.machine.step("remove", path, |state| state.remove(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.machine.step("make_dir", path, |state| state.create(path, Node::dir()).map(drop))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.machine.look(|state| state.dir(path).map(drop)).is_ok()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.machine.step("sync_dir", path, |state| {
            state.dir(path)?.sync();
            Ok(())
        })
    }

    fn free(&self, _: &Path) -> Option<u64> {
        None
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, Entry)>> {
        self.machine.look(|state| state.list(path))
    }
}

/// An open file.
#[derive(Debug)]
pub struct SimFile {
    machine: Arc<Machine>,
    inode: Inode,
    /// Whose locks those of this open file are.
    handle: u64,
    /// What it was opened as, for the log.
    path: std::path::PathBuf,
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.machine.look(|state| {
            let file = state.file(self.inode)?;
            let range =
                usize::try_from(offset).ok().and_then(|from| Some(from..from.checked_add(buf.len())?));
            let found = range.and_then(|range| file.data.get(range)).ok_or(io::ErrorKind::UnexpectedEof)?;
            buf.copy_from_slice(found);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.machine.state();
        let was_on = state.check_on().is_ok();
        let stepped = state.step("write", &self.path);
        // Half of what was being written when the lights went out may have got through.
        let len = if stepped.is_ok() { bytes.len() } else { bytes.len() / 2 };
        if was_on {
            state.file(self.inode)?.write(&bytes[..len], offset);
        }
        if stepped.is_err() {
            self.machine.unlocked.notify_all();
        }
        stepped
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.machine.step("set_len", &self.path, |state| {
            state.file(self.inode)?.set_len(len);
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.machine.look(|state| Ok(state.file(self.inode)?.data.len() as u64))
    }

    fn sync(&self) -> io::Result<()> {
        self.machine.step("sync", &self.path, |state| {
            state.file(self.inode)?.sync();
            Ok(())
        })
    }

    fn is_named(&self) -> io::Result<bool> {
        self.machine.look(|state| Ok(state.file(self.inode)?.names > 0))
    }

    fn lock(&self) -> io::Result<()> {
        let mut state = self.machine.state();
        loop {
            state.check_on()?;
            if state.file(self.inode)?.try_lock(self.handle, false) {
                return Ok(());
            }
            state = self.machine.unlocked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn try_lock(&self) -> Result<(), TryLockError> {
        self.take_lock(false)
    }

    fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.take_lock(true)
    }
}

impl SimFile {
    fn take_lock(&self, shared: bool) -> Result<(), TryLockError> {
        let taken = self.machine.look(|state| Ok(state.file(self.inode)?.try_lock(self.handle, shared)));
        match taken {
            Ok(true) => Ok(()),
            Ok(false) => Err(TryLockError::WouldBlock),
            Err(error) => Err(TryLockError::Error(error)),
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Ok(file) = self.machine.state().file(self.inode) {
            file.unlock(self.handle);
        }
        self.machine.unlocked.notify_all();
    }
}

#[cfg(test)]
mod tests;
