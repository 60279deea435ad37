//! Timers of systemd.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use icecore::{Mark, Project, Timer, Unit};
use rustix::process::geteuid;

use super::{KeeperArgs, failed, output, shown};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{counted, printable};

/// Where root's units lie.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// Has systemd run these, in place of what it ran for the same file before.
pub(super) fn keep(
    ui: &mut Ui,
    args: &KeeperArgs,
    timers: &[Timer],
    (mark, dir): (&Mark, &Path),
    project: &Project,
) -> Result<ExitStatus> {
    let is_user = args.user || !geteuid().is_root();
    let user = (!is_user).then_some("root");
    let mut units = Vec::new();
    for timer in timers {
        let made = timer.units(mark, dir, project.config.nightly.jitter_max().unsigned_abs(), user);
        units.extend(
            made.map_err(|error| CommandError::usage(format!("{}: {error}", printable(&timer.service))))?,
        );
    }
    let folder = if is_user { user_units()? } else { PathBuf::from(SYSTEM_UNITS) };
    if args.dry_run {
        for unit in &units {
            ui.line(format_args!("# {}\n{}", folder.join(&unit.name).display(), unit.text))?;
        }
        return Ok(ExitStatus::Success);
    }
    let control = |arguments: &[&str]| {
        let mut command = Command::new("systemctl");
        command.args(is_user.then_some("--user")).args(arguments);
        match output(&mut command)? {
            done if done.status.success() => Ok(()),
            done => Err(failed(&format!("systemctl {}", arguments.join(" ")), &done)),
        }
    };
    for old in installed(&folder, mark)?.iter().filter(|old| !units.iter().any(|unit| unit.name == **old)) {
        if old.ends_with(".timer") {
            control(&["disable", "--now", old])?;
        }
        fs::remove_file(folder.join(old)).map_err(CommandError::io(format!("cannot remove {old}")))?;
    }
    write(&folder, &units)?;
    control(&["daemon-reload"])?;
    let timers: Vec<&str> =
        units.iter().map(|unit| unit.name.as_str()).filter(|name| name.ends_with(".timer")).collect();
    for timer in &timers {
        control(&["enable", "--now", timer])?;
        // One that ran already goes by what stood in its file before.
        control(&["restart", timer])?;
    }
    let whose = if is_user { " of this user" } else { "" };
    ui.line(format_args!("{} of systemd{whose}", counted(timers.len() as u64, "timer")))?;
    if is_user && !timers.is_empty() {
        ui.hint("they run while you are logged in; `loginctl enable-linger` lets them run always");
    }
    Ok(ExitStatus::Success)
}

fn user_units() -> Result<PathBuf> {
    let from = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = from("XDG_CONFIG_HOME").or_else(|| Some(from("HOME")?.join(".config")));
    let base =
        base.ok_or_else(|| CommandError::usage("there is no place for units: set XDG_CONFIG_HOME or HOME"))?;
    Ok(base.join("systemd/user"))
}

/// The names of the units that were installed for this file.
fn installed(folder: &Path, mark: &Mark) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(CommandError::io(format!("cannot read {}", shown(folder))))?,
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| mark.is_of(name)).collect();
    // A timer before what it starts.
    names.sort_by(|a, b| b.cmp(a));
    Ok(names)
}

fn write(folder: &Path, units: &[Unit]) -> Result<()> {
    let failed = || format!("cannot write to {}", shown(folder));
    fs::create_dir_all(folder).map_err(CommandError::io(failed()))?;
    for unit in units {
        fs::write(folder.join(&unit.name), &unit.text).map_err(CommandError::io(failed()))?;
    }
    Ok(())
}
