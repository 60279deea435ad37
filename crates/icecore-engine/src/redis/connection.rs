//! Talking to a server: some commands, their one-line answers, and one long one.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{Address, Endpoint};
use crate::poll::PollReader;
use crate::tls::{Connector, Encrypted, Mode, REDIS};

/// How long an address may take to answer at all.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For how long a server may say nothing: while it makes an RDB it sends a line every ten seconds.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);
/// No answer but the long one is longer.
const BULK_LEN_MAX: u32 = 1 << 20;
/// No command that a replica sends has more words.
const WORDS_MAX: u32 = 64;
/// No answer but the long one has longer lines.
const LINE_LEN_MAX: usize = 4096;

/// An open connection.
pub(super) enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
    Encrypted(Box<Encrypted>),
}

impl Connection {
    pub(super) fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let (host, port) = match &endpoint.address {
            Address::Unix(path) => return UnixStream::connect(path).map(Self::Unix),
            Address::Tcp(host, port) => (host.as_str(), *port),
        };
        let mode = endpoint.mode();
        let connector = Connector::new(&endpoint.tls, mode, &REDIS).map_err(io::Error::other)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) if mode == Mode::Disable => return Ok(Self::Tcp(stream)),
                Ok(stream) => {
                    stream.set_read_timeout(Some(CONNECT_MAX))?;
                    let stream = connector.secure(host, stream)?;
                    stream.socket().set_read_timeout(None)?;
                    return Ok(Self::Encrypted(Box::new(stream)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends a command with its arguments.
    pub(super) fn send(&mut self, words: &[&str]) -> io::Result<()> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        match self {
            Self::Tcp(stream) => stream.write_all(command.as_bytes()),
            Self::Unix(stream) => stream.write_all(command.as_bytes()),
            Self::Encrypted(stream) => stream.write_all(command.as_bytes()).and_then(|()| stream.flush()),
        }
    }

    /// What the server sends. The wait for it ends when the user wants to stop, or when it has said nothing for a minute.
    pub(super) fn reader<'a>(&'a mut self, is_cancelled: &'a dyn Fn() -> bool) -> Box<dyn Read + 'a> {
        match self {
            Self::Tcp(stream) => Box::new(PollReader::of_peer((*stream).as_fd(), SILENCE_MAX, is_cancelled)),
            Self::Unix(stream) => Box::new(PollReader::of_peer((*stream).as_fd(), SILENCE_MAX, is_cancelled)),
            Self::Encrypted(stream) => {
                Box::new(stream.reader(|below| PollReader::of_peer(below, SILENCE_MAX, is_cancelled)))
            }
        }
    }
}

/// The next line without its end; none at the end of the connection. What comes after it is not touched.
pub(super) fn read_line(reader: &mut dyn Read) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if reader.read(&mut byte)? == 0 {
            return Ok(None);
        }
        match byte {
            [b'\n'] => return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())),
            [byte] if line.len() < LINE_LEN_MAX => line.push(byte),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "that is no answer of Redis")),
        }
    }
}

/// A text with its length before it, or the error in its place.
pub(super) fn read_bulk(reader: &mut dyn Read) -> io::Result<Result<String, String>> {
    let head = read_line(reader)?.unwrap_or_else(|| "-it closed the connection".to_owned());
    let Some(len) = head.strip_prefix('$') else { return Ok(Err(head)) };
    // A text that is not there has a length below zero.
    let Ok(len) = len.parse::<u32>() else { return Ok(Ok(String::new())) };
    if len > BULK_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer is too long"));
    }
    let mut text = vec![0; len as usize + 2];
    reader.read_exact(&mut text)?;
    text.truncate(len as usize);
    Ok(Ok(String::from_utf8_lossy(&text).into_owned()))
}

/// A command as a server gets it: words with their lengths, or one line. No word at the end of the connection.
pub(super) fn read_words(reader: &mut dyn Read) -> io::Result<Vec<String>> {
    let Some(line) = read_line(reader)? else { return Ok(Vec::new()) };
    let Some(count) = line.strip_prefix('*') else {
        return Ok(line.split_whitespace().map(str::to_owned).collect());
    };
    let count = count.parse::<u32>().ok().filter(|count| *count <= WORDS_MAX);
    let count = count.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no command"))?;
    (0..count)
        .map(|_| read_bulk(reader)?.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what)))
        .collect()
}
