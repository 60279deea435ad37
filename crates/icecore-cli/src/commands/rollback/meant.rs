//! What a rollback is of.

use std::path::{Path, PathBuf};

use icecore::{Database, Snapshot, Source};

use crate::commands::restore::files::is_cluster;
use crate::commands::restore::sqlite::path_of;
use crate::commands::restore::told::rollback_command;
use crate::context::Context;
use crate::failure::{CommandError, Result};

/// What is understood.
const PLACES: &str =
    "name a service of icecore.toml, or the database as it was restored: by its URL, or the path of its file";

/// The database that is meant.
pub(super) struct Meant {
    pub(super) source: Source,
    /// What its snapshots are called.
    pub(super) name: String,
    /// Whether it is known by that name, wherever it is; otherwise one elsewhere may be called the same.
    is_service: bool,
}

impl Meant {
    /// What is named, or else the only service that is a database.
    pub(super) fn find(context: &Context, named: Option<&Path>) -> Result<Self> {
        let is_database = |source: &Source| {
            Database::of(source).is_some() || matches!(source, Source::Redis(_) | Source::Sqlite(_))
        };
        if let (Some(series), Some(project)) = (named.and_then(Path::to_str), context.project()?)
            && let Some(directory) = project.data_directory(series)
        {
            return Ok(Self { source: Source::Path(directory), name: series.to_owned(), is_service: true });
        }
        if let Some(named) = named {
            let (source, service) = context.source(named).map_err(|error| {
                error.if_not_found(origin_of(context, named).unwrap_or(PLACES.to_owned()))
            })?;
            let is_service = service.is_some();
            let name = service.unwrap_or_else(|| source.default_name());
            let is_one = matches!(&source, Source::Path(path) if !path.is_dir() || is_cluster(path));
            return match is_database(&source) || is_one {
                true => Ok(Self { source, name, is_service }),
                false => Err(CommandError::usage("only a restore of a database can be undone")
                    .hint("of a directory, restore the snapshot before: icecore restore NAME~1")),
            };
        }
        let mut found = Vec::new();
        if let Some(project) = context.project()? {
            for name in project.config.services.keys() {
                if let Some(source) = project.source(name, &context.environment())?.filter(is_database) {
                    found.push(Self { source, name: name.clone(), is_service: true });
                }
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(found), true) => Ok(found),
            _ => Err(CommandError::usage("say which database")
                .hint("name a service of icecore.toml, or give a URL")),
        }
    }

    /// What snapshots of it say of where they came from.
    pub(super) fn origin(&self) -> String {
        match (&self.source, Database::of(&self.source)) {
            (_, Some(database)) => database.url(),
            (Source::Redis(endpoint), _) => endpoint.url(),
            (Source::Sqlite(path) | Source::Path(path), _) => real(path).display().to_string(),
            _ => String::new(),
        }
    }

    /// Whether a snapshot says that it is of another place.
    pub(super) fn is_elsewhere(&self, context: &Context, snapshot: &Snapshot) -> bool {
        let Some(origin) = snapshot.info().origin.as_deref().filter(|_| !self.is_service) else {
            return false;
        };
        match (path_of(&self.source), icecore::is_url(origin)) {
            (Some(path), false) => real(path) != Path::new(origin),
            (None, true) => Source::parse(Path::new(origin), &context.environment())
                .is_ok_and(|origin| place(&origin) != place(&self.source)),
            // A dump that lay in a file, or anything else that was called so.
            _ => false,
        }
    }
}

/// Where the snapshots of a series came from, in words: who captured a database by its URL knows it by the name that they have.
fn origin_of(context: &Context, series: &Path) -> Option<String> {
    let (snapshots, _) = context.open().ok()?.store.snapshots().ok()?;
    let is_of = |snapshot: &&Snapshot| {
        let info = snapshot.info();
        let is_database = info.form == "sqlite" || info.origin.as_ref().is_some_and(|it| icecore::is_url(it));
        series.to_str() == Some(&info.source) && is_database
    };
    let origin = snapshots.iter().find(is_of)?.info().origin.as_deref()?;
    let command = rollback_command(context, "", origin);
    Some(format!(
        "no service is called so, but snapshots are: `{command}` rolls back where the newest came from"
    ))
}

/// Where something is, whoever asks for it.
fn place(source: &Source) -> String {
    Database::of(source).map_or_else(|| source.place(), |database| database.to_string())
}

/// Where a file is, or was.
pub(super) fn real(path: &Path) -> PathBuf {
    let beside = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(|| beside(path)).unwrap_or_else(|| path.to_owned())
}
