//! What must be true when all machines have ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use icecore_format::names;
use icecore_storage::Storage as _;
use icecore_store::{
    FencePolicy, GcOptions, Silent, SnapshotReader, Store, StoreError, Unlock, VerifyExtent,
};
use icecore_testkit::{Schedule, ScheduledStorage, Weather};

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
        self.shared.settle();
        // One machine in fair weather: what it asks takes effect, and its clock runs.
        let schedule = Schedule::new(0, 1, Weather::default(), false);
        let mut found = Vec::new();
        let said = schedule.run(vec![Box::new(|| {
            found = self.find_faults(&schedule).unwrap_or_else(|error| vec![format!("{error:?}")]);
        })]);
        [found, said].concat()
    }

    fn find_faults(&self, schedule: &Arc<Schedule>) -> Result<Vec<String>, StoreError> {
        let storage = ScheduledStorage::new(Arc::clone(&self.shared), Arc::clone(schedule), 0, || ());
        let path = self.index_path(OBSERVER);
        let store = Store::open(Arc::new(storage), "here", path, Unlock::Ask(&mut || None))?;
        let store = Arc::new(store.on(self.machine(schedule, 0, OBSERVER)));
        let mut faults = self.compare(&store, "")?;
        if !faults.is_empty() {
            return Ok(faults);
        }
        let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_secs(60) };
        let options = GcOptions { fence, ..GcOptions::default() };
        store.gc(&options, &Silent)?;
        faults.extend(self.compare(&store, " after the last collection")?);
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
        let too_dead = |pack: &&_| {
            let icecore_store::PackUse { chunks, live, .. } = **pack;
            f64::from(chunks - live) > f64::from(chunks) * options.dead_share_max
        };
        faults.extend(plan.keep.iter().find(too_dead).map(|pack| format!("{pack:?} is mostly dead")));
        faults.extend(self.litter());
        Ok(faults)
    }

    /// Compares what is there with what the machines were told.
    fn compare(&self, store: &Arc<Store>, when: &str) -> Result<Vec<String>, StoreError> {
        let (snapshots, damaged) = store.snapshots()?;
        let mut faults: Vec<String> = damaged.iter().map(|error| format!("{error:?}{when}")).collect();
        let (mut listed, mut tagged) = (BTreeSet::new(), BTreeSet::new());
        for snapshot in &snapshots {
            let host = snapshot.info().host.clone();
            let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
            match restore(&reader) {
                Ok(bytes) if bytes == Recipe::parse(&snapshot.info().source).bytes() => (),
                Ok(_) => faults.push(format!("{host} has other bytes{when}")),
                Err(error) => faults.push(format!("{host}{when}: {error:?}")),
            }
            if !snapshot.labels.tags.is_empty() {
                tagged.insert(host.clone());
            }
            if !listed.insert(host.clone()) {
                faults.push(format!("{host} is there twice{when}"));
            }
        }
        let wrong = self.model.lock().unwrap().compare(&listed, &tagged);
        faults.extend(wrong.into_iter().map(|fault| fault + when));
        let report = store.verify(None, VerifyExtent::Everything, 1, &Silent)?;
        faults.extend(report.findings.iter().map(|finding| format!("{finding:?}{when}")));
        Ok(faults)
    }

    /// What nobody needs any more. Where nobody can tell whether a writer lives, the claims of dead ones stay, and the markers that fence
    /// them.
    fn litter(&self) -> Vec<String> {
        let names_of = |prefix: &str| -> Vec<String> {
            self.shared.objects().list(prefix).unwrap().into_iter().map(|object| object.name).collect()
        };
        let mut litter = names_of(names::CONDEMNED);
        if self.shared.tells_holders() {
            litter.extend(names_of(names::CLAIMS));
        }
        litter.iter().map(|name| format!("{name} is left")).collect()
    }
}
