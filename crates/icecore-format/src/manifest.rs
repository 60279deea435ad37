//! A manifest: everything about a snapshot but its data.

use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::keys::StoreKey;
use crate::tree::Tree;
use crate::{SnapshotId, names};

/// The catalog is kept in the manifest up to this many bytes, so that small snapshots are listed without reading packs.
const CATALOG_INLINE_MAX: usize = 8 << 10;

/// What a snapshot is, without its data: enough to list and search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// The source's name.
    pub source: String,
    /// `files`, `sqlite`, `postgres`, `mysql`, `mariadb` or `redis`.
    pub engine: String,
    /// The product's own version, where it said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// The shape of the content: `directory`, `stream`, `tar`, `pg_dump`, `pg_schema`, `pg_dumpall`, `mysqldump`, `sqlite`, `rdb`.
    pub form: String,
    /// The absolute path that was captured, if one was and it is UTF-8; for a database on a server its URL, without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The compression that was taken off the input, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<String>,
    /// What the captured file looked like from outside, if that was worth remembering: a file that looks the same is not read
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the capture began, RFC 3339.
    pub created_at: String,
    /// The machine it was taken on.
    pub host: String,
    /// The version of icecore that took it.
    pub tool_version: String,
    /// The snapshot of the same source before this one.
    pub parent: Option<SnapshotId>,
    /// How many parts.
    pub parts: u64,
    /// Plain bytes of the content.
    pub logical_bytes: u64,
    /// Plain bytes of the chunks that were not in the store.
    pub changed_bytes: u64,
    /// Bytes added to the store, this manifest not counted.
    pub stored_bytes: u64,
    /// References to content chunks.
    pub chunks: u64,
    /// Chunks that were not in the store.
    pub new_chunks: u64,
    /// How many of those were stored as deltas.
    pub delta_chunks: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// What could not be captured as it should have been, in words; empty for a faultless snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// Where a snapshot's parts are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalog {
    /// The parts' records themselves.
    Inline(Vec<u8>),
    /// The records are a content of their own.
    Stored(Tree),
}

impl Catalog {
    /// Whether a catalog of this many bytes belongs into the manifest.
    pub fn fits_inline(len: usize) -> bool {
        len <= CATALOG_INLINE_MAX
    }
}

/// The record of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What the snapshot is.
    pub info: SnapshotInfo,
    /// Which chunks its content is made of.
    pub content: Tree,
    /// Which parts the content has.
    pub catalog: Catalog,
}

/// What lies under `snapshots/`: a manifest, or the marker that keeps a fenced writer from publishing one.
const PUBLISHED: u8 = 1;
const FENCED: u8 = 0;

impl Manifest {
    /// The snapshot's id and the bytes of the object called `name`. `salt` must be fresh randomness.
    pub fn encode(&self, name: &str, key: &StoreKey, salt: &[u8; 32]) -> (SnapshotId, Vec<u8>) {
        let json = serde_json::to_vec(&self.info).expect("a manifest's head is plain JSON");
        let mut payload = vec![PUBLISHED];
        payload
            .extend_from_slice(&u32::try_from(json.len()).expect("a manifest's head is small").to_le_bytes());
        payload.extend_from_slice(&json);
        self.content.encode(&mut payload);
        match &self.catalog {
            Catalog::Inline(records) => {
                payload.push(0);
                payload.extend_from_slice(records);
            }
            Catalog::Stored(tree) => {
                payload.push(1);
                tree.encode(&mut payload);
            }
        }
        let id = key.snapshot_id(&payload);
        (id, envelope::encode(ObjectKind::Manifest, name, &payload, key, salt))
    }

    /// The snapshot's id and the bytes of the object called `to` that holds the manifest which `bytes`, the object called `from`, hold.
    /// The payload stays as it is, with fields that this program does not know, and so does the id. `None` if it is the marker of a
    /// fenced writer. `salt` must be fresh randomness.
    pub fn rename(
        from: &str,
        bytes: &[u8],
        to: &str,
        key: &StoreKey,
        salt: &[u8; 32],
    ) -> Result<Option<(SnapshotId, Vec<u8>)>> {
        let Some((id, _)) = Self::decode(from, bytes, key)? else { return Ok(None) };
        let payload = envelope::decode(ObjectKind::Manifest, from, bytes, key)?;
        Ok(Some((id, envelope::encode(ObjectKind::Manifest, to, &payload, key, salt))))
    }

    /// The bytes of the marker by which a collector takes the place of the writer's manifest.
    pub fn encode_fence(name: &str, key: &StoreKey, salt: &[u8; 32]) -> Vec<u8> {
        envelope::encode(ObjectKind::Manifest, name, &[FENCED], key, salt)
    }

    /// Decodes the object called `name`; `None` if it is the marker of a fenced writer.
    pub fn decode(name: &str, bytes: &[u8], key: &StoreKey) -> Result<Option<(SnapshotId, Self)>> {
        if !name.starts_with(names::SNAPSHOTS) {
            return Err(DecodeError::Malformed { what: "manifest name", offset: 0 });
        }
        let payload = envelope::decode(ObjectKind::Manifest, name, bytes, key)?;
        let mut cursor = Cursor::new("manifest", &payload);
        match cursor.u8()? {
            FENCED => return cursor.finish().map(|()| None),
            PUBLISHED => (),
            _ => return Err(cursor.malformed()),
        }
        let json_len = usize::try_from(cursor.u32()?).map_err(|_| cursor.malformed())?;
        let info = serde_json::from_slice(cursor.bytes(json_len)?).map_err(|_| cursor.malformed())?;
        let content = Tree::decode(&mut cursor)?;
        let catalog = match cursor.u8()? {
            0 => Catalog::Inline(cursor.bytes(cursor.remaining())?.to_vec()),
            1 => Catalog::Stored(Tree::decode(&mut cursor)?),
            _ => return Err(cursor.malformed()),
        };
        cursor.finish()?;
        Ok(Some((key.snapshot_id(&payload), Self { info, content, catalog })))
    }
}
