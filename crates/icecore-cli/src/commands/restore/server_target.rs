//! Which server a snapshot is restored to.

use std::path::Path;

use icecore::{Database, Snapshot, Source};
use icecore_engine::postgres::Host;
use icecore_engine::redis::{self, Address};

use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::ui::Ui;
use crate::units::printable;

/// What URLs --to understands.
const PLACES: &str = "--to takes postgres://, mysql://, mariadb:// and redis:// URLs, sqlite:PATH, a service, a path, or - for standard output";

/// What a snapshot goes to, if it goes to a server.
pub(super) struct ServerTarget {
    pub(super) place: ServerPlace,
    /// What its snapshots are called: as the service, or by default.
    pub(super) name: String,
}

/// Where on a server.
pub(super) enum ServerPlace {
    Database(Database),
    /// All that it has.
    Redis(redis::Endpoint),
}

impl ServerTarget {
    /// That of --to, of the service that the snapshot is of, or where it came from.
    pub(super) fn find(
        ui: &mut Ui,
        context: &Context,
        snapshot: &Snapshot,
        to: Option<&Path>,
    ) -> Result<Option<Self>> {
        let info = snapshot.info();
        let (source, name) = match to {
            Some(to) if to.to_str().is_some_and(icecore::is_url) => {
                context.source(to).map_err(|error| error.if_not_found(PLACES))?
            }
            Some(to) => match service(context, to)? {
                Some(source) => (source, to.to_str().map(str::to_owned)),
                None => return Ok(None),
            },
            None => {
                let project = context.project()?;
                let service = project
                    .map(|project| project.source(&info.source, &context.environment()))
                    .transpose()?;
                match (service.flatten(), info.origin.as_deref().filter(|origin| icecore::is_url(origin))) {
                    (Some(source), origin) => {
                        if let Some(origin) = origin.filter(|origin| !context.is_at(origin, &source)) {
                            ui.note(format!(
                                "the snapshot was taken at {origin}, and the service is {} now",
                                source.place()
                            ));
                        }
                        (source, Some(info.source.clone()))
                    }
                    (None, Some(origin)) => {
                        let source = context.place(Path::new(origin))?;
                        ask_about_origin(ui, &source)?;
                        (source, Some(info.source.clone()))
                    }
                    (None, None) => return Ok(None),
                }
            }
        };
        let name = name.unwrap_or_else(|| source.default_name());
        let place = match (Database::of(&source), source) {
            (Some(database), _) => ServerPlace::Database(database),
            (None, Source::Redis(endpoint)) => ServerPlace::Redis(endpoint),
            (None, _) => return Ok(None),
        };
        Ok(Some(Self { place, name }))
    }
}

/// The service that --to names, if it names one: nobody wants a file that is called so.
fn service(context: &Context, to: &Path) -> Result<Option<Source>> {
    let (Some(name), Some(project)) = (to.to_str(), context.project()?) else { return Ok(None) };
    match project.source(name, &context.environment())? {
        Some(Source::Sqlite(path) | Source::Path(path)) => Err(CommandError::usage(format!(
            "{} is a service of icecore.toml; name its path, {}, or ./{} for a file here",
            printable(name),
            printable(&path.display().to_string()),
            printable(name)
        ))),
        source => Ok(source),
    }
}

/// A word where a path is meant is a file; but who restores a database from a server may mean another database, and would not look for a
/// script here that is called so.
pub(super) fn refuse_bare_name(context: &Context, snapshot: &Snapshot, to: Option<&Path>) -> Result<()> {
    let Some(to) = to else { return Ok(()) };
    let origin = snapshot.info().origin.as_deref().unwrap_or_default();
    let is_path = |name: &str| {
        name.is_empty()
            || name == "-"
            || name.contains(['/', '.'])
            || context.cwd.join(to).symlink_metadata().is_ok()
    };
    let Some(name) = to.to_str().filter(|name| !is_path(name) && !icecore::is_base_backup(snapshot)) else {
        return Ok(());
    };
    let came_from = Source::parse(Path::new(origin), &context.environment()).ok();
    let beside = came_from.as_ref().and_then(Database::of).map(|database| database.beside(name));
    let Some(beside) = beside.as_ref().and_then(Database::of) else { return Ok(()) };
    if service(context, to)?.is_some() {
        return Ok(());
    }
    let project = context.project()?;
    let near = project.as_ref().and_then(|project| project.service_near(name));
    let near = near.map(|near| format!("; did you mean the service {near}?")).unwrap_or_default();
    let (url, name) = (printable(&beside.url()), printable(name));
    let error = CommandError::usage(format!("{name} may be a database or a file{near}"));
    Err(error.hint(format!("--to '{url}' restores to a database, --to ./{name} writes a script here")))
}

/// A snapshot may be a stranger's, and who connects gives a password away. This machine is no stranger.
fn ask_about_origin(ui: &mut Ui, source: &Source) -> Result<()> {
    let is_here = match source {
        Source::Postgres(endpoint) => match &endpoint.host {
            Host::Folder(_) => true,
            Host::Tcp(name) => is_this_machine(name),
        },
        Source::Redis(endpoint) => match &endpoint.address {
            Address::Unix(_) => true,
            Address::Tcp(name, _) => is_this_machine(name),
        },
        Source::Mysql(endpoint) => endpoint.host.as_deref().is_none_or(is_this_machine),
        _ => true,
    };
    if is_here {
        return Ok(());
    }
    let place = printable(&source.place()).to_string();
    ui.confirm(
        &format!("Connect to {place}, where the snapshot says that it came from?"),
        &format!("the snapshot came from {place}, which is no service of icecore.toml"),
    )
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}
