//! What is found wrong, by object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use icecore_format::{ChunkId, PackId, ShortId, SnapshotId, names};

use crate::snapshots::Snapshot;
use crate::{Result, StoreError};

/// What kind of object a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A manifest cannot be read.
    Manifest,
    /// A tag or note cannot be read.
    Label,
    /// A pack is damaged.
    Pack,
    /// A pack could not be read, which says nothing about its bytes.
    PackUnread,
    /// Another object could not be read, which says nothing about its bytes.
    RecordUnread,
    /// An object is of a newer format than this program reads.
    TooNew {
        /// Its format.
        found: u16,
    },
    /// A pack's parity is damaged or missing; the pack is right.
    Parity,
    /// A pack that the index knows is not there.
    PackMissing,
    /// A chunk that a snapshot needs is in no pack.
    ChunkMissing,
    /// A catalog or tree cannot be read.
    Catalog,
    /// The epoch is missing or damaged.
    Epoch,
    /// A writer's or collector's claim cannot be read.
    Claim,
    /// A list of condemned packs cannot be read.
    Condemned,
    /// A password's key cannot be read.
    Key,
    /// The second copy of the configuration or of a key is missing or damaged; the original is right.
    Copy,
}

impl FindingKind {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Label => "label",
            Self::Pack => "pack",
            Self::PackUnread => "pack_unread",
            Self::RecordUnread => "record_unread",
            Self::TooNew { .. } => "too_new",
            Self::Parity => "parity",
            Self::PackMissing => "pack_missing",
            Self::ChunkMissing => "chunk_missing",
            Self::Catalog => "catalog",
            Self::Epoch => "epoch",
            Self::Claim => "claim",
            Self::Condemned => "condemned",
            Self::Key => "key",
            Self::Copy => "copy",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of object.
    pub kind: FindingKind,
    /// The object's name.
    pub object: String,
    /// In words.
    pub message: String,
    /// Whether parity can heal it.
    pub healable: bool,
    /// The snapshots that cannot be restored whole, each with the names of the damaged parts.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<String>>,
}

impl Finding {
    fn new(kind: FindingKind, object: String, message: String) -> Self {
        Self { kind, object, message, healable: false, snapshots: BTreeMap::new() }
    }

    /// A small object that cannot be read; its name says what it is.
    pub(super) fn of_record(object: &str, error: &StoreError) -> Self {
        let kinds = [
            (names::LABELS, FindingKind::Label),
            (names::EPOCH, FindingKind::Epoch),
            (names::CLAIMS, FindingKind::Claim),
            (names::CONDEMNED, FindingKind::Condemned),
            (names::KEYS, FindingKind::Key),
        ];
        let kind = kinds.into_iter().find(|(prefix, _)| object.starts_with(prefix));
        let kind = match error {
            StoreError::StoreTooNew { found, .. } => FindingKind::TooNew { found: *found },
            StoreError::Unread { .. } => FindingKind::RecordUnread,
            _ => kind.map_or(FindingKind::Manifest, |(_, kind)| kind),
        };
        Self::new(kind, object.to_owned(), full_message(error))
    }

    /// The copy of `original`, which is right, would not do if that were lost.
    pub(super) fn of_copy(original: &str, error: &StoreError) -> Self {
        let (kind, message) = match error {
            StoreError::Unread { .. } => (FindingKind::RecordUnread, full_message(error)),
            error => {
                let what = if error.is_gone() { "missing" } else { "damaged" };
                let message = format!("this second copy of {original} is {what}; {original} itself is right");
                (FindingKind::Copy, message)
            }
        };
        Self::new(kind, names::copy_of(original), message)
    }

    /// What a listing could not read.
    pub(crate) fn of_listed(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Damaged { object, .. }
            | StoreError::Unread { object, .. }
            | StoreError::StoreTooNew { place: object, .. } => Some(Self::of_record(object, error)),
            _ => None,
        }
    }
}

/// What an error says about the pack that was read.
pub(super) fn pack_kind(error: &StoreError) -> FindingKind {
    match error {
        StoreError::StoreTooNew { found, .. } => FindingKind::TooNew { found: *found },
        StoreError::Unread { .. } => FindingKind::PackUnread,
        _ => FindingKind::Pack,
    }
}

/// What of one object is damaged.
pub(super) struct ObjectDamage {
    pub(super) finding: Finding,
    /// The chunks that cannot be read because of it.
    pub(super) chunks: Vec<ShortId>,
}

/// What has been found so far.
#[derive(Default)]
pub(super) struct Damage {
    pub(super) findings: Vec<ObjectDamage>,
    /// Where in `findings` an object's is.
    objects: HashMap<String, usize>,
    /// Packs of which nothing can be read.
    pub(super) whole_packs: BTreeSet<PackId>,
    /// Packs that were listed, but not there when they were read.
    pub(super) vanished: BTreeSet<PackId>,
}

impl Damage {
    /// One finding for each object; what is found later about it adds its chunks.
    fn note(
        &mut self,
        kind: FindingKind,
        object: String,
        message: &str,
        chunks: Vec<ShortId>,
    ) -> Option<&mut ObjectDamage> {
        let at = *self.objects.entry(object.clone()).or_insert(self.findings.len());
        if at == self.findings.len() {
            let finding = Finding::new(kind, object, message.to_owned());
            self.findings.push(ObjectDamage { finding, chunks: Vec::new() });
        }
        let found = self.findings.get_mut(at)?;
        found.chunks.extend(chunks);
        Some(found)
    }

    /// A chunk that is in no pack; `pack` held it before.
    pub(super) fn missing(&mut self, chunk: ShortId, pack: Option<&PackId>) {
        match pack {
            Some(pack) => {
                self.pack(FindingKind::PackMissing, pack, "the pack is not in the storage", vec![chunk]);
            }
            None => drop(self.note(
                FindingKind::ChunkMissing,
                format!("chunk {chunk}"),
                "no pack holds it",
                vec![chunk],
            )),
        }
    }

    /// As [`Damage::missing`], unless it was found missing when it was looked up, and named there, perhaps with its pack.
    fn missing_unless_known(&mut self, chunk: ShortId) {
        if self.findings.iter().all(|found| !found.chunks.contains(&chunk)) {
            self.missing(chunk, None);
        }
    }

    pub(super) fn pack(
        &mut self,
        kind: FindingKind,
        id: &PackId,
        message: &str,
        chunks: Vec<ShortId>,
    ) -> Option<&mut ObjectDamage> {
        self.note(kind, names::pack(id), message, chunks)
    }

    /// A chunk that others are coded on, as one of them has shown.
    pub(super) fn note_base(&mut self, error: &StoreError) {
        match error {
            StoreError::ChunkMissing { chunk } => self.missing_unless_known(*chunk),
            StoreError::ChunkDamaged { pack, chunk } => {
                self.pack(FindingKind::Pack, pack, &full_message(error), vec![chunk.short()]);
            }
            _ => (),
        }
    }

    pub(super) fn parity(&mut self, id: &PackId, message: &str) {
        self.note(FindingKind::Parity, names::parity(id), message, Vec::new());
    }

    /// A tree node or catalog of `snapshot` that cannot be read; an error that is no damage is handed back.
    pub(super) fn unreadable(
        &mut self,
        snapshot: &Snapshot,
        node: Option<ChunkId>,
        error: StoreError,
    ) -> Result<()> {
        match error {
            StoreError::ChunkMissing { chunk } => self.missing_unless_known(chunk),
            StoreError::ChunkDamaged { pack, chunk } => {
                self.pack(FindingKind::Pack, &pack, &full_message(&error), vec![chunk.short()]);
            }
            StoreError::Damaged { ref object, .. } | StoreError::StoreTooNew { place: ref object, .. }
                if let Some(pack) = names::parse_pack(object) =>
            {
                self.pack(
                    pack_kind(&error),
                    &pack,
                    &full_message(&error),
                    node.map(|node| node.short()).into_iter().collect(),
                );
                self.whole_packs.insert(pack);
            }
            // Its other chunks may well be read: they are looked at on their own.
            StoreError::Unread { ref object, .. } if let Some(pack) = names::parse_pack(object) => {
                let found = self.pack(
                    pack_kind(&error),
                    &pack,
                    &full_message(&error),
                    node.map(|node| node.short()).into_iter().collect(),
                );
                if let (Some(found), None) = (found, node) {
                    found.finding.snapshots.entry(snapshot.id).or_default();
                }
            }
            error if error.is_unreadable() => {
                let message = full_message(&error);
                let found = self.note(
                    FindingKind::Catalog,
                    snapshot.object.clone(),
                    &message,
                    node.map(|node| node.short()).into_iter().collect(),
                );
                if let Some(found) = found {
                    found.finding.snapshots.entry(snapshot.id).or_default();
                }
            }
            error => return Err(error),
        }
        Ok(())
    }
}

/// What is wrong, without the object's name, which a finding has already.
pub(super) fn full_message(error: &StoreError) -> String {
    match (error, std::error::Error::source(error)) {
        (StoreError::Damaged { source, .. }, _) => source.to_string(),
        (StoreError::ChunkDamaged { chunk, .. }, _) => format!("chunk {chunk} is damaged"),
        (_, Some(source)) => format!("{error}: {source}"),
        (_, None) => error.to_string(),
    }
}
