//! What needs no engine: read whole, and a dump or a tarball once more by whoever understands it.

use std::io::{self, Read};

use icecore_engine::scratch::{Examined, Folder};
use icecore_engine::{PartEnd, PartStart, Sink, SinkError, StreamOptions, capture_stream};
use icecore_format::{Part, PartKind};
use icecore_store::{Monitor, SnapshotReader};

use super::failure::Failure;
use super::{Found, Job};
use crate::Error;
use crate::restore::{read_whole, whole_content};

impl Job<'_> {
    pub(super) fn read_all(&self) -> Result<Found, Failure> {
        match self.snapshot.info().form.as_str() {
            "pg_dump" | "pg_dumpall" | "mysqldump" | "tar" => self.read_dump(),
            _ => self.read_files(),
        }
    }

    fn read_files(&self) -> Result<Found, Failure> {
        let read = read_whole(self.store, self.snapshot, self.watch).map_err(Failure::during)?;
        let mut examined = Examined::default();
        examined.checks.push(("parts read and compared", read.parts));
        examined.unproved.push("what the files mean to whoever reads them was not tried".to_owned());
        Ok(Found { examined, ..Found::default() })
    }

    /// As a capture of the same bytes: it sees tables and rows, and whether the end is there.
    fn read_dump(&self) -> Result<Found, Failure> {
        let info = self.snapshot.info();
        let folder = Folder::make(&[]).map_err(Failure::before)?;
        let reader = SnapshotReader::new(self.store.clone(), self.snapshot.manifest.clone());
        self.watch.expect(info.logical_bytes);
        let bytes = whole_content(&reader, self.watch).map_err(Failure::during)?;
        let mut bytes = Told { bytes, error: None };
        let options = StreamOptions {
            what: info.source.clone(),
            scratch: folder.path().to_owned(),
            ..StreamOptions::default()
        };
        let mut counted = Counted { watch: self.watch, tables: 0, rows: 0, parts: 0 };
        let report = capture_stream(&mut bytes, &options, &mut counted);
        // What the store says of its own bytes is more than what was noticed of it.
        let report = match (report, bytes.error) {
            (_, Some(error)) => Err(Failure::during(error)),
            (report, None) => report.map_err(Failure::during),
        }?;
        let is_dump = report.form != "tar";
        let mut examined = Examined { tables: counted.tables, rows: counted.rows, ..Examined::default() };
        if report.form != info.form {
            examined.fault = Some(format!("it was captured as {}, and reads as {}", info.form, report.form));
        }
        examined.checks.push(("parts read", counted.parts));
        examined.checks.push(("end reached", 1));
        examined.unproved.push(match is_dump {
            true => "the dump was read to its end and is whole, but no server ran it".to_owned(),
            false => "what the files mean to whoever reads them was not tried".to_owned(),
        });
        Ok(Found { engine: None, examined, has_tables: is_dump, has_rows: is_dump })
    }
}

/// Remembers why it could not go on.
struct Told<R> {
    bytes: R,
    error: Option<Error>,
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(out).map_err(|error| match error.downcast::<Error>() {
            Ok(error) => {
                let said = io::Error::other(error.to_string());
                self.error = Some(error);
                said
            }
            Err(error) => error,
        })
    }
}

/// Counts what a capture would store.
struct Counted<'a> {
    watch: &'a dyn Monitor,
    tables: u64,
    rows: u64,
    parts: u64,
}

impl Sink for Counted<'_> {
    fn begin(&mut self, part: PartStart) -> Result<(), SinkError> {
        self.parts += 1;
        self.tables += u64::from(part.kind == PartKind::Table);
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>, SinkError> {
        Ok(io::copy(&mut reader.take(limit), &mut io::sink()))
    }

    fn reuse(&mut self, _: &Part) -> Result<bool, SinkError> {
        Ok(false)
    }

    fn end(&mut self, end: PartEnd) -> Result<(), SinkError> {
        self.rows += end.rows.unwrap_or_default();
        Ok(())
    }

    fn finding(&mut self, _: String) {}

    fn notice(&mut self, _: String) {}

    fn is_cancelled(&self) -> bool {
        self.watch.is_cancelled()
    }
}
