//! Judging.

use icecore_format::{Evidence, SnapshotId};
use icecore_store::{Snapshot, Stats};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::create::is_of_a_part;
use crate::nightly::{Entries, Grade, Record, Run, Step};
use crate::schedule::{Schedule, jitter};
use crate::{Config, is_safety};

/// How long after its time a snapshot may come before it is late: longer than most captures take.
const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// How a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should.
    Good,
    /// Its newest good snapshot is older than its schedule allows.
    Late,
    /// A step of its last run failed.
    Failed,
    /// There is no good snapshot of it.
    Never,
}

impl State {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Never => "never",
        }
    }
}

/// A snapshot that was taken whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    /// Its identity.
    pub id: SnapshotId,
    /// When it was taken.
    pub taken: Timestamp,
    /// Plain bytes of its content.
    pub logical_bytes: u64,
    /// Bytes it added to the store.
    pub stored_bytes: u64,
}

/// How a service does, and why that is thought.
#[derive(Debug, Clone)]
pub struct Health {
    /// Its name.
    pub service: String,
    /// In one word.
    pub state: State,
    /// When it is captured by itself.
    pub schedule: Option<Schedule>,
    /// The newest good snapshot.
    pub newest: Option<Good>,
    /// Since when there should have been a newer one.
    pub late_since: Option<Timestamp>,
    /// When the next run is to begin.
    pub next_run: Option<Timestamp>,
    /// What came of the last time that a snapshot of it was read back, whole or what it added: when, and whether it was right.
    pub verified: Option<(Timestamp, bool)>,
    /// What came of the last test restore.
    pub restored: Option<(Timestamp, bool)>,
    /// What is remembered of its last run.
    pub last_run: Option<Run>,
}

/// How a store grows: bytes that snapshots added, of those that are still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    /// In the last seven days.
    pub week: u64,
    /// In the last thirty days.
    pub month: u64,
}

/// How all do.
#[derive(Debug, Clone)]
pub struct StoreHealth {
    /// Of each service, by name.
    pub services: Vec<Health>,
    /// What there is in the store.
    pub stats: Stats,
    /// How it grows.
    pub growth: Growth,
    /// The last steps for the whole store that are remembered.
    pub steps: Vec<Record>,
    /// When it was looked at.
    pub at: Timestamp,
}

impl Health {
    /// The first step of its last run that failed.
    pub fn failure(&self) -> Option<&Record> {
        self.last_run.as_ref()?.steps.iter().find(|record| record.grade == Grade::Failed)
    }
}

impl StoreHealth {
    /// Whether nobody need look.
    pub fn is_good(&self) -> bool {
        self.services.iter().all(|health| health.state == State::Good) && self.failures().next().is_none()
    }

    /// The steps for the whole store that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Record> {
        self.steps.iter().filter(|record| record.grade == Grade::Failed)
    }
}

/// Looks at what there is. `host` is the machine that runs what is scheduled.
pub fn examine(
    config: &Config,
    (snapshots, stats): (&[Snapshot], Stats),
    entries: &Entries,
    (now, zone): (Timestamp, &TimeZone),
    host: &str,
) -> StoreHealth {
    let added = |days: i64| {
        let begin = now - SignedDuration::from_hours(24 * days);
        let recent = snapshots.iter().filter(|it| taken(it).is_some_and(|taken| taken > begin));
        recent.map(Snapshot::stored_bytes).fold(0, u64::saturating_add)
    };
    let services = config.services.keys().map(|service| {
        let of_it = |snapshot: &&Snapshot| snapshot.info().source == *service && !is_safety(snapshot);
        let own: Vec<&Snapshot> = snapshots.iter().filter(of_it).collect();
        judge(config, service, &own, entries, (now, zone), host)
    });
    StoreHealth {
        services: services.collect(),
        stats,
        growth: Growth { week: added(7), month: added(30) },
        // What is not done any more cannot go well again.
        steps: entries.store.iter().filter(|record| is_done_still(config, record)).cloned().collect(),
        at: now,
    }
}

fn is_done_still(config: &Config, record: &Record) -> bool {
    let remote = record.task.remote.as_ref();
    remote.is_none_or(|remote| config.nightly.prune_remotes.contains(remote))
        && (record.task.step != Step::Sample || config.nightly.verify.0 > 0)
}

fn judge(
    config: &Config,
    service: &str,
    own: &[&Snapshot],
    entries: &Entries,
    (now, zone): (Timestamp, &TimeZone),
    host: &str,
) -> Health {
    let last_run = entries.services.get(service);
    let proved = entries.proofs.get(service).map(|record| (record.at, record.grade == Grade::Done));
    let schedule = config.services.get(service).and_then(|service| service.schedule.clone());
    let jitter_max = SignedDuration::try_from(config.nightly.jitter.0).unwrap_or(SignedDuration::ZERO);
    let newest = own.iter().find_map(|snapshot| good(snapshot));
    let due = schedule.as_ref().and_then(|it| it.last(now.checked_sub(jitter_max + GRACE).ok()?, zone));
    let late_since = due.filter(|due| newest.as_ref().is_none_or(|newest| newest.taken < *due));
    let delay = jitter(service, host, jitter_max);
    let next_run = schedule.as_ref().and_then(|it| it.next(now, zone)?.checked_add(delay).ok());
    let mut health = Health {
        service: service.to_owned(),
        state: State::Good,
        schedule,
        newest,
        late_since,
        next_run,
        verified: verified(own, last_run),
        restored: own.iter().filter_map(|it| told(it.labels.restored()?)).chain(proved).max(),
        last_run: last_run.cloned(),
    };
    health.state = match (&health.newest, health.failure(), health.late_since) {
        (None, ..) => State::Never,
        (_, Some(_), _) => State::Failed,
        (_, _, Some(_)) => State::Late,
        _ => State::Good,
    };
    health
}

/// Read back whole, for which there is evidence, or what it added, of which this machine knows.
fn verified(own: &[&Snapshot], last_run: Option<&Run>) -> Option<(Timestamp, bool)> {
    let steps = last_run.into_iter().flat_map(|run| &run.steps);
    let steps = steps.filter(|record| record.task.step == Step::Verify && record.grade != Grade::Skipped);
    let by_night = steps.map(|record| (record.at, record.grade != Grade::Failed));
    let by_evidence = own.iter().filter_map(|it| told(it.labels.verified()?));
    by_night.chain(by_evidence).max()
}

fn told(evidence: &Evidence) -> Option<(Timestamp, bool)> {
    Some((evidence.at.parse().ok()?, evidence.is_ok()))
}

fn good(snapshot: &Snapshot) -> Option<Good> {
    let info = snapshot.info();
    let is_good = info.findings.is_empty() && !is_of_a_part(snapshot);
    Some(Good {
        id: snapshot.id,
        taken: taken(snapshot).filter(|_| is_good)?,
        logical_bytes: info.logical_bytes,
        stored_bytes: snapshot.stored_bytes(),
    })
}

fn taken(snapshot: &Snapshot) -> Option<Timestamp> {
    snapshot.info().created_at.parse().ok()
}
