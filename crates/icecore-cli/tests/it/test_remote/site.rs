//! A bucket that machines share, and how they reach it.

use std::collections::BTreeSet;
use std::process::Command;

use icecore_testkit::s3::{S3Call, S3Server};
use serde_json::Value;

use crate::running::Running;
use crate::support::{Said, TestEnv, noise};

/// Where the store is.
pub(super) const URL: &str = "s3://backups/team/db";
/// Where its objects are in the bucket.
const PREFIX: &str = "team/db";

/// A server with a bucket that is called `backups`.
pub(super) struct Site {
    pub(super) server: S3Server,
}

impl Site {
    pub(super) fn new() -> Self {
        let server = S3Server::start();
        server.create_bucket("backups");
        Self { server }
    }

    /// The program on a machine that knows how to reach the server, and gives up soon.
    pub(super) fn command(&self, env: &TestEnv, arguments: &[&str]) -> Command {
        let mut command = env.command(arguments);
        command.envs(self.server.environment()).env("AWS_ENDPOINT_URL", self.server.endpoint());
        command.env("AWS_MAX_ATTEMPTS", "4");
        command
    }

    pub(super) fn run(&self, env: &TestEnv, arguments: &[&str]) -> Said {
        let said = Said::of(&mut self.command(env, arguments));
        self.check_secret(&said);
        said
    }

    /// Whatever happens, nobody is told the secret.
    #[track_caller]
    pub(super) fn check_secret(&self, said: &Said) {
        let told = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
        assert!(!told.contains(self.server.secret_key()), "{told}");
    }

    pub(super) fn ok(&self, env: &TestEnv, arguments: &[&str]) -> String {
        self.run(env, arguments).ok()
    }

    pub(super) fn fails(&self, env: &TestEnv, status: i32, arguments: &[&str]) -> String {
        self.run(env, arguments).fails(status)
    }

    pub(super) fn json(&self, env: &TestEnv, arguments: &[&str]) -> Value {
        self.run(env, &[arguments, &["--json"]].concat()).json()
    }

    pub(super) fn start(&self, env: &TestEnv, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(env, arguments))
    }

    /// A machine with a store, and a snapshot of `data` in many packs.
    pub(super) fn machine(&self, seed: u64) -> TestEnv {
        let env = TestEnv::bare();
        env.ok(&["init", "--pack-size", "100kB"]);
        env.write("data", many(seed));
        env.ok(&["create", "data"]);
        env
    }

    /// A machine that has joined the store, and has nothing of it yet.
    pub(super) fn joined(&self) -> TestEnv {
        let env = TestEnv::bare();
        self.ok(&env, &["init", "--from", URL]);
        env
    }

    /// The names of the store's objects in a folder.
    pub(super) fn objects(&self, folder: &str) -> BTreeSet<String> {
        let root = self.server.folder("backups").join(PREFIX);
        let mut found = BTreeSet::new();
        let mut left = vec![root.join(folder)];
        while let Some(dir) = left.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found
    }

    /// Whole packs that were put, or read, since requests were last taken; each as often as it was.
    pub(super) fn packs_moved(&self, call: S3Call) -> Vec<String> {
        let requests = self.server.take_requests().into_iter();
        let packs = requests.filter(|it| it.call == call && it.header("range").is_none());
        let names = packs.filter_map(|it| Some(it.key.strip_prefix(PREFIX)?.strip_prefix('/')?.to_owned()));
        names.filter(|name| name.starts_with("packs/")).collect()
    }

    /// All that was published is sound, and restores, on the machine and in the bucket.
    #[track_caller]
    pub(super) fn check_both(&self, env: &TestEnv, seed: u64) {
        self.ok(env, &["verify"]);
        self.ok(env, &["verify", "--remote", URL]);
        for remote in [&[][..], &["--remote", URL]] {
            let said = self.run(env, &[&["restore", "data", "--to", "-"], remote].concat());
            assert_eq!(said.status, 0, "{}", said.stderr);
            assert!(said.stdout == many(seed), "other bytes come back");
        }
    }
}

/// Enough for eight packs.
pub(super) fn many(seed: u64) -> Vec<u8> {
    noise(seed, 7_000_000)
}

/// The packs of the store here, as the bucket calls them.
pub(super) fn packs_here(env: &TestEnv) -> BTreeSet<String> {
    let root = env.path(".icecore");
    let files = env.files(".icecore/packs").into_iter();
    files.map(|file| file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect()
}
