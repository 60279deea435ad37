//! What a machine sends from its own place to the shared one, and fetches from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{
    FailedSnapshot, Result, Sent, Silent, Snapshot, StoreError, Transfer, TransferOptions, TransferPlan,
};

use super::model::Doing;
use super::scenario::Which;
use super::worker::{Opened, Worker};

/// A store, and the number of the place it lies at.
type End<'e> = (&'e Opened, usize);

impl Worker<'_> {
    pub(super) fn push(&mut self, which: Which, home: End<'_>, shared: End<'_>) -> Result<()> {
        let (local, remote) = (Arc::clone(&home.0.store), Arc::clone(&shared.0.store));
        let transfer = Transfer::push(local, remote, self.transfer_options())?;
        self.site.count("pushes", 1);
        self.send(&transfer, which, home, shared)
    }

    pub(super) fn pull(&mut self, which: Which, home: End<'_>, shared: End<'_>) -> Result<()> {
        let (local, remote) = (Arc::clone(&home.0.store), Arc::clone(&shared.0.store));
        let transfer = Transfer::pull(local, remote, self.transfer_options())?;
        self.site.count("pulls", 1);
        self.send(&transfer, which, shared, home)
    }

    fn transfer_options(&self) -> TransferOptions {
        TransferOptions { host: format!("m{}", self.number) }
    }

    fn send(&mut self, transfer: &Transfer, which: Which, from: End<'_>, to: End<'_>) -> Result<()> {
        let before = self.site.schedule.faults(self.number);
        let chosen = self.choose(which, self.list(&from.0.store)?);
        if chosen.is_empty() {
            return Ok(());
        }
        self.think();
        let plan = transfer.plan(&chosen.keys().copied().collect::<Vec<_>>(), &Silent)?;
        if !self.has_faults_since(before) {
            self.check_damage(&plan);
        }
        self.site.count("packs sent whole", plan.packs);
        self.site.count("packs of which some is sent", plan.rewritten_packs);
        let host = |id: &SnapshotId| chosen[id].info().host.clone();
        let planned: Vec<SnapshotId> = plan.send.iter().map(|snapshot| snapshot.id).collect();
        let arrivals: BTreeMap<SnapshotId, Doing> = {
            let mut model = self.site.model(to.1);
            planned.iter().map(|id| (*id, model.begin_arrival(&host(id)))).collect()
        };
        self.think();
        let outcome = transfer.carry_out(plan, &Silent);
        let published = outcome.as_ref().map(|sent| sent.published.as_slice()).unwrap_or_default();
        {
            let mut model = self.site.model(to.1);
            for (id, arrival) in &arrivals {
                match published.contains(id) {
                    true => model.succeed(arrival),
                    false => model.give_up(arrival, self.may_wander(to.1)),
                }
            }
        }
        let sent = outcome?;
        self.site.count("snapshots sent", sent.published.len() as u64);
        self.site.count("labels sent", sent.labels);
        self.check(&sent, &planned, before);
        if !self.has_faults_since(before) {
            self.note_tags(&sent, &chosen, from.1, to.1);
        }
        match sent.failed.into_iter().next() {
            Some(FailedSnapshot { error, .. }) => Err(error),
            None => Ok(()),
        }
    }

    fn choose(&mut self, which: Which, all: Vec<Snapshot>) -> BTreeMap<SnapshotId, Snapshot> {
        let of_some = |_: &Snapshot| which != Which::Some || self.random.bool();
        let mut chosen: Vec<Snapshot> = all.into_iter().filter(of_some).collect();
        if which == Which::Newest {
            chosen.truncate(1);
        }
        chosen.into_iter().map(|snapshot| (snapshot.id, snapshot)).collect()
    }

    /// At the sender nothing is damaged; a snapshot may have been deleted.
    fn check_damage(&self, plan: &TransferPlan) {
        let is_excused =
            |(_, error): &(SnapshotId, StoreError)| matches!(error, StoreError::NoSnapshot { .. });
        assert!(plan.damaged.iter().all(is_excused) && plan.unreadable.is_empty(), "{plan:?}");
    }

    /// What somebody is told who has sent something.
    fn check(&self, sent: &Sent, planned: &[SnapshotId], before: u64) {
        if self.has_faults_since(before) || self.site.schedule.is_endless() {
            return;
        }
        let is_excused = |failed: &FailedSnapshot| matches!(failed.error, StoreError::NoSnapshot { .. });
        assert!(sent.failed.iter().all(is_excused) && sent.label_errors.is_empty(), "{sent:?}");
        let failed = |id: &SnapshotId| sent.failed.iter().any(|failed| failed.id == *id);
        assert!(planned.iter().all(|id| sent.published.contains(id) != failed(id)), "{planned:?} {sent:?}");
    }

    /// Tags go with what is sent, unless it is deleted at the sender before they are.
    fn note_tags(&self, sent: &Sent, chosen: &BTreeMap<SnapshotId, Snapshot>, from: usize, to: usize) {
        let tagged = sent.published.iter().filter(|id| !chosen[*id].labels.tags.is_empty());
        for host in tagged.map(|id| &chosen[id].info().host) {
            if !self.site.model(from).has_deletions_of(host) {
                self.site.model(to).note_tag(host);
            }
        }
    }
}
