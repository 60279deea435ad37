//! A sink that remembers everything, for tests.

use std::io::{self, Read};

use icecore_format::Part;

use crate::{PartEnd, PartStart, Sink, SinkError};

/// One part as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) start: PartStart,
    pub(crate) bytes: Vec<u8>,
    /// None while the part is open.
    pub(crate) end: Option<PartEnd>,
}

/// Remembers parts, findings and notices; asserts that calls come in order.
#[derive(Debug, Default)]
pub(crate) struct RecordingSink {
    pub(crate) parts: Vec<Recorded>,
    pub(crate) findings: Vec<String>,
    pub(crate) notices: Vec<String>,
    pub(crate) cancelled: bool,
}

impl RecordingSink {
    /// All parts' bytes, one after the other.
    pub(crate) fn content(&self) -> Vec<u8> {
        assert!(self.parts.iter().all(|part| part.end.is_some()), "a part is open");
        self.parts.iter().flat_map(|part| part.bytes.iter().copied()).collect()
    }

    fn open(&mut self) -> &mut Recorded {
        self.parts.last_mut().filter(|part| part.end.is_none()).expect("a part is open")
    }
}

impl Sink for RecordingSink {
    fn begin(&mut self, start: PartStart) -> Result<(), SinkError> {
        assert!(self.parts.iter().all(|part| part.end.is_some()), "two parts at once");
        self.parts.push(Recorded { start, bytes: Vec::new(), end: None });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.open().bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>, SinkError> {
        let bytes = &mut self.open().bytes;
        Ok(reader.take(limit).read_to_end(bytes).map(|len| len as u64))
    }

    fn reuse(&mut self, _parent: &Part) -> Result<bool, SinkError> {
        Ok(false)
    }

    fn end(&mut self, end: PartEnd) -> Result<(), SinkError> {
        self.open().end = Some(end);
        Ok(())
    }

    fn finding(&mut self, sentence: String) {
        self.findings.push(sentence);
    }

    fn notice(&mut self, sentence: String) {
        self.notices.push(sentence);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled
    }
}
