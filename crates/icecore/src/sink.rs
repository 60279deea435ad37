//! A capture's bytes into a snapshot.

use std::io::{self, Read};
use std::sync::Arc;

use icecore_engine::{PartEnd, PartStart, Sink, SinkError};
use icecore_format::Part;
use icecore_store::{Monitor, SnapshotWriter, TreeReader};

/// Drives a [`SnapshotWriter`] as the sink of an engine.
pub(crate) struct SnapshotSink<'a> {
    pub(crate) writer: SnapshotWriter,
    /// The parent's content, walked along with the capture.
    pub(crate) parent: Option<TreeReader<'a>>,
    pub(crate) monitor: Arc<dyn Monitor>,
    pub(crate) findings: Vec<String>,
}

impl Sink for SnapshotSink<'_> {
    fn begin(&mut self, part: PartStart) -> Result<(), SinkError> {
        Ok(self.writer.begin_part(&part.name, part.kind, part.grain, part.own_chunks)?)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        Ok(self.writer.write(bytes)?)
    }

    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>, SinkError> {
        Ok(self.writer.copy(reader, limit)?)
    }

    fn reuse(&mut self, part: &Part) -> Result<bool, SinkError> {
        let Some(parent) = &mut self.parent else { return Ok(false) };
        Ok(self.writer.reuse(parent, part)?)
    }

    fn end(&mut self, end: PartEnd) -> Result<(), SinkError> {
        Ok(self.writer.end_part(end.rows, end.file)?)
    }

    fn finding(&mut self, sentence: String) {
        self.writer.add_finding(sentence.clone());
        self.findings.push(sentence);
    }

    fn notice(&mut self, sentence: String) {
        self.monitor.notice(&sentence);
    }

    fn is_cancelled(&self) -> bool {
        self.monitor.is_cancelled()
    }
}
