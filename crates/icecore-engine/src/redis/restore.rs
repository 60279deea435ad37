//! Giving a server other data: it becomes a replica of ours for as long as it takes to load them.
//!
//! A server that loads what a master sent switches its append-only file off meanwhile and writes it anew afterwards, so that a restart brings the
//! restored data, whatever the server's settings are. With `repl-diskless-load swapdb` it keeps what it has until the new data are loaded
//! whole: if that fails, nothing has changed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::Endpoint;
use super::connection::{Connection, SILENCE_MAX, read_words};
use super::server::Server;
use crate::poll::PollReader;
use crate::tls::Mode;
use crate::{CaptureError, RestoreError};

/// For how long the server may take to come to us.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// For how long it may load after it has everything.
const LOAD_MAX: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_millis(50);
const BLOCK_LEN: usize = 256 << 10;
/// How a server is asked to keep what it has until the new data are loaded.
const LOAD_SETTING: &str = "repl-diskless-load";
/// Our name as a master: forty hexadecimal digits, which nobody else has.
const ID_LEN: usize = 40;

/// The newest format that a server of some version can load: its first two numbers, and the format's.
const FORMATS: [((u32, u32), u32); 7] =
    [((7, 4), 12), ((7, 2), 11), ((7, 0), 10), ((5, 0), 9), ((4, 0), 8), ((3, 2), 7), ((2, 6), 6)];

/// What a restore would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub endpoint: Endpoint,
    /// Its version.
    pub version: String,
    /// How many keys it has now.
    pub keys: u64,
    /// And how many libraries of functions, which a restore replaces too.
    pub libraries: u64,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What the user should know.
    pub notices: Vec<String>,
    /// Whether it keeps what it has until the new data are loaded.
    pub swaps: bool,
}

impl Plan {
    /// Whether the server has nothing that could be lost.
    pub fn replaces_nothing(&self) -> bool {
        self.keys == 0 && self.libraries == 0
    }
}

/// Looks at the server. `format` is that of the RDB.
pub fn plan(endpoint: &Endpoint, format: u32) -> Result<Plan, RestoreError> {
    let mut server = Server::greet(endpoint, &|| false).map_err(unreached)?;
    // Who has not said who he is hears of it now.
    let info = server.info("server").map_err(unreached)?;
    let version = info.get("redis_version").cloned().unwrap_or_default();
    let mut plan = Plan {
        endpoint: endpoint.clone(),
        version: info.get("valkey_version").unwrap_or(&version).clone(),
        keys: keys(&mut server)?,
        libraries: libraries(&mut server)?,
        blockers: Vec::new(),
        notices: Vec::new(),
        swaps: server.setting(LOAD_SETTING)?.is_some(),
    };
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let of_server = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let newest = FORMATS.iter().find(|(since, _)| of_server >= *since).map_or(0, |(_, format)| *format);
    if format > newest && !info.contains_key("valkey_version") {
        plan.blockers.push(format!(
            "the RDB is of format {format}, and a server of version {version} loads up to {newest}"
        ));
    }
    let replication = server.info("replication")?;
    if replication.get("role").map(String::as_str) != Some("master") {
        let master = replication.get("master_host").cloned().unwrap_or_default();
        plan.blockers.push(format!(
            "it is a replica of {master}: restore that one, or make it a master (REPLICAOF NO ONE)"
        ));
    }
    if info.get("redis_mode").map(String::as_str) == Some("cluster") {
        plan.blockers.push("it is a node of a cluster, which replicates by its own rules".to_owned());
    }
    if server.setting("tls-replication")?.as_deref() == Some("yes") {
        plan.blockers.push("it replicates through TLS, and would want a certificate of us: CONFIG SET tls-replication no, for as long as the restore takes".to_owned());
    } else if endpoint.mode() != Mode::Disable {
        plan.notices
            .push("it comes for its data without TLS, for it replicates so (tls-replication no)".to_owned());
    }
    if replication.get("connected_slaves").is_some_and(|count| count != "0") {
        plan.notices.push("its replicas get the restored data too".to_owned());
    }
    if !plan.swaps {
        plan.notices.push(
            "it does not keep what it has while it loads: if that fails, only the snapshot has it".to_owned(),
        );
    }
    Ok(plan)
}

fn keys(server: &mut Server<'_>) -> Result<u64, CaptureError> {
    let info = server.info("keyspace")?;
    let count = |text: &String| text.strip_prefix("keys=")?.split(',').next()?.parse::<u64>().ok();
    Ok(info.values().filter_map(count).sum())
}

/// Servers before Redis 7 have no functions, and say nothing of them.
fn libraries(server: &mut Server<'_>) -> Result<u64, CaptureError> {
    let info = server.info("memory")?;
    Ok(info.get("number_of_libraries").and_then(|count| count.parse().ok()).unwrap_or_default())
}

/// Gives the server the RDB that `rdb` reads, `len` bytes, and waits until it has loaded and kept it. Returns how many keys it has then.
pub fn restore(
    plan: &Plan,
    rdb: &mut dyn Read,
    len: u64,
    is_cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<u64, RestoreError> {
    let mut server = Server::greet(&plan.endpoint, &is_cancelled).map_err(unreached)?;
    let (here, peer) =
        server.connection.ends().map_err(|error| server.failed("cannot be reached", &error))?;
    let listener = TcpListener::bind((here, 0)).and_then(|it| it.set_nonblocking(true).map(|()| it));
    let listener = listener.map_err(|error| refused(&format!("cannot listen on {here}: {error}")))?;
    let port = listener.local_addr().map_err(|error| refused(&error.to_string()))?.port().to_string();
    let before = if plan.swaps { server.setting(LOAD_SETTING)? } else { None };
    if before.is_some() {
        server.demand(&["CONFIG", "SET", LOAD_SETTING, "swapdb"])?;
    }
    let loaded = server.demand(&["REPLICAOF", &here.to_string(), &port]).map_err(RestoreError::from);
    let loaded = loaded.and_then(|_| serve(&mut server, &listener, peer, rdb, len, is_cancelled));
    // Whatever became of it: it is its own master again, and as it was set.
    let freed = settle(plan, before.as_deref());
    let keys = loaded.map_err(|error| if plan.swaps { error } else { after(error) })?;
    freed?;
    keep(&mut server, is_cancelled).map_err(after)?;
    Ok(keys)
}

/// What goes wrong when the server may not have any more what it had.
fn after(error: RestoreError) -> RestoreError {
    match error {
        RestoreError::Server(why) => {
            RestoreError::Unknown(format!("{why}; what the server had may be gone from it"))
        }
        error => error,
    }
}

/// On a connection of its own: the other one may be broken, or in the middle of an answer.
fn settle(plan: &Plan, before: Option<&str>) -> Result<(), RestoreError> {
    let freed = || -> Result<(), CaptureError> {
        let mut server = Server::greet(&plan.endpoint, &|| false)?;
        server.demand(&["REPLICAOF", "NO", "ONE"])?;
        if let Some(before) = before {
            server.demand(&["CONFIG", "SET", LOAD_SETTING, before])?;
        }
        Ok(())
    };
    freed().map_err(|error| {
        RestoreError::Unknown(format!(
            "{error}; it may still be a replica of ours: REPLICAOF NO ONE ends that"
        ))
    })
}

/// Lets the server come, and sends it what it asks for. Returns how many keys it has when it has loaded them.
fn serve(
    server: &mut Server<'_>,
    listener: &TcpListener,
    peer: IpAddr,
    rdb: &mut dyn Read,
    len: u64,
    is_cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<u64, RestoreError> {
    let mut replica = accept(listener, peer, is_cancelled)?;
    greet_replica(&mut replica, is_cancelled)?;
    send(&mut replica, rdb, len, is_cancelled)?;
    thread::scope(|scope| {
        // What the replica says now is that it is there; nobody must wait for room to say it.
        let listening = replica.try_clone().map_err(|error| refused(&error.to_string()))?;
        scope.spawn(move || drop(io::copy(&mut &listening, &mut io::sink())));
        let loaded = wait(server, LOAD_MAX, is_cancelled, "it has loaded the data", |info| {
            let is = |key: &str, value: &str| info.get(key).is_some_and(|it| it == value);
            is("master_link_status", "up") && is("loading", "0")
        });
        let counted = loaded.and_then(|()| Ok(keys(server)?));
        let _ = replica.shutdown(std::net::Shutdown::Both);
        counted
    })
}

fn accept(
    listener: &TcpListener,
    peer: IpAddr,
    is_cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<TcpStream, RestoreError> {
    let since = Instant::now();
    loop {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        match listener.accept() {
            // Nobody else is to see what is restored.
            Ok((stream, from)) if from.ip() == peer => {
                stream.set_nonblocking(false).map_err(|error| refused(&error.to_string()))?;
                let limited = stream.set_write_timeout(Some(SILENCE_MAX));
                limited.map_err(|error| refused(&error.to_string()))?;
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE),
            Err(error) => return Err(refused(&error.to_string())),
        }
        if since.elapsed() > CONNECT_MAX {
            let here = listener.local_addr().map(|it| it.to_string()).unwrap_or_default();
            return Err(refused(&format!(
                "the server did not come to {here} within {} s; a firewall, or an address that it does not see",
                CONNECT_MAX.as_secs()
            )));
        }
    }
}

/// Answers what a replica asks before it gets data.
fn greet_replica(
    replica: &mut TcpStream,
    is_cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(), RestoreError> {
    let id = "1ce".chars().cycle().take(ID_LEN).collect::<String>();
    loop {
        let mut reader = PollReader::of_peer(replica.as_fd(), SILENCE_MAX, &is_cancelled);
        let words = read_words(&mut reader).map_err(|error| lost(&error))?;
        let command = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let answer = match command.as_str() {
            "" => return Err(refused("the server went away before it asked for data")),
            "PING" => "+PONG\r\n".to_owned(),
            "PSYNC" | "SYNC" => String::new(),
            // Whoever it takes us for, it is welcome; what it says of itself does not matter.
            _ => "+OK\r\n".to_owned(),
        };
        replica.write_all(answer.as_bytes()).map_err(|error| lost(&error))?;
        match command.as_str() {
            "PSYNC" => {
                return replica
                    .write_all(format!("+FULLRESYNC {id} 0\r\n").as_bytes())
                    .map_err(|error| lost(&error));
            }
            "SYNC" => return Ok(()),
            _ => (),
        }
    }
}

fn send(
    replica: &mut TcpStream,
    rdb: &mut dyn Read,
    len: u64,
    is_cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(), RestoreError> {
    replica.write_all(format!("${len}\r\n").as_bytes()).map_err(|error| lost(&error))?;
    let mut block = vec![0; BLOCK_LEN];
    let mut left = len;
    while left > 0 {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let most = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = rdb.read(block.get_mut(..most).unwrap_or_default()).map_err(RestoreError::of_content)?;
        if read == 0 {
            return Err(RestoreError::Damaged("the RDB ends before its end".to_owned()));
        }
        replica.write_all(block.get(..read).unwrap_or_default()).map_err(|error| lost(&error))?;
        left -= read as u64;
    }
    Ok(())
}

/// Waits until what the server says of itself is as it should be.
fn wait(
    server: &mut Server<'_>,
    most: Duration,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    until: &str,
    is_so: impl Fn(&BTreeMap<String, String>) -> bool,
) -> Result<(), RestoreError> {
    let since = Instant::now();
    loop {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let mut info = server.info("replication")?;
        info.extend(server.info("persistence")?);
        if is_so(&info) {
            return Ok(());
        }
        // A replica whose load failed comes back for more, to nobody.
        let gave_up = info.get("master_link_down_since_seconds").and_then(|it| it.parse::<i64>().ok());
        let is_failed = info.get("master_sync_in_progress").is_some_and(|it| it == "0")
            && info.get("master_link_status").is_some_and(|it| it == "down")
            && gave_up.is_some_and(|seconds| seconds > 5);
        if is_failed || since.elapsed() > most {
            return Err(refused(&format!("the server did not get to where {until}; its log says why")));
        }
        sleep(PAUSE);
    }
}

/// Makes sure that a restart brings what was restored.
fn keep(server: &mut Server<'_>, is_cancelled: &(dyn Fn() -> bool + Sync)) -> Result<(), RestoreError> {
    let appends = server.info("persistence")?.get("aof_enabled").is_some_and(|it| it == "1");
    let saves = server.setting("save")?.is_none_or(|save| !save.is_empty());
    if saves {
        // A save that runs already, or is not allowed to us, is followed by others.
        let _ = server.ask(&["BGSAVE"])?;
    }
    wait(server, LOAD_MAX, is_cancelled, "it has written the data down", |info| {
        let idle = |key: &str| info.get(key).is_none_or(|it| it == "0");
        let done = idle("rdb_bgsave_in_progress")
            && idle("aof_rewrite_in_progress")
            && idle("aof_rewrite_scheduled");
        done && (!appends || info.get("aof_enabled").is_some_and(|it| it == "1"))
    })
}

fn refused(why: &str) -> RestoreError {
    RestoreError::Server(why.to_owned())
}

fn lost(error: &io::Error) -> RestoreError {
    if crate::poll::is_interruption(error) {
        return RestoreError::Cancelled;
    }
    refused(&format!("the connection on which the server gets its data was lost: {error}"))
}

impl Connection {
    /// Our own address, as the server sees it, and the server's as we see it when it comes to us.
    fn ends(&self) -> io::Result<(IpAddr, IpAddr)> {
        match self {
            Self::Tcp(stream) => ends(stream),
            Self::Encrypted(stream) => ends(stream.socket()),
            // It is on this machine.
            Self::Unix(_) => Ok((Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into())),
        }
    }
}

fn ends(stream: &TcpStream) -> io::Result<(IpAddr, IpAddr)> {
    Ok((stream.local_addr()?.ip(), stream.peer_addr()?.ip()))
}

/// A server that is not there, or does not let us in.
fn unreached(error: CaptureError) -> RestoreError {
    match RestoreError::from(error) {
        RestoreError::Server(why) => RestoreError::Unreachable(why),
        error => error,
    }
}

impl From<CaptureError> for RestoreError {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Cancelled => Self::Cancelled,
            error => Self::Server(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_fall_with_versions() {
        assert!(FORMATS.windows(2).all(|pair| pair[0].0 > pair[1].0 && pair[0].1 > pair[1].1));
    }
}
