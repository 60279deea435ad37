//! Lines in the crontab of whoever runs this.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use icecore::{Mark, Project, Timer, jitter, with_lines};

use super::{KeeperArgs, failed, output};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{counted, printable};

/// The longest line that every cron reads.
const LINE_LEN_MAX: usize = 998;

/// Has cron run these, in place of what it ran for the same file before.
pub(super) fn keep(
    ui: &mut Ui,
    context: &Context,
    args: &KeeperArgs,
    timers: &[Timer],
    (mark, dir): (&Mark, &Path),
    project: &Project,
) -> Result<ExitStatus> {
    let host = context.host();
    let line = |timer: &Timer| {
        let mut quiet = timer.clone();
        // What cron's commands say, it mails.
        quiet.command.insert(1, "-q".to_owned());
        let delay = jitter(&timer.service, &host, project.config.nightly.jitter_max());
        let line = quiet.line(dir, delay.try_into().unwrap_or_default());
        line.map_err(|error| CommandError::usage(format!("{}: {error}", printable(&timer.service))))
    };
    let lines = timers.iter().map(line).collect::<Result<Vec<_>>>()?;
    for (timer, line) in timers.iter().zip(&lines).filter(|(_, line)| line.len() > LINE_LEN_MAX) {
        ui.warn(format_args!(
            "{}: its line has {} characters, and some crons read no more than {LINE_LEN_MAX}: PATH makes it long, perhaps",
            printable(&timer.service),
            line.len()
        ));
    }
    if args.dry_run {
        return lines.iter().try_for_each(|line| ui.line(line)).map(|()| ExitStatus::Success);
    }
    let listed = output(Command::new("crontab").arg("-l"))?;
    // Who has none yet is told so, and the status is not 0.
    let none = String::from_utf8_lossy(&listed.stderr).contains("no crontab for");
    if !listed.status.success() && !none {
        return Err(failed("crontab -l", &listed));
    }
    let old = String::from_utf8(listed.stdout)
        .map_err(|_| CommandError::usage("the crontab is not UTF-8; nothing was changed"))?;
    let new = with_lines(&old, mark, &lines).ok_or_else(|| {
        let error = CommandError::new(
            ExitStatus::Refused,
            "the line is missing from the crontab at which ours end; nothing was changed",
        );
        error.hint("take out what icecore wrote with `crontab -e`, then run it again")
    })?;
    if new != old {
        let mut command = Command::new("crontab");
        let mut child = command
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(CommandError::io("cannot run crontab"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(new.as_bytes()).map_err(CommandError::io("cannot write the crontab"))?;
        }
        let written = child.wait_with_output().map_err(CommandError::io("cannot write the crontab"))?;
        if !written.status.success() {
            return Err(failed("crontab", &written));
        }
    }
    ui.line(format_args!("{} in the crontab", counted(lines.len() as u64, "line")))?;
    Ok(ExitStatus::Success)
}
