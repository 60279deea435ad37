//! Deciding what a collection does. Nothing is changed here.

use std::collections::BTreeSet;

use icecore_format::{Config, DEPTH_MAX, PackId, Parity, SnapshotId};

use super::mark::Marks;
use crate::FencePolicy;
use crate::index::PackRecord;

/// How thorough a collection is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcOptions {
    /// A pack is rewritten when more than this share of its chunks is dead.
    pub dead_share_max: f64,
    /// Packs with runs that a snapshot needs and that lie deeper than this are rewritten, so that none does.
    pub depth_max: u8,
    /// What to do about writers that were there first.
    pub fence: FencePolicy,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { dead_share_max: 0.25, depth_max: DEPTH_MAX, fence: FencePolicy::default() }
    }
}

/// What happens to a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackVerdict {
    /// It stays.
    Keep,
    /// Nothing in it is live.
    Drop,
    /// What is live in it is copied, then it goes.
    Rewrite,
}

/// A pack and how much of it is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackUse {
    /// The pack.
    pub id: PackId,
    /// Its stored bytes, those of its parity among them.
    pub len: u64,
    /// Chunks in it.
    pub chunks: u32,
    /// Those that a snapshot reaches.
    pub live: u32,
}

/// What one collection would do. Print it, test it, or let it be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPlan {
    /// Packs in which nothing is live.
    pub drop: Vec<PackUse>,
    /// Packs of which the live chunks are copied into new ones.
    pub rewrite: Vec<PackUse>,
    /// Packs that stay as they are.
    pub keep: Vec<PackUse>,
    /// The snapshots it was made from.
    pub seen: BTreeSet<SnapshotId>,
}

impl GcPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.rewrite.is_empty()
    }

    /// About how many bytes it frees: rewritten packs are counted by their share of dead chunks.
    pub fn freed_bytes(&self) -> u64 {
        let dropped: u64 = self.drop.iter().map(|pack| pack.len).sum();
        let dead = |pack: &PackUse| {
            pack.len * u64::from(pack.chunks - pack.live.min(pack.chunks)) / u64::from(pack.chunks.max(1))
        };
        dropped + self.rewrite.iter().map(dead).sum::<u64>()
    }
}

/// Sorts the packs by how live they are; `spared` ones stay, `unfit` ones do not. Small packs are rewritten together when they fill at least one.
pub(super) fn plan(
    packs: impl IntoIterator<Item = PackRecord>,
    marks: &Marks,
    seen: BTreeSet<SnapshotId>,
    spared: &BTreeSet<PackId>,
    unfit: &BTreeSet<PackId>,
    config: &Config,
    options: &GcOptions,
) -> GcPlan {
    let pack_len = u64::from(config.pack_len);
    let mut small_len = 0;
    let mut plan = GcPlan { seen, ..GcPlan::default() };
    let mut small = Vec::new();
    for record in packs {
        let live = marks.live_count(&record.id);
        let len = record.len + Parity::stored_len(record.len, config.parity);
        let pack = PackUse { id: record.id, len, chunks: record.chunks, live };
        match verdict(&pack, options) {
            _ if spared.contains(&record.id) => plan.keep.push(pack),
            PackVerdict::Drop => plan.drop.push(pack),
            PackVerdict::Rewrite => plan.rewrite.push(pack),
            PackVerdict::Keep if unfit.contains(&record.id) => plan.rewrite.push(pack),
            PackVerdict::Keep if record.len < pack_len / 4 => {
                small_len += record.len;
                small.push(pack);
            }
            PackVerdict::Keep => plan.keep.push(pack),
        }
    }
    if small_len >= pack_len {
        plan.rewrite.append(&mut small);
    } else {
        plan.keep.append(&mut small);
    }
    plan
}

fn verdict(pack: &PackUse, options: &GcOptions) -> PackVerdict {
    if pack.live == 0 {
        return PackVerdict::Drop;
    }
    let dead = f64::from(pack.chunks - pack.live.min(pack.chunks));
    if dead > f64::from(pack.chunks) * options.dead_share_max {
        PackVerdict::Rewrite
    } else {
        PackVerdict::Keep
    }
}
