//! What a restore to a path would do, and what stands in its way: found out before anything is written.

use std::fs;
use std::path::{Path, PathBuf};

use super::aside::{Keep, hold_names, old, taken};
use super::companion;
use super::live::LiveDatabase;
use super::pending::{Identity, Interrupted, Pending, going, identity};
use crate::RestoreError;

/// At most so many processes are named.
const NAMED_MAX: usize = 3;

/// What a restore would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file that would be there: itself, not a link to it.
    pub path: PathBuf,
    /// What is there now; `None` if nothing is.
    pub existing: Option<Existing>,
    /// What becomes of it.
    pub keep: Keep,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
}

/// A database that would be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its size on the disk, with its log.
    pub bytes: u64,
    pub(super) identity: Identity,
}

/// Looks at what is there.
pub fn plan(path: &Path, keep: Keep) -> Result<Plan, RestoreError> {
    let path = real_path(path)?;
    // Whoever has a database open that gets another name leaves a log under the name that it had. What cannot be locked is looked at all the same.
    let _names = hold_names(&path).ok();
    let mut plan = Plan { existing: None, path, keep, blockers: Vec::new(), notices: Vec::new() };
    match Pending::find(&plan.path) {
        Ok(Some(Interrupted::After(_))) => plan.notices.push(format!(
            "a restore or rollback of {} was interrupted, with what was there as {}: that is completed, and nothing else is done",
            plan.path.display(),
            going(&plan.path).display()
        )),
        Ok(None | Some(Interrupted::Before)) => (),
        Err(error) => plan.blockers.push(error.to_string()),
    }
    match identity(&plan.path) {
        Some(identity) => plan.look_at(identity)?,
        None => {
            let leftover = LiveDatabase::absent(&plan.path).refuse_leftover().err();
            plan.blockers.extend(leftover.map(|error| error.to_string()));
        }
    }
    Ok(plan)
}

impl Plan {
    fn look_at(&mut self, identity: Identity) -> Result<(), RestoreError> {
        let path = &self.path;
        let meta = path.metadata().map_err(RestoreError::write("cannot look at", path))?;
        if !meta.is_file() {
            self.blockers.push(format!("{} is there, and is no regular file", path.display()));
            return Ok(());
        }
        let log = companion(path, "-wal").metadata().map_or(0, |meta| meta.len());
        self.existing = Some(Existing { bytes: meta.len() + log, identity });
        let mut problems = Vec::new();
        let mut notices = Vec::new();
        match LiveDatabase::try_lock(path) {
            Ok(true) => notices.extend(users(identity).map(|who| {
                format!(
                    "{who} has {} open, and goes on with what is there now until it opens it again",
                    path.display()
                )
            })),
            Ok(false) => {
                notices.push(format!(
                    "SQLite cannot read what is there: {} is damaged, encrypted or no database",
                    path.display()
                ));
                problems.extend(LiveDatabase::absent(path).refuse_log().err());
            }
            Err(error) => problems.push(error),
        }
        if let Keep::As(name) = &self.keep
            && name.symlink_metadata().is_ok()
        {
            problems.push(taken(name));
        }
        let old = old(path);
        if self.keep != Keep::Nothing && old.symlink_metadata().is_ok() {
            notices.push(format!(
                "{}, which the restore before put aside, goes once this one has succeeded",
                old.display()
            ));
            problems.extend(LiveDatabase::try_lock(&old).err());
        }
        self.blockers.extend(problems.iter().map(ToString::to_string));
        self.notices.extend(notices);
        Ok(())
    }
}

/// The file that a path leads to; where there is none, the place that it would have.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, RestoreError> {
    let write = RestoreError::write("cannot restore to", path);
    let absolute = match path.symlink_metadata() {
        Ok(_) => return path.canonicalize().map_err(write),
        Err(_) => std::path::absolute(path).map_err(write)?,
    };
    // The directory may be reached by a link.
    let parent = absolute.parent().and_then(|parent| parent.canonicalize().ok());
    Ok(match (parent, absolute.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => absolute,
    })
}

/// Processes that have a file open, as far as the system tells us of them.
fn users(file: Identity) -> Option<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found = processes.filter_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let has_it = pid != std::process::id()
            && open.any(|fd| fd.path().metadata().is_ok_and(|meta| Identity::of(&meta) == file));
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        has_it.then(|| format!("process {pid} ({})", name.trim_end()))
    });
    let mut named: Vec<_> = found.by_ref().take(NAMED_MAX).collect();
    if found.next().is_some() {
        named.push("others".to_owned());
    }
    (!named.is_empty()).then(|| named.join(", "))
}
