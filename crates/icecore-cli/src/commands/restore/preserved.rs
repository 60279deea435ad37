//! What restores with `--preserve` keep: it carries the time in its name, and no restore touches it again.

use std::fs;
use std::path::Path;

use icecore::{Database, Source};
use icecore_engine::database::name_beside;

use super::sqlite::path_of;
use crate::context::Context;
use crate::failure::Result;

/// What every server allows of a name, in bytes.
const NAME_LEN_MAX: usize = 63;

/// What a database is called that is kept now.
pub(super) fn name(context: &Context, database: &Database) -> String {
    name_beside(database.name(), &context.time_suffix(context.now), NAME_LEN_MAX)
}

/// What was kept last of a source, if that was not before `suffix`, a time as such names have it: the name of a database, or of a file beside it.
pub(crate) fn since(source: &Source, suffix: &str) -> Result<Option<String>> {
    let (name, names) = match (Database::of(source), path_of(source)) {
        (Some(database), _) => (name_beside(database.name(), suffix, NAME_LEN_MAX), database.names()?),
        (None, Some(path)) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (format!("{name}{suffix}"), names_beside(&path))
        }
        (None, None) => return Ok(None),
    };
    let start = name.strip_suffix(suffix).unwrap_or(&name);
    let is_time = |rest: &str| {
        rest.len() == suffix.len()
            && rest
                .bytes()
                .zip(suffix.bytes())
                .all(|(a, b)| if b.is_ascii_digit() { a.is_ascii_digit() } else { a == b })
    };
    let is_one = |name: &String| name.strip_prefix(start).is_some_and(|rest| is_time(rest) && rest >= suffix);
    Ok(names.into_iter().filter(is_one).max())
}

fn names_beside(path: &Path) -> Vec<String> {
    let entries = path.parent().and_then(|directory| fs::read_dir(directory).ok());
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
