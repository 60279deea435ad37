//! The caller's side: bytes into chunks, chunks onto the pool.

use std::io::{self, Read};
use std::mem;

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use icecore_chunk::{Cutter, Grain};
use icecore_format::StoreKey;

use super::{Batch, Feed, HashedBatch, Lane};
use crate::machine::Hands;
use crate::store::Store;

/// Bytes that are hashed as one job.
const BLOCK_LEN: usize = 1 << 20;

/// The pipeline behind the feeder is gone; its threads know why.
#[derive(Debug)]
pub(super) struct Hangup;

/// Cuts one lane's bytes and sends them on.
#[derive(Debug)]
pub(super) struct Feeder {
    lane: Lane,
    cutter: Cutter,
    key: StoreKey,
    hands: Hands,
    out: Sender<Feed>,
    buf: Vec<u8>,
    /// Chunks of `buf`, by their ends; what is behind the last end is not cut yet.
    ends: Vec<usize>,
    grain: Grain,
    /// Where the bytes were cut before, if they were.
    given: Option<Cuts>,
}

/// The lengths of chunks as they were cut before, and the next of them.
pub(super) struct Cuts {
    next: usize,
    later: Box<dyn Iterator<Item = u32> + Send>,
    len_max: usize,
}

impl std::fmt::Debug for Cuts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cuts").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Cuts {
    /// How much farther than usual a cut may lie that a seam has moved.
    const SEAM_MAX: usize = 1 << 20;
    /// More chunks in a block than any source is cut into. A stranger's cuts must not cost more memory than his bytes do.
    const IN_BLOCK_MAX: usize = 64 << 10;

    /// The next one; none at the end, and none where no cutter of this store would cut.
    fn after(mut later: Box<dyn Iterator<Item = u32> + Send>, len_max: usize) -> Option<Self> {
        let next = later.next()? as usize;
        (1..=len_max).contains(&next).then_some(Self { next, later, len_max })
    }
}

impl Feeder {
    pub(super) fn new(lane: Lane, store: &Store, out: Sender<Feed>) -> Self {
        let (cutter, key, hands) = (store.cutter.clone(), store.key.clone(), store.machine.hands());
        let grain = Grain::Byte;
        Self { lane, cutter, key, hands, out, buf: Vec::new(), ends: Vec::new(), grain, given: None }
    }

    /// Where the bytes from here on have seams.
    pub(super) fn set_grain(&mut self, grain: Grain) {
        self.grain = grain;
    }

    /// Cuts as it was done before, for as long as these lengths are such as a cutter gives; from there on as usual.
    pub(super) fn cut_at(&mut self, lens: Box<dyn Iterator<Item = u32> + Send>, chunk_len_max: u32) {
        self.given = Cuts::after(lens, chunk_len_max as usize + Cuts::SEAM_MAX);
    }

    /// Bytes that follow the last cut.
    pub(super) fn uncut_len(&self) -> usize {
        self.buf.len() - self.last_end()
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Hangup> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.space()));
            self.buf.extend_from_slice(now);
            bytes = later;
            self.cut_settled()?;
        }
        Ok(())
    }

    /// Reads up to `limit` bytes straight into the block. `seen` gets each run of bytes read; it may return false to stop.
    pub(super) fn copy(
        &mut self,
        reader: &mut dyn Read,
        limit: u64,
        seen: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<io::Result<u64>, Hangup> {
        let mut total = 0;
        while total < limit {
            let from = self.buf.len();
            let want = (limit - total).min(self.space() as u64);
            let mut reader = &mut *reader;
            let read = Read::take(&mut reader, want).read_to_end(&mut self.buf);
            let Some(fresh) = self.buf.get(from..) else { break };
            let (len, go_on) = (fresh.len() as u64, seen(fresh));
            total += len;
            if let Err(error) = read {
                return Ok(Err(error));
            }
            self.cut_settled()?;
            if len < want || !go_on {
                break;
            }
        }
        Ok(Ok(total))
    }

    /// Forces a cut here and sends everything on.
    pub(super) fn flush(&mut self) -> Result<(), Hangup> {
        self.settle();
        self.given = None;
        self.force_cut();
        self.ship()
    }

    /// Ends the chunk here, wherever the cutter would have ended it.
    pub(super) fn force_cut(&mut self) {
        if self.given.is_some() {
            return;
        }
        while let rest @ [_, ..] = self.buf.get(self.last_end()..).unwrap_or_default() {
            let end = self.last_end() + self.cutter.cut(rest, self.grain);
            self.ends.push(end);
        }
    }

    fn last_end(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// How many bytes it takes to know the next cut.
    fn lookahead(&self) -> usize {
        self.given.as_ref().map_or_else(|| self.cutter.lookahead(self.grain), |cuts| cuts.next)
    }

    /// How much the block still takes.
    fn space(&mut self) -> usize {
        let capacity = BLOCK_LEN + self.lookahead();
        if self.buf.capacity() < capacity {
            self.buf.reserve_exact(capacity - self.buf.len());
        }
        // A grain that looked farther ahead may have left more than this one ever does.
        capacity.saturating_sub(self.buf.len())
    }

    /// Cuts and ships a full block.
    fn cut_settled(&mut self) -> Result<(), Hangup> {
        if self.buf.len() < BLOCK_LEN {
            return Ok(());
        }
        self.settle();
        self.ship()
    }

    /// Cuts what can be cut without knowing what follows. Before every decision that depends on the last cut, so that no
    /// decision depends on the pieces in which the bytes came.
    pub(super) fn settle(&mut self) {
        while let Some(cuts) = &self.given {
            if self.uncut_len() < cuts.next {
                return;
            }
            self.ends.push(self.last_end() + cuts.next);
            if self.ends.len() > Cuts::IN_BLOCK_MAX {
                self.given = None;
                break;
            }
            self.given = self.given.take().and_then(|cuts| Cuts::after(cuts.later, cuts.len_max));
        }
        let lookahead = self.cutter.lookahead(self.grain);
        loop {
            let rest = self.buf.get(self.last_end()..).unwrap_or_default();
            if rest.len() < lookahead {
                break;
            }
            let end = self.last_end() + self.cutter.cut(rest, self.grain);
            self.ends.push(end);
        }
    }

    /// Sends the chunks on, and keeps the uncut rest.
    fn ship(&mut self) -> Result<(), Hangup> {
        let end = self.last_end();
        if end == 0 {
            return Ok(());
        }
        let rest = self.buf.get(end..).unwrap_or_default();
        let mut fresh = Vec::with_capacity(if rest.is_empty() { 0 } else { self.buf.capacity() });
        fresh.extend_from_slice(rest);
        let mut block = mem::replace(&mut self.buf, fresh);
        block.truncate(end);
        let block = Bytes::from(block);
        let mut start = 0;
        let cut = |end| {
            let chunk = block.slice(start..end);
            start = end;
            chunk
        };
        let chunks = mem::take(&mut self.ends).into_iter().map(cut).collect();
        let batch = Batch { lane: self.lane, chunks };
        let (done, hashed) = bounded(1);
        let key = self.key.clone();
        // The place in the queue is taken first: the queue's bound is the bound on memory.
        self.out.send(Feed::Batch(hashed)).map_err(|_| Hangup)?;
        self.hands.spawn(move || {
            let chunks = batch.chunks.into_iter().map(|chunk| (key.chunk_id(&chunk), chunk)).collect();
            // Nobody waits for it when the pipeline has failed.
            let _ = done.send(HashedBatch { lane: batch.lane, chunks });
        });
        Ok(())
    }
}
