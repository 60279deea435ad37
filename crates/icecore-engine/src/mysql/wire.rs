//! Packets of the protocol that MySQL and MariaDB speak: one command at a time, each one statement, answers as text.
//!
//! No second statement can hide in a first one, and no server can ask for a file: neither is among what we say that we can do.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::auth;
use crate::tls::{Connector, Encrypted, Mode, NoTls};

/// How long an address may take to answer at all.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// While we wait for a server, it is asked this often whether anybody wants to.
const PATIENCE: Duration = Duration::from_secs(1);
/// No answer takes more memory, with all its rows.
const ANSWER_LEN_MAX: usize = 1 << 28;
/// What an empty row takes.
const ROW_LEN: usize = 64;
/// And a value in it.
const VALUE_LEN: usize = 40;
/// No answer has more columns.
const COLUMNS_MAX: usize = 4096;
/// A packet that is as long as can be is continued by the next one.
const PACKET_LEN_MAX: usize = 0xff_ffff;
/// No server asks more often for something of a password.
const ROUNDS_MAX: usize = 8;
/// Long passwords and flags, protocol 4.1, transactions, passwords by plugins, of any length.
const CAPABILITIES: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x8_0000 | 0x20_0000;
/// `utf8mb4_general_ci`, which every server knows.
const CHARSET: u8 = 45;
const PLUGIN_AUTH: u32 = 0x8_0000;
/// That the server, or we, go on by TLS.
const TLS: u32 = 0x800;
/// So much of a packet is sent with its head: neither a segment nor a record of TLS is to have some bytes alone.
const FIRST_LEN: usize = 1 << 14;
const COM_QUERY: u8 = 3;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Socket(PathBuf),
    Tcp(String, u16),
}

/// What went wrong: what the server says, with its number, or the connection.
#[derive(Debug)]
pub(super) enum Fault {
    Server { code: u16, message: String },
    Connection(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// A value; `None` for null.
pub(super) type Value = Option<Vec<u8>>;

/// What came of a statement.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Rows that it changed.
    pub(super) affected: u64,
    /// Rows that it found.
    pub(super) rows: Vec<Vec<Value>>,
}

#[derive(Debug)]
enum Stream {
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
    fn open(place: &Place) -> io::Result<Self> {
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

    fn patience(&self, patience: Duration) -> io::Result<()> {
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

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    /// What TLS keeps back. The others keep nothing.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// A connection on which we wait for as long as somebody wants to.
struct Patient<'a> {
    stream: &'a mut BufReader<Stream>,
    is_cancelled: &'a dyn Fn() -> bool,
}

impl Patient<'_> {
    fn wait<T>(&mut self, mut step: impl FnMut(&mut BufReader<Stream>) -> io::Result<T>) -> io::Result<T> {
        loop {
            match step(self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match (self.is_cancelled)() {
                    true => return Err(io::Error::other("the server does not answer")),
                    false => continue,
                },
                done => return done,
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.wait(|stream| stream.read(out))
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|stream| stream.get_mut().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait(|stream| stream.get_mut().flush())
    }
}

/// Who does not let us in in time does not do so later.
const GIVES_UP: fn() -> bool = || true;

/// A connection that the server has let in.
#[derive(Debug)]
pub(super) struct Wire {
    stream: BufReader<Stream>,
    sequence: u8,
}

impl Wire {
    pub(super) fn open(place: &Place, user: &str, password: &str, tls: &Connector) -> Result<Self, Fault> {
        let stream = Stream::open(place)?;
        stream.patience(CONNECT_MAX)?;
        let mut wire = Self { stream: BufReader::new(stream), sequence: 0 };
        let greeting = wire.receive(&GIVES_UP)?;
        let greeting = greet(&greeting)?;
        if let Place::Tcp(host, _) = place {
            let is_spoken = greeting.capabilities & TLS != 0;
            match tls.mode {
                Mode::Disable => (),
                Mode::Prefer if !is_spoken => (),
                _ if !is_spoken => return Err(io::Error::other(NoTls).into()),
                _ => wire = wire.encrypted(host, tls)?,
            }
        }
        wire.log_in(user, password, greeting)?;
        wire.stream.get_ref().patience(PATIENCE)?;
        Ok(wire)
    }

    /// The same connection, on which nobody else reads what is said from here on.
    fn encrypted(mut self, host: &str, tls: &Connector) -> Result<Self, Fault> {
        self.send(&[], &hello(CAPABILITIES | TLS), &GIVES_UP)?;
        // What came before would be taken for something that came by TLS.
        if !self.stream.buffer().is_empty() {
            return Err(strange("before it is asked").into());
        }
        let Stream::Tcp(socket) = self.stream.into_inner() else {
            return Err(io::Error::other(NoTls).into());
        };
        let stream = Stream::Encrypted(Box::new(tls.secure(host, socket)?));
        Ok(Self { stream: BufReader::new(stream), sequence: self.sequence })
    }

    fn log_in(&mut self, user: &str, password: &str, greeting: Greeting) -> Result<(), Fault> {
        let Greeting { mut plugin, mut scramble, .. } = greeting;
        let (is_private, more) = match self.stream.get_ref() {
            Stream::Encrypted(_) => (true, TLS),
            Stream::Unix(_) => (true, 0),
            Stream::Tcp(_) => (false, 0),
        };
        let mut hello = hello(CAPABILITIES | more);
        hello.extend_from_slice(user.as_bytes());
        hello.push(0);
        let proof = auth::proof(&plugin, password, &scramble).unwrap_or_default();
        hello.push(u8::try_from(proof.len()).unwrap_or(0));
        hello.extend_from_slice(&proof);
        hello.extend_from_slice(plugin.as_bytes());
        hello.push(0);
        self.send(&[], &hello, &GIVES_UP)?;
        for _ in 0..ROUNDS_MAX {
            let packet = self.receive(&GIVES_UP)?;
            match packet.split_first() {
                Some((0, _)) => return Ok(()),
                Some((0xfe, rest)) => {
                    let (name, data) = until_zero(rest);
                    plugin = String::from_utf8_lossy(name).into_owned();
                    scramble = data.strip_suffix(&[0]).unwrap_or(data).to_vec();
                    let proof = auth::proof(&plugin, password, &scramble).map_err(io::Error::other)?;
                    self.send(&[], &proof, &GIVES_UP)?;
                }
                // The server knows the password by its hash.
                Some((1, [3])) => (),
                Some((1, [4])) if is_private => {
                    self.send(&[], &[password.as_bytes(), &[0]].concat(), &GIVES_UP)?;
                }
                Some((1, [4])) => return Err(io::Error::other(auth::WANTS_TLS).into()),
                _ => break,
            }
        }
        Err(strange("of a password").into())
    }

    /// Sends one statement, and reads all of its answer, however long it takes, unless nobody wants to wait any more.
    pub(super) fn query(
        &mut self,
        statement: &[u8],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer, Fault> {
        self.sequence = 0;
        self.send(&[COM_QUERY], statement, is_cancelled)?;
        let packet = self.receive(is_cancelled)?;
        let mut rest = packet.as_slice();
        match packet.first() {
            Some(0) => {
                rest = rest.get(1..).unwrap_or_default();
                return Ok(Answer { affected: number(&mut rest)?, rows: Vec::new() });
            }
            Some(0xfb) => return Err(strange("for a file").into()),
            _ => (),
        }
        let columns = number(&mut rest)?;
        let columns = usize::try_from(columns).ok().filter(|columns| *columns <= COLUMNS_MAX);
        let columns = columns.ok_or_else(|| strange("of more columns than there can be"))?;
        // What they are called was asked for.
        for _ in 0..columns {
            self.receive(is_cancelled)?;
        }
        self.receive(is_cancelled)?;
        let (mut rows, mut len) = (Vec::new(), 0);
        loop {
            let packet = self.receive(is_cancelled)?;
            if packet.first() == Some(&0xfe) && packet.len() < 9 {
                return Ok(Answer { affected: 0, rows });
            }
            len += packet.len() + ROW_LEN + VALUE_LEN * columns;
            if len > ANSWER_LEN_MAX {
                return Err(io::Error::other("the answer of the server is too long").into());
            }
            let mut rest = packet.as_slice();
            let row = (0..columns).map(|_| value(&mut rest)).collect::<io::Result<Vec<Value>>>()?;
            rows.push(row);
        }
    }

    /// The next packet, unless it is an error.
    fn receive(&mut self, is_cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, Fault> {
        let mut packet = Vec::new();
        loop {
            let mut head = [0; 4];
            let mut stream = Patient { stream: &mut self.stream, is_cancelled };
            stream.read_exact(&mut head)?;
            let [a, b, c, sequence] = head;
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            if packet.len() + len > ANSWER_LEN_MAX {
                return Err(io::Error::other("the answer of the server is too long").into());
            }
            self.sequence = sequence.wrapping_add(1);
            let read = stream.take(len as u64).read_to_end(&mut packet)?;
            if read < len {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if len < PACKET_LEN_MAX {
                break;
            }
        }
        match packet.split_first() {
            Some((0xff, rest)) => Err(complaint(rest)),
            _ => Ok(packet),
        }
    }

    /// `first` is one byte at most, as if it were the first of the payload.
    fn send(&mut self, first: &[u8], payload: &[u8], is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
        let (mut first, mut rest) = (first, payload);
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PACKET_LEN_MAX - first.len()));
            let len = first.len() + piece.len();
            let [a, b, c, _] = u32::try_from(len).unwrap_or(0).to_le_bytes();
            let (with_head, piece) = piece.split_at(piece.len().min(FIRST_LEN));
            let head = [&[a, b, c, self.sequence], first, with_head].concat();
            self.sequence = self.sequence.wrapping_add(1);
            let mut stream = Patient { stream: &mut self.stream, is_cancelled };
            stream.write_all(&head)?;
            stream.write_all(piece)?;
            (first, rest) = (&[], after);
            if len < PACKET_LEN_MAX {
                return stream.flush();
            }
        }
    }
}

/// What a server says first.
#[derive(Debug)]
struct Greeting {
    capabilities: u32,
    /// How it wants a password.
    plugin: String,
    /// And with what to mix it.
    scramble: Vec<u8>,
}

/// What we say first, as far as anybody may read it.
fn hello(capabilities: u32) -> Vec<u8> {
    let mut hello = capabilities.to_le_bytes().to_vec();
    hello.extend_from_slice(&(1_u32 << 30).to_le_bytes());
    hello.push(CHARSET);
    hello.extend_from_slice(&[0; 23]);
    hello
}

fn greet(packet: &[u8]) -> Result<Greeting, Fault> {
    let unknown = || strange("of a version that is not known here");
    let rest = packet.strip_prefix(&[10]).ok_or_else(unknown)?;
    let (_, rest) = until_zero(rest);
    // The number of the connection, the first half of the scramble, and a zero.
    let (half, rest) = rest.get(4..).and_then(|rest| rest.split_at_checked(8)).ok_or_else(unknown)?;
    let mut scramble = half.to_vec();
    let (facts, rest) = rest.get(1..).and_then(|rest| rest.split_at_checked(8)).ok_or_else(unknown)?;
    let [low0, low1, _, _, _, high0, high1, len] = *facts else { return Err(unknown().into()) };
    let capabilities = u32::from_le_bytes([low0, low1, high0, high1]);
    let len = usize::from(len).saturating_sub(8).max(13);
    let rest = rest.get(10..).unwrap_or_default();
    let (second, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
    scramble.extend_from_slice(second.strip_suffix(&[0]).unwrap_or(second));
    let plugin = match capabilities & PLUGIN_AUTH {
        0 => auth::NATIVE.to_owned(),
        _ => String::from_utf8_lossy(until_zero(rest).0).into_owned(),
    };
    Ok(Greeting { capabilities, plugin, scramble })
}

fn complaint(rest: &[u8]) -> Fault {
    let (code, message) =
        rest.split_first_chunk().map_or((0, rest), |(code, rest)| (u16::from_le_bytes(*code), rest));
    // A state of five letters comes before the message, but for connections that are not let in.
    let message = if message.first() == Some(&b'#') { message.get(6..).unwrap_or_default() } else { message };
    Fault::Server { code, message: String::from_utf8_lossy(message).into_owned() }
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server asks, or says something, {what}"))
}

fn until_zero(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default())
}

/// A number of variable length.
fn number(rest: &mut &[u8]) -> io::Result<u64> {
    let cut = || strange("that is cut off");
    let (first, after) = rest.split_first().ok_or_else(cut)?;
    let len = match first {
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => {
            *rest = after;
            return Ok(u64::from(*first));
        }
    };
    let (bytes, after) = after.split_at_checked(len).ok_or_else(cut)?;
    *rest = after;
    Ok(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

fn value(rest: &mut &[u8]) -> io::Result<Value> {
    if let Some(after) = rest.strip_prefix(&[0xfb]) {
        *rest = after;
        return Ok(None);
    }
    let len = usize::try_from(number(rest)?).unwrap_or(usize::MAX);
    let (bytes, after) = rest.split_at_checked(len).ok_or_else(|| strange("that is cut off"))?;
    *rest = after;
    Ok(Some(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_that_are_cut_off_anywhere_are_errors_or_less_than_they_were() {
        let mut greeting = vec![10];
        greeting.extend_from_slice(b"8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\xdf\x15");
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        let said = greet(&greeting).unwrap();
        assert_eq!(
            (said.plugin.as_str(), said.scramble.as_slice()),
            ("caching_sha2_password", &b"abcdefghijklmnopqrst"[..])
        );
        assert_eq!(said.capabilities, 0xdfff_f7ff);
        for len in 0..greeting.len() {
            let _ = greet(&greeting[..len]);
        }
    }

    #[test]
    fn what_comes_before_tls_is_not_taken_for_what_comes_by_it() {
        use std::net::TcpListener;

        use crate::tls::{MYSQL, Settings};

        let mut greeting = b"\x0a8\0\x01\0\0\0abcdefgh\0\xff\xff\x2d\x02\0\xff\xff\x15".to_vec();
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        // The second packet says that we are let in.
        for (more, why) in [(packet(&[0, 0, 0]), "before it is asked"), (Vec::new(), "corrupt")] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let place = Place::Tcp("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
            let says = [packet(&greeting), more].concat();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(&says).unwrap();
                let mut asked = [0; 36];
                stream.read_exact(&mut asked).unwrap();
                let _ = stream.write_all(b"no TLS at all");
                let _ = io::copy(&mut stream, &mut io::sink());
            });
            let tls = Connector::new(&Settings::default(), Mode::Require, &MYSQL).unwrap();
            let Err(Fault::Connection(error)) = Wire::open(&place, "me", "hush", &tls) else {
                panic!("we are let in")
            };
            assert!(error.to_string().contains(why), "{error}");
            server.join().unwrap();
        }
    }

    /// A connection to somebody who says this, whatever we say.
    fn wire(says: &[u8]) -> (Wire, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(says).unwrap();
        let stream = Stream::Unix(ours);
        stream.patience(Duration::from_millis(10)).unwrap();
        (Wire { stream: BufReader::new(stream), sequence: 0 }, theirs)
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
        [&[a, b, c, 1], payload].concat()
    }

    #[test]
    fn answers_take_no_more_memory_than_they_may_however_small_their_rows() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut wire = Wire { stream: BufReader::new(Stream::Unix(ours)), sequence: 0 };
        let server = std::thread::spawn(move || {
            let mut out = io::BufWriter::new(&theirs);
            let mut sent = 0;
            let begun = out.write_all(&[packet(&[1]), packet(b"x"), packet(&[0xfe])].concat());
            let mut next = begun;
            while next.is_ok() && sent < 10_000_000 {
                next = out.write_all(&packet(&[0xfb]));
                sent += 1;
            }
            sent
        });
        let Err(Fault::Connection(error)) = wire.query(b"x", &|| false) else { panic!("it is too long") };
        assert!(error.to_string().contains("too long"), "{error}");
        drop(wire);
        assert!(server.join().unwrap() < 4_000_000);
    }

    #[test]
    fn an_answer_of_endless_columns_is_refused() {
        let (mut wire, _theirs) = wire(&packet(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"));
        assert!(
            matches!(wire.query(b"x", &|| false), Err(Fault::Connection(error)) if error.to_string().contains("columns"))
        );
    }

    #[test]
    fn who_waits_for_a_server_can_stop_to_and_loses_nothing_before() {
        let (mut wire, theirs) = wire(&packet(&[0, 7])[..5]);
        let asked = std::cell::Cell::new(0);
        let is_cancelled = || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 {
                (&theirs).write_all(&[7]).unwrap();
            }
            false
        };
        assert_eq!(wire.query(b"x", &is_cancelled).unwrap().affected, 7);
        assert_eq!(asked.get(), 3);
        assert!(wire.query(b"x", &|| true).is_err());
    }

    #[test]
    fn values_end_with_their_packet() {
        let mut rest = &b"\x03abc\xfb\xfc\x02\x00de\x05ab"[..];
        assert_eq!(value(&mut rest).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(value(&mut rest).unwrap(), None);
        assert_eq!(value(&mut rest).unwrap(), Some(b"de".to_vec()));
        assert!(value(&mut rest).is_err());
        assert!(value(&mut &b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"[..]).is_err());
    }
}
