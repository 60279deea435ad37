//! A store on a file system of its own, of a few megabytes, which nobody else sees.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Said, TestEnv};

/// A world whose store lies on a small disk. Commands that are to see the disk run in its mount namespace.
pub(crate) struct SmallDisk {
    pub(crate) env: TestEnv,
    /// Keeps the namespace until its standard input is closed.
    holder: Child,
    target: String,
    /// The store as it is seen from outside.
    pub(crate) store: PathBuf,
}

impl SmallDisk {
    /// A disk of so many bytes, as `mount` understands them.
    ///
    /// # Panics
    /// Where the machine lets nobody mount anything: a test that did not look at a full disk must not pass.
    pub(crate) fn new(size: &str) -> Self {
        let env = TestEnv::bare();
        let dir = env.path(".icecore");
        std::fs::create_dir(&dir).unwrap();
        let mut command = Command::new("unshare");
        command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
        let script = "mount -t tmpfs -o size=$2 none \"$1\" && echo mounted && exec cat";
        command.args(["sh", "-c", script, "sh"]).arg(&dir).arg(size);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "a small file system can be mounted, by root or in a user namespace");
        let target = holder.id().to_string();
        let root = Path::new("/proc").join(&target).join("root");
        let store = root.join(dir.strip_prefix("/").unwrap());
        Self { env, holder, target, store }
    }

    /// Any program, where it sees the disk.
    fn run(&self, program: &str, arguments: &[&str]) -> Said {
        let folder = self.env.path("");
        let mut all = vec!["--target", &self.target, "--mount"];
        if !rustix::process::geteuid().is_root() {
            all.extend(["--user", "--preserve-credentials"]);
        }
        all.extend([
            "sh",
            "-c",
            "cd \"$1\" && shift && exec \"$@\"",
            "sh",
            folder.to_str().unwrap(),
            program,
        ]);
        all.extend(arguments);
        Said::of(&mut self.env.command_of(Path::new("nsenter"), &all))
    }

    pub(crate) fn icecore(&self, arguments: &[&str]) -> Said {
        self.run(env!("CARGO_BIN_EXE_icecore"), arguments)
    }

    /// Bytes that are left.
    pub(crate) fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.store).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// Fills the disk but for `free` bytes.
    pub(crate) fn fill(&self, free: u64) {
        let blocks = (self.free().saturating_sub(free) / 4096).to_string();
        let (of, count) = (format!("of=.icecore/filler-{}", self.free()), format!("count={blocks}"));
        self.run("dd", &["if=/dev/zero", &of, "bs=4096", &count]).ok();
        assert!(self.free() <= free.next_multiple_of(4096), "{} are free", self.free());
    }

    /// Takes away what fills the disk.
    pub(crate) fn clear(&self) {
        for path in self.files("") {
            if path.file_name().unwrap().to_str().unwrap().starts_with("filler") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// The files below a directory of the store.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        self.env.files(self.store.join(name).to_str().unwrap())
    }

    /// Neither a claim nor a temporary file is left.
    #[track_caller]
    pub(crate) fn check_leftovers(&self) {
        assert_eq!(self.files("claims"), Vec::<PathBuf>::new());
        let mut temporary = self.files("tmp");
        temporary.retain(|path| !path.ends_with("replace.lock") && !path.ends_with("reserve"));
        assert_eq!(temporary, Vec::<PathBuf>::new());
    }

    /// Restores to another disk.
    #[track_caller]
    pub(crate) fn check_restore(&self, name: &str, content: &[u8]) {
        self.icecore(&["restore", name, "--to", "restored", "--yes"]).ok();
        assert!(self.env.read("restored") == content, "{name}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
