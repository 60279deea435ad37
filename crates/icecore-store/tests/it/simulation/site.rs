//! Where a scenario is played.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use icecore_format::ChunkSizes;
use icecore_storage::Storage;
use icecore_store::{InitOptions, Store};
use icecore_testkit::{Schedule, SharedStorage};
use tempfile::TempDir;

use super::counts::Counts;
use super::machine::SimulatedMachine;
use super::model::Model;
use super::scenario::{SHARED, Scenario};
use super::worker::Worker;

pub(super) struct Site {
    pub(super) scenario: Scenario,
    pub(super) schedule: Arc<Schedule>,
    /// As many as the scenario has places.
    pub(super) storages: Vec<Arc<SharedStorage>>,
    pub(super) models: Vec<Mutex<Model>>,
    pub(super) counts: Arc<Mutex<Counts>>,
    indexes: TempDir,
}

impl Site {
    pub(super) fn new(scenario: Scenario, tell: bool) -> Self {
        let schedule = Schedule::new(scenario.seed, scenario.machines.len(), scenario.weather, tell);
        let storages: Vec<Arc<SharedStorage>> = (0..)
            .zip(&scenario.places)
            .map(|(at, place)| {
                let name = if at == SHARED { String::new() } else { format!("home{at}:") };
                SharedStorage::new(&name, place.tells_holders, place.ignores_conditions)
            })
            .collect();
        // Nothing of an index needs to survive us.
        let indexes = TempDir::new_in(icecore_testkit::memory()).expect("a temporary directory");
        let options = InitOptions {
            chunk_sizes: ChunkSizes { min: 128, avg: 512, max: 2048 },
            pack_len: 4 << 10,
            body_len: 1 << 10,
            zstd_level: 1,
            deltas: scenario.deltas,
            ..InitOptions::new("2026-11-20T10:00:00Z")
        };
        let objects = |at: usize| Arc::new(storages[at].objects().clone()) as Arc<dyn Storage>;
        let index = || indexes.path().join("index.redb");
        let shared = Store::init(objects(SHARED), index(), &options).expect("init");
        for at in SHARED + 1..storages.len() {
            shared.clone_to(objects(at), "home", index()).expect("clone");
        }
        let (models, counts) = (storages.iter().map(|_| Mutex::default()).collect(), Arc::default());
        Self { scenario, schedule, storages, models, counts, indexes }
    }

    /// Lets all machines do their errands. Returns what was wrong.
    pub(super) fn work(&self) -> Vec<String> {
        let worker = |number| {
            let mut worker = Worker::new(self, number);
            Box::new(move || worker.live()) as Box<dyn FnOnce() + Send + '_>
        };
        if self.scenario.places.iter().any(|place| place.ignores_conditions) {
            self.count("conditions ignored", 1);
        }
        self.schedule.run((0..self.scenario.machines.len()).map(worker).collect())
    }

    /// A machine, known to its schedule by its number, and one of a kind by its lot.
    pub(super) fn machine(
        &self,
        schedule: &Arc<Schedule>,
        number: usize,
        lot: usize,
    ) -> Arc<SimulatedMachine> {
        let seed = self.scenario.seed << 8 | lot as u64;
        // Clocks are wrong by up to some hours.
        let skew = Duration::from_secs(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50);
        SimulatedMachine::new(Arc::clone(schedule), number, seed, skew)
    }

    pub(super) fn model(&self, place: usize) -> MutexGuard<'_, Model> {
        self.models[place].lock().unwrap()
    }

    /// Where a machine keeps its index of a place.
    pub(super) fn index_path(&self, number: usize, place: usize) -> PathBuf {
        let dir = self.indexes.path().join(format!("m{number}p{place}"));
        fs::create_dir_all(&dir).expect("a directory");
        dir.join("index.redb")
    }

    pub(super) fn count(&self, what: &'static str, n: u64) {
        self.counts.lock().unwrap().count(what, n);
    }
}
