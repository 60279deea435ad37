//! `icecore psql`, `icecore mysql`, `icecore redis-cli`, `icecore sqlite3`: the engines' own programs, connected to a service.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use icecore::Source;
use icecore_engine::redis::Address;

use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::units::printable;

/// Run the engine's own program, connected to a service
///
/// To the service that is named, or else to the first one by name of that engine in icecore.toml. Passwords are handed over where nobody sees them. What
/// follows -- goes to the program, whose exit status is that of this command.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// A service of icecore.toml, or a URL
    #[arg(value_name = "SERVICE")]
    source: Option<String>,
    /// Another database of the same server
    #[arg(long, value_name = "NAME")]
    db: Option<String>,
    /// Another user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For the program
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// The program that talks to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Psql,
    Mysql,
    RedisCli,
    Sqlite3,
}

impl Client {
    fn program(self) -> &'static str {
        match self {
            Self::Psql => "psql",
            Self::Mysql => "mysql",
            Self::RedisCli => "redis-cli",
            Self::Sqlite3 => "sqlite3",
        }
    }

    fn product(self) -> &'static str {
        match self {
            Self::Psql => "PostgreSQL",
            Self::Mysql => "MySQL and MariaDB",
            Self::RedisCli => "Redis and Valkey",
            Self::Sqlite3 => "SQLite",
        }
    }

    /// How somewhere to connect to is named without a service.
    fn place(self) -> &'static str {
        match self {
            Self::Psql => "a URL: postgres://USER@HOST/DATABASE",
            Self::Mysql => "a URL: mysql://USER@HOST/DATABASE",
            Self::RedisCli => "a URL: redis://HOST",
            Self::Sqlite3 => "the path of a file",
        }
    }

    fn engine(self) -> &'static str {
        match self {
            Self::Psql => "postgres",
            Self::Mysql => "mysql",
            Self::RedisCli => "redis",
            Self::Sqlite3 => "sqlite",
        }
    }
}

/// Becomes the program; returns only if that fails.
pub(crate) fn run(context: &Context, client: Client, args: &ClientArgs) -> Result<ExitStatus> {
    let mut command = Command::new(client.program());
    match source(context, client, args.source.as_deref())? {
        Source::Postgres(mut endpoint) => {
            // The password is that of the user and database that were said before.
            endpoint.database = args.db.clone().unwrap_or(endpoint.database);
            endpoint.user = args.user.clone().unwrap_or(endpoint.user);
            command.envs(endpoint.variables());
        }
        Source::Mysql(mut endpoint) => {
            endpoint.user = args.user.clone().or(endpoint.user);
            command.args(endpoint.arguments()).args(endpoint.tls_arguments(client.program()));
            command.envs(endpoint.variables());
            command.arg(format!("--database={}", args.db.as_ref().unwrap_or(&endpoint.database)));
        }
        Source::Redis(endpoint) => {
            match &endpoint.address {
                Address::Tcp(host, port) => command.args(["-h", host, "-p", &port.to_string()]),
                Address::Unix(path) => command.arg("-s").arg(path),
            };
            command.args(endpoint.tls_arguments());
            if let Some(user) = args.user.as_ref().or(endpoint.user.as_ref()) {
                // Without a password, redis-cli says nothing of the user to the server.
                if endpoint.password.is_none() {
                    return Err(CommandError::usage(format!("the user {user} of Redis needs a password"))
                        .hint("REDISCLI_AUTH gives it, or a service of icecore.toml"));
                }
                command.args(["--user", user]);
            }
            if let Some(db) = &args.db {
                // It would take the first one for what is no number.
                let number: u32 = db.parse().map_err(|_| {
                    CommandError::usage(format!(
                        "{db:?} is no database of Redis: they have numbers, from 0 on"
                    ))
                })?;
                command.args(["-n", &number.to_string()]);
            }
            command.envs(endpoint.password.iter().map(|password| ("REDISCLI_AUTH", password)));
        }
        Source::Sqlite(path) | Source::Path(path) => {
            if args.db.is_some() || args.user.is_some() {
                return Err(CommandError::usage("a file has no users, and no other databases")
                    .hint("leave out --db and --user, or name another file"));
            }
            command.arg(path);
        }
        Source::Stdin | Source::Command(_) => return Err(CommandError::usage("that is no database")),
    }
    command.args(&args.arguments);
    let error = command.exec();
    Err(CommandError::io(format!("cannot run {}", client.program()))(error))
}

fn source(context: &Context, client: Client, named: Option<&str>) -> Result<Source> {
    let engine = client.engine();
    let project = context.project()?;
    if let Some(named) = named {
        let (source, _) = context.source(Path::new(named)).map_err(|error| {
            error.if_not_found(format!("name a service of icecore.toml, or give {}", client.place()))
        })?;
        let fits =
            source.engine() == engine || matches!((client, &source), (Client::Sqlite3, Source::Path(_)));
        return match fits {
            true => Ok(source),
            false => Err(CommandError::usage(format!(
                "{} is for {}, and {} is {}",
                client.program(),
                client.product(),
                printable(&source.place()),
                kind(&source)
            ))),
        };
    }
    if let Some(project) = project {
        for name in project.config.services.keys() {
            if let Some(source) =
                project.source(name, &context.environment())?.filter(|it| it.engine() == engine)
            {
                return Ok(source);
            }
        }
    }
    Err(CommandError::new(ExitStatus::NotFound, format!("there is no service of {engine} here"))
        .hint(format!("name one in icecore.toml, or give {}", client.place())))
}

/// What a source is, for people.
fn kind(source: &Source) -> &'static str {
    match source {
        Source::Postgres(_) => "a database of PostgreSQL",
        Source::Mysql(_) => "a database of MySQL or MariaDB",
        Source::Redis(_) => "a server of Redis or Valkey",
        Source::Sqlite(_) => "a SQLite database",
        Source::Path(_) => "a file or directory",
        Source::Stdin | Source::Command(_) => "no database",
    }
}
