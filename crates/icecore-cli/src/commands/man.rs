//! `icecore man`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::args::Arguments;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::counted;

/// Print a manual page, or write all of them into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore man | man -l -
  icecore man create | man -l -
  icecore man --dir ~/.local/share/man/man1\n")]
pub(crate) struct ManArgs {
    /// Of this command, such as `create` or `key add`
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into this directory, which is made if it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, args: &ManArgs) -> Result<ExitStatus> {
    // What `help` does has no page.
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    if let Some(dir) = &args.dir {
        fs::create_dir_all(dir).map_err(CommandError::io("cannot make the directory of the pages"))?;
        let count = write_all(dir, &command)?;
        ui.line(format_args!("Wrote {} into {}", counted(count, "manual page"), dir.display()))?;
        return Ok(ExitStatus::Success);
    }
    for (depth, name) in args.command.iter().enumerate() {
        let shown = args.command.get(..=depth).unwrap_or_default();
        let found = command.find_subcommand(name).cloned();
        let found =
            found.ok_or_else(|| CommandError::usage(format!("there is no command {:?}", shown.join(" "))))?;
        command = found;
    }
    ui.line(String::from_utf8_lossy(&page(&command)?).trim_end())?;
    Ok(ExitStatus::Success)
}

/// The page of a command.
fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("icecore ", env!("CARGO_PKG_VERSION"));
    let made = Man::new(command.clone()).source(source).render(&mut page);
    made.map_err(CommandError::io("cannot make the manual page"))?;
    Ok(page)
}

/// The pages of a command and of all below it, each under the name by which the others refer to it.
fn write_all(dir: &Path, command: &Command) -> Result<u64> {
    let name = format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name()));
    fs::write(dir.join(name), page(command)?).map_err(CommandError::io("cannot write a manual page"))?;
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
    shown.map(|below| write_all(dir, below)).try_fold(1, |count, below| Ok(count + below?))
}
