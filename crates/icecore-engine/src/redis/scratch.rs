//! A Redis server of our own.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::server::Server as Session;
use super::{Address, Endpoint};
use crate::RestoreError;
use crate::scratch::{Folder, Process, Programs};
use crate::tls::Settings;

const START_MAX: Duration = Duration::from_secs(60);

/// A server that ends with this, and keeps nothing.
#[derive(Debug)]
pub struct Server {
    process: Process,
    folder: Folder,
}

/// The program of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed(PathBuf);

impl Installed {
    /// The first that there is.
    pub fn find() -> Result<Self, RestoreError> {
        let found = ["redis-server", "valkey-server"].iter().flat_map(|name| Programs::find(name)).next();
        found.map(Self).ok_or_else(|| {
            RestoreError::Unreachable(
                "there is no server of Redis on this machine: install redis-server".to_owned(),
            )
        })
    }
}

/// A folder for a server, empty yet.
pub fn folder() -> Result<Folder, RestoreError> {
    Folder::make(&["redis", "valkey"])
}

impl Server {
    /// An empty server that answers.
    pub fn start(
        installed: &Installed,
        folder: Folder,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, RestoreError> {
        let socket = folder.path().join("socket").display().to_string();
        let dir = folder.path().display().to_string();
        let arguments = [
            ["--port", "0"],
            ["--unixsocket", &socket],
            ["--unixsocketperm", "700"],
            ["--dir", &dir],
            ["--save", ""],
            ["--appendonly", "no"],
            ["--daemonize", "no"],
        ];
        let mut process =
            Process::start(&installed.0, arguments.into_iter().flatten(), &folder, Signal::KILL)?;
        let endpoint = endpoint(&folder);
        let answers = || Session::greet(&endpoint, &|| false).and_then(|mut it| it.demand(&["PING"])).is_ok();
        process.wait_ready(is_cancelled, START_MAX, answers)?;
        Ok(Self { process, folder })
    }

    /// Where it is.
    pub fn endpoint(&self) -> Endpoint {
        endpoint(&self.folder)
    }

    /// What it died of, if it did: then that is what is wrong, and not what was noticed of it.
    pub fn death(&mut self) -> Option<RestoreError> {
        self.process.death()
    }
}

fn endpoint(folder: &Folder) -> Endpoint {
    Endpoint {
        address: Address::Unix(folder.path().join("socket")),
        user: None,
        password: None,
        tls: Settings::default(),
    }
}
