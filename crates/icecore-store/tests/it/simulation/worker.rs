//! What a machine does from its first errand to its last, through its deaths.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use icecore_format::{Condemned, Label, Manifest, Part, PartKind, StoreKey, names};
use icecore_storage::Storage as _;
use icecore_store::{
    GcOptions, Grain, Machine as _, Result, Silent, Snapshot, SnapshotHead, SnapshotReader, SnapshotWriter,
    Store, StoreError, Unlock, VerifyExtent, Written,
};
use icecore_testkit::{Call, REQUEST_TIME, Recorded, RecordingStorage, ScheduledStorage};

use super::content::Recipe;
use super::machine::SimulatedMachine;
use super::model::Fact;
use super::scenario::{Errand, How};
use super::site::Site;
use crate::support::restore;

/// Bytes that are written at once.
const WRITE_LEN: usize = 1000;

pub(super) struct Worker<'s> {
    site: &'s Site,
    number: usize,
    random: fastrand::Rng,
    machine: Arc<SimulatedMachine>,
    storage: ScheduledStorage,
    errands: Vec<Errand>,
    done: usize,
}

/// A store, and what was asked of its storage.
struct Opened {
    store: Arc<Store>,
    asked: Arc<RecordingStorage<ScheduledStorage>>,
}

impl<'s> Worker<'s> {
    pub(super) fn new(site: &'s Site, number: usize) -> Self {
        let index = site.index_path(number);
        // What a dead machine finds when it comes back is the file as it was in that moment.
        let (at_death, index) = (index.with_extension("death"), index);
        let dies = move || drop(fs::copy(&index, &at_death));
        let (shared, schedule) = (Arc::clone(&site.shared), Arc::clone(&site.schedule));
        let storage = ScheduledStorage::new(shared, schedule, number, dies);
        let machine = site.machine(&site.schedule, number, number);
        let random = fastrand::Rng::with_seed(!site.scenario.seed ^ (number as u64) << 48);
        let errands = site.scenario.machines[number].clone();
        Self { site, number, random, machine, storage, errands, done: 0 }
    }

    pub(super) fn live(&mut self) {
        let mut opened = None;
        while self.done < self.errands.len() && !self.site.schedule.is_endless() {
            if opened.is_none() {
                opened = self.open();
            }
            if let Some(opened) = &opened {
                let errand = self.errands[self.done];
                self.done += 1;
                let before = self.site.schedule.faults(self.number);
                self.site.schedule.note(&format!("{} {errand:?}", self.number));
                let outcome = self.run(errand, opened);
                self.site.schedule.note(&format!("{} {outcome:?}", self.number));
                self.excuse(before, errand, outcome);
            }
            if self.site.schedule.is_dead(self.number) {
                opened = None;
                if !self.come_back() {
                    return;
                }
            } else if self.random.u8(..3) > 0 {
                // Most commands are processes of their own.
                opened = None;
            }
        }
    }

    /// An error is right only if something happened to the machine, or if it was told of what others did.
    fn excuse(&self, faults_before: u64, errand: Errand, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        if self.site.schedule.is_endless() {
            return;
        }
        let site = self.site;
        let is_dead = site.schedule.is_dead(self.number);
        let what = match (&error, errand) {
            (_, Errand::Write(_)) if is_dead => "deaths of writers",
            (_, Errand::Collect(_)) if is_dead => "deaths of collectors",
            (StoreError::Fenced, Errand::Write(_)) => "writers fenced",
            (StoreError::Fenced, Errand::Collect(_)) => "collectors fenced",
            (StoreError::Busy { .. }, Errand::Collect(_)) => "collections that gave way",
            (StoreError::NoSnapshot { .. }, Errand::Delete) => "deletions that came second",
            (StoreError::NoSnapshot { .. }, Errand::Restore) => "restores that met a deletion",
            _ if site.schedule.faults(self.number) > faults_before => "errands that failed",
            _ => panic!("{errand:?}: {error:?}"),
        };
        site.count(what, 1);
    }

    /// Opens the store; nothing if the machine is out of luck.
    fn open(&mut self) -> Option<Opened> {
        let before = self.site.schedule.faults(self.number);
        let watcher = self.watcher();
        let asked = Arc::new(RecordingStorage::watched(self.storage.clone(), watcher));
        let path = self.site.index_path(self.number);
        match Store::open(Arc::clone(&asked) as _, "here", path, Unlock::Ask(&mut || None)) {
            Ok(store) => {
                let machine = Arc::clone(&self.machine);
                Some(Opened { store: Arc::new(store.on(machine)), asked })
            }
            Err(error) => {
                let excused = self.site.schedule.faults(self.number) > before;
                assert!(excused || self.site.schedule.is_endless(), "open: {error:?}");
                None
            }
        }
    }

    /// Counts what this machine condemns and then acquits.
    fn watcher(&self) -> impl Fn(&Recorded) + Send + Sync + 'static {
        let (shared, counts) = (Arc::clone(&self.site.shared), Arc::clone(&self.site.counts));
        let lists: Mutex<BTreeMap<String, Condemned>> = Mutex::default();
        move |recorded: &Recorded| {
            if !recorded.name.starts_with(names::CONDEMNED) {
                return;
            }
            let mut lists = lists.lock().unwrap();
            match recorded.call {
                Call::Put => {
                    let bytes = shared.objects().get(&recorded.name).unwrap();
                    let list = Condemned::decode(&recorded.name, &bytes).unwrap();
                    lists.insert(recorded.name.clone(), list);
                }
                Call::Delete => {
                    let list = lists.remove(&recorded.name).unwrap_or_default();
                    let stays = |pack: &&_| shared.objects().len(&names::pack(pack)).is_ok();
                    let acquitted = list.packs.iter().filter(stays).count();
                    counts.lock().unwrap().count("packs acquitted", acquitted as u64);
                }
                _ => (),
            }
        }
    }

    /// Whether the machine comes back; with its index as it was, as it was long ago, or without it.
    fn come_back(&mut self) -> bool {
        if self.random.u8(..4) == 0 {
            return false;
        }
        let index = self.site.index_path(self.number);
        let (at_death, long_ago) = (index.with_extension("death"), index.with_extension("ago"));
        match self.random.u8(..3) {
            0 => drop(fs::remove_file(&index)),
            1 if long_ago.exists() => drop(fs::copy(&long_ago, &index)),
            _ if at_death.exists() => drop(fs::copy(&at_death, &index)),
            _ => (),
        }
        let _ = fs::copy(&at_death, &long_ago);
        let _ = fs::remove_file(&at_death);
        let after = Duration::from_secs(self.random.u64(..100_000) >> self.random.u32(..16));
        self.site.schedule.revive(self.number, after);
        true
    }

    fn run(&mut self, errand: Errand, opened: &Opened) -> Result<()> {
        let store = &opened.store;
        match errand {
            Errand::Write(how) => self.write(how, opened),
            Errand::Delete => self.delete(store),
            Errand::Collect(options) => self.collect(&options, opened),
            Errand::Restore => self.restore(store),
            Errand::Verify => self.verify(store),
        }
    }

    /// All snapshots. None may be damaged, if nothing happened to the machine.
    fn list(&self, store: &Arc<Store>) -> Result<Vec<Snapshot>> {
        let before = self.site.schedule.faults(self.number);
        let (snapshots, damaged) = store.snapshots()?;
        assert!(damaged.is_empty() || self.has_faults_since(before), "{damaged:?}");
        Ok(snapshots)
    }

    fn has_faults_since(&self, before: u64) -> bool {
        self.site.schedule.faults(self.number) > before
    }

    fn pick(&mut self, store: &Arc<Store>) -> Result<Option<Snapshot>> {
        let snapshots = self.list(store)?;
        // Some think about it for a while.
        if self.random.bool() {
            self.machine.sleep(REQUEST_TIME * self.random.u32(..300));
        }
        Ok(self.random.choice(snapshots))
    }

    fn write(&mut self, how: How, opened: &Opened) -> Result<()> {
        let store = &opened.store;
        let parent = if how == How::Whole { None } else { self.pick(store)? };
        let variety = self.site.scenario.variety;
        let recipe = match (how, &parent) {
            (How::Same, Some(parent)) => Recipe::parse(&parent.info().source),
            (How::Reused, Some(parent)) => {
                Recipe::parse(&parent.info().source).changed(&mut self.random, variety)
            }
            _ => Recipe::draw(&mut self.random, variety),
        };
        let host = format!("m{}.{}", self.number, self.done);
        self.site.model.lock().unwrap().snapshots.insert(host.clone(), Fact::InDoubt);
        let before = self.site.schedule.faults(self.number);
        let outcome = self.publish(how, opened, parent.as_ref(), &recipe, &host);
        let fact = match &outcome {
            Ok(_) => Fact::Published,
            Err(StoreError::Fenced) => Fact::Fenced,
            Err(_) => Fact::InDoubt,
        };
        self.site.model.lock().unwrap().snapshots.insert(host.clone(), fact);
        let written = match outcome {
            Ok(written) => written,
            Err(error) => {
                if !matches!(error, StoreError::Fenced) && self.has_faults_since(before) {
                    let what = match self.is_there(&host) {
                        true => "commits in doubt that were published",
                        false => "commits in doubt that failed",
                    };
                    self.site.count(what, 1);
                }
                return Err(error);
            }
        };
        self.site.count("snapshots published", 1);
        if self.has_faults_since(before) {
            self.site.count("snapshots published in spite of a failed request", 1);
        }
        self.site.count("chunks coded as deltas", written.info.delta_chunks);
        if self.random.u8(..3) == 0 {
            store.add_label(&written.id, &Label::Tag("kept".to_owned()))?;
            self.site.model.lock().unwrap().tagged.insert(host);
        }
        Ok(())
    }

    fn publish(
        &mut self,
        how: How,
        opened: &Opened,
        parent: Option<&Snapshot>,
        recipe: &Recipe,
        host: &str,
    ) -> Result<Written> {
        let store = &opened.store;
        let head = SnapshotHead {
            source: recipe.to_string(),
            created_at: format!("2026-11-20T10:00:00.{:09}Z", self.site.schedule.clock().as_secs()),
            host: host.to_owned(),
            tool_version: "0.1.0".to_owned(),
            parent: parent.map(|parent| parent.id),
            deltas: true,
        };
        opened.asked.take();
        let mut writer = SnapshotWriter::begin(Arc::clone(store), head, Arc::new(Silent))?;
        let claims = opened.asked.take().iter().filter(|asked| asked.call == Call::Hold).count();
        self.site.count("claims made anew", claims as u64 - 1);
        if let (How::Same, Some(parent)) = (how, parent) {
            match writer.commit_same(parent, |_| ())? {
                Ok(written) => {
                    self.site.count("snapshots published as their parents", 1);
                    return Ok(written);
                }
                Err(again) => writer = again,
            }
        }
        let reader = parent.map(|parent| SnapshotReader::new(Arc::clone(store), parent.manifest.clone()));
        // What a parent lacks is read from the source.
        let theirs = reader.as_ref().and_then(|reader| reader.parts().collect::<Result<Vec<Part>>>().ok());
        let mut tree = reader.as_ref().map(SnapshotReader::tree);
        let before = parent.map(|parent| Recipe::parse(&parent.info().source));
        for (at, piece) in recipe.0.iter().enumerate() {
            writer.begin_part(format!("part{at}").as_bytes(), PartKind::File, Grain::Byte, true)?;
            let is_known = before.as_ref().is_some_and(|before| before.0.get(at) == Some(piece));
            let known = theirs.as_ref().and_then(|theirs| theirs.get(at)).filter(|_| is_known);
            let is_reused = match (known, &mut tree) {
                (Some(part), Some(tree)) => writer.reuse(tree, part)?,
                _ => false,
            };
            if is_reused {
                self.site.count("parts reused", 1);
            } else {
                piece.bytes().chunks(WRITE_LEN).try_for_each(|bytes| writer.write(bytes))?;
            }
            writer.end_part(None, None)?;
        }
        writer.commit(|_| ())
    }

    /// Whether a snapshot is there, as nobody on a machine could tell.
    fn is_there(&self, host: &str) -> bool {
        let objects = self.site.shared.objects();
        objects.list(names::SNAPSHOTS).unwrap().iter().any(|object| {
            let bytes = objects.get(&object.name).unwrap();
            let manifest = Manifest::decode(&object.name, &bytes, &StoreKey::Plain).unwrap();
            manifest.is_some_and(|(_, manifest)| manifest.info.host == host)
        })
    }

    fn delete(&mut self, store: &Arc<Store>) -> Result<()> {
        let Some(snapshot) = self.pick(store)? else { return Ok(()) };
        let host = snapshot.info().host.clone();
        self.site.model.lock().unwrap().deleting.insert(host.clone());
        store.delete_snapshot(&snapshot)?;
        self.site.model.lock().unwrap().deleted.insert(host);
        self.site.count("deletions", 1);
        Ok(())
    }

    fn collect(&mut self, options: &GcOptions, opened: &Opened) -> Result<()> {
        opened.asked.take();
        let before = self.site.schedule.faults(self.number);
        let outcome = opened.store.gc(options, &Silent);
        let changed = opened.asked.take();
        let count = |call, prefix: &str| {
            changed.iter().filter(|asked| asked.call == call && asked.name.starts_with(prefix)).count() as u64
        };
        self.site.count("fences put", count(Call::Put, names::SNAPSHOTS));
        self.site.count("claims of dead writers cleared", count(Call::Delete, names::CLAIMS));
        let report = outcome?;
        self.site.count("collections", 1);
        self.site.count("packs deleted", report.packs_deleted);
        self.site.count("packs rewritten", report.packs_rewritten);
        self.site.count("packs condemned for later", report.packs_condemned);
        if !self.has_faults_since(before) {
            assert!(report.packs_damaged.is_empty(), "{report:?}");
            assert!(report.bases_lost == 0, "{report:?}");
            let model = self.site.model.lock().unwrap();
            assert!(report.harmed.is_empty() || !model.deleting.is_empty(), "{report:?}");
        }
        Ok(())
    }

    fn restore(&mut self, store: &Arc<Store>) -> Result<()> {
        let Some(snapshot) = self.pick(store)? else { return Ok(()) };
        let before = self.site.schedule.faults(self.number);
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
        match restore(&reader) {
            Ok(bytes) => {
                assert!(bytes == Recipe::parse(&snapshot.info().source).bytes(), "{} is wrong", snapshot.id);
                self.site.count("restores", 1);
                Ok(())
            }
            Err(error) if self.has_faults_since(before) => Err(error),
            Err(error) => Err(store.unless_deleted(&snapshot, error)),
        }
    }

    fn verify(&mut self, store: &Arc<Store>) -> Result<()> {
        let before = self.site.schedule.faults(self.number);
        let report = store.verify(None, VerifyExtent::Everything, 1, &Silent)?;
        let findings = report.findings;
        assert!(findings.is_empty() || self.has_faults_since(before), "{findings:?}");
        self.site.count("verifications", 1);
        Ok(())
    }
}
