//! What is wrong with `[nightly]` although it can be read: remotes and programs that are not there.

use std::env::split_paths;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use icecore_storage::without_secret;
use rustix::fs::{Access, access};

use super::{NightlySettings, Project};
use crate::{Environment, Remotes, sentence};

/// Where programs are looked for if nothing says so.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

impl Project {
    /// What would keep nights from being done as `[nightly]` says, in sentences that begin with the key.
    pub fn nightly_faults(&self, remotes: &Remotes, environment: &Environment<'_>) -> Vec<String> {
        let NightlySettings { push, prune_remotes, before, after, .. } = &self.config.nightly;
        let mut faults = Vec::new();
        let is_pushed_to = |remote: &String| {
            let name = remotes.name_of(remote);
            push.iter().any(|it| it == remote || (name.is_some() && remotes.name_of(it) == name))
        };
        for (key, named) in [("push", push), ("prune_remotes", prune_remotes)] {
            for remote in named {
                match remotes.place(remote, &self.dir) {
                    Err(error) => faults.push(format!("{key}: {}", sentence(&error))),
                    Ok(_) if key == "prune_remotes" && !is_pushed_to(remote) => faults.push(format!(
                        "{key}: {:?} is not in push: snapshots would be deleted where none arrive",
                        without_secret(remote)
                    )),
                    Ok(_) => (),
                }
            }
        }
        let NightlySettings { webhook, webhook_file, .. } = &self.config.nightly;
        if webhook.is_some() && webhook_file.is_some() {
            faults.push("webhook: webhook_file says where, too, and that alone counts".to_owned());
        }
        faults.extend(self.webhook().err().map(|error| format!("webhook_file: {}", sentence(&error))));
        let path = (environment.variable)("PATH").unwrap_or_else(|| OsString::from(PATH_DEFAULT));
        for (key, command) in [("before", before), ("after", after)] {
            let missing = command.first().and_then(|program| self.missing(program, &path));
            faults.extend(missing.map(|why| format!("{key}: {why}")));
        }
        faults
    }

    /// Why a program cannot be run from our directory, if it cannot.
    fn missing(&self, program: &str, path: &OsString) -> Option<String> {
        let places: Vec<PathBuf> = match program.contains('/') {
            true => vec![self.dir.join(program)],
            false => split_paths(path).map(|folder| self.dir.join(folder).join(program)).collect(),
        };
        let is_file = |place: &&PathBuf| place.is_file();
        let may_be_run = |place: &Path| access(place, Access::EXEC_OK).is_ok();
        match places.iter().find(is_file) {
            _ if program.is_empty() => Some("the program has no name".to_owned()),
            None => Some(format!("there is no program {program:?}")),
            Some(_) if places.iter().filter(is_file).any(|place| may_be_run(place)) => None,
            Some(place) => Some(format!("{place:?} may not be executed")),
        }
    }
}
