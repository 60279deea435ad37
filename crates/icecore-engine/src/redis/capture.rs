//! Asking a server for its data as a replica does: it makes an RDB of one moment, and sends it.

use std::io::{self, Read as _};

use super::connection::{Connection, read_line};
use super::{Address, Endpoint};
use crate::poll::is_interruption;
use crate::{CaptureError, Sink, StreamOptions, StreamReport, capture_stream};

/// Hands all data of the server to `sink`, as [`capture_stream`] does with an RDB. `options.what` need not be set.
pub fn capture(
    endpoint: &Endpoint,
    options: &StreamOptions,
    is_cancelled: &dyn Fn() -> bool,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    let server = Server { address: &endpoint.address };
    let mut connection = server.greet(endpoint, is_cancelled)?;
    // Without it the server keeps what is written meanwhile for us; an old one does not know it. That we could find the end of a stream by a
    // mark is not said: a server that waits for more replicas before it starts would let us wait with them.
    let _ = server.ask(&mut connection, &["REPLCONF", "rdb-only", "1"], is_cancelled)?;
    let sent = connection.send(&["SYNC"]);
    sent.map_err(|error| server.failed("does not listen", &error))?;
    let mut reader = connection.reader(is_cancelled);
    let len = loop {
        match read_line(&mut reader).map_err(|error| server.failed("does not answer", &error))? {
            // It is alive, and at work.
            Some(line) if line.is_empty() => (),
            Some(line) => match line.strip_prefix('$').and_then(|len| len.parse::<u64>().ok()) {
                Some(len) => break len,
                None => return Err(server.refused(&line)),
            },
            None => {
                return Err(CaptureError::Source(format!(
                    "the Redis server at {} closed the connection before it sent anything: its log says why",
                    endpoint.address
                )));
            }
        }
    };
    let what = format!("the Redis server at {}", endpoint.address);
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
    let server = Server { address: &endpoint.address };
    let mut connection = server.greet(endpoint, &|| false)?;
    connection.send(&["INFO", "server"]).map_err(|error| server.failed("does not listen", &error))?;
    let mut reader = connection.reader(&|| false);
    let mut line = || read_line(&mut reader).map_err(|error| server.failed("does not answer", &error));
    let head = line()?.unwrap_or_default();
    let len = head.strip_prefix('$').and_then(|len| len.parse::<usize>().ok());
    let len = len.ok_or_else(|| server.refused(&head))?;
    let mut read = 0;
    while read < len
        && let Some(line) = line()?
    {
        read += line.len() + 2;
        if let Some(version) = line.strip_prefix("redis_version:").or(line.strip_prefix("valkey_version:")) {
            return Ok(version.to_owned());
        }
    }
    Ok(String::new())
}

struct Server<'a> {
    address: &'a Address,
}

impl Server<'_> {
    /// A connection on which the server knows us.
    fn greet(
        &self,
        endpoint: &Endpoint,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Connection, CaptureError> {
        let mut connection =
            Connection::open(self.address).map_err(|error| self.failed("cannot be reached", &error))?;
        if let Some(password) = &endpoint.password {
            let user = endpoint.user.as_deref();
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect();
            self.ask(&mut connection, &words, is_cancelled)?.map_err(|answer| self.refused(&answer))?;
        } else if endpoint.user.is_some() {
            return Err(CaptureError::Source(format!(
                "the user for the Redis server at {} has no password: set REDISCLI_AUTH",
                self.address
            )));
        }
        Ok(connection)
    }

    /// Sends a command and waits for its answer, which may be that the server does not want to.
    fn ask(
        &self,
        connection: &mut Connection,
        words: &[&str],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Result<(), String>, CaptureError> {
        connection.send(words).map_err(|error| self.failed("does not listen", &error))?;
        let answer = read_line(&mut connection.reader(is_cancelled));
        let answer = answer.map_err(|error| self.failed("does not answer", &error))?;
        let answer = answer.unwrap_or_else(|| "-it closed the connection".to_owned());
        Ok(if answer.starts_with('-') { Err(answer) } else { Ok(()) })
    }

    fn failed(&self, how: &str, error: &io::Error) -> CaptureError {
        if is_interruption(error) {
            return CaptureError::Cancelled;
        }
        CaptureError::Source(format!("the Redis server at {} {how}: {error}", self.address))
    }

    fn refused(&self, answer: &str) -> CaptureError {
        let answer = answer.trim_start_matches('-');
        let hint = match answer.split_whitespace().next() {
            Some("NOAUTH") => "; give a password by REDISCLI_AUTH",
            Some("NOPERM") => "; its user needs the rights +sync and +replconf",
            Some("LOADING") => "; try again when it has loaded its data",
            _ => "",
        };
        CaptureError::Source(format!("the Redis server at {} refuses: {answer}{hint}", self.address))
    }
}
