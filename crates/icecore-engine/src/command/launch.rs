//! Starting a command so that it dies with us.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{Access, access};

use crate::CaptureError;

const SETPRIV: &str = "/usr/bin/setpriv";
/// Where the password of the store may be, for ourselves alone.
pub(crate) const PASSWORD_VARIABLE: &str = "ICECORE_PASSWORD";
/// Variables that would lead a program of PostgreSQL elsewhere than the ones it is given.
const ELSEWHERE: [&str; 4] = ["PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS"];
const SETPRIV_ARGUMENTS: [&str; 3] = ["--pdeathsig", "KILL", "--"];
const SHELL: &str = "/bin/sh";
/// The system tells nobody of a death that was before he asked to be told. `$0` is whose it would be.
const UNLESS_ORPHANED: &str = r#"test "$PPID" = "$0" && exec "$@""#;

pub(super) fn launch(
    program: &OsStr,
    arguments: &[OsString],
    variables: &[(&'static str, String)],
    messages: Stdio,
) -> Result<Child, CaptureError> {
    let failed = |why: &str| CaptureError::Source(format!("cannot run {}: {why}", program.display()));
    // Asked here, so that the answer is the same whoever executes the program.
    find(program).map_err(failed)?;
    let mut command = if setpriv_works() {
        let mut command = Command::new(SETPRIV);
        command.args(SETPRIV_ARGUMENTS).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The store's password is none of the command's business.
    command.env_remove(PASSWORD_VARIABLE);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    if !variables.is_empty() {
        for name in ELSEWHERE {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(messages).process_group(0);
    command.spawn().map_err(|error| failed(&error.to_string()))
}

/// What a command is wrapped into so that it dies with us, be it before it has begun; nothing where the system has nothing for it. Its
/// environment comes through a shell.
pub(crate) fn parent_death() -> Vec<String> {
    if setpriv_works() { dies_with(std::process::id()) } else { Vec::new() }
}

fn dies_with(maker: u32) -> Vec<String> {
    let shell = [SHELL, "-c", UNLESS_ORPHANED, &maker.to_string()].map(str::to_owned);
    [SETPRIV].iter().chain(&SETPRIV_ARGUMENTS).map(|&word| word.to_owned()).chain(shell).collect()
}

/// Whether there is a `setpriv` that knows the parent's death; the one of busybox does not.
fn setpriv_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let mut trial = Command::new(SETPRIV);
        trial.args(SETPRIV_ARGUMENTS).args([SHELL, "-c", ":"]);
        trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    })
}

/// Looks a program up as the system would.
fn find(program: &OsStr) -> Result<(), &'static str> {
    if program.is_empty() {
        return Err("its name is empty");
    }
    if Path::new(program).components().count() > 1 || program.as_encoded_bytes().contains(&b'/') {
        return judge(Path::new(program));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let candidates: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join(program)).collect();
    let verdicts: Vec<_> = candidates.iter().map(|candidate| judge(candidate)).collect();
    if verdicts.contains(&Ok(())) {
        return Ok(());
    }
    Err(verdicts
        .into_iter()
        .filter_map(Result::err)
        .find(|why| *why != NOT_FOUND)
        .unwrap_or("there is no such program"))
}

const NOT_FOUND: &str = "there is no such file";

fn judge(path: &Path) -> Result<(), &'static str> {
    match path.metadata() {
        Err(_) => Err(NOT_FOUND),
        Ok(found) if found.is_dir() => Err("it is a directory"),
        Ok(_) if access(path, Access::EXEC_OK).is_err() => Err("it may not be executed"),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_orphaned_before_the_system_knows_does_not_begin() {
        let run = |maker| {
            let words = dies_with(maker);
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).args(["echo", "a  b", "$HOME"]).output().unwrap().stdout
        };
        assert_eq!(run(std::process::id()), b"a  b $HOME\n");
        assert_eq!(run(std::os::unix::process::parent_id()), b"");
    }
}
