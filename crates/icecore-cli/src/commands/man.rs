//! `icecore man`

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::Arguments;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Print a manual page
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore man | man -l -
  icecore man create | man -l -\n")]
pub(crate) struct ManArgs {
    /// Of this command, such as `create` or `key add`
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(ui: &mut Ui, args: &ManArgs) -> Result<ExitStatus> {
    let mut command = Arguments::command();
    command.build();
    for (depth, name) in args.command.iter().enumerate() {
        let shown = args.command.get(..=depth).unwrap_or_default();
        let found = command.find_subcommand(name).cloned();
        let found =
            found.ok_or_else(|| CommandError::usage(format!("there is no command {:?}", shown.join(" "))))?;
        command = found.display_name(format!("icecore-{}", shown.join("-")));
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(CommandError::io("cannot make the manual page"))?;
    ui.line(String::from_utf8_lossy(&page).trim_end())?;
    Ok(ExitStatus::Success)
}
