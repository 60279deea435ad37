//! Reading all parts as a restore does, and giving them to nobody.

use std::io::Read;
use std::sync::Arc;

use icecore_engine::{RestoreError, Target};
use icecore_format::Part;
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store};

use super::deliver::Progress;
use super::part_reader::Reader;
use super::{Restored, blame};
use crate::Result;

/// Reads all parts, each held to its length and hash.
pub(crate) fn read_whole(store: &Arc<Store>, snapshot: &Snapshot, monitor: &dyn Monitor) -> Result<Restored> {
    let mut part = None;
    let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
    monitor.expect(snapshot.info().logical_bytes);
    let mut progress = Progress::new(&reader, monitor, Restored::default(), &mut part);
    let read = progress.all(&mut Nowhere);
    let restored = progress.restored;
    read.map(|()| restored).map_err(|error| blame(store, snapshot, part, error))
}

/// The snapshot's content as a stream, of which every chunk is checked as it comes.
pub(crate) fn whole_content<'a>(
    reader: &'a SnapshotReader,
    monitor: &'a dyn Monitor,
) -> Result<impl Read + 'a> {
    Reader::of(reader, 0, reader.manifest().content.len(), monitor)
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl Target for Nowhere {
    fn begin(&mut self, _: &Part) -> std::result::Result<(), RestoreError> {
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> std::result::Result<(), RestoreError> {
        Ok(())
    }

    fn existing(&mut self, _: usize) -> std::result::Result<Option<Vec<u8>>, RestoreError> {
        Ok(None)
    }

    fn keep(&mut self, _: usize) -> std::result::Result<(), RestoreError> {
        Ok(())
    }

    fn end(&mut self) -> std::result::Result<(), RestoreError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> std::result::Result<(), RestoreError> {
        Ok(())
    }
}
