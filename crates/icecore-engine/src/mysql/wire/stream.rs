//! Sockets to servers, plain or by TLS.

use std::io::{self, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::tls::Encrypted;

/// How long an address may take to answer at all.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mysql) enum Place {
    Socket(PathBuf),
    Tcp(String, u16),
}

/// The socket to a server.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Encrypted(Box<Encrypted>),
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(out),
            Self::Unix(stream) => stream.read(out),
            Self::Encrypted(stream) => stream.read(out),
        }
    }
}

impl Stream {
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let (host, port) = match place {
            Place::Socket(path) => return UnixStream::connect(path).map(Self::Unix),
            Place::Tcp(host, port) => (host.as_str(), *port),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self::Tcp(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// How long to wait at a time.
    pub(super) fn patience(&self, patience: Duration) -> io::Result<()> {
        let socket = match self {
            Self::Tcp(stream) => stream,
            Self::Encrypted(stream) => stream.socket(),
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(patience))?;
                return stream.set_write_timeout(Some(patience));
            }
        };
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    /// What TLS keeps back. The others keep nothing.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}
