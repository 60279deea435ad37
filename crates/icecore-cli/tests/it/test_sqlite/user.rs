//! Another program that uses a database.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Another program that has the database open. Killed when dropped.
pub(crate) struct User {
    program: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl User {
    pub(crate) fn open(path: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = command.spawn().unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        Self { program, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Runs statements; returns the first line that they say.
    pub(crate) fn run(&mut self, sql: &str) -> String {
        let stdin = self.program.stdin.as_mut().unwrap();
        writeln!(stdin, "{sql};\nSELECT 'done';").unwrap();
        let mut said = Vec::new();
        while said.last().is_none_or(|line| line != "done") {
            said.push(self.lines.next().unwrap().unwrap());
        }
        said.remove(0)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}
