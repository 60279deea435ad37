//! Deciding what a collection does. Nothing is changed here.

use std::collections::BTreeSet;

use icecore_format::{Config, DEPTH_MAX, PackId, SnapshotId};

use super::links::Links;
use crate::FencePolicy;
use crate::index::PackRecord;

/// How thorough a collection is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcOptions {
    /// A pack is rewritten when more than this share of its bytes or of its chunks is dead; what is coded on others is coded anew when more than this share of all
    /// that is live is live for its sake alone.
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

impl GcOptions {
    /// Whether a pack is to be rewritten: too many of its bytes are dead, or too many of its chunks, for a dead delta of a few bytes keeps all that it is coded on.
    pub fn is_too_dead(&self, pack: &PackUse) -> bool {
        let dead = pack.chunks.saturating_sub(pack.live);
        self.is_too_much(pack.dead_len(), pack.len) || self.is_too_much(dead.into(), pack.chunks.into())
    }

    /// Whether so many are more of `all` than may be dead.
    #[expect(clippy::cast_precision_loss, reason = "a share of a store")]
    pub(super) fn is_too_much(&self, dead: u64, all: u64) -> bool {
        dead as f64 > all as f64 * self.dead_share_max
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
    /// Those that a snapshot needs.
    pub live: u32,
    /// Stored bytes of those, about.
    pub live_len: u64,
}

impl PackUse {
    /// Stored bytes that nobody needs, about.
    pub fn dead_len(&self) -> u64 {
        self.len.saturating_sub(self.live_len)
    }
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

    /// About how many bytes it frees.
    pub fn freed_bytes(&self) -> u64 {
        self.drop.iter().chain(&self.rewrite).map(PackUse::dead_len).sum()
    }

    /// The same, with what is coded on links coded anew.
    pub(super) fn without(mut self, links: &Links) -> Self {
        let mut recoded = Vec::new();
        for packs in [&mut self.keep, &mut self.rewrite] {
            recoded.extend(packs.extract_if(.., |pack| links.packs.contains_key(&pack.id)));
        }
        for pack in &mut recoded {
            pack.live = links.needed.count(&pack.id);
            let links_len = links.packs.get(&pack.id).copied().unwrap_or(0);
            pack.live_len = pack.live_len.saturating_sub(links_len - Links::said_again(links_len));
        }
        let (rewrite, drop): (Vec<_>, Vec<_>) = recoded.into_iter().partition(|pack| pack.live > 0);
        self.rewrite.extend(rewrite);
        self.drop.extend(drop);
        self
    }
}

/// Sorts the packs by how live they are; `spared` ones stay, `unfit` ones do not. Small packs are rewritten together when they fill at least one.
pub(super) fn plan(
    packs: impl IntoIterator<Item = (PackRecord, PackUse)>,
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
    for (record, pack) in packs {
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
    if options.is_too_dead(pack) { PackVerdict::Rewrite } else { PackVerdict::Keep }
}
