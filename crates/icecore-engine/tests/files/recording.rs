//! A sink that remembers what it was given, and a driver that gives it back to a target.

use std::io::{self, Read};

use icecore_engine::{Grain, PartEnd, PartStart, RestoreError, Sink, SinkError, Target};
use icecore_format::{Digest, Part, decode_parts, encode_part};

#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) parts: Vec<(Part, Vec<u8>)>,
    pub(crate) grains: Vec<Grain>,
    pub(crate) findings: Vec<String>,
    pub(crate) notices: Vec<String>,
    pub(crate) reused: Vec<Vec<u8>>,
    /// What can be reused.
    pub(crate) known: Vec<(Part, Vec<u8>)>,
    pub(crate) cancelled: bool,
    /// Called after the first stretch of bytes of a part was read.
    pub(crate) while_reading: Option<Box<dyn FnMut()>>,
    pub(crate) open: Option<(PartStart, Vec<u8>)>,
}

impl Recording {
    pub(crate) fn names(&self) -> Vec<String> {
        self.parts.iter().map(|(part, _)| part.display_name()).collect()
    }

    pub(crate) fn part(&self, name: &str) -> &Part {
        &self.parts.iter().find(|(part, _)| part.name == name.as_bytes()).unwrap().0
    }

    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        &self.parts.iter().find(|(part, _)| part.name == name.as_bytes()).unwrap().1
    }

    /// The catalog as the next capture sees it.
    pub(crate) fn catalog(&self) -> Vec<Part> {
        self.parts.iter().map(|(part, _)| part.clone()).collect()
    }
}

impl Sink for Recording {
    fn begin(&mut self, part: PartStart) -> Result<(), SinkError> {
        assert!(self.open.is_none());
        self.grains.push(part.grain);
        self.open = Some((part, Vec::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.open.as_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>, SinkError> {
        let bytes = &mut self.open.as_mut().unwrap().1;
        let mut total = 0;
        while total < limit {
            let mut buf = vec![0; usize::try_from(limit - total).unwrap().min(1000)];
            let read = match reader.read(&mut buf) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Ok(Err(error)),
            };
            bytes.extend_from_slice(&buf[..read]);
            total += read as u64;
            if let Some(mut meddle) = self.while_reading.take() {
                meddle();
            }
        }
        Ok(Ok(total))
    }

    fn reuse(&mut self, parent: &Part) -> Result<bool, SinkError> {
        let Some((_, bytes)) = self.known.iter().find(|(part, _)| part == parent) else { return Ok(false) };
        self.open.as_mut().unwrap().1.extend_from_slice(bytes);
        self.reused.push(parent.name.clone());
        Ok(true)
    }

    fn end(&mut self, end: PartEnd) -> Result<(), SinkError> {
        let (start, bytes) = self.open.take().unwrap();
        let part = Part {
            name: start.name,
            kind: start.kind,
            offset: self.parts.last().map_or(0, |(part, _)| part.offset + part.len),
            len: bytes.len() as u64,
            hash: Digest::of(&bytes),
            rows: end.rows,
            file: end.file,
        };
        // What the catalog cannot hold was not captured.
        let mut encoded = Vec::new();
        encode_part(&part, &mut encoded);
        let (decoded, _) = decode_parts(&encoded, part.offset, Digest::of(b"")).unwrap();
        assert_eq!(decoded, std::slice::from_ref(&part));
        self.parts.push((part, bytes));
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

/// What a driver did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Driven {
    pub(crate) written: usize,
    pub(crate) kept: usize,
}

/// Gives all parts to a target, in blocks, but does not finish it.
pub(crate) fn fill(target: &mut dyn Target, parts: &[(Part, Vec<u8>)]) -> Result<Driven, RestoreError> {
    let mut driven = Driven::default();
    for (part, bytes) in parts {
        target.begin(part)?;
        for block in bytes.chunks(4096) {
            if target.existing(block.len())?.is_some_and(|existing| existing == block) {
                target.keep(block.len())?;
                driven.kept += block.len();
            } else {
                target.write(block)?;
                driven.written += block.len();
            }
        }
        target.end()?;
    }
    Ok(driven)
}

/// Restores all parts.
pub(crate) fn restore(
    mut target: impl Target + 'static,
    parts: &[(Part, Vec<u8>)],
) -> Result<Driven, RestoreError> {
    let driven = fill(&mut target, parts)?;
    Box::new(target).finish()?;
    Ok(driven)
}
