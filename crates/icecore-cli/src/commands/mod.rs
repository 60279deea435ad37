//! One file per command, or a folder where there are several ways: its arguments, whose comments are the help, and what it does.

pub(crate) mod client;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod daemon;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod nightly;
pub(crate) mod note;
pub(crate) mod proof;
pub(crate) mod prune;
pub(crate) mod remote;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod tag;
pub(crate) mod transfer;
pub(crate) mod verify;

use self::client::Client;
use crate::args::{Command, SnapshotCommand};
use crate::context::Context;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Runs one command.
pub(crate) fn run(ui: &mut Ui, context: &Context, command: Command) -> Result<ExitStatus> {
    run_one(ui, context, command).map_err(|error| error.if_damaged(|| context.help_from_elsewhere()))
}

fn run_one(ui: &mut Ui, context: &Context, command: Command) -> Result<ExitStatus> {
    match command {
        Command::Init(args) => init::run(ui, context, &args),
        Command::Snapshot(command) | Command::Alias(command) => match command {
            SnapshotCommand::Create(args) => create::run(ui, context, args),
            SnapshotCommand::List(args) => list::run(ui, context, &args),
            SnapshotCommand::Show(args) => show::run(ui, context, &args),
            SnapshotCommand::Restore(args) => restore::run(ui, context, &args),
            SnapshotCommand::Verify(args) => verify::run(ui, context, &args),
            SnapshotCommand::Delete(args) => delete::run(ui, context, &args),
            SnapshotCommand::Prune(args) => prune::run(ui, context, &args),
            SnapshotCommand::Export(args) => export::run(ui, context, &args),
            SnapshotCommand::Import(args) => import::run(ui, context, &args),
        },
        Command::Status(args) => status::run(ui, context, &args),
        Command::Daemon(args) => daemon::run(ui, context, &args),
        Command::Schedule(command) => schedule::run(ui, context, &command),
        Command::Nightly(args) => nightly::run(ui, context, &args),
        Command::Gc(args) => gc::run(ui, context, &args),
        Command::Repair(args) => repair::run(ui, context, &args),
        Command::Push(args) => transfer::push(ui, context, &args),
        Command::Pull(args) => transfer::pull(ui, context, &args),
        Command::Remote(command) => remote::run(ui, context, &command),
        Command::Stats(args) => stats::run(ui, context, &args),
        Command::Tag(command) => tag::run(ui, context, &command),
        Command::Note(args) => note::run(ui, context, &args),
        Command::Key(command) => key::run(ui, context, &command),
        Command::Run(args) => run::run(ui, context, &args),
        Command::Rollback(args) => rollback::run(ui, context, &args),
        Command::Psql(args) => client::run(context, Client::Psql, &args),
        Command::Mysql(args) => client::run(context, Client::Mysql, &args),
        Command::RedisCli(args) => client::run(context, Client::RedisCli, &args),
        Command::Sqlite3(args) => client::run(context, Client::Sqlite3, &args),
        Command::Config(command) => config::run(ui, context, &command),
        Command::Demo(args) => demo::run(ui, &args),
        Command::Completions(args) => completions::run(ui, &args),
        Command::Man(args) => man::run(ui, &args),
    }
}
