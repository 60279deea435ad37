//! What a seed stands for.

use std::time::Duration;

use icecore_store::{FencePolicy, GcOptions};
use icecore_testkit::Weather;

use super::content::Variety;

/// What one machine does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Errand {
    Write(How),
    Delete,
    Collect(GcOptions),
    Restore,
    Verify,
    /// From the machine's own place to the shared one.
    Push(Which),
    /// The other way.
    Pull(Which),
}

impl Errand {
    pub(super) fn is_transfer(self) -> bool {
        matches!(self, Self::Push(_) | Self::Pull(_))
    }
}

/// Which snapshots are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Newest,
    Some,
}

/// What one machine does, one thing after the other, and at which place.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Its own place; that of all, if it has none.
    pub(super) home: usize,
    pub(super) errands: Vec<(Errand, usize)>,
}

/// Where a store lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Whether it can be told if a writer lives: on a local disk it can, on S3 not.
    pub(super) tells_holders: bool,
    /// Whether every condition of a put is met. Nobody collects there.
    pub(super) ignores_conditions: bool,
}

/// The place that all machines share. Others are one machine's own, or a few machines'.
pub(super) const SHARED: usize = 0;

/// How a snapshot is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// All its bytes are written.
    Whole,
    /// Parts that another snapshot has are taken from there.
    Reused,
    /// It is another snapshot once more.
    Same,
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) weather: Weather,
    /// The shared one first.
    pub(super) places: Vec<Place>,
    /// Whether what is new is coded on what it resembles.
    pub(super) deltas: bool,
    pub(super) variety: Variety,
    pub(super) machines: Vec<Plan>,
}

impl Scenario {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds must have nothing in common.
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let random = &mut random;
        let shared = Place { tells_holders: random.bool(), ignores_conditions: random.u8(..12) == 0 };
        let mut places = vec![shared];
        for _ in 0..pick(random, &[0, 0, 1, 1, 2]) {
            places.push(Place { tells_holders: random.u8(..4) > 0, ignores_conditions: false });
        }
        let weather = Weather {
            sticky: pick(random, &[0, 30, 60, 80, 90, 95, 98]),
            stalls: pick(random, &[0, 50, 150, 400]),
            crashes: pick(random, &[0, 0, 10, 30, 80]),
            failures: pick(random, &[0, 0, 20, 60]),
            wandering: random.bool(),
        };
        let deltas = random.u8(..4) > 0;
        let variety = Variety { blocks: pick(random, &[1, 2, 5]), versions: pick(random, &[1, 2, 4]) };
        let machines = random.usize(2..6).max(places.len());
        let machines = (0..machines).map(|number| Self::plan(random, &places, number)).collect();
        Self { seed, weather, places, deltas, variety, machines }
    }

    fn plan(random: &mut fastrand::Rng, places: &[Place], number: usize) -> Plan {
        // Every place that is not all machines' is at least one's.
        let home = if number + 1 < places.len() { number + 1 } else { random.usize(..places.len()) };
        let errands = (0..random.usize(1..7) + usize::from(home != SHARED)).map(|at| match home {
            // There must be something to send.
            home if home != SHARED && at == 0 => (Errand::Write(How::Whole), pick(random, &[home, SHARED])),
            SHARED => (Self::errand(random, !places[SHARED].ignores_conditions), SHARED),
            home if random.u8(..100) < 50 => (Self::transfer(random), home),
            home => {
                let place = if random.u8(..3) == 0 { SHARED } else { home };
                (Self::errand(random, !places[place].ignores_conditions), place)
            }
        });
        Plan { home, errands: errands.collect() }
    }

    fn errand(random: &mut fastrand::Rng, collects: bool) -> Errand {
        match random.u8(..100) {
            0..28 => Errand::Write(How::Whole),
            28..38 => Errand::Write(How::Reused),
            38..45 => Errand::Write(How::Same),
            45..64 => Errand::Delete,
            64..90 if collects => Errand::Collect(gc_options(random)),
            64..96 => Errand::Restore,
            _ => Errand::Verify,
        }
    }

    fn transfer(random: &mut fastrand::Rng) -> Errand {
        let which = pick(random, &[Which::All, Which::All, Which::Newest, Which::Some]);
        if random.u8(..3) > 0 { Errand::Push(which) } else { Errand::Pull(which) }
    }
}

fn pick<T: Copy>(random: &mut fastrand::Rng, choices: &[T]) -> T {
    choices[random.usize(..choices.len())]
}

fn gc_options(random: &mut fastrand::Rng) -> GcOptions {
    let after = Duration::from_secs(pick(random, &[0, 600, 7200, 24 * 3600]));
    let fence = FencePolicy { after, poll: (after / 4).max(Duration::from_secs(60)) };
    let defaults = GcOptions::default();
    GcOptions {
        dead_share_max: pick(random, &[defaults.dead_share_max, defaults.dead_share_max, 0.0, 0.6]),
        depth_max: pick(random, &[defaults.depth_max, defaults.depth_max, defaults.depth_max, 1]),
        fence,
    }
}
