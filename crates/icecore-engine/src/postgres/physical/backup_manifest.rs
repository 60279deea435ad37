//! What a server says that it sent: the manifest of a base backup.
//!
//! The format is described in PostgreSQL's documentation, "Backup Manifest Format".

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub(super) type Sum = [u8; 32];

/// What lies below is no file of the manifest: the log is checked by its range.
const LOG: &[u8] = b"pg_wal/";

/// A file that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) len: u64,
    pub(super) sum: Sum,
}

/// All files that came, by name.
pub(super) type ReceivedFiles = BTreeMap<Vec<u8>, Received>;

/// A manifest whose own checksum is right.
#[derive(Debug, Deserialize)]
pub(super) struct BackupManifest {
    #[serde(rename = "Files")]
    files: Vec<ListedFile>,
    #[serde(rename = "WAL-Ranges")]
    log: Vec<LogRange>,
}

#[derive(Debug, Deserialize)]
struct ListedFile {
    #[serde(rename = "Path")]
    path: Option<String>,
    /// In hexadecimal digits, where the name is no UTF-8.
    #[serde(rename = "Encoded-Path")]
    encoded_path: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<String>,
}

/// The log that is needed to make the files consistent.
#[derive(Debug, Deserialize)]
struct LogRange {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

impl BackupManifest {
    /// Reads a manifest, whose last line is a checksum of all others.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        const LAST: &[u8] = b"\n\"Manifest-Checksum\": \"";
        let last = memchr::memmem::rfind(bytes, LAST).ok_or("its manifest has no checksum")?;
        let (text, line) = bytes.split_at(last + 1);
        let sum = line.get(LAST.len() - 1..).and_then(|rest| unhex(rest.split(|byte| *byte == b'"').next()?));
        if sum.as_deref() != Some(Sha256::digest(text).as_slice()) {
            return Err("its manifest is not what its own checksum says".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| format!("its manifest makes no sense: {error}"))
    }

    /// Compares what came with what was sent: all of it, nothing else, and each as it was.
    pub(super) fn check(&self, received: &ReceivedFiles) -> Result<(), String> {
        let mut listed = 0;
        for file in &self.files {
            let name = file.name().ok_or("its manifest lists a file without a name")?;
            let shown = || String::from_utf8_lossy(&name).into_owned();
            let came = received.get(&name).ok_or_else(|| format!("{} is missing", shown()))?;
            if came.len != file.size {
                return Err(format!("{} has {} bytes instead of {}", shown(), came.len, file.size));
            }
            let sum = file.checksum.as_ref().and_then(|sum| unhex(sum.as_bytes()));
            if file.algorithm.as_deref() != Some("SHA256") || sum.as_deref() != Some(came.sum.as_slice()) {
                return Err(format!("{} is not what its checksum says", shown()));
            }
            listed += usize::from(!name.starts_with(LOG));
        }
        let came = received.keys().filter(|name| !name.starts_with(LOG)).count();
        if came != listed {
            return Err(format!("{came} files came, and its manifest lists {listed}"));
        }
        self.log.iter().try_for_each(|range| range.check(received))
    }
}

impl ListedFile {
    fn name(&self) -> Option<Vec<u8>> {
        match (&self.path, &self.encoded_path) {
            (Some(path), _) => Some(path.clone().into_bytes()),
            (None, Some(encoded)) => unhex(encoded.as_bytes()),
            (None, None) => None,
        }
    }
}

impl LogRange {
    /// Whether all segments of the log came, from where the copying began to where it ended.
    fn check(&self, received: &ReceivedFiles) -> Result<(), String> {
        let (start, end) =
            lsn(&self.start).zip(lsn(&self.end)).ok_or("its manifest names no place in the log")?;
        let size = segment_size(received).ok_or("it has no log")?;
        let per_id = (1 << 32) / size;
        for segment in start / size..=end.saturating_sub(1).max(start) / size {
            let name = format!("{:08X}{:08X}{:08X}", self.timeline, segment / per_id, segment % per_id);
            if received.get([LOG, name.as_bytes()].concat().as_slice()).is_none_or(|came| came.len != size) {
                return Err(format!("the segment {name} of its log is missing"));
            }
        }
        Ok(())
    }
}

/// How long each segment of the log is.
fn segment_size(received: &ReceivedFiles) -> Option<u64> {
    let is_segment = |name: &[u8]| name.len() == 24 && name.iter().all(u8::is_ascii_hexdigit);
    let mut sizes = received
        .iter()
        .filter(|(name, _)| name.strip_prefix(LOG).is_some_and(is_segment))
        .map(|(_, came)| came.len);
    sizes.next().filter(|size| size.is_power_of_two() && (1 << 20..=1 << 30).contains(size))
}

/// A place in the log: `0/15D68A0`.
fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |half| u32::from_str_radix(half, 16).ok().map(u64::from);
    Some(half(high)? << 32 | half(low)?)
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn came(bytes: &[u8]) -> Received {
        Received { len: bytes.len() as u64, sum: Sha256::digest(bytes).into() }
    }

    fn segment(name: &str) -> (Vec<u8>, Received) {
        (format!("pg_wal/{name}").into_bytes(), Received { len: 1 << 24, sum: [0; 32] })
    }

    /// A manifest of one file and a log that ends in the second segment.
    fn manifest() -> String {
        let sum = hex(&Sha256::digest(b"15\n"));
        let text = format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n\
             {{ \"Path\": \"PG_VERSION\", \"Size\": 3, \"Last-Modified\": \"2026-11-20 10:00:00 GMT\", \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{sum}\" }}\n],\n\
             \"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/3000100\" }}\n],\n"
        );
        let sum = hex(&Sha256::digest(&text));
        format!("{text}\"Manifest-Checksum\": \"{sum}\"}}\n")
    }

    fn received() -> ReceivedFiles {
        let log = ["000000010000000000000002", "000000010000000000000003"].map(segment);
        [(b"PG_VERSION".to_vec(), came(b"15\n"))].into_iter().chain(log).collect()
    }

    #[test]
    fn what_came_as_it_was_sent_is_whole() {
        BackupManifest::parse(manifest().as_bytes()).unwrap().check(&received()).unwrap();
    }

    #[test]
    fn whatever_is_missing_or_different_is_noticed() {
        let manifest = BackupManifest::parse(manifest().as_bytes()).unwrap();
        let check = |why: &str, change: &dyn Fn(&mut ReceivedFiles)| {
            let mut received = received();
            change(&mut received);
            let said = manifest.check(&received).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        check("PG_VERSION is missing", &|received| {
            received.remove(b"PG_VERSION".as_slice());
        });
        check("4 bytes instead of 3", &|received| {
            received.insert(b"PG_VERSION".to_vec(), came(b"15\n\n"));
        });
        check("checksum", &|received| {
            received.insert(b"PG_VERSION".to_vec(), came(b"16\n"));
        });
        check("2 files came", &|received| {
            received.insert(b"other".to_vec(), came(b""));
        });
        check("000000010000000000000003", &|received| {
            received.remove(b"pg_wal/000000010000000000000003".as_slice());
        });
    }

    #[test]
    fn a_manifest_that_was_changed_is_refused() {
        let changed = manifest().replace("\"Size\": 3", "\"Size\": 4");
        assert!(BackupManifest::parse(changed.as_bytes()).unwrap_err().contains("checksum"));
        assert!(BackupManifest::parse(b"{}").unwrap_err().contains("checksum"));
    }
}
