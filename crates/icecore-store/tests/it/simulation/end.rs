//! What must be true when all machines have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use icecore_format::{SnapshotId, names};
use icecore_storage::Storage as _;
use icecore_store::{
    FencePolicy, GcOptions, PackUse, Silent, Snapshot, SnapshotReader, Store, StoreError, Transfer,
    TransferOptions, Unlock, VerifyExtent,
};
use icecore_testkit::{Schedule, ScheduledStorage, SharedStorage, Weather};

use super::content::Recipe;
use super::site::Site;
use crate::support::restore;

/// Of whoever looks at what is left.
const OBSERVER: usize = 99;
/// After the last collection there may be as many more.
const COLLECTIONS_MAX: usize = 3;

impl Site {
    /// What is wrong in the end.
    pub(super) fn check_the_end(&self) -> Vec<String> {
        self.storages.iter().for_each(|storage| storage.settle());
        // One machine in fair weather: what it asks takes effect, and its clock runs.
        let schedule = Schedule::new(0, 1, Weather::default(), false);
        let mut found = Vec::new();
        let said = schedule.run(vec![Box::new(|| {
            found = self.find_faults(&schedule).unwrap_or_else(|error| vec![format!("{error:?}")]);
        })]);
        [found, said].concat()
    }

    fn find_faults(&self, schedule: &Arc<Schedule>) -> Result<Vec<String>, StoreError> {
        let machine = self.machine(schedule, 0, OBSERVER);
        let open = |(place, shared): (usize, &Arc<SharedStorage>)| {
            let storage = ScheduledStorage::new(Arc::clone(shared), Arc::clone(schedule), 0, || ());
            let path = self.index_path(OBSERVER, place);
            let store = Store::open(Arc::new(storage), "here", path, Unlock::Ask(&mut || None))?;
            Ok(Arc::new(store.on(Arc::clone(&machine) as _)))
        };
        let stores = (0..).zip(&self.storages).map(open).collect::<Result<Vec<Arc<Store>>, StoreError>>()?;
        let mut faults = Vec::new();
        for (place, store) in stores.iter().enumerate() {
            faults.extend(self.robberies(place));
            faults.extend(self.find_faults_at(place, store)?);
        }
        if faults.is_empty() {
            faults = self.send_all(&stores)?;
        }
        Ok(faults)
    }

    /// No living one may lose its claim to somebody else.
    fn robberies(&self, place: usize) -> Vec<String> {
        let robbed = self.storages[place].robbed();
        robbed.iter().map(|name| format!("{name} at {place} was taken from who held it")).collect()
    }

    /// Whatever is anywhere goes everywhere.
    fn send_all(&self, stores: &[Arc<Store>]) -> Result<Vec<String>, StoreError> {
        let (shared, homes) = stores.split_first().expect("there is a shared place");
        let all = |store: &Store| -> Result<BTreeMap<SnapshotId, Snapshot>, StoreError> {
            Ok(store.snapshots()?.0.into_iter().map(|snapshot| (snapshot.id, snapshot)).collect())
        };
        let mut faults = Vec::new();
        let mut send = |transfer: Transfer, from: &Store| -> Result<(), StoreError> {
            let ids: Vec<_> = all(from)?.into_keys().collect();
            let sent = transfer.carry_out(transfer.plan(&ids, &Silent)?, &Silent)?;
            faults.extend(sent.failed.iter().map(|failed| format!("{failed:?} in the end")));
            Ok(())
        };
        let options = TransferOptions::default;
        for home in homes {
            send(Transfer::push(Arc::clone(home), Arc::clone(shared), options())?, home)?;
        }
        for home in homes {
            send(Transfer::pull(Arc::clone(home), Arc::clone(shared), options())?, shared)?;
        }
        let everything = all(shared)?;
        for (place, store) in stores.iter().enumerate().filter(|_| !homes.is_empty()) {
            let there = all(store)?;
            if !there.keys().eq(everything.keys()) {
                faults.push(format!("{place} has {:?} of {:?}", there.keys(), everything.keys()));
            }
            let when = format!(" at {place}, after everything was sent everywhere");
            faults.extend(self.check_content(store, there.values(), &when)?);
        }
        Ok(faults)
    }

    fn find_faults_at(&self, place: usize, store: &Arc<Store>) -> Result<Vec<String>, StoreError> {
        let mut faults = self.compare(place, store, &format!(" at {place}"))?;
        if !faults.is_empty() {
            return Ok(faults);
        }
        let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_secs(60) };
        let options = GcOptions { fence, ..GcOptions::default() };
        store.gc(&options, &Silent)?;
        faults.extend(self.compare(place, store, &format!(" at {place} after the last collection"))?);
        let mut plan = store.plan_gc(&options, &Silent)?;
        for _ in 0..COLLECTIONS_MAX {
            if plan.is_empty() {
                break;
            }
            // What was rewritten may not need any more what it was coded on.
            self.count("collections that left work for the next", 1);
            store.gc(&options, &Silent)?;
            plan = store.plan_gc(&options, &Silent)?;
        }
        if !plan.is_empty() {
            faults.push(format!("the last collections have left {:?} {:?}", plan.drop, plan.rewrite));
        }
        let too_dead = |pack: &&PackUse| options.is_too_dead(pack);
        faults.extend(plan.keep.iter().find(too_dead).map(|pack| format!("{pack:?} is mostly dead")));
        faults.extend(self.litter(place));
        Ok(faults)
    }

    /// Compares what is there with what the machines were told.
    fn compare(&self, place: usize, store: &Arc<Store>, when: &str) -> Result<Vec<String>, StoreError> {
        let (snapshots, damaged) = store.snapshots()?;
        let mut faults: Vec<String> = damaged.iter().map(|error| format!("{error:?}{when}")).collect();
        let (mut listed, mut tagged) = (BTreeSet::new(), BTreeSet::new());
        for snapshot in &snapshots {
            let host = snapshot.info().host.clone();
            if !snapshot.labels.tags.is_empty() {
                tagged.insert(host.clone());
            }
            if !listed.insert(host.clone()) {
                faults.push(format!("{host} is there twice{when}"));
            }
        }
        let wrong = self.model(place).compare(&listed, &tagged);
        faults.extend(wrong.into_iter().map(|fault| fault + when));
        faults.extend(self.check_content(store, snapshots.iter(), when)?);
        Ok(faults)
    }

    /// What cannot be restored, and what a verification finds.
    fn check_content<'s>(
        &self,
        store: &Arc<Store>,
        snapshots: impl Iterator<Item = &'s Snapshot>,
        when: &str,
    ) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        for snapshot in snapshots {
            let host = &snapshot.info().host;
            let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
            match restore(&reader) {
                Ok(bytes) if bytes == Recipe::parse(&snapshot.info().source).bytes() => (),
                Ok(_) => faults.push(format!("{host} has other bytes{when}")),
                Err(error) => faults.push(format!("{host}{when}: {error:?}")),
            }
        }
        let report = store.verify(None, VerifyExtent::Everything, 1, &Silent)?;
        faults.extend(report.findings.iter().map(|finding| format!("{finding:?}{when}")));
        Ok(faults)
    }

    /// What nobody needs any more. Where nobody can tell whether a writer lives, the claims of dead ones stay, and the markers that fence
    /// them.
    fn litter(&self, place: usize) -> Vec<String> {
        let storage = &self.storages[place];
        let names_of = |prefix: &str| -> Vec<String> {
            storage.objects().list(prefix).unwrap().into_iter().map(|object| object.name).collect()
        };
        let mut litter = names_of(names::CONDEMNED);
        if storage.tells_holders() {
            litter.extend(names_of(names::CLAIMS));
        }
        litter.iter().map(|name| format!("{name} at {place} is left")).collect()
    }
}
