//! The programs of PostgreSQL that know how to say what a database is made of.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::endpoint::Endpoint;
use crate::{CaptureError, CommandSource};

/// Where packages put programs of several versions.
const FOLDERS: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];
/// What a database is made of is no longer than this.
const OUTPUT_MAX: u64 = 1 << 30;

/// The `pg_dump`, or another program, that fits a server best: of its own version, else the oldest of a newer one, for an older one refuses.
pub(super) fn program(name: &str, server: u32) -> Result<PathBuf, CaptureError> {
    let mut found: Vec<(u32, PathBuf)> =
        candidates(name).into_iter().filter_map(|path| Some((version(&path)?, path))).collect();
    found.sort();
    if let Some((_, path)) = found.iter().find(|(version, _)| *version >= server) {
        return Ok(path.clone());
    }
    Err(CaptureError::Source(match found.last() {
        Some((newest, path)) => format!(
            "the server is PostgreSQL {server}, and {} is of version {newest}, which cannot read it; install postgresql-client-{server}",
            path.display()
        ),
        None => {
            format!("there is no {name} on this machine; install postgresql-client-{server} or a newer one")
        }
    }))
}

pub(super) fn candidates(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut all: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join(name)).collect();
    for (folder, bin) in FOLDERS {
        let versions = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let versions = versions
            .filter(|entry| folder != "/usr" || entry.file_name().as_encoded_bytes().starts_with(b"pgsql-"));
        all.extend(versions.map(|entry| entry.path().join(bin).join(name)));
    }
    all.retain(|path| path.is_file());
    all
}

/// The first number of a program's version: `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
pub(super) fn version(path: &Path) -> Option<u32> {
    let said =
        Command::new(path).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let number = said.split(") ").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?;
    number.parse().ok()
}

/// What a program prints about a database, if it succeeds.
pub(super) fn output(
    program: &Path,
    arguments: &[String],
    endpoint: &Endpoint,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Vec<u8>, CaptureError> {
    let argv: Vec<OsString> =
        [program.as_os_str().to_owned()].into_iter().chain(arguments.iter().map(OsString::from)).collect();
    let mut variables = endpoint.variables();
    // What the user's terminal speaks may be none that the server can translate to.
    variables.push(("PGCLIENTENCODING", "UTF8".to_owned()));
    let mut source = CommandSource::spawn_with(&argv, &variables)?;
    let mut output = Vec::new();
    let read = source.reader(is_cancelled).take(OUTPUT_MAX).read_to_end(&mut output);
    if is_cancelled() {
        return Err(CaptureError::Cancelled);
    }
    source.finish(is_cancelled)?;
    read.map_err(CaptureError::read("cannot read the output of", program))?;
    if output.len() as u64 == OUTPUT_MAX {
        let program = program.display();
        return Err(CaptureError::Source(format!("what {program} prints is longer than {OUTPUT_MAX} bytes")));
    }
    Ok(output)
}
