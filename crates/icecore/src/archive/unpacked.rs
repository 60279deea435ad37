//! An archive as it is read, each byte held to what it must be.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::entry::{BLOCK_LEN, END_LEN, Entry, padding_of};
use super::packing::Packing;
use crate::{Error, Result};

/// What is read at once of what is only looked at.
const PIECE_LEN: usize = 64 << 10;

/// A file without a name, for what would not fit into memory.
pub(super) fn scratch(store_dir: &Path) -> Result<File> {
    let dir = store_dir.join("tmp");
    std::fs::create_dir_all(&dir).and_then(|()| tempfile::tempfile_in(&dir)).map_err(Error::scratch)
}

/// Reads an archive from front to back.
pub(super) struct Unpacked<'a> {
    input: Box<dyn Read + 'a>,
    name: String,
    /// What was looked at before it is read.
    ahead: Option<[u8; BLOCK_LEN]>,
}

impl<'a> Unpacked<'a> {
    /// `name` is what it is called in errors.
    pub(super) fn new(packed: impl BufRead + 'a, name: &str) -> Result<Self> {
        let name = name.to_owned();
        match Packing::unpack(packed) {
            Ok(input) => Ok(Self { input, name, ahead: None }),
            Err(source) => Err(Error::ArchiveUnread { name, source }),
        }
    }

    /// The archive is not what was exported.
    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::ArchiveDamaged { name: self.name.clone(), why: why.into() }
    }

    /// What an error of a read means.
    pub(super) fn failure(&self, error: io::Error) -> Error {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::UnexpectedEof, _) => self.damaged("it ends too early: it was cut off"),
            (_, Some(_)) => Error::ArchiveUnread { name: self.name.clone(), source: error },
            (_, None) => self.damaged(error.to_string()),
        }
    }

    /// Reads what must be there.
    fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        let read = self.input.read_exact(buf);
        read.map_err(|error| self.failure(error))
    }

    /// The name of the first entry, if it is one.
    pub(super) fn first_name(&mut self) -> Result<String> {
        let mut block = [0; BLOCK_LEN];
        let no_archive = |why: &str| Error::NoArchive { name: self.name.clone(), why: why.to_owned() };
        let mut rest = &mut block[..];
        while !rest.is_empty() {
            match self.input.read(rest) {
                // Where it was packed and is cut off, that is an error.
                Ok(0) => return Err(no_archive("it is shorter than any")),
                Ok(len) => rest = rest.get_mut(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(self.failure(error)),
            }
        }
        if block.get(257..262) != Some(b"ustar") {
            return Err(no_archive("it is no tarball"));
        }
        self.ahead = Some(block);
        Ok(name_in(&block))
    }

    /// The header of an entry that is called `name` and has no other attributes; says how many bytes follow.
    pub(super) fn plain_entry(&mut self, name: &str) -> Result<u64> {
        let block = match self.ahead.take() {
            Some(block) => block,
            None => {
                let mut block = [0; BLOCK_LEN];
                self.fill(&mut block)?;
                block
            }
        };
        let number = |from: usize, to: usize| {
            let digits = std::str::from_utf8(block.get(from..to)?).ok()?;
            u64::from_str_radix(digits.trim_end_matches('\0'), 8).ok()
        };
        let found = number(124, 136).zip(number(136, 148));
        let is_right = |(len, mtime): &(u64, u64)| {
            let mtime = i64::try_from(*mtime).unwrap_or(0);
            Entry::plain(name.as_bytes(), 0o644, *len, mtime).encode() == block
        };
        match found.filter(is_right) {
            Some((len, _)) => Ok(len),
            None => {
                let found = name_in(&block);
                Err(self.damaged(match found == name {
                    true => format!("the header of {name} is not as it was written"),
                    false => format!("{name} should come, and {found:?} does"),
                }))
            }
        }
    }

    /// Exactly these bytes. `what` is what they are of.
    pub(super) fn expect(&mut self, bytes: &[u8], what: &str) -> Result<()> {
        let mut found = vec![0; bytes.len().min(PIECE_LEN)];
        for piece in bytes.chunks(PIECE_LEN) {
            let found = found.get_mut(..piece.len()).unwrap_or_default();
            self.fill(found)?;
            if found != piece {
                return Err(self.damaged(format!("{what} is not as it was written")));
            }
        }
        Ok(())
    }

    /// The zeros behind an entry of `len` bytes.
    pub(super) fn pad(&mut self, len: u64) -> Result<()> {
        let zeros = [0; BLOCK_LEN];
        self.expect(zeros.get(..padding_of(len)).unwrap_or_default(), "what follows an entry")
    }

    /// `len` bytes, in pieces.
    pub(super) fn pieces(&mut self, len: u64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut buf = vec![0; PIECE_LEN];
        let mut left = len;
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(PIECE_LEN).min(PIECE_LEN);
            let piece = buf.get_mut(..now).unwrap_or_default();
            self.fill(piece)?;
            visit(piece)?;
            left -= now as u64;
        }
        Ok(())
    }

    /// The end, behind which nothing follows but zeros.
    pub(super) fn end(&mut self) -> Result<()> {
        self.expect(&[0; END_LEN], "its end")?;
        let mut buf = vec![0; PIECE_LEN];
        loop {
            match self.input.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(len) if buf.iter().take(len).any(|byte| *byte != 0) => {
                    return Err(self.damaged("something follows its end"));
                }
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(self.failure(error)),
            }
        }
    }
}

fn name_in(block: &[u8; BLOCK_LEN]) -> String {
    let name = block.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name.get(..100).unwrap_or(name)).into_owned()
}

/// So many bytes of an archive, hashed as they pass.
pub(super) struct Passing<'a, 'b> {
    pub(super) archive: &'a mut Unpacked<'b>,
    pub(super) left: u64,
    pub(super) hashers: &'a mut [blake3::Hasher],
}

impl Read for Passing<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.left).unwrap_or(buf.len()).min(buf.len());
        let buf = buf.get_mut(..len).unwrap_or_default();
        if buf.is_empty() {
            return Ok(0);
        }
        let len = self.archive.input.read(buf)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= len as u64;
        let fresh = buf.get(..len).unwrap_or_default();
        for hasher in &mut *self.hashers {
            hasher.update(fresh);
        }
        Ok(len)
    }
}
