//! A server whose cluster is to be captured.

use std::fs;
use std::path::PathBuf;

use super::super::endpoint::Endpoint;
use super::super::programs::program;
use super::super::session::{Session, text};
use crate::CaptureError;

/// The first version that tells the checksums of what it sends.
const VERSION_MIN: u32 = 13;
/// By how many seconds two clocks' readings of one start may differ.
const START_SLACK: u64 = 2;

/// What is known of a cluster before its files come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The server's version.
    pub version: String,
    /// About how many bytes there are to come.
    pub bytes: u64,
    /// Where the files lie, if that is on this machine.
    pub data_directory: Option<PathBuf>,
    /// What takes them.
    pub(super) pg_basebackup: PathBuf,
}

/// Asks a server whether its files can be had.
pub fn server(endpoint: &Endpoint) -> Result<Server, CaptureError> {
    let mut session = Session::open(endpoint)?;
    if session.major() < VERSION_MIN {
        let why = format!(
            "base backups are taken from PostgreSQL {VERSION_MIN} on, and this is {}",
            session.major()
        );
        return Err(session.says(&why).into());
    }
    if session.value("SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user")? != "t" {
        let role = &endpoint.user;
        return Err(session
            .says(&format!("{role} must not take base backups; ALTER ROLE {role} REPLICATION allows it"))
            .into());
    }
    let tablespaces = "SELECT string_agg(spcname, ', ' ORDER BY spcname) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')";
    let tablespaces = session.value(tablespaces)?;
    if !tablespaces.is_empty() {
        let why = format!(
            "base backups of clusters with tablespaces of their own are not taken yet, and there is {tablespaces}"
        );
        return Err(session.says(&why).into());
    }
    let sizes =
        "SELECT sum(pg_database_size(oid)) FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')";
    let bytes = session.value(sizes)?.parse().unwrap_or_default();
    Ok(Server {
        version: session.value("SHOW server_version")?,
        bytes,
        data_directory: data_directory(&mut session)?,
        pg_basebackup: program("pg_basebackup", session.major())?,
    })
}

/// The server's directory, if what lies at that path here is the same server's: a container's path says nothing here.
fn data_directory(session: &mut Session) -> Result<Option<PathBuf>, CaptureError> {
    let rows = session.rows(
        "SELECT setting, extract(epoch FROM pg_postmaster_start_time())::bigint FROM pg_settings WHERE name = 'data_directory'",
    )?;
    // It is not everybody's to know.
    let Some(row) = rows.first() else { return Ok(None) };
    let (path, started) = (PathBuf::from(text(row, 0)), text(row, 1).parse::<u64>().ok());
    let Ok(lock) = fs::read_to_string(path.join(super::data_directory::LOCK)) else { return Ok(None) };
    let locked = lock.lines().nth(2).and_then(|line| line.trim().parse::<u64>().ok());
    let is_same = started.zip(locked).is_some_and(|(a, b)| a.abs_diff(b) <= START_SLACK);
    Ok(is_same.then_some(path))
}
