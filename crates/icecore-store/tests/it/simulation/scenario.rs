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
}

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
    /// Whether it can be told if a writer lives: on a local disk it can, on S3 not.
    pub(super) tells_holders: bool,
    /// Whether every condition of a put is met. Nobody collects there.
    pub(super) ignores_conditions: bool,
    /// Whether what is new is coded on what it resembles.
    pub(super) deltas: bool,
    pub(super) variety: Variety,
    pub(super) machines: Vec<Vec<Errand>>,
}

impl Scenario {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds must have nothing in common.
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let random = &mut random;
        let tells_holders = random.bool();
        let ignores_conditions = random.u8(..12) == 0;
        let weather = Weather {
            sticky: pick(random, &[0, 30, 60, 80, 90, 95, 98]),
            stalls: pick(random, &[0, 50, 150, 400]),
            crashes: pick(random, &[0, 0, 10, 30, 80]),
            failures: pick(random, &[0, 0, 20, 60]),
            wandering: !tells_holders && random.bool(),
        };
        let deltas = random.u8(..4) > 0;
        let variety = Variety { blocks: pick(random, &[1, 2, 5]), versions: pick(random, &[1, 2, 4]) };
        let machines = random.usize(2..6);
        let machines = (0..machines)
            .map(|_| {
                let errands = random.usize(1..7);
                (0..errands).map(|_| Self::errand(random, !ignores_conditions)).collect()
            })
            .collect();
        Self { seed, weather, tells_holders, ignores_conditions, deltas, variety, machines }
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
