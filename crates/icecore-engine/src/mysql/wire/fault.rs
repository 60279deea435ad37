//! What goes wrong between us and a server.

use std::io;

/// What went wrong: what the server says, with its number, or the connection.
#[derive(Debug)]
pub(in crate::mysql) enum Fault {
    Server { code: u16, message: String },
    Connection(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// What a server complains of in a packet.
pub(super) fn complaint(rest: &[u8]) -> Fault {
    let (code, message) =
        rest.split_first_chunk().map_or((0, rest), |(code, rest)| (u16::from_le_bytes(*code), rest));
    // A state of five letters comes before the message, but for connections that are not let in.
    let message = if message.first() == Some(&b'#') { message.get(6..).unwrap_or_default() } else { message };
    Fault::Server { code, message: String::from_utf8_lossy(message).into_owned() }
}

/// A server does what none does.
pub(super) fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server asks, or says something, {what}"))
}
