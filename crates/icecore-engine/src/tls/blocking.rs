//! TLS on a connection of our own, which waits where it is read and written.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustls::{ClientConnection, StreamOwned};

use super::Connector;
use crate::poll::PollReader;

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
                    io::Error::new(io::ErrorKind::TimedOut, "nothing answers; is TLS spoken at this port?")
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

    /// What comes, by somebody who knows how to wait for the bytes below it.
    pub(crate) fn reader<'a>(
        &'a mut self,
        wait: impl FnOnce(BorrowedFd<'a>) -> PollReader<'a>,
    ) -> EncryptedReader<'a> {
        let StreamOwned { conn, sock } = &mut self.0;
        let sock: &TcpStream = sock;
        EncryptedReader { connection: conn, below: Below { read: wait(sock.as_fd()), write: sock } }
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

/// Reads a private connection.
#[derive(Debug)]
pub(crate) struct EncryptedReader<'a> {
    connection: &'a mut ClientConnection,
    below: Below<'a>,
}

#[derive(Debug)]
struct Below<'a> {
    read: PollReader<'a>,
    write: &'a TcpStream,
}

impl Read for EncryptedReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match rustls::Stream::new(self.connection, &mut self.below).read(out) {
            // Whoever reads knows how much must come.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

impl Read for Below<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read.read(out)
    }
}

impl Write for Below<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
