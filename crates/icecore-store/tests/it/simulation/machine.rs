//! A machine whose chance and time come from the seed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use icecore_store::{Hands, Machine};
use icecore_testkit::Schedule;

/// Some day in 2026.
const BEGINNING: Duration = Duration::from_secs(1_795_000_000);

#[derive(Debug)]
pub(super) struct SimulatedMachine {
    schedule: Arc<Schedule>,
    number: usize,
    /// How far its clock is ahead of the others'.
    skew: Duration,
    random: Mutex<fastrand::Rng>,
}

impl SimulatedMachine {
    pub(super) fn new(schedule: Arc<Schedule>, number: usize, seed: u64, skew: Duration) -> Arc<Self> {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Arc::new(Self { schedule, number, skew, random })
    }
}

impl Machine for SimulatedMachine {
    fn salt(&self) -> [u8; 32] {
        let mut salt = [0; 32];
        self.random.lock().unwrap().fill(&mut salt);
        salt
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + BEGINNING + self.skew + self.schedule.clock()
    }

    fn uptime(&self) -> Duration {
        self.schedule.clock()
    }

    fn sleep(&self, time: Duration) {
        self.schedule.sleep(self.number, time);
    }

    fn hands(&self) -> Hands {
        Hands::One
    }
}
