//! What comes of a statement.

use std::io;

use super::Wire;
use super::fault::{Fault, strange};
use super::packet::ANSWER_LEN_MAX;
use super::value::{Value, number, value};

/// What an empty row takes.
const ROW_LEN: usize = 64;
/// And a value in it.
const VALUE_LEN: usize = 40;
/// No answer has more columns.
const COLUMNS_MAX: usize = 4096;
const COM_QUERY: u8 = 3;

/// What came of a statement.
#[derive(Debug, Default)]
pub(in crate::mysql) struct Answer {
    /// Rows that it changed.
    pub(in crate::mysql) affected: u64,
    /// Rows that it found.
    pub(in crate::mysql) rows: Vec<Vec<Value>>,
}

impl Wire {
    /// Sends one statement, and reads all of its answer, however long it takes, unless nobody wants to wait any more.
    pub(in crate::mysql) fn query(
        &mut self,
        statement: &[u8],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer, Fault> {
        self.packets.sequence = 0;
        self.packets.send(&[COM_QUERY], statement, is_cancelled)?;
        let packet = self.packets.receive(is_cancelled)?;
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
            self.packets.receive(is_cancelled)?;
        }
        self.packets.receive(is_cancelled)?;
        let (mut rows, mut len) = (Vec::new(), 0);
        loop {
            let packet = self.packets.receive(is_cancelled)?;
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
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::super::packet::{Packets, packet};
    use super::super::stream::Stream;
    use super::*;

    /// A connection to somebody who says this, whatever we say.
    fn wire(says: &[u8]) -> (Wire, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(says).unwrap();
        let stream = Stream::Unix(ours);
        stream.patience(Duration::from_millis(10)).unwrap();
        (Wire { packets: Packets::on(stream) }, theirs)
    }

    #[test]
    fn answers_take_no_more_memory_than_they_may_however_small_their_rows() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut wire = Wire { packets: Packets::on(Stream::Unix(ours)) };
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
}
