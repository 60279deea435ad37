//! What changed from one snapshot to the next, part by part. No data is read: a part's hash, length and rows are in the list of parts.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use icecore_engine::files::compare;
use icecore_format::{Digest, Part, PartKind};
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store, StoreError};

use crate::{Error, Result};

/// As many changes are listed; the rest is counted.
const LISTED_MAX: usize = 1000;
/// Parts that come in no order are kept in memory, up to so many.
const UNORDERED_MAX: u64 = 200_000;
/// Parts of the same kind that are called the same and are told apart.
const NAMESAKES_MAX: u32 = 64;

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Each part that did, in the order of the later snapshot as far as it has them; of very many, the first.
    pub parts: Vec<PartChange>,
    /// Parts that were not there before.
    pub new: u64,
    /// Parts that are not there any more.
    pub gone: u64,
    /// Parts with other bytes, or other permissions or owners.
    pub changed: u64,
    /// Parts that are as they were.
    pub same: u64,
}

/// One part that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// What it is called.
    pub name: String,
    /// What it is: `table`, `file`.
    pub kind: &'static str,
    /// What became of it.
    pub verdict: PartVerdict,
    /// What it had before, unless it is new.
    pub before: Option<PartSize>,
    /// What it has now, unless it is gone.
    pub after: Option<PartSize>,
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartVerdict {
    /// It was not there.
    New,
    /// It is not what it was.
    Changed,
    /// It is not there any more.
    Gone,
}

/// How much there is of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSize {
    /// Plain bytes.
    pub bytes: u64,
    /// Rows, of a table.
    pub rows: Option<u64>,
}

impl Changes {
    /// How many parts are not what they were.
    pub fn count(&self) -> u64 {
        self.new + self.gone + self.changed
    }

    fn add(&mut self, before: Option<&Known>, after: Option<&Known>) {
        let Some(known) = after.or(before) else { return };
        let verdict = match (before, after) {
            (Some(before), Some(after)) if before.looks == after.looks => {
                self.same += 1;
                return;
            }
            (Some(_), Some(_)) => PartVerdict::Changed,
            (None, _) => PartVerdict::New,
            (Some(_), None) => PartVerdict::Gone,
        };
        match verdict {
            PartVerdict::New => self.new += 1,
            PartVerdict::Changed => self.changed += 1,
            PartVerdict::Gone => self.gone += 1,
        }
        if self.parts.len() < LISTED_MAX {
            self.parts.push(PartChange {
                name: known.name.clone(),
                kind: known.kind,
                verdict,
                before: before.map(|known| known.size),
                after: after.map(|known| known.size),
            });
        }
    }
}

/// What is remembered of a part.
struct Known {
    name: String,
    kind: &'static str,
    size: PartSize,
    /// The same for parts that are the same.
    looks: Digest,
    is_met: bool,
}

impl Known {
    fn of(part: &Part) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&part.hash.0).update(&part.len.to_le_bytes()).update(part.kind.as_str().as_bytes());
        // Times change when somebody only looks.
        if let Some(file) = &part.file {
            for number in [u64::from(file.mode), file.uid.into(), file.gid.into(), file.size, file.device] {
                hasher.update(&number.to_le_bytes());
            }
            hasher.update(&file.target);
        }
        Self {
            name: part.display_name(),
            kind: part.kind.as_str(),
            size: PartSize { bytes: part.len, rows: part.rows },
            looks: Digest(*hasher.finalize().as_bytes()),
            is_met: false,
        }
    }
}

/// Compares the parts of two snapshots of one source. `None` if there are too many of them, in no order.
pub fn compare_snapshots(
    store: &Arc<Store>,
    (before, after): (&Snapshot, &Snapshot),
    monitor: &dyn Monitor,
) -> Result<Option<Changes>> {
    let reader = |snapshot: &Snapshot| SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
    let (before_reader, after_reader) = (reader(before), reader(after));
    let told = |snapshot: &Snapshot, error| store.unless_deleted(snapshot, error);
    let before_parts = before_reader.parts().filter(|part| !is_frame(before, part));
    let mut before_parts = before_parts.map(|part| part.map_err(|error| told(before, error)));
    let after_parts = after_reader.parts().filter(|part| !is_frame(after, part));
    let mut after_parts = after_parts.map(|part| part.map_err(|error| told(after, error)));
    let is_sorted = |snapshot: &Snapshot| snapshot.info().form == "directory";
    match is_sorted(before) && is_sorted(after) {
        true => of_sorted(&mut before_parts, &mut after_parts, monitor).map(Some),
        false if before.info().parts.max(after.info().parts) > UNORDERED_MAX => Ok(None),
        false => of_unordered(&mut before_parts, &mut after_parts, monitor).map(Some),
    }
}

/// What a server of Redis writes around the keys is another each time: when it was, how much memory it had.
fn is_frame(snapshot: &Snapshot, part: &std::result::Result<Part, StoreError>) -> bool {
    let is_frame =
        |part: &Part| part.kind == PartKind::Data && [&b"header"[..], b"trailer"].contains(&&*part.name);
    snapshot.info().form == "rdb" && part.as_ref().is_ok_and(is_frame)
}

type Parts<'a> = &'a mut dyn Iterator<Item = std::result::Result<Part, StoreError>>;

/// Goes through both lists at once.
fn of_sorted(before: Parts<'_>, after: Parts<'_>, monitor: &dyn Monitor) -> Result<Changes> {
    let mut changes = Changes::default();
    let (mut old, mut new) = (before.next().transpose()?, after.next().transpose()?);
    loop {
        check_cancelled(monitor)?;
        let order = match (&old, &new) {
            (None, None) => return Ok(changes),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => compare(&old.name, &new.name),
        };
        let gone = old.take_if(|_| order.is_le());
        let come = new.take_if(|_| order.is_ge());
        changes.add(gone.as_ref().map(Known::of).as_ref(), come.as_ref().map(Known::of).as_ref());
        if gone.is_some() {
            old = before.next().transpose()?;
        }
        if come.is_some() {
            new = after.next().transpose()?;
        }
    }
}

/// Remembers the first list.
fn of_unordered(before: Parts<'_>, after: Parts<'_>, monitor: &dyn Monitor) -> Result<Changes> {
    let mut known: HashMap<Digest, Known> = HashMap::new();
    for part in before {
        check_cancelled(monitor)?;
        let part = part?;
        let free = (0..NAMESAKES_MAX).map(|n| key(&part, n)).find(|key| !known.contains_key(key));
        known.insert(free.unwrap_or_else(|| key(&part, NAMESAKES_MAX)), Known::of(&part));
    }
    let mut changes = Changes::default();
    for part in after {
        check_cancelled(monitor)?;
        let part = part?;
        let met = |key: &Digest| known.get(key).is_none_or(|known| !known.is_met);
        let key =
            (0..NAMESAKES_MAX).map(|n| key(&part, n)).find(met).unwrap_or_else(|| key(&part, NAMESAKES_MAX));
        let old = known.get_mut(&key);
        changes.add(old.as_deref(), Some(&Known::of(&part)));
        if let Some(old) = old {
            old.is_met = true;
        }
    }
    let mut gone: Vec<&Known> = known.values().filter(|known| !known.is_met).collect();
    gone.sort_by(|one, other| (&one.name, one.kind).cmp(&(&other.name, other.kind)));
    gone.into_iter().for_each(|known| changes.add(Some(known), None));
    Ok(changes)
}

/// The n-th part of this kind and name.
fn key(part: &Part, n: u32) -> Digest {
    let text = [part.kind.as_str().as_bytes(), &n.to_le_bytes(), &part.name].concat();
    Digest::of(&text)
}

fn check_cancelled(monitor: &dyn Monitor) -> Result<()> {
    if monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
