//! The protocol that MySQL and MariaDB speak: one command at a time, each one statement, answers as text.
//!
//! No second statement can hide in a first one, and no server can ask for a file: neither is among what we say that we can do.

mod answer;
mod fault;
mod greeting;
mod packet;
mod patient;
mod stream;
mod value;

use std::io;
use std::time::Duration;

use super::auth;
use crate::tls::{Connector, Mode, NoTls};
use fault::strange;
use greeting::{CAPABILITIES, Greeting, TLS, greet, hello};
use packet::Packets;
use stream::{CONNECT_MAX, Stream};
use value::until_zero;

pub(super) use answer::Answer;
pub(super) use fault::Fault;
pub(super) use stream::Place;
pub(super) use value::Value;

/// While we wait for a server, it is asked this often whether anybody wants to.
const PATIENCE: Duration = Duration::from_secs(1);
/// No server asks more often for something of a password.
const ROUNDS_MAX: usize = 8;

/// Who does not let us in in time does not do so later.
const GIVES_UP: fn() -> bool = || true;

/// A connection that the server has let in.
#[derive(Debug)]
pub(super) struct Wire {
    packets: Packets,
}

impl Wire {
    pub(super) fn open(place: &Place, user: &str, password: &str, tls: &Connector) -> Result<Self, Fault> {
        let stream = Stream::open(place)?;
        stream.patience(CONNECT_MAX)?;
        let mut wire = Self { packets: Packets::on(stream) };
        let greeting = wire.packets.receive(&GIVES_UP)?;
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
        wire.packets.stream.get_ref().patience(PATIENCE)?;
        Ok(wire)
    }

    /// The same connection, on which nobody else reads what is said from here on.
    fn encrypted(mut self, host: &str, tls: &Connector) -> Result<Self, Fault> {
        self.packets.send(&[], &hello(CAPABILITIES | TLS), &GIVES_UP)?;
        // What came before would be taken for something that came by TLS.
        if !self.packets.stream.buffer().is_empty() {
            return Err(strange("before it is asked").into());
        }
        let Stream::Tcp(socket) = self.packets.stream.into_inner() else {
            return Err(io::Error::other(NoTls).into());
        };
        let stream = Stream::Encrypted(Box::new(tls.secure(host, socket)?));
        let sequence = self.packets.sequence;
        Ok(Self { packets: Packets { sequence, ..Packets::on(stream) } })
    }

    fn log_in(&mut self, user: &str, password: &str, greeting: Greeting) -> Result<(), Fault> {
        let Greeting { mut plugin, mut scramble, .. } = greeting;
        let (is_private, more) = match self.packets.stream.get_ref() {
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
        self.packets.send(&[], &hello, &GIVES_UP)?;
        for _ in 0..ROUNDS_MAX {
            let packet = self.packets.receive(&GIVES_UP)?;
            match packet.split_first() {
                Some((0, _)) => return Ok(()),
                Some((0xfe, rest)) => {
                    let (name, data) = until_zero(rest);
                    plugin = String::from_utf8_lossy(name).into_owned();
                    scramble = data.strip_suffix(&[0]).unwrap_or(data).to_vec();
                    let proof = auth::proof(&plugin, password, &scramble).map_err(io::Error::other)?;
                    self.packets.send(&[], &proof, &GIVES_UP)?;
                }
                // The server knows the password by its hash.
                Some((1, [3])) => (),
                Some((1, [4])) if is_private => {
                    self.packets.send(&[], &[password.as_bytes(), &[0]].concat(), &GIVES_UP)?;
                }
                Some((1, [4])) => return Err(io::Error::other(auth::WANTS_TLS).into()),
                _ => break,
            }
        }
        Err(strange("of a password").into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::packet::packet;
    use super::*;

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
}
