//! What the last restore of a database put aside.

use super::Endpoint;
use super::objects::{COMMENT, MARK};
use super::session::Session;
use crate::RestoreError;
use crate::database::name_beside;

/// What the database that holds it is called, behind the name of the one that was replaced.
pub(super) const OLD: &str = "__ice_old";
/// No name of a database is longer, in characters.
pub(super) const NAME_LEN_MAX: usize = 64;

/// Under what name it is there, for [`super::restore::rollback`] to bring back.
pub fn put_aside(endpoint: &Endpoint) -> Result<Option<String>, RestoreError> {
    let old = name_beside(&endpoint.database, OLD, NAME_LEN_MAX);
    let mut server = Session::open(endpoint)?;
    let (is_in_it, is_mark) = (server.named("TABLE_SCHEMA", &old), server.named("TABLE_NAME", MARK));
    let marks = server.value(&format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE {is_in_it} AND {is_mark} AND TABLE_COMMENT LIKE '{COMMENT}%'"
    ))?;
    Ok((marks != "0").then_some(old))
}
