//! Taking a base backup: the server sends its files as a tarball, and a manifest of them at last.

use std::ffi::OsString;
use std::io::{self, Read};

use icecore_format::{FileAttributes, PartKind};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

use super::super::endpoint::Endpoint;
use super::super::session::{Session, Trouble};
use super::backup_manifest::{BackupManifest, Received, ReceivedFiles, Sum};
use super::server::Server;
use crate::files::{check_name, grain_of_name};
use crate::{CaptureError, CommandSource, Grain, PartEnd, PartStart, Sink};

const ARGUMENTS: [&str; 8] = [
    "--pgdata=-",
    "--format=tar",
    // All in one stream, with the log that makes it consistent.
    "--wal-method=fetch",
    "--checkpoint=fast",
    "--label=icecore",
    "--manifest-checksums=SHA256",
    "--no-estimate-size",
    "--no-password",
];
const MANIFEST: &[u8] = b"backup_manifest";
/// A million files take some 150 MB.
const MANIFEST_LEN_MAX: u64 = 512 << 20;
/// The root's mode is that of its directories; this one is always there.
const LIKE_ROOT: &[u8] = b"global";

/// Captures the whole cluster, each file a part. `Ok` says that every file is what the server's manifest says, and that the log is whole.
pub fn capture(
    endpoint: &Endpoint,
    server: &Server,
    is_cancelled: &dyn Fn() -> bool,
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let argv: Vec<OsString> = [server.pg_basebackup.as_os_str().to_owned()]
        .into_iter()
        .chain(ARGUMENTS.iter().map(OsString::from))
        .collect();
    let _log = Log::hold(endpoint, sink)?;
    let mut source = CommandSource::spawn_with(&argv, &endpoint.variables())?;
    let received = receive(&mut source.reader(is_cancelled), sink);
    if matches!(received, Ok(_) | Err(CaptureError::Incomplete { .. })) {
        // A program that failed says more than what is missing then.
        source.finish(is_cancelled)?;
    }
    let (received, manifest) = received?;
    let wrong = |what| CaptureError::Source(format!("the base backup of {endpoint} is not whole: {what}"));
    let manifest = manifest.ok_or_else(|| wrong("it has no manifest".to_owned()))?;
    BackupManifest::parse(&manifest).and_then(|manifest| manifest.check(&received)).map_err(wrong)
}

/// Keeps the server from removing what it logs meanwhile, by a slot that ends with its connection.
struct Log {
    _session: Session,
}

impl Log {
    fn hold(endpoint: &Endpoint, sink: &mut dyn Sink) -> Result<Self, CaptureError> {
        let mut session = Session::open(endpoint)?;
        let made = session
            .value("SELECT pg_create_physical_replication_slot('icecore_' || pg_backend_pid(), true, true)");
        if let Err(Trouble { what, code }) = made {
            code.as_ref().ok_or_else(|| CaptureError::Source(what.clone()))?;
            sink.notice(format!("the server may remove what it logs before it is taken, and the backup fails then, for no replication slot can be had: {what}"));
        }
        Ok(Self { _session: session })
    }
}

/// Hands what comes to the sink. Returns what came, and the manifest's bytes.
fn receive(
    reader: &mut dyn Read,
    sink: &mut dyn Sink,
) -> Result<(ReceivedFiles, Option<Vec<u8>>), CaptureError> {
    let mut received = ReceivedFiles::new();
    let (mut manifest, mut root) = (None, None);
    let mut archive = Archive::new(reader);
    for entry in archive.entries().map_err(|error| broken(&error))? {
        sink.check_cancelled()?;
        let mut entry = entry.map_err(|error| broken(&error))?;
        let name = plain(&entry.path_bytes()).to_vec();
        let attributes = attributes(&entry).map_err(|error| broken(&error))?;
        if name.is_empty() || check_name(&name).is_err() {
            return Err(odd(&name, "has a name that no file of a cluster has"));
        }
        match entry.header().entry_type() {
            EntryType::Directory => {
                if name == LIKE_ROOT {
                    root = Some(attributes.clone());
                }
                directory(sink, &name, attributes)?;
            }
            EntryType::Regular | EntryType::Continuous if name == MANIFEST => {
                manifest = Some(manifest_part(&mut entry, attributes, sink)?);
            }
            EntryType::Regular | EntryType::Continuous => {
                let file = file(&mut entry, &name, attributes, sink)?;
                if received.insert(name.clone(), file).is_some() {
                    return Err(odd(&name, "came twice"));
                }
            }
            EntryType::Symlink => return Err(odd(&name, "is a tablespace, which is not taken yet")),
            _ => return Err(odd(&name, "is neither a file nor a directory")),
        }
    }
    let root = root.ok_or_else(|| odd(LIKE_ROOT, "did not come"))?;
    directory(sink, b"", root)?;
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    Ok((received, manifest))
}

/// Names of directories may begin with `./` and end with `/`.
fn plain(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    while let Some(rest) = name.strip_suffix(b"/") {
        name = rest;
    }
    name
}

fn directory(sink: &mut dyn Sink, name: &[u8], attributes: FileAttributes) -> Result<(), CaptureError> {
    begin(sink, name, PartKind::Directory, Grain::Byte)?;
    end(sink, attributes)
}

fn file(
    entry: &mut Entry<'_, &mut dyn Read>,
    name: &[u8],
    attributes: FileAttributes,
    sink: &mut dyn Sink,
) -> Result<Received, CaptureError> {
    let len = attributes.size;
    begin(sink, name, PartKind::File, grain_of_name(name))?;
    let mut hashing = Hashing { entry, sum: Sha256::new() };
    let copied = sink.copy(&mut hashing, len)?.map_err(|error| broken(&error))?;
    if copied != len {
        return Err(broken(&io::ErrorKind::UnexpectedEof.into()));
    }
    let sum: Sum = hashing.sum.finalize().into();
    end(sink, attributes)?;
    Ok(Received { len, sum })
}

fn manifest_part(
    entry: &mut Entry<'_, &mut dyn Read>,
    attributes: FileAttributes,
    sink: &mut dyn Sink,
) -> Result<Vec<u8>, CaptureError> {
    let mut manifest = Vec::new();
    entry.take(MANIFEST_LEN_MAX + 1).read_to_end(&mut manifest).map_err(|error| broken(&error))?;
    if manifest.len() as u64 > MANIFEST_LEN_MAX {
        return Err(odd(MANIFEST, "is too long"));
    }
    begin(sink, MANIFEST, PartKind::File, Grain::Line)?;
    sink.write(&manifest)?;
    end(sink, attributes)?;
    Ok(manifest)
}

fn begin(sink: &mut dyn Sink, name: &[u8], kind: PartKind, grain: Grain) -> Result<(), CaptureError> {
    let own_chunks = kind == PartKind::File;
    Ok(sink.begin(PartStart { name: name.to_vec(), kind, grain, own_chunks })?)
}

fn end(sink: &mut dyn Sink, attributes: FileAttributes) -> Result<(), CaptureError> {
    Ok(sink.end(PartEnd { rows: None, file: Some(Box::new(attributes)) })?)
}

fn attributes(entry: &Entry<'_, &mut dyn Read>) -> io::Result<FileAttributes> {
    let header = entry.header();
    let id = |id: u64| u32::try_from(id).map_err(io::Error::other);
    Ok(FileAttributes {
        mode: header.mode()? & 0o7777,
        uid: id(header.uid()?)?,
        gid: id(header.gid()?)?,
        mtime: (i64::try_from(header.mtime()?).map_err(io::Error::other)?, 0),
        size: entry.size(),
        ..FileAttributes::default()
    })
}

fn broken(error: &io::Error) -> CaptureError {
    CaptureError::Incomplete { what: "the base backup".to_owned(), expected: format!("its end ({error})") }
}

fn odd(name: &[u8], what: &str) -> CaptureError {
    CaptureError::Source(format!(
        "the base backup is not as expected: {} {what}",
        String::from_utf8_lossy(name)
    ))
}

/// Sums up what passes.
struct Hashing<'a, R> {
    entry: &'a mut R,
    sum: Sha256,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.entry.read(buf)?;
        self.sum.update(buf.get(..read).unwrap_or_default());
        Ok(read)
    }
}
