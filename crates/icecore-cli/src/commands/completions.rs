//! `icecore completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  icecore completions bash > ~/.local/share/bash-completion/completions/icecore\n")]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(ui: &mut Ui, args: &CompletionsArgs) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "icecore", &mut script);
    ui.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitStatus::Success)
}
