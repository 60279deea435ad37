//! `icecore completions`

use clap_complete::Shell;

use crate::complete;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Print completions for a shell
///
/// What is offered is found when Tab is pressed: commands and options, and also services, snapshots, tags and remotes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore completions bash > ~/.local/share/bash-completion/completions/icecore
  icecore completions zsh > ~/.zfunc/_icecore       # with ~/.zfunc in fpath, before compinit
  icecore completions fish > ~/.config/fish/completions/icecore.fish\n")]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(ui: &mut Ui, args: &CompletionsArgs) -> Result<ExitStatus> {
    let name = args.shell.to_string();
    let completer = complete::SHELLS
        .completer(&name)
        .ok_or_else(|| CommandError::usage(format!("there are no completions for {name}")))?;
    let mut script = Vec::new();
    completer
        .write_registration(complete::VARIABLE, "icecore", "icecore", "icecore", &mut script)
        .map_err(CommandError::io("cannot make the completions"))?;
    ui.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitStatus::Success)
}
