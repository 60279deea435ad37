//! A server that lets us in: commands, and what goes wrong with them.

use std::collections::BTreeMap;
use std::io;

use super::connection::{Connection, read_bulk, read_line};
use super::{Address, Endpoint};
use crate::CaptureError;
use crate::poll::is_interruption;
use crate::tls::{REDIS, explain};

/// A connection on which the server knows us.
pub(super) struct Server<'a> {
    pub(super) address: &'a Address,
    pub(super) connection: Connection,
    is_cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Server<'a> {
    /// Connects and says who we are.
    pub(super) fn greet(
        endpoint: &'a Endpoint,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Self, CaptureError> {
        let address = &endpoint.address;
        let connection =
            Connection::open(endpoint).map_err(|error| failed(address, "cannot be reached", &error))?;
        let mut server = Self { address, connection, is_cancelled };
        if let Some(password) = &endpoint.password {
            let user = endpoint.user.as_deref();
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect();
            server.ask(&words)?.map_err(|answer| server.refused(&answer))?;
        } else if endpoint.user.is_some() {
            return Err(CaptureError::Source(format!(
                "the user for the Redis server at {address} has no password: set REDISCLI_AUTH"
            )));
        }
        Ok(server)
    }

    /// Sends a command and waits for its answer of one line, which may be that the server does not want to.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Result<String, String>, CaptureError> {
        self.send(words)?;
        let answer = read_line(&mut self.connection.reader(self.is_cancelled));
        // A server that expects TLS, and hears something else, does one of both.
        let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Err(error) if !is_closed(&error) => return Err(self.failed("does not answer", &error)),
            Ok(None) | Err(_) => {
                let (address, hint) = (self.address, self.hint());
                return Err(CaptureError::Source(format!(
                    "the Redis server at {address} closes the connection{hint}"
                )));
            }
        };
        Ok(if answer.starts_with('-') { Err(answer) } else { Ok(answer) })
    }

    /// The same, of a command that the server must obey.
    pub(super) fn demand(&mut self, words: &[&str]) -> Result<String, CaptureError> {
        let answer = self.ask(words)?;
        answer.map_err(|answer| self.refused(&answer))
    }

    pub(super) fn send(&mut self, words: &[&str]) -> Result<(), CaptureError> {
        self.connection.send(words).map_err(|error| self.failed("does not listen", &error))
    }

    /// A section of what the server says of itself.
    pub(super) fn info(&mut self, section: &str) -> Result<BTreeMap<String, String>, CaptureError> {
        self.send(&["INFO", section])?;
        let text = read_bulk(&mut self.connection.reader(self.is_cancelled));
        let text = text.map_err(|error| self.failed("does not answer", &error))?;
        let text = text.map_err(|answer| self.refused(&answer))?;
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// A setting; `None` if it is not known, or not told to us.
    pub(super) fn setting(&mut self, name: &str) -> Result<Option<String>, CaptureError> {
        self.send(&["CONFIG", "GET", name])?;
        let mut reader = self.connection.reader(self.is_cancelled);
        let failed = |error: io::Error| failed(self.address, "does not answer", &error);
        match read_line(&mut reader).map_err(failed)?.as_deref() {
            Some("*2") => {
                let _ = read_bulk(&mut reader).map_err(failed)?;
                Ok(read_bulk(&mut reader).map_err(failed)?.ok())
            }
            _ => Ok(None),
        }
    }

    fn hint(&self) -> &'static str {
        match self.connection {
            Connection::Tcp(_) => "; if it speaks TLS at this port, say rediss://",
            Connection::Unix(_) | Connection::Encrypted(_) => "",
        }
    }

    pub(super) fn failed(&self, how: &str, error: &io::Error) -> CaptureError {
        failed(self.address, how, error)
    }

    pub(super) fn refused(&self, answer: &str) -> CaptureError {
        refused(self.address, answer)
    }
}

/// What the server does not want to do, and what may help.
pub(super) fn refused(address: &Address, answer: &str) -> CaptureError {
    let answer = answer.trim_start_matches('-');
    let hint = match answer.split_whitespace().next() {
        Some("NOAUTH") => "; give a password by REDISCLI_AUTH",
        Some("NOPERM") => {
            "; its user needs the rights +sync and +replconf, and for a restore +replicaof, +info, +config and +bgsave"
        }
        Some("LOADING") => "; try again when it has loaded its data",
        _ => "",
    };
    CaptureError::Source(format!("the Redis server at {address} refuses: {answer}{hint}"))
}

/// What went wrong with the connection.
pub(super) fn failed(address: &Address, how: &str, error: &io::Error) -> CaptureError {
    if is_interruption(error) {
        return CaptureError::Cancelled;
    }
    CaptureError::Source(match explain(error, &REDIS) {
        Some(why) => format!("the Redis server at {address} {how}: {why}"),
        None => format!("the Redis server at {address} {how}: {error}"),
    })
}
