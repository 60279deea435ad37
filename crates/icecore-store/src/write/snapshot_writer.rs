//! A snapshot while it is being written.

use std::io::{self, Read};
use std::sync::Arc;

use crossbeam_channel::Sender;
use icecore_chunk::Grain;
use icecore_format::{
    Catalog, ChunkRef, Digest, FileAttributes, Manifest, PART_NAME_LEN_MAX, Part, PartKind, SnapshotId,
    SnapshotInfo, decode_parts, encode_part, names,
};
use icecore_storage::ErrorKind;

use super::coder::code_runs;
use super::feeder::{Feeder, Hangup};
use super::packer::{pack_runs, store_packs};
use super::pending::Pending;
use super::sequencer::Sequencer;
use super::{Feed, Lane, Sequenced};
use crate::absent::Absent;
use crate::claim::WriterClaim;
use crate::machine::Stage;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::{Counter, Monitor, Result, StoreError, TreeReader};

/// Blocks that wait to be hashed or looked at.
const FEED_QUEUE: usize = 4;
/// Runs that wait to be joined or looked at, and as many that wait to be coded or packed.
const RUN_QUEUE: usize = 3;
/// A part that wants chunks of its own gets them if this many bytes have been written since the last cut.
const OWN_CHUNK_MIN: usize = 4 << 10;

/// What is known of a snapshot before its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The source's name.
    pub source: String,
    /// See [`SnapshotInfo::created_at`].
    pub created_at: String,
    /// See [`SnapshotInfo::host`].
    pub host: String,
    /// See [`SnapshotInfo::tool_version`].
    pub tool_version: String,
    /// See [`SnapshotInfo::parent`].
    pub parent: Option<SnapshotId>,
    /// Whether what is new may be coded on what it resembles. A store may say no for all.
    pub deltas: bool,
}

/// A published snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its identity.
    pub id: SnapshotId,
    /// What the manifest says of it.
    pub info: SnapshotInfo,
    /// Bytes of the manifest's object.
    pub manifest_len: u64,
}

/// What came of a snapshot that was taken before.
#[derive(Debug)]
pub struct Again {
    /// Its identity.
    pub id: SnapshotId,
    /// Bytes that were added besides the manifest.
    pub added_bytes: u64,
    /// What was published; nothing if the store had it.
    pub published: Option<Written>,
}

/// Takes the parts of one capture in order and publishes them. Dropped before [`SnapshotWriter::commit`], it publishes nothing;
/// the packs it has stored are valid content, which the next run reuses or a collection removes.
pub struct SnapshotWriter {
    store: Arc<Store>,
    monitor: Arc<dyn Monitor>,
    head: SnapshotHead,
    claim: WriterClaim,
    absent: Arc<Absent>,
    content: Option<Feeder>,
    catalog: Option<Feeder>,
    feed: Option<Sender<Feed>>,
    threads: Option<Threads>,
    records: Vec<u8>,
    /// Whether the catalog has outgrown the manifest.
    spilled: bool,
    offset: u64,
    parts: u64,
    open: Option<OpenPart>,
    findings: Vec<String>,
    published: bool,
}

struct Threads {
    sequencer: Stage<Result<Sequenced>>,
    coder: Stage<Result<()>>,
    packer: Stage<u64>,
    storer: Stage<Result<u64>>,
}

/// What came of the pipeline.
struct Stored {
    sequenced: Sequenced,
    /// Bytes of the packs.
    bytes: u64,
    /// Chunks that are coded as deltas.
    delta_chunks: u64,
}

#[derive(Debug)]
struct OpenPart {
    name: Vec<u8>,
    kind: PartKind,
    len: u64,
    hasher: blake3::Hasher,
    /// Known already when all the bytes come from the parent.
    hash: Option<Digest>,
}

impl std::fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWriter").field("head", &self.head).finish_non_exhaustive()
    }
}

impl SnapshotWriter {
    /// Registers as a writer and starts the pipeline.
    pub fn begin(store: Arc<Store>, head: SnapshotHead, monitor: Arc<dyn Monitor>) -> Result<Self> {
        // A claim is never encrypted: of an encrypted store's sources it must not tell.
        let holder = match store.key.is_encrypted() {
            true => format!("create on {}", head.host),
            false => format!("create {} on {}", head.source, head.host),
        };
        let claim = WriterClaim::register(&store, &holder)?;
        // Crashed captures may have left whole copies of databases.
        store.storage.clear_unfinished()?;
        let condemned = store.condemned_packs()?;
        // What crashed writers left is valid content: the index learns of it now, and it is not stored again.
        store.refresh_index_to_write(&condemned)?;
        let absent = Arc::new(store.absent(condemned)?);
        let hands = store.machine.hands();
        let (feed, fed) = hands.queue(FEED_QUEUE);
        let (new_out, new_runs) = hands.queue(RUN_QUEUE);
        let (coded_out, coded_runs) = hands.queue(RUN_QUEUE);
        let (packs_out, packs) = hands.queue(0);
        let pending = Pending::default();

        let sequencer = {
            let (store, absent, pending) = (Arc::clone(&store), Arc::clone(&absent), pending.clone());
            hands.stage("sequencer", move || Sequencer::new(&store, &absent, new_out, pending).run(&fed))?
        };
        let coder = {
            let (store, absent) = (Arc::clone(&store), Arc::clone(&absent));
            let deltas = head.deltas && store.config.deltas;
            hands.stage("coder", move || code_runs(&store, &absent, deltas, &new_runs, &coded_out))?
        };
        let packer = {
            let store = Arc::clone(&store);
            hands.stage("packer", move || pack_runs(&store, &coded_runs, &packs_out))?
        };
        let storer = {
            let (store, monitor) = (Arc::clone(&store), Arc::clone(&monitor));
            hands.stage("storer", move || store_packs(&store, &packs, &pending, &monitor))?
        };

        let feeder = |lane| Feeder::new(lane, &store, feed.clone());
        Ok(Self {
            content: Some(feeder(Lane::Content)),
            catalog: Some(feeder(Lane::Catalog)),
            feed: Some(feed),
            threads: Some(Threads { sequencer, coder, packer, storer }),
            store,
            monitor,
            head,
            claim,
            absent,
            records: Vec::new(),
            spilled: false,
            offset: 0,
            parts: 0,
            open: None,
            findings: Vec::new(),
            published: false,
        })
    }

    /// Cuts the content where it was cut before, so that it becomes the chunks it was. `lens` are the lengths of those chunks.
    pub fn cut_at(&mut self, lens: Box<dyn Iterator<Item = u32> + Send>) {
        let chunk_len_max = self.store.config.chunk_sizes.max;
        if let Some(content) = &mut self.content {
            content.cut_at(lens, chunk_len_max);
        }
    }

    /// Opens a part. Files get chunks of their own, so that the next snapshot can refer to them without reading; so does any
    /// part that wants them, unless its neighbour before is too short to be worth a chunk.
    pub fn begin_part(&mut self, name: &[u8], kind: PartKind, grain: Grain, own_chunks: bool) -> Result<()> {
        assert!(self.open.is_none(), "the part before must have ended");
        let always = kind == PartKind::File;
        if let Some(content) = &mut self.content {
            content.settle();
            if always || (own_chunks && content.uncut_len() >= OWN_CHUNK_MIN) {
                content.force_cut();
            }
            content.set_grain(grain);
        }
        let hasher = self.store.key.part_hasher();
        // A hostile tarball may name a member as it likes; it is the bytes that count.
        let name = name.get(..PART_NAME_LEN_MAX).unwrap_or(name);
        self.open = Some(OpenPart { name: name.to_vec(), kind, len: 0, hasher, hash: None });
        Ok(())
    }

    /// Appends bytes to the open part.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_cancelled()?;
        let sent = self.content.as_mut().map_or(Err(Hangup), |content| content.write(bytes));
        if sent.is_err() {
            return Err(self.failure());
        }
        self.count(bytes.len() as u64);
        if let Some(open) = &mut self.open {
            open.hasher.update(bytes);
        }
        Ok(())
    }

    /// Appends what `reader` gives, up to `limit` bytes. The outer error is the store's, the inner one the reader's.
    pub fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>> {
        let (Some(content), Some(open)) = (&mut self.content, &mut self.open) else {
            return Err(self.failure());
        };
        let monitor = &self.monitor;
        let mut seen = |bytes: &[u8]| {
            open.hasher.update(bytes);
            open.len += bytes.len() as u64;
            monitor.count(Counter::PlainBytes, bytes.len() as u64);
            !monitor.is_cancelled()
        };
        let copied = content.copy(reader, limit, &mut seen);
        self.claim.beat();
        self.check_cancelled()?;
        copied.map_err(|Hangup| self.failure())
    }

    /// Makes the open part's bytes those of a part of `parent`, without seeing them. False if the store does not have them as whole
    /// chunks, or no longer.
    pub fn reuse(&mut self, parent: &mut TreeReader<'_>, part: &Part) -> Result<bool> {
        if part.len == 0 {
            return Ok(true);
        }
        let all_known = for_whole_chunks(parent, part, &mut |chunks| {
            let known = self.store.known_chunks(chunks.iter().map(|chunk| &chunk.id), &self.absent)?;
            Ok(!known.contains(&false))
        });
        match all_known {
            Ok(true) => (),
            Ok(false) => return Ok(false),
            // A damaged parent must not keep a new snapshot from being taken.
            Err(error) if error.is_out_of_reach() => return Ok(false),
            Err(error) => return Err(error),
        }
        // Walked twice, so that a file of any size is never held in memory as references.
        let mut sent = self.content.as_mut().map_or(Err(Hangup), Feeder::flush);
        for_whole_chunks(parent, part, &mut |chunks| {
            if let (Ok(()), Some(feed)) = (&sent, &self.feed) {
                sent = feed.send(Feed::Known(chunks)).map_err(|_| Hangup);
            }
            Ok(sent.is_ok())
        })?;
        if sent.is_err() {
            return Err(self.failure());
        }
        if let Some(open) = &mut self.open {
            assert!(open.len == 0, "a part is reused whole");
            open.hash = Some(part.hash);
        }
        self.count(part.len);
        self.check_cancelled()?;
        Ok(true)
    }

    /// Ends the open part.
    pub fn end_part(&mut self, rows: Option<u64>, file: Option<Box<FileAttributes>>) -> Result<()> {
        let open = self.open.take().expect("a part is open");
        let hash = open.hash.unwrap_or_else(|| Digest(*open.hasher.finalize().as_bytes()));
        let part =
            Part { name: open.name, kind: open.kind, offset: self.offset, len: open.len, hash, rows, file };
        self.offset += part.len;
        self.parts += 1;
        let mut record = Vec::new();
        encode_part(&part, &mut record);
        // One record that cannot be read back would make the whole snapshot unreadable.
        decode_parts(&record, part.offset, part.hash)
            .map_err(StoreError::damaged(format!("the record of part {:?}", part.display_name())))?;
        self.records.extend_from_slice(&record);
        if Catalog::fits_inline(self.records.len()) && !self.spilled { Ok(()) } else { self.spill_records() }
    }

    /// Remembers what could not be captured as it should have been.
    pub fn add_finding(&mut self, sentence: String) {
        /// A manifest is not the place for a million complaints.
        const FINDINGS_MAX: usize = 100;
        match self.findings.len() {
            FINDINGS_MAX => self.findings.push("and more".to_owned()),
            n if n < FINDINGS_MAX => self.findings.push(sentence),
            _ => (),
        }
    }

    /// Bytes of content so far.
    pub fn content_len(&self) -> u64 {
        self.offset + self.open.as_ref().map_or(0, |open| open.len)
    }

    /// Waits until everything is durable, then publishes. `describe` completes what the manifest says.
    pub fn commit(mut self, describe: impl FnOnce(&mut SnapshotInfo)) -> Result<Written> {
        let manifest = self.finish(describe)?;
        self.publish(manifest)
    }

    /// The same of a snapshot that was taken before, elsewhere perhaps: what it was then is all that the manifest says. If the store has it, nothing is
    /// published; what it had lost of it is there again.
    pub fn commit_again(mut self, info: &SnapshotInfo) -> Result<Again> {
        let mut added_bytes = 0;
        let manifest = self.finish(|found| {
            added_bytes = found.stored_bytes;
            let (parts, logical_bytes, chunks) = (found.parts, found.logical_bytes, found.chunks);
            *found = SnapshotInfo { parts, logical_bytes, chunks, ..info.clone() };
        })?;
        let name = names::snapshot(self.claim.id());
        let (id, _) = manifest.encode(&name, &self.store.key, &self.store.machine.salt());
        let is_there = self.store.snapshot_ids()?.contains(&id);
        let published = if is_there { None } else { Some(self.publish(manifest)?) };
        Ok(Again { id, added_bytes, published })
    }

    /// Waits until everything is durable. What remains is to publish it.
    fn finish(&mut self, describe: impl FnOnce(&mut SnapshotInfo)) -> Result<Manifest> {
        assert!(self.open.is_none(), "the last part must have ended");
        let inline = if self.spilled { None } else { Some(std::mem::take(&mut self.records)) };
        let flushed =
            [self.content.take(), self.catalog.take()].into_iter().flatten().all(|mut f| f.flush().is_ok());
        let Stored { sequenced, bytes, delta_chunks } = self.join()?;
        if !flushed {
            return Err(StoreError::Panicked { thread: "sequencer" });
        }
        assert_eq!(sequenced.content.len(), self.offset, "the tree covers the content");
        let mut info = self.info();
        info.chunks = sequenced.chunks;
        info.stored_bytes = bytes;
        info.delta_chunks = delta_chunks;
        info.changed_bytes = sequenced.changed_bytes;
        info.new_chunks = sequenced.new_chunks;
        describe(&mut info);
        let catalog = match (inline, sequenced.catalog) {
            (Some(records), _) => Catalog::Inline(records),
            (None, tree) => Catalog::Stored(tree.unwrap_or_default()),
        };
        Ok(Manifest { info, content: sequenced.content, catalog })
    }

    /// Publishes a snapshot of the same parts and bytes as `parent`, which nobody has to read for that. Returns the writer if `parent`, or
    /// a chunk of it, is not there any more, so that the source can be read after all. Nothing must have been written.
    ///
    /// Safe because the parent is looked for after this writer has registered: a collection that does not see the parent
    /// started to look later still, and deletes nothing before this writer has ended.
    pub fn commit_same(
        mut self,
        parent: &Snapshot,
        describe: impl FnOnce(&mut SnapshotInfo),
    ) -> Result<std::result::Result<Written, Self>> {
        assert!(
            self.open.is_none() && self.content_len() == 0 && self.parts == 0,
            "nothing has been written"
        );
        match self.store.storage.len(&parent.object) {
            Ok(_) => (),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Err(self)),
            Err(error) => return Err(error.into()),
        }
        if !self.store.holds(&parent.manifest, &self.absent)? {
            return Ok(Err(self));
        }
        (self.content, self.catalog) = (None, None);
        self.join()?;
        let mut info = self.info();
        let before = parent.info();
        info.engine.clone_from(&before.engine);
        info.engine_version.clone_from(&before.engine_version);
        info.form.clone_from(&before.form);
        info.origin.clone_from(&before.origin);
        info.unpacked.clone_from(&before.unpacked);
        info.fingerprint.clone_from(&before.fingerprint);
        (info.parts, info.logical_bytes, info.chunks) = (before.parts, before.logical_bytes, before.chunks);
        describe(&mut info);
        let (content, catalog) = (parent.manifest.content.clone(), parent.manifest.catalog.clone());
        self.publish(Manifest { info, content, catalog }).map(Ok)
    }

    /// What is known before the capture has been described.
    fn info(&mut self) -> SnapshotInfo {
        let head = self.head.clone();
        SnapshotInfo {
            source: head.source,
            engine: "files".to_owned(),
            engine_version: None,
            form: "stream".to_owned(),
            origin: None,
            unpacked: None,
            fingerprint: None,
            created_at: head.created_at,
            host: head.host,
            tool_version: head.tool_version,
            parent: head.parent,
            parts: self.parts,
            logical_bytes: self.offset,
            changed_bytes: 0,
            stored_bytes: 0,
            chunks: 0,
            new_chunks: 0,
            delta_chunks: 0,
            duration_ms: 0,
            findings: std::mem::take(&mut self.findings),
        }
    }

    /// Creates the one object that makes the snapshot exist; a collector that gave this writer up has created it before.
    fn publish(&mut self, manifest: Manifest) -> Result<Written> {
        self.check_cancelled()?;
        self.claim.check_there(&self.store)?;
        let name = names::snapshot(self.claim.id());
        let (id, bytes) = manifest.encode(&name, &self.store.key, &self.store.machine.salt());
        self.claim.publish(&self.store, &bytes)?;
        self.published = true;
        Ok(Written { id, info: manifest.info, manifest_len: bytes.len() as u64 })
    }

    fn spill_records(&mut self) -> Result<()> {
        self.spilled = true;
        let records = std::mem::take(&mut self.records);
        let sent = self.catalog.as_mut().map_or(Err(Hangup), |catalog| catalog.write(&records));
        sent.map_err(|Hangup| self.failure())
    }

    fn count(&mut self, len: u64) {
        if let Some(open) = &mut self.open {
            open.len += len;
        }
        self.monitor.count(Counter::PlainBytes, len);
        self.claim.beat();
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.monitor.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
    }

    /// Why the pipeline hung up.
    fn failure(&mut self) -> StoreError {
        (self.content, self.catalog) = (None, None);
        match self.join() {
            Err(error) => error,
            Ok(_) => StoreError::Panicked { thread: "pipeline" },
        }
    }

    /// Ends the pipeline and takes its results; the first error downstream is the cause of those before it.
    fn join(&mut self) -> Result<Stored> {
        self.feed = None;
        let Some(threads) = self.threads.take() else {
            return Err(StoreError::Panicked { thread: "pipeline" });
        };
        let sequenced = threads.sequencer.join().map_err(|_| StoreError::Panicked { thread: "sequencer" });
        let coded = threads.coder.join().map_err(|_| StoreError::Panicked { thread: "coder" });
        let packed = threads.packer.join().map_err(|_| StoreError::Panicked { thread: "packer" });
        let stored = threads.storer.join().map_err(|_| StoreError::Panicked { thread: "storer" });
        let bytes = stored??;
        let delta_chunks = packed?;
        coded??;
        Ok(Stored { sequenced: sequenced??, bytes, delta_chunks })
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        (self.content, self.catalog) = (None, None);
        // Threads must not outlive the claim that protects what they refer to.
        let _ = self.join();
        if !self.published && !self.claim.is_left() {
            // Nor will it: a collector's marker has served. One that stays is litter.
            let _ = self.store.remove_marker(self.claim.id());
        }
    }
}

/// References that are looked at together.
const REFS_AT_ONCE: usize = 4096;

/// Gives `visit` the chunks that are exactly a part's bytes, some thousand at a time. False if they are not whole chunks, or as soon as
/// `visit` says so.
fn for_whole_chunks(
    parent: &mut TreeReader<'_>,
    part: &Part,
    visit: &mut dyn FnMut(Vec<ChunkRef>) -> Result<bool>,
) -> Result<bool> {
    parent.seek(part.offset)?;
    if parent.offset() != part.offset {
        return Ok(false);
    }
    let end = part.offset + part.len;
    let mut chunks = Vec::new();
    while parent.offset() < end {
        let Some((_, chunk)) = parent.next_chunk()? else { return Ok(false) };
        chunks.push(chunk);
        if chunks.len() == REFS_AT_ONCE && !visit(std::mem::take(&mut chunks))? {
            return Ok(false);
        }
    }
    Ok(parent.offset() == end && (chunks.is_empty() || visit(chunks)?))
}
