//! An RDB in order, in its parts: what is said about it, each database, and the end.

use icecore_dump::rdb::{Place, Within};
use icecore_format::PartKind;

use super::CHECKSUM;
use super::run::Rank;
use crate::{CaptureError, Grain, PartEnd, PartStart, Sink};

const BUFFER_LEN: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Header,
    Database(u32),
    Trailer,
}

/// Where the pieces go, in order.
pub(super) struct Output<'a> {
    sink: &'a mut dyn Sink,
    section: Option<Section>,
    place: Place,
    buffer: Vec<u8>,
    /// The end marker and the checksum as they came.
    end: Vec<u8>,
    checksum: crc::Digest<'static, u64, crc::Table<16>>,
    keys: u64,
    /// How many bytes have come.
    pub(super) bytes: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self {
            sink,
            section: None,
            place: Place::Head,
            buffer: Vec::with_capacity(BUFFER_LEN),
            end: Vec::new(),
            checksum: CHECKSUM.digest(),
            keys: 0,
            bytes: 0,
        }
    }

    /// A piece begins.
    pub(super) fn begin(&mut self, rank: &Rank) -> Result<(), CaptureError> {
        self.place = rank.place;
        let section = match rank.place {
            Place::Head | Place::Function => Section::Header,
            Place::Database(number, _) => Section::Database(number),
            Place::Tail | Place::End => Section::Trailer,
        };
        if self.section != Some(section) {
            self.end_part()?;
            let (name, kind) = match section {
                Section::Header => ("header".to_owned(), PartKind::Data),
                Section::Database(number) => (format!("db{number}"), PartKind::Table),
                Section::Trailer => ("trailer".to_owned(), PartKind::Data),
            };
            self.sink.check_cancelled()?;
            let name = name.into_bytes();
            self.sink.begin(PartStart { name, kind, grain: Grain::Byte, own_chunks: true })?;
            self.section = Some(section);
        }
        if matches!(rank.place, Place::Database(_, Within::Record)) && rank.element.is_empty() {
            self.keys += 1;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.bytes += bytes.len() as u64;
        if self.place == Place::End {
            self.end.extend_from_slice(bytes);
            return Ok(());
        }
        if self.buffer.len() + bytes.len() > BUFFER_LEN {
            self.flush()?;
        }
        if bytes.len() > BUFFER_LEN {
            self.checksum.update(bytes);
            self.sink.write(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CaptureError> {
        if !self.buffer.is_empty() {
            self.sink.check_cancelled()?;
            self.checksum.update(&self.buffer);
            self.sink.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), CaptureError> {
        self.flush()?;
        if let Some(section) = self.section.take() {
            let rows = matches!(section, Section::Database(_)).then_some(self.keys);
            self.sink.end(PartEnd { rows, file: None })?;
        }
        self.keys = 0;
        Ok(())
    }

    /// Writes the end, with the checksum of what came before it if there was one, and what follows it.
    pub(super) fn finish(mut self, follows: &[u8]) -> Result<u64, CaptureError> {
        self.flush()?;
        if let Some((marker, checksum)) = self.end.split_first_mut() {
            self.checksum.update(&[*marker]);
            if checksum.len() == 8 && checksum.iter().any(|byte| *byte != 0) {
                checksum.copy_from_slice(&self.checksum.clone().finalize().to_le_bytes());
            }
        }
        self.sink.write(&[&self.end, follows].concat())?;
        self.end_part()?;
        Ok(self.bytes + follows.len() as u64)
    }
}
