//! Asking a server for its data as a replica does: it makes an RDB of one moment, and sends it.

use std::io::Read as _;

use super::Endpoint;
use super::connection::read_line;
use super::server::{Server, failed, refused};
use crate::{CaptureError, Sink, StreamOptions, StreamReport, capture_stream};

/// Hands all data of the server to `sink`, as [`capture_stream`] does with an RDB. `options.what` need not be set.
pub fn capture(
    endpoint: &Endpoint,
    options: &StreamOptions,
    is_cancelled: &dyn Fn() -> bool,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    let mut server = Server::greet(endpoint, is_cancelled)?;
    // Without it the server keeps what is written meanwhile for us; an old one does not know it. That we could find the end of a stream by a
    // mark is not said: a server that waits for more replicas before it starts would let us wait with them.
    let _ = server.ask(&["REPLCONF", "rdb-only", "1"])?;
    server.send(&["SYNC"])?;
    let address = server.address;
    let mut reader = server.connection.reader(is_cancelled);
    let len = loop {
        match read_line(&mut reader).map_err(|error| failed(address, "does not answer", &error))? {
            // It is alive, and at work.
            Some(line) if line.is_empty() => (),
            Some(line) => match line.strip_prefix('$').and_then(|len| len.parse::<u64>().ok()) {
                Some(len) => break len,
                None => return Err(refused(address, &line)),
            },
            None => {
                return Err(CaptureError::Source(format!(
                    "the Redis server at {address} closed the connection before it sent anything: its log says why"
                )));
            }
        }
    };
    let what = format!("the Redis server at {address}");
    let mut rdb = reader.take(len);
    let report = capture_stream(&mut rdb, &StreamOptions { what: what.clone(), ..options.clone() }, sink)?;
    if rdb.limit() > 0 {
        return Err(CaptureError::Incomplete {
            what,
            expected: format!("the {len} bytes that it announced"),
        });
    }
    Ok(StreamReport { engine: Some("redis"), ..report })
}

/// The version of a server that lets us in.
pub fn version(endpoint: &Endpoint) -> Result<String, CaptureError> {
    let info = Server::greet(endpoint, &|| false)?.info("server")?;
    Ok(info.get("valkey_version").or(info.get("redis_version")).cloned().unwrap_or_default())
}
