//! The `icecore` program: arguments in, sentences, tables and JSON out.
//!
//! One file or folder per command in `commands/`; a command is its arguments, whose comments are the help text, and one function. What icecore can
//! do lies in the crate `icecore`; here is everything that a terminal, a script or a person needs around it.

mod args;
mod clock;
mod commands;
mod complete;
mod context;
mod evidence;
mod failure;
mod hints;
mod password;
mod paths;
mod progress;
mod select;
mod signals;
mod status;
mod ui;
mod units;

use std::process::ExitCode;

/// glibc's would keep half as much memory again as is in use; `.cargo/config.toml` says how this one is set.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    complete::answer();
    let arguments = match args::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status.into(),
    };
    let interrupt = signals::listen();
    let mut ui = ui::Ui::new(&arguments.global);
    let outcome = context::Context::new(&arguments.global, interrupt)
        .and_then(|context| commands::run(&mut ui, &context, arguments.command));
    let outcome = outcome.and_then(|status| ui.flush().map(|()| status));
    match outcome {
        Ok(status) => status.into(),
        Err(failure) => ui.fail(&failure).into(),
    }
}
