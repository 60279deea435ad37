//! TLS on a connection of our own, which waits where it is read and written.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

use super::Connector;

/// A connection that is private.
#[derive(Debug)]
pub(crate) struct Encrypted(StreamOwned<ClientConnection, TcpStream>);

impl Connector {
    /// Makes a connection private, with a server of this name. It takes as long as the socket's time limits let it.
    pub(crate) fn secure(&self, host: &str, mut socket: TcpStream) -> io::Result<Encrypted> {
        let (config, name) = self.with(host)?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => {
                    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer")
                }
                _ => error,
            })?;
        }
        Ok(Encrypted(StreamOwned::new(connection, socket)))
    }
}

impl Encrypted {
    /// The socket below it, for its addresses and time limits.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.0.sock
    }
}

impl Read for Encrypted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
