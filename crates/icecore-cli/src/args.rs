//! The command line: what all commands share, and which commands there are.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;

/// A snapshot store for databases
///
/// Takes a PostgreSQL, MySQL, MariaDB or SQLite database, a Redis server, a dump, a directory or a tarball, and stores each piece of it once.
/// Every snapshot restores by itself.
#[derive(Debug, Parser)]
#[command(name = "icecore", version, propagate_version = false, arg_required_else_help = true)]
#[command(
    after_help = "Begin with `icecore init`, then `icecore create SOURCE`. `icecore demo` shows it all."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The store: a directory, or s3://BUCKET/PREFIX [default: as icecore.toml says, or the nearest .icecore upwards]
    #[arg(long, global = true, value_name = "PLACE", env = "ICECORE_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Work on this remote, as if it were the store
    #[arg(long, global = true, value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    /// The configuration [default: the nearest icecore.toml upwards]
    #[arg(long, global = true, value_name = "FILE", env = "ICECORE_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the result as one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only the result
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Read the store's password from a file
    #[arg(long, global = true, value_name = "FILE", env = "ICECORE_PASSWORD_FILE", hide_env_values = true)]
    pub(crate) password_file: Option<PathBuf>,
    /// Do not ask for confirmation
    #[arg(long, short, global = true, visible_alias = "force")]
    pub(crate) yes: bool,
    /// Use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: ColorWhen,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArgs),
    #[command(flatten)]
    Snapshot(SnapshotCommand),
    /// The same commands under another name
    #[command(name = "snapshot", hide = true, subcommand)]
    Alias(SnapshotCommand),
    Run(commands::run::RunArgs),
    Rollback(commands::rollback::RollbackArgs),
    Nightly(commands::nightly::NightlyArgs),
    Daemon(commands::daemon::DaemonArgs),
    /// Have systemd or cron capture services at their times
    #[command(subcommand)]
    Schedule(commands::schedule::ScheduleCommand),
    Status(commands::status::StatusArgs),
    Gc(commands::gc::GcArgs),
    Stats(commands::stats::StatsArgs),
    Repair(commands::repair::RepairArgs),
    Push(commands::transfer::PushArgs),
    Pull(commands::transfer::PullArgs),
    /// Name stores elsewhere
    #[command(subcommand)]
    Remote(commands::remote::RemoteCommand),
    /// Add or remove tags
    #[command(subcommand)]
    Tag(commands::tag::TagCommand),
    Note(commands::note::NoteArgs),
    /// Manage the passwords of an encrypted store
    #[command(subcommand)]
    Key(commands::key::KeyCommand),
    Psql(commands::client::ClientArgs),
    Mysql(commands::client::ClientArgs),
    RedisCli(commands::client::ClientArgs),
    Sqlite3(commands::client::ClientArgs),
    /// Look at icecore.toml
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    Demo(commands::demo::DemoArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    Create(commands::create::CreateArgs),
    List(commands::list::ListArgs),
    Show(commands::show::ShowArgs),
    Restore(commands::restore::RestoreArgs),
    Verify(commands::verify::VerifyArgs),
    Delete(commands::delete::DeleteArgs),
    Prune(commands::prune::PruneArgs),
    Export(commands::export::ExportArgs),
    Import(commands::import::ImportArgs),
}

/// Whether nobody else writes.
#[derive(Debug, Args)]
pub(crate) struct ExclusiveArgs {
    /// Nobody else writes to this store now: asked for where its server does not keep conditions
    #[arg(long)]
    pub(crate) exclusive: bool,
}

impl ExclusiveArgs {
    /// Refuses what several machines may do at once only if the server tells them apart.
    pub(crate) fn check(&self, context: &Context, opened: &Opened, what: &'static str) -> Result<()> {
        if self.exclusive {
            return Ok(());
        }
        Ok(icecore::check_conditions(&opened.place, &context.surroundings(), what)?)
    }
}

/// Another way to name a source.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// The same as the source's name in its place
    #[arg(long, hide = true, value_name = "NAME")]
    service: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    container: Option<String>,
}

impl ServiceArgs {
    /// What stands in the source's place, said in one way or the other.
    pub(crate) fn or_positional(&self, positional: Option<&str>) -> Result<Option<String>> {
        if self.container.is_some() {
            let error = CommandError::usage("--container is not supported by this version");
            return Err(error.hint(
                "dump from the container: icecore create --name shop -- docker exec shop pg_dump shop",
            ));
        }
        match (&self.service, positional) {
            (Some(_), Some(_)) => {
                Err(CommandError::usage("name the source once: in its place or with --service"))
            }
            (Some(service), None) => Ok(Some(service.clone())),
            (None, positional) => Ok(positional.map(str::to_owned)),
        }
    }
}

/// The longest name, tag or label, in characters: they stand in tables.
const LINE_LEN_MAX: usize = 200;
/// The longest note, in characters.
const NOTE_LEN_MAX: usize = 4000;

type Parsed = std::result::Result<String, String>;

fn parse_text(text: &str, len_max: usize) -> Parsed {
    if text.chars().any(char::is_control) {
        return Err("it has control characters".to_owned());
    }
    if text.chars().count() > len_max {
        return Err(format!("it is longer than {len_max} characters"));
    }
    Ok(text.to_owned())
}

/// A tag or a label: some text that fits on a line.
pub(crate) fn parse_line(text: &str) -> Parsed {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    parse_text(text, LINE_LEN_MAX)
}

/// A note, which may be empty: then there is none.
pub(crate) fn parse_note(text: &str) -> Parsed {
    parse_text(text, NOTE_LEN_MAX)
}

/// The name of a source, which must not look like a selector.
pub(crate) fn parse_name(text: &str) -> Parsed {
    let name = parse_line(text)?;
    let steps = name.rsplit_once('~').is_some_and(|(_, steps)| steps.parse::<u64>().is_ok());
    if name == "latest" || name == "-" {
        Err("this name has a meaning of its own".to_owned())
    } else if name.starts_with('#') {
        Err("names that begin with # are numbers of snapshots".to_owned())
    } else if name.contains('@') || steps {
        Err("NAME@TAG and NAME~2 select snapshots; a name cannot look like that".to_owned())
    } else {
        Ok(name)
    }
}

/// Reads the command line; help, version and wrong usage are told here.
pub(crate) fn parse() -> std::result::Result<Arguments, ExitStatus> {
    Arguments::try_parse().map_err(|error| {
        // Not whether JSON was asked for, but whether it could have been meant: the arguments are not understood.
        let json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
        if json && error.use_stderr() {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let message = first.strip_prefix("error: ").unwrap_or(first);
            let document = serde_json::json!({
                "error": message,
                "status": ExitStatus::Usage.code(),
                "hint": "see `icecore --help`",
            });
            drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{document}\n")));
        } else {
            drop(error.print());
        }
        if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Success }
    })
}
