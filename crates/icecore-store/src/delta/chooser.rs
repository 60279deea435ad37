//! Which chunks a run of new ones is coded on.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::{BODY_LEN_MAX, DEPTH_MAX, PackId, Run, TocChunk};

use super::Candidate;
use crate::Result;
use crate::absent::Absent;
use crate::index::{ChunkPlace, IndexReader};
use crate::pack::OpenPack;
use crate::store::Store;

/// Candidates may have so many times the bytes of the run: it is what coding it costs.
pub(crate) const BASES_SHARE_MAX: u64 = 3;
/// A run is tried on others if these have one in so many of its numbers.
const SHARED_MIN: usize = 8;
/// Chunks that lie between two that are alike are taken for alike if they are no more than this.
const GAP_MAX: u32 = 3;
/// How many runs in a row may be tried on what follows the bases of the run before, when nothing else is known of them.
const GUESSES_MAX: u32 = 2;
/// From so many deltas on, one on the other, a chain goes back to where it started if that costs little.
const CHAIN_LEN: u8 = 15;

/// What a run may be coded on: each but the last only if little is new to it.
pub(crate) type Choices = Vec<Vec<Candidate>>;

/// Finds bases, run by run, in the order of the content.
pub(crate) struct Chooser<'a> {
    store: &'a Store,
    absent: &'a Absent,
    /// What comes after the last base, in its pack.
    next: Option<(PackId, u32)>,
    guesses: u32,
}

/// For chunks that a run resembles: how many numbers of sketches they share with it, and the first of its chunks that does.
type Votes = BTreeMap<(PackId, u32), (u32, usize)>;

/// Neighbouring chunks of one pack that a run resembles.
#[derive(Debug)]
struct Stretch {
    pack: PackId,
    first: u32,
    last: u32,
    votes: u32,
    /// The first chunk of the run that resembles them.
    met: usize,
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(store: &'a Store, absent: &'a Absent) -> Self {
        Self { store, absent, next: None, guesses: 0 }
    }

    /// What a run whose chunks have sketches may be coded on; nothing if it resembles nothing.
    pub(crate) fn choose(&mut self, run: &Run) -> Result<Choices> {
        let [newest, anchors] = self.alike(run)?;
        let room = (u64::from(run.plain_len()) * BASES_SHARE_MAX).min(BODY_LEN_MAX.into());
        // Where there are few numbers to share, one counts.
        let numbers: usize = run.sketches.iter().map(|sketch| sketch.numbers().len()).sum();
        let votes_min = if numbers > 8 { 2 } else { 1 };
        let mut choices = Vec::new();
        let mut next = None;
        for votes in [anchors, newest] {
            let stretches = stretches(&votes, votes_min);
            // What shares less than this has a phrase in common with it, or two.
            let shared: u32 = stretches.iter().map(|stretch| stretch.votes).sum();
            if (shared as usize) < numbers / SHARED_MIN {
                continue;
            }
            if let Some((candidates, after)) = self.take(stretches, room) {
                choices.push(candidates);
                next = Some(after);
            }
        }
        if next.is_some() {
            (self.next, self.guesses) = (next, 0);
        } else if let Some((pack, first)) = self.next.filter(|_| self.guesses < GUESSES_MAX) {
            self.guesses += 1;
            let count = u32::try_from(run.chunks.len()).unwrap_or(u32::MAX);
            let last = first.saturating_add(count);
            let guess = Stretch { pack, first, last, votes: 0, met: 0 };
            if let Some((candidates, after)) = self.take(vec![guess], room) {
                choices.push(candidates);
                self.next = Some(after);
            }
        }
        Ok(choices)
    }

    /// The newest chunks that share numbers with the run's sketches; and, if chains of theirs have grown, those that the chains started
    /// from, with what else lies as near.
    fn alike(&self, run: &Run) -> Result<[Votes; 2]> {
        self.store.index.read(|index| {
            let mut found = Vec::new();
            for (met, sketch) in run.sketches.iter().enumerate() {
                for number in sketch.numbers() {
                    let near = |place: &ChunkPlace| place.depth < DEPTH_MAX;
                    let [newest, anchor] = index.namesakes(*number)?.map(|place| place.filter(near));
                    found.extend(newest.or(anchor).zip(anchor.or(newest)).map(|both| (met, both)));
                }
            }
            let has_grown = |(newest, anchor): &&(ChunkPlace, ChunkPlace)| {
                newest.depth.saturating_sub(anchor.depth) >= CHAIN_LEN
            };
            let near = found.iter().map(|(_, both)| both).filter(has_grown).map(|(_, anchor)| anchor.depth);
            let near = near.max();
            let newest = found.iter().map(|(met, (newest, _))| (*met, *newest));
            let anchors = found.iter().map(|(met, (_, anchor))| (*met, *anchor));
            let anchors = anchors.filter(|(_, anchor)| near.is_some_and(|near| anchor.depth <= near));
            Ok([self.count(index, newest)?, self.count(index, anchors)?])
        })
    }

    /// Counts votes for chunks that something may be coded on.
    fn count(&self, index: &IndexReader, found: impl Iterator<Item = (usize, ChunkPlace)>) -> Result<Votes> {
        let mut packs = BTreeMap::new();
        let mut votes = Votes::new();
        for (met, place) in found {
            let pack = match packs.get(&place.pack) {
                Some(pack) => *pack,
                None => *packs.entry(place.pack).or_insert(index.pack(place.pack)?.map(|record| record.id)),
            };
            if let Some(pack) = pack.filter(|pack| !self.absent.has(pack)) {
                votes.entry((pack, place.ordinal)).or_insert((0, met)).0 += 1;
            }
        }
        Ok(votes)
    }

    /// The chunks of the stretches that are alike most, as many as may be read for this run, and what comes after them.
    fn take(&self, mut stretches: Vec<Stretch>, mut room: u64) -> Option<(Vec<Candidate>, (PackId, u32))> {
        stretches.sort_by_key(|stretch| std::cmp::Reverse(stretch.votes));
        let mut taken: Vec<(usize, PackId, u32, Vec<Candidate>)> = Vec::new();
        for (number, stretch) in stretches.into_iter().enumerate() {
            // If it went, or cannot be read, there is always another way.
            let Ok(pack) = self.store.packs.open(&stretch.pack) else { continue };
            let mut candidates = Vec::new();
            let mut last = stretch.first;
            for (ordinal, depth, chunk) in chunks_of(&pack, stretch.first, stretch.last) {
                let len = u64::from(chunk.len);
                if len > room || depth >= DEPTH_MAX {
                    break;
                }
                room -= len;
                candidates.push(Candidate {
                    base: chunk.base(),
                    depth,
                    pack: Some(stretch.pack),
                    stretch: number,
                });
                last = ordinal;
            }
            if !candidates.is_empty() {
                taken.push((stretch.met, stretch.pack, last, candidates));
            }
        }
        taken.sort_by_key(|(met, ..)| *met);
        let (_, pack, last, _) = taken.last()?;
        let after = (*pack, last + 1);
        let candidates = taken.into_iter().flat_map(|(.., candidates)| candidates).take(u16::MAX.into());
        Some((candidates.collect(), after))
    }
}

/// Neighbours among what was voted for. What only shares as many numbers as chance has it in a long run is left out.
fn stretches(votes: &Votes, votes_min: u32) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for ((pack, ordinal), (votes, met)) in votes {
        match stretches.last_mut() {
            Some(last) if last.pack == *pack && ordinal - last.last <= GAP_MAX => {
                last.last = *ordinal;
                last.votes += votes;
                last.met = last.met.min(*met);
            }
            _ => {
                stretches.push(Stretch {
                    pack: *pack,
                    first: *ordinal,
                    last: *ordinal,
                    votes: *votes,
                    met: *met,
                });
            }
        }
    }
    stretches.retain(|stretch| stretch.votes >= votes_min);
    stretches
}

/// The chunks of a pack from one ordinal to another: ordinal, depth, entry.
fn chunks_of(pack: &Arc<OpenPack>, first: u32, last: u32) -> impl Iterator<Item = (u32, u8, TocChunk)> {
    (first..=last).map_while(|ordinal| {
        let (span, chunk) = pack.locate(ordinal)?;
        let (_, run) = pack.run(span.run)?;
        Some((ordinal, run.depth, *chunk))
    })
}
