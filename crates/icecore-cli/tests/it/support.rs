//! A still world for the program: a folder, no settings, a clock that moves a minute with every command.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use icecore_testkit::memory;
use serde_json::Value;

use crate::running::Running;

pub(crate) struct TestEnv {
    folder: tempfile::TempDir,
    minutes: AtomicU32,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl TestEnv {
    /// A world without a store.
    pub(crate) fn bare() -> Self {
        Self { folder: tempfile::tempdir_in(memory()).unwrap(), minutes: AtomicU32::new(0) }
    }

    /// A world with an empty store.
    pub(crate) fn new() -> Self {
        let env = Self::bare();
        env.ok(&["init"]);
        env
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The files below `name`, sorted.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.path(name)];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { left.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    /// The program in this world, one minute later than before.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_icecore")), arguments)
    }

    pub(crate) fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let minutes = self.minutes.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("TZ", "UTC").env("COLUMNS", "100");
        command.env("ICECORE_NOW", format!("2026-11-20T{:02}:{:02}:00Z", 10 + minutes / 60, minutes % 60));
        command.stdin(Stdio::null());
        command
    }

    /// Starts what goes on while a test does something else.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&mut self.command(arguments))
    }

    /// The same for whom modes of files count: for root, they do only if he gives something up.
    pub(crate) fn run_by_modes(&self, arguments: &[&str]) -> Said {
        if !rustix::process::geteuid().is_root() {
            return self.run(arguments);
        }
        let given_up = "=-dac_override,-dac_read_search";
        let mut all = vec![format!("--bounding-set{given_up}"), format!("--inh-caps{given_up}")];
        all.push(env!("CARGO_BIN_EXE_icecore").to_owned());
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Said::of(&mut self.command_of(Path::new("setpriv"), &all))
    }

    /// The same at this time.
    pub(crate) fn at(&self, time: &str, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).env("ICECORE_NOW", time))
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Said::new(output)
    }

    /// Puts shell scripts into the folder `bin`; returns a `PATH` that begins there.
    pub(crate) fn path_with<S: AsRef<str>>(&self, programs: &[(&str, S)]) -> String {
        for (name, script) in programs {
            let path = self.write(&format!("bin/{name}"), format!("#!/bin/sh\n{}\n", script.as_ref()));
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap())
    }

    /// Runs what must succeed; returns standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).ok()
    }

    /// Runs what must end with `status`; returns standard error.
    pub(crate) fn fails(&self, status: i32, arguments: &[&str]) -> String {
        self.run(arguments).fails(status)
    }

    /// Runs what must succeed and print one JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        self.run(&all).json()
    }

    /// How many snapshots there are.
    pub(crate) fn count(&self) -> usize {
        self.json(&["list"])["snapshots"].as_array().unwrap().len()
    }

    /// Captures and restores; returns the restored bytes.
    pub(crate) fn back(&self, selector: &str) -> Vec<u8> {
        let said = self.run(&["restore", selector, "--to", "-"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        said.stdout
    }
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::new(command.output().unwrap())
    }

    pub(crate) fn new(output: std::process::Output) -> Self {
        let status = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { status, stdout: output.stdout, stderr }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}", self.stderr);
        self.text()
    }

    pub(crate) fn fails(self, status: i32) -> String {
        assert_eq!(self.status, status, "{}{}", self.text(), self.stderr);
        self.stderr
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 0, "{}", self.stderr);
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// The names of an object's fields, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let names: BTreeSet<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.into_iter().collect()
}

/// Asserts that an object has exactly these fields.
#[track_caller]
pub(crate) fn check_keys(object: &Value, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(keys(object), expected);
}

/// Replaces ids and times taken, which differ from run to run.
pub(crate) fn redact(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([':', ',', '.']);
        let rest = &word[bare.len()..];
        let is_id = bare.len() >= 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { format!("ID{rest}") } else { word.to_owned() }
    };
    let line = |line: &str| {
        let line = line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        match line.rsplit_once(", ") {
            Some((front, last)) if last.ends_with(" ms") || last.ends_with(" s") => format!("{front}, TIME"),
            _ => line,
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(len)
    .collect()
}

/// A dump as `pg_dump` writes it: two tables, of three and of two rows.
pub(crate) const PG_DUMP: &str = "\
--
-- PostgreSQL database dump
--

-- Dumped from database version 17.2
-- Dumped by pg_dump version 17.2

SET statement_timeout = 0;
SET client_encoding = 'UTF8';

--
-- Name: orders; Type: TABLE; Schema: public; Owner: shop
--

CREATE TABLE public.orders (
    id integer NOT NULL,
    city text
);

--
-- Name: customers; Type: TABLE; Schema: public; Owner: shop
--

CREATE TABLE public.customers (
    id integer NOT NULL
);

--
-- Data for Name: orders; Type: TABLE DATA; Schema: public; Owner: shop
--

COPY public.orders (id, city) FROM stdin;
1\tTurku
2\tGraz
3\tLyon
\\.


--
-- Data for Name: customers; Type: TABLE DATA; Schema: public; Owner: shop
--

COPY public.customers (id) FROM stdin;
7
8
\\.


--
-- PostgreSQL database dump complete
--

";

/// A dump as `mysqldump` writes it: one table of three rows.
pub(crate) const MYSQL_DUMP: &str = "\
-- MySQL dump 10.13  Distrib 8.4.3, for Linux (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
-- Server version\t8.4.3

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;

--
-- Table structure for table `orders`
--

DROP TABLE IF EXISTS `orders`;
CREATE TABLE `orders` (
  `id` int NOT NULL,
  `city` text
) ENGINE=InnoDB;

--
-- Dumping data for table `orders`
--

LOCK TABLES `orders` WRITE;
INSERT INTO `orders` VALUES (1,'Turku'),(2,'Graz'),(3,'Lyon');
UNLOCK TABLES;

-- Dump completed on 2026-11-20 10:00:00
";

/// Says at which line two texts differ, and no more.
#[track_caller]
pub(crate) fn assert_same(a: &str, b: &str) {
    for (line, (a, b)) in a.lines().zip(b.lines()).enumerate() {
        assert_eq!(a, b, "line {line}");
    }
    assert!(a == b);
}
