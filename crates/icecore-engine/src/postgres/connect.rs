//! Coming in to a server, which may say nothing.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::time::Duration;

use postgres::config::{ChannelBinding, SslMode};
use postgres::{Client, Config};

use super::endpoint::{Endpoint, Host};
use crate::tls::{Connector, Mode};

/// Who cannot be reached in time is not there.
const REACH_MAX: Duration = Duration::from_secs(10);
/// And who does not let us in in time does not do so later. A little more, so that the client can say itself what it could not reach.
const CONNECT_MAX: Duration = Duration::from_secs(12);

/// Why we did not come in.
#[derive(Debug)]
pub(super) enum Shut {
    /// What the server or the connection says.
    Error(postgres::Error),
    /// Somebody listens, and says nothing.
    Silence,
}

/// Connects, by the first of the host's addresses at which it is let in.
pub(super) fn connect(endpoint: &Endpoint, tls: &Connector) -> Result<Client, Shut> {
    let mut config = Config::new();
    config.user(&endpoint.user).dbname(&endpoint.database).port(endpoint.port);
    config.application_name("icecore").connect_timeout(REACH_MAX);
    config.ssl_mode(match tls.mode {
        Mode::Disable => SslMode::Disable,
        Mode::Prefer => SslMode::Prefer,
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
    });
    match &endpoint.host {
        Host::Tcp(name) => config.host(name),
        Host::Folder(folder) => config.host_path(folder),
    };
    if endpoint.needs_binding && matches!(endpoint.host, Host::Tcp(_)) {
        config.channel_binding(ChannelBinding::Require);
    }
    if let Some(password) = &endpoint.password {
        config.password(password);
    }
    let mut shut = Shut::Silence;
    for address in addresses(endpoint) {
        let (mut config, tls) = (config.clone(), tls.clone());
        if let Some(address) = address {
            config.hostaddr(address);
        }
        shut = match in_time(move || config.connect(tls)) {
            Some(Ok(client)) => return Ok(client),
            // What a server says it says at each of its addresses, and it may count who fails.
            Some(Err(error)) if error.as_db_error().is_some() => return Err(Shut::Error(error)),
            Some(Err(error)) => Shut::Error(error),
            None => Shut::Silence,
        };
    }
    Err(shut)
}

/// Those of the host; `None` stands for what is not resolved here.
fn addresses(endpoint: &Endpoint) -> Vec<Option<IpAddr>> {
    let resolved = match &endpoint.host {
        Host::Tcp(name) => (name.as_str(), endpoint.port).to_socket_addrs().ok(),
        Host::Folder(_) => None,
    };
    let found: Vec<_> = resolved.into_iter().flatten().map(|address| Some(address.ip())).collect();
    if found.is_empty() { vec![None] } else { found }
}

/// What comes of work with a server; `None` if nothing came in time. The client has a limit of its own for the connection alone, and none for
/// what is said on it before it is let in: a thread that waits for that is left to itself.
pub(super) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = sync_channel(1);
    let worker = Builder::new().name("connect".into()).spawn(move || drop(sender.send(work())));
    worker.ok().and_then(|_| receiver.recv_timeout(CONNECT_MAX).ok())
}
