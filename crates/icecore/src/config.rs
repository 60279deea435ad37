//! `icecore.toml`: settings of a project.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result};

/// The file's name.
pub const CONFIG_FILE: &str = "icecore.toml";

/// What the file says. A key that is not known is an error: it may be a misspelt one, and lead to another store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the store is; relative to the file.
    pub store: Option<PathBuf>,
}

impl Config {
    /// Reads the nearest file from `from` upwards. Returns it with its directory.
    pub fn find(from: &Path) -> Result<Option<(Self, PathBuf)>> {
        for dir in from.ancestors() {
            let path = dir.join(CONFIG_FILE);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::Config { path, source: Box::new(source) }),
            };
            let config =
                toml::from_str(&text).map_err(|source| Error::Config { path, source: Box::new(source) })?;
            return Ok(Some((config, dir.to_owned())));
        }
        Ok(None)
    }
}
