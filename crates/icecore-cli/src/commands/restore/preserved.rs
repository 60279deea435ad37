//! What restores with `--preserve` have kept, which carries the time in its name and is nobody's but the user's.

use std::fs;
use std::path::Path;

use icecore::{Database, Source};

use super::sqlite::path_of;
use crate::context::Context;
use crate::failure::Result;

/// What a server allows of a name, less than the time takes.
const NAME_LEN_MAX: usize = 47;

/// What a database is called that is kept now.
pub(super) fn name(context: &Context, database: &Database) -> String {
    start(database.name()) + &context.time_suffix(context.now)
}

fn start(database: &str) -> String {
    let mut start = database.to_owned();
    while start.len() > NAME_LEN_MAX {
        start.pop();
    }
    start
}

/// What was kept last of a source, if that was not before `suffix`, a time as such names have it.
pub(crate) fn since(source: &Source, suffix: &str) -> Result<Option<String>> {
    let (start, names) = match (Database::of(source), path_of(source)) {
        (Some(database), _) => (start(database.name()), database.names()?),
        (None, Some(path)) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, names_beside(&path))
        }
        (None, None) => return Ok(None),
    };
    let is_time = |rest: &str| {
        rest.len() == suffix.len()
            && rest.bytes().zip(suffix.bytes()).all(|(a, b)| a.is_ascii_digit() == b.is_ascii_digit())
    };
    let is_one =
        |name: &String| name.strip_prefix(&start).is_some_and(|rest| is_time(rest) && rest >= suffix);
    Ok(names.into_iter().filter(is_one).max())
}

fn names_beside(path: &Path) -> Vec<String> {
    let entries = path.parent().and_then(|directory| fs::read_dir(directory).ok());
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
