//! What a machine does from its first errand to its last, through its deaths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
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
use super::scenario::{Errand, How, Plan, SHARED};
use super::site::Site;
use crate::support::restore;

/// Bytes that are written at once.
const WRITE_LEN: usize = 1000;

pub(super) struct Worker<'s> {
    pub(super) site: &'s Site,
    pub(super) number: usize,
    pub(super) random: fastrand::Rng,
    pub(super) machine: Arc<SimulatedMachine>,
    plan: Plan,
    done: usize,
}

/// A store, and what was asked of its storage.
pub(super) struct Opened {
    pub(super) store: Arc<Store>,
    asked: Arc<RecordingStorage<ScheduledStorage>>,
}

/// What a machine has open, by places.
type AllOpened = BTreeMap<usize, Opened>;

impl<'s> Worker<'s> {
    pub(super) fn new(site: &'s Site, number: usize) -> Self {
        let machine = site.machine(&site.schedule, number, number);
        let random = fastrand::Rng::with_seed(!site.scenario.seed ^ (number as u64) << 48);
        let plan = site.scenario.machines[number].clone();
        Self { site, number, random, machine, plan, done: 0 }
    }

    pub(super) fn live(&mut self) {
        let mut opened = AllOpened::new();
        while let Some((errand, place)) = self.plan.errands.get(self.done).copied() {
            if self.site.schedule.is_endless() {
                return;
            }
            let needed = if errand.is_transfer() { vec![place, SHARED] } else { vec![place] };
            if needed.into_iter().all(|place| self.open(place, &mut opened)) {
                self.done += 1;
                let before = self.site.schedule.faults(self.number);
                self.site.schedule.note(&format!("{} {errand:?} at {place}", self.number));
                let outcome = self.run(errand, place, &opened);
                self.site.schedule.note(&format!("{} {outcome:?}", self.number));
                self.excuse(before, errand, outcome);
            }
            if self.site.schedule.is_dead(self.number) {
                opened.clear();
                if !self.come_back() {
                    return;
                }
            } else if self.random.u8(..3) > 0 {
                // Most commands are processes of their own.
                opened.clear();
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
            (_, Errand::Push(_)) if is_dead => "deaths of pushers",
            (_, Errand::Pull(_)) if is_dead => "deaths of pullers",
            (StoreError::Fenced, Errand::Write(_)) => "writers fenced",
            (StoreError::Fenced, Errand::Collect(_)) => "collectors fenced",
            (StoreError::Fenced, Errand::Push(_)) => "pushers fenced",
            (StoreError::Fenced, Errand::Pull(_)) => "pullers fenced",
            (StoreError::Busy { .. }, Errand::Collect(_)) => "collections that gave way",
            (StoreError::NoSnapshot { .. }, Errand::Delete) => "deletions that came second",
            (StoreError::NoSnapshot { .. }, Errand::Restore) => "restores that met a deletion",
            (StoreError::NoSnapshot { .. }, errand) if errand.is_transfer() => {
                "transfers that met a deletion"
            }
            _ if site.schedule.faults(self.number) > faults_before => "errands that failed",
            _ => panic!("{errand:?}: {error:?}"),
        };
        site.count(what, 1);
    }

    /// Opens the store at a place, unless it is open. False if the machine is out of luck.
    fn open(&self, place: usize, opened: &mut AllOpened) -> bool {
        if opened.contains_key(&place) {
            return true;
        }
        let before = self.site.schedule.faults(self.number);
        let asked = Arc::new(RecordingStorage::watched(self.storage(place), self.watcher(place)));
        let path = self.site.index_path(self.number, place);
        match Store::open(Arc::clone(&asked) as _, "here", path, Unlock::Ask(&mut || None)) {
            Ok(store) => {
                let machine = Arc::clone(&self.machine);
                let store = store.on(machine);
                let is_near = self.site.scenario.places[place].tells_holders;
                let store = Arc::new(if is_near { store } else { store.far_away() });
                opened.insert(place, Opened { store, asked });
                true
            }
            Err(error) => {
                assert!(self.has_faults_since(before) || self.site.schedule.is_endless(), "open: {error:?}");
                false
            }
        }
    }

    /// What the machine sees of a place.
    fn storage(&self, place: usize) -> ScheduledStorage {
        // What a dead machine finds when it comes back is each file as it was in that moment.
        let indexes = self.indexes();
        let dies = move || {
            for index in &indexes {
                let _ = fs::copy(index, index.with_extension("death"));
            }
        };
        let (shared, schedule) = (Arc::clone(&self.site.storages[place]), Arc::clone(&self.site.schedule));
        ScheduledStorage::new(shared, schedule, self.number, dies)
    }

    fn indexes(&self) -> Vec<PathBuf> {
        let places: BTreeSet<usize> = [SHARED, self.plan.home].into();
        places.into_iter().map(|place| self.site.index_path(self.number, place)).collect()
    }

    /// Counts what this machine condemns and then acquits.
    fn watcher(&self, place: usize) -> impl Fn(&Recorded) + Send + Sync + 'static {
        let (shared, counts) = (Arc::clone(&self.site.storages[place]), Arc::clone(&self.site.counts));
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

    /// Whether the machine comes back; with each index as it was, as it was long ago, or without it.
    fn come_back(&mut self) -> bool {
        if self.random.u8(..4) == 0 {
            return false;
        }
        for index in self.indexes() {
            let (at_death, long_ago) = (index.with_extension("death"), index.with_extension("ago"));
            match self.random.u8(..3) {
                0 => {
                    let _ = fs::remove_file(&index);
                    // What is remembered beside it goes with it.
                    let _ = fs::remove_dir_all(index.with_extension("claims"));
                    let _ = fs::remove_dir_all(index.with_extension("manifests"));
                }
                1 if long_ago.exists() => drop(fs::copy(&long_ago, &index)),
                _ if at_death.exists() => drop(fs::copy(&at_death, &index)),
                _ => (),
            }
            let _ = fs::copy(&at_death, &long_ago);
            let _ = fs::remove_file(&at_death);
        }
        let after = Duration::from_secs(self.random.u64(..100_000) >> self.random.u32(..16));
        self.site.schedule.revive(self.number, after);
        true
    }

    fn run(&mut self, errand: Errand, place: usize, opened: &AllOpened) -> Result<()> {
        let (here, shared) = (&opened[&place], opened.get(&SHARED));
        match (errand, shared) {
            (Errand::Push(which), Some(shared)) => self.push(which, (here, place), (shared, SHARED)),
            (Errand::Pull(which), Some(shared)) => self.pull(which, (here, place), (shared, SHARED)),
            (Errand::Write(how), _) => self.write(how, here, place),
            (Errand::Delete, _) => self.delete(&here.store, place),
            (Errand::Collect(options), _) => self.collect(&options, here, place),
            (Errand::Restore, _) => self.restore(&here.store),
            (Errand::Verify, _) => self.verify(&here.store),
            (Errand::Push(_) | Errand::Pull(_), None) => unreachable!("it was opened"),
        }
    }

    /// All snapshots. None may be damaged, if nothing happened to the machine.
    pub(super) fn list(&self, store: &Arc<Store>) -> Result<Vec<Snapshot>> {
        let before = self.site.schedule.faults(self.number);
        let (snapshots, damaged) = store.snapshots()?;
        assert!(damaged.is_empty() || self.has_faults_since(before), "{damaged:?}");
        Ok(snapshots)
    }

    pub(super) fn has_faults_since(&self, before: u64) -> bool {
        self.site.schedule.faults(self.number) > before
    }

    /// Some think about what they have seen for a while.
    pub(super) fn think(&mut self) {
        if self.random.bool() {
            self.machine.sleep(REQUEST_TIME * self.random.u32(..300));
        }
    }

    fn pick(&mut self, store: &Arc<Store>) -> Result<Option<Snapshot>> {
        let snapshots = self.list(store)?;
        self.think();
        Ok(self.random.choice(snapshots))
    }

    fn write(&mut self, how: How, opened: &Opened, place: usize) -> Result<()> {
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
        let arrival = self.site.model(place).begin_arrival(&host);
        let before = self.site.schedule.faults(self.number);
        let outcome = self.publish(how, opened, parent.as_ref(), &recipe, &host);
        {
            let mut model = self.site.model(place);
            match &outcome {
                Ok(_) => model.succeed(&arrival),
                Err(StoreError::Fenced) => model.note_fenced(&arrival),
                Err(_) => (),
            }
            model.comes_once(&arrival);
        }
        let written = match outcome {
            Ok(written) => written,
            Err(error) => {
                if !matches!(error, StoreError::Fenced) && self.has_faults_since(before) {
                    let what = match self.is_there(&host, place) {
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
            self.site.model(place).note_tag(&host);
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
    fn is_there(&self, host: &str, place: usize) -> bool {
        let objects = self.site.storages[place].objects();
        objects.list(names::SNAPSHOTS).unwrap().iter().any(|object| {
            let bytes = objects.get(&object.name).unwrap();
            let manifest = Manifest::decode(&object.name, &bytes, &StoreKey::Plain).unwrap();
            manifest.is_some_and(|(_, manifest)| manifest.info.host == host)
        })
    }

    /// Whether what failed may still take effect at a place.
    pub(super) fn may_wander(&self, place: usize) -> bool {
        self.site.scenario.weather.wandering && !self.site.scenario.places[place].tells_holders
    }

    fn delete(&mut self, store: &Arc<Store>, place: usize) -> Result<()> {
        let listed_at = self.site.model(place).now();
        let Some(snapshot) = self.pick(store)? else { return Ok(()) };
        let deletion = self.site.model(place).begin_deletion(&snapshot.info().host, listed_at);
        let deleted = store.delete_snapshot(&snapshot);
        let mut model = self.site.model(place);
        match &deleted {
            Ok(()) => model.succeed(&deletion),
            Err(_) => model.give_up(&deletion, self.may_wander(place)),
        }
        deleted?;
        self.site.count("deletions", 1);
        Ok(())
    }

    fn collect(&mut self, options: &GcOptions, opened: &Opened, place: usize) -> Result<()> {
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
            let deletions = self.site.model(place).has_deletions();
            assert!(report.harmed.is_empty() || deletions, "{report:?}");
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
