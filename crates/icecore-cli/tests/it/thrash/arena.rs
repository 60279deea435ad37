//! The store, what is known of it, and the ways to run commands on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use super::content::Content;
use super::memory::{Fate, Memory};
use super::slot::Slot;

/// Where everything happens.
pub(crate) struct Arena {
    pub(crate) folder: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) seed: u64,
    /// Whether to leave the machine to others now and then.
    pub(super) is_gentle: bool,
    pub(super) slots: Vec<Slot>,
    memory: Mutex<Memory>,
    last_time: Mutex<i64>,
    stop: AtomicBool,
    counts: Mutex<BTreeMap<String, usize>>,
}

/// A command and what became of it.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) arguments: Vec<String>,
    pub(super) status: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Ran {
    pub(super) fn was_killed(&self) -> bool {
        self.status == -9
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// A failure of the test that this command shows.
    pub(super) fn wrong(&self, what: &str) -> String {
        let (command, status) = (self.arguments.join(" "), self.status);
        let stdout = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)]).into_owned();
        format!("{what}\ncommand: icecore {command}\nstatus: {status}\n{stdout}{}", self.stderr)
    }

    /// The command, if it ended in one of these ways or was killed.
    pub(super) fn expect(self, statuses: &[i32]) -> Result<Self, String> {
        match statuses.contains(&self.status) || self.was_killed() {
            true => Ok(self),
            false => Err(self.wrong("an unexpected end")),
        }
    }
}

impl Arena {
    /// A new store in `folder`.
    pub(crate) fn new(folder: &Path, seed: u64, workers: usize, is_gentle: bool) -> Self {
        let folder = folder.canonicalize().unwrap();
        let arena = Self {
            store: folder.join("store"),
            folder,
            seed,
            is_gentle,
            slots: std::iter::repeat_with(Slot::default).take(workers + 1).collect(),
            memory: Mutex::default(),
            last_time: Mutex::default(),
            stop: AtomicBool::new(false),
            counts: Mutex::default(),
        };
        arena.calm(&["init", "--pack-size", "200k"]);
        arena
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How often each command ended in each way.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        self.counts.lock().unwrap().clone()
    }

    /// The time now, never the same twice.
    pub(super) fn time(&self) -> String {
        let mut last = self.last_time.lock().unwrap();
        *last = (*last + 1).max(jiff::Timestamp::now().as_microsecond());
        let time = jiff::Timestamp::from_microsecond(*last).unwrap();
        time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }

    /// Runs a command at `time` in one of the slots; it is killed after `doom`.
    pub(super) fn run(
        &self,
        slot: usize,
        time: &str,
        doom: Option<Duration>,
        arguments: &[&str],
    ) -> Result<Ran, String> {
        let (stdout, stderr) =
            (self.folder.join(format!("{slot}.out")), self.folder.join(format!("{slot}.err")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.args(["--json", "--store"]).arg(&self.store).args(arguments).current_dir(&self.folder);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &self.folder).env("TZ", "UTC").env("ICECORE_NOW", time);
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let status = self.slots[slot].wait(command.spawn().unwrap(), doom);
        let ran = Ran {
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            status: status.unwrap_or(i32::MIN),
            stdout: fs::read(&stdout).unwrap(),
            stderr: String::from_utf8_lossy(&fs::read(&stderr).unwrap()).into_owned(),
        };
        *self.counts.lock().unwrap().entry(format!("{} {}", arguments[0], ran.status)).or_default() += 1;
        if status.is_none() {
            return Err(ran.wrong("it hung"));
        }
        if ran.stderr.contains("panicked") {
            return Err(ran.wrong("it panicked"));
        }
        Ok(ran)
    }

    /// Runs a command that nobody disturbs, and that must succeed.
    pub(crate) fn calm(&self, arguments: &[&str]) -> Value {
        let ran = self.run(self.slots.len() - 1, &self.time(), None, arguments).unwrap();
        assert_eq!(ran.status, 0, "{}", ran.wrong("an unexpected end"));
        ran.json()
    }

    /// Kills those whose time has come, until the end.
    pub(crate) fn kill(&self) {
        while !self.is_stopped() {
            std::thread::sleep(Duration::from_millis(2));
            self.slots.iter().for_each(Slot::reap);
        }
    }

    /// The processes that work here, or whose parents did.
    pub(crate) fn processes(&self) -> Vec<String> {
        let home = format!("HOME={}", self.folder.display());
        let is_ours = |dir: &Path| {
            let environment = fs::read(dir.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
        };
        let dirs = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let ours = dirs.filter(|dir| is_ours(dir));
        ours.map(|dir| {
            String::from_utf8_lossy(&fs::read(dir.join("cmdline")).unwrap_or_default()).into_owned()
        })
        .collect()
    }

    /// Everything that must be listed is listed, with its tags. Returns the id of each snapshot and what its source held.
    pub(crate) fn settle(&self) -> Vec<(String, Content)> {
        let before = self.memory().fates();
        assert!(before.values().all(|fate| !matches!(fate, Fate::Coming | Fate::Leaving)), "{before:?}");
        let listed = self.calm(&["list"]);
        let mut memory = self.memory();
        memory.compare(&before, &listed).unwrap();
        memory.compare_tags(&listed).unwrap();
        let entries = listed["snapshots"].as_array().unwrap().iter();
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
        entries.map(|entry| (text(entry, "id"), memory.content(&text(entry, "created_at")))).collect()
    }
}
