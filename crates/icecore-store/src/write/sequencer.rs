//! The pipeline's middle: which chunks are new, which run they join, and the trees over them.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use icecore_format::{ChunkId, ChunkRef, Run, TocChunk};

use super::pending::Pending;
use super::{Feed, HashedBatch, Lane, NewRun, Sequenced};
use crate::Result;
use crate::absent::Absent;
use crate::store::Store;
use crate::tree::TreeBuilder;

/// Neighbouring new chunks that will be coded together.
#[derive(Debug, Default)]
struct Gathered {
    chunks: Vec<(ChunkId, Bytes)>,
    len: usize,
}

pub(super) struct Sequencer<'a> {
    store: &'a Arc<Store>,
    absent: &'a Absent,
    out: Sender<Receiver<NewRun>>,
    pending: Pending,
    content_run: Gathered,
    /// Catalog and tree nodes: few, and read together.
    meta_run: Gathered,
    sequenced: Sequenced,
}

/// The packer is gone; it knows why.
struct Hangup;

impl<'a> Sequencer<'a> {
    pub(super) fn new(
        store: &'a Arc<Store>,
        absent: &'a Absent,
        out: Sender<Receiver<NewRun>>,
        pending: Pending,
    ) -> Self {
        Self {
            store,
            absent,
            out,
            pending,
            content_run: Gathered::default(),
            meta_run: Gathered::default(),
            sequenced: Sequenced::default(),
        }
    }

    /// Takes everything the feeders send; returns when they hang up.
    pub(super) fn run(mut self, feed: &Receiver<Feed>) -> Result<Sequenced> {
        let mut content = TreeBuilder::new();
        let mut catalog = TreeBuilder::new();
        for item in feed {
            match item {
                Feed::Known(chunks) => {
                    self.sequenced.chunks += chunks.len() as u64;
                    for chunk in chunks {
                        self.push(&mut content, chunk)?;
                    }
                }
                Feed::Batch(hashed) => {
                    // The pool dropped it: it is shutting down with us.
                    let Ok(batch) = hashed.recv() else { return Ok(self.sequenced) };
                    let tree = match batch.lane {
                        Lane::Content => &mut content,
                        Lane::Catalog => &mut catalog,
                    };
                    if !self.take(batch, tree)? {
                        return Ok(self.sequenced);
                    }
                }
            }
        }
        let has_catalog = catalog.has_chunks();
        let finished = self.finish(content).and_then(|content| {
            let catalog = if has_catalog { Some(self.finish(catalog)?) } else { None };
            self.flush_content()?;
            self.flush_meta()?;
            Ok((content, catalog))
        });
        match finished {
            Ok((content, catalog)) => {
                self.sequenced.content = content;
                self.sequenced.catalog = catalog;
                Ok(self.sequenced)
            }
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Hangup) => Ok(self.sequenced),
        }
    }

    /// False if the packer is gone.
    fn take(&mut self, batch: HashedBatch, tree: &mut TreeBuilder) -> Result<bool> {
        let known = self.known(batch.chunks.iter().map(|(id, _)| id))?;
        // A chunk keeps the whole block it was cut from in memory. Where few of a block are new, their bytes are copied instead, so that
        // a run of scattered chunks does not hold dozens of blocks.
        let scattered = known.iter().filter(|known| !**known).count() * 2 < known.len();
        // A chunk that repeats within the batch may have left the pending ones before its second turn, but was looked up before.
        let mut repeated = HashSet::new();
        for ((id, bytes), known) in batch.chunks.into_iter().zip(known) {
            let reference = ChunkRef { id, len: u32::try_from(bytes.len()).expect("chunks are bounded") };
            let is_new = !known && repeated.insert(id) && self.pending.lock().insert(id);
            if batch.lane == Lane::Content {
                self.sequenced.chunks += 1;
            }
            if is_new {
                let added = match batch.lane {
                    Lane::Content => {
                        self.sequenced.new_chunks += 1;
                        self.sequenced.changed_bytes += bytes.len() as u64;
                        self.add_content(id, if scattered { Bytes::copy_from_slice(&bytes) } else { bytes })
                    }
                    Lane::Catalog => self.add_meta(id, bytes),
                };
                if added.is_err() {
                    return Ok(false);
                }
            }
            self.push(tree, reference)?;
        }
        Ok(true)
    }

    /// For each chunk, whether it is on its way into a pack, or lies in one that is not absent. Looked up in one short transaction.
    ///
    /// Pending chunks first: the storer adds chunks to the index before it removes them there, so that none is missed.
    fn known<'c>(&self, ids: impl Iterator<Item = &'c ChunkId> + Clone) -> Result<Vec<bool>> {
        let mut known: Vec<bool> = {
            let pending = self.pending.lock();
            ids.clone().map(|id| pending.contains(id)).collect()
        };
        let indexed = self.store.known_chunks(ids, self.absent)?;
        known.iter_mut().zip(indexed).for_each(|(known, indexed)| *known |= indexed);
        Ok(known)
    }

    fn push(&mut self, tree: &mut TreeBuilder, chunk: ChunkRef) -> Result<()> {
        match tree.push(chunk, &mut |node| self.store_node(node)) {
            // A packer that is gone is noticed when the next chunk is sent.
            Ok(()) | Err(Stop::Hangup) => Ok(()),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    fn finish(&mut self, tree: TreeBuilder) -> std::result::Result<icecore_format::Tree, Stop> {
        tree.finish(&mut |node| self.store_node(node))
    }

    /// Stores a node of a tree as a chunk, if it is not there yet.
    fn store_node(&mut self, node: Vec<u8>) -> std::result::Result<ChunkRef, Stop> {
        let id = self.store.key.chunk_id(&node);
        let reference = ChunkRef { id, len: u32::try_from(node.len()).expect("nodes are bounded") };
        let known = self.known(std::iter::once(&id)).map_err(Stop::Error)?;
        if known != [true] && self.pending.lock().insert(id) {
            self.add_meta(id, node.into())?;
        }
        Ok(reference)
    }

    fn add_content(&mut self, id: ChunkId, bytes: Bytes) -> std::result::Result<(), Hangup> {
        self.content_run.len += bytes.len();
        self.content_run.chunks.push((id, bytes));
        if self.content_run.len >= self.store.config.body_len as usize {
            self.flush_content()
        } else {
            Ok(())
        }
    }

    fn add_meta(&mut self, id: ChunkId, bytes: Bytes) -> std::result::Result<(), Hangup> {
        self.meta_run.len += bytes.len();
        self.meta_run.chunks.push((id, bytes));
        if self.meta_run.len >= self.store.config.body_len as usize { self.flush_meta() } else { Ok(()) }
    }

    fn flush_content(&mut self) -> std::result::Result<(), Hangup> {
        let run = mem::take(&mut self.content_run);
        self.send(run, Lane::Content)
    }

    fn flush_meta(&mut self) -> std::result::Result<(), Hangup> {
        let run = mem::take(&mut self.meta_run);
        self.send(run, Lane::Catalog)
    }

    fn send(&mut self, gathered: Gathered, lane: Lane) -> std::result::Result<(), Hangup> {
        if gathered.chunks.is_empty() {
            return Ok(());
        }
        let (done, run) = bounded(1);
        self.out.send(run).map_err(|_| Hangup)?;
        let (hands, store) = (self.store.machine.hands(), Arc::clone(self.store));
        hands.spawn(move || drop(done.send(gathered.join(lane, &store))));
        Ok(())
    }
}

impl Gathered {
    /// One piece of memory instead of many, with what its chunks are recognised by.
    fn join(self, lane: Lane, store: &Store) -> NewRun {
        let mut plain = Vec::with_capacity(self.len);
        let mut run = Run::default();
        for (id, bytes) in self.chunks {
            plain.extend_from_slice(&bytes);
            run.chunks.push(TocChunk { id, len: u32::try_from(bytes.len()).expect("chunks are bounded") });
            // A create that may not use deltas draws them for those that may.
            if store.config.deltas {
                run.sketches.push(match lane {
                    Lane::Content => store.sketcher.sketch(&bytes),
                    Lane::Catalog => store.sketch(&bytes),
                });
            }
        }
        NewRun { lane, run, plain }
    }
}

/// Why a tree could not be continued.
enum Stop {
    Error(crate::StoreError),
    Hangup,
}

impl From<Hangup> for Stop {
    fn from(_: Hangup) -> Self {
        Self::Hangup
    }
}
