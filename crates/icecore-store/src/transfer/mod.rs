//! Push and pull: copying snapshots from one store to another one of the same id.
//!
//! Both are the same thing; they differ only in which side is far away. What is copied is decided by which chunks the receiver lacks
//! ([`needs`]): packs of which it lacks much are sent as they are, of the others what it lacks is copied into new ones ([`send`]). What
//! something is coded on arrives before it does.
//!
//! At the receiver a transfer is a writer like any other, with one claim for each snapshot: a collection there may run beside it. The
//! sender is only read; a pack that a collection takes there meanwhile is looked up again. A manifest is sealed anew under the claim's name,
//! with the same payload, so that a snapshot has the same id on both sides. Labels come last.
//!
//! Nothing here needs a condition to be safe: packs have their hash for a name, and claims names of their own.

mod apply;
mod clone;
mod labels;
mod lacking;
mod needs;
mod plan;
mod send;

pub use apply::{FailedSnapshot, Sent};
pub use plan::{PlannedSnapshot, TransferPlan};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::gc::Marks;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// How a transfer is done.
#[derive(Debug, Clone, Default)]
pub struct TransferOptions {
    /// The machine it runs on, for people who look at a claim.
    pub host: String,
}

/// Which side is far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// The receiver.
    Push,
    /// The sender.
    Pull,
}

/// A way between two open stores.
#[derive(Debug)]
pub struct Transfer {
    from: Arc<Store>,
    to: Arc<Store>,
    direction: Direction,
    options: TransferOptions,
    /// What of the sender's is not sent although the receiver does not show it.
    left_out: Marks,
}

impl Transfer {
    /// From a store at hand to one that is far away.
    ///
    /// # Errors
    /// If the two are not the same store.
    pub fn push(local: Arc<Store>, remote: Arc<Store>, options: TransferOptions) -> Result<Self> {
        local.check_same(remote.config())?;
        let left_out = Marks::default();
        Ok(Self { from: local, to: remote, direction: Direction::Push, options, left_out })
    }

    /// The same without what these snapshots of the sender need, for somebody who has them and will bring the receiver's content there. Until then the
    /// receiver lacks what it refers to: see [`Store::beside`].
    pub fn without(mut self, snapshots: &[Snapshot], monitor: &dyn Monitor) -> Result<Self> {
        self.from.refresh_index(&BTreeSet::new())?;
        self.from.mark(snapshots, &mut self.left_out, monitor)?;
        // What is not marked is sent although it is there.
        let may_pass = StoreError::is_unreadable;
        self.from.mark_bases_but(&BTreeSet::new(), may_pass, &mut self.left_out, monitor)?;
        Ok(self)
    }

    /// From a store that is far away to one at hand.
    ///
    /// # Errors
    /// If the two are not the same store.
    pub fn pull(local: Arc<Store>, remote: Arc<Store>, options: TransferOptions) -> Result<Self> {
        local.check_same(remote.config())?;
        let left_out = Marks::default();
        Ok(Self { from: remote, to: local, direction: Direction::Pull, options, left_out })
    }

    /// The receiver.
    pub(crate) fn to(&self) -> &Arc<Store> {
        &self.to
    }

    fn far(&self) -> &Store {
        match self.direction {
            Direction::Push => &self.to,
            Direction::Pull => &self.from,
        }
    }
}
