//! Judging.

use icecore_format::{Evidence, SnapshotId};
use icecore_storage::without_secret;
use icecore_store::{Snapshot, Stats};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::shrunk::{Shrunk, Sight, shrunk};
use crate::create::is_of_a_part;
use crate::nightly::{Entries, Grade, Record, Run, Step};
use crate::schedule::{Agenda, Appointment, LONG, Schedule, jitter};
use crate::{Config, is_safety};

/// How long after its time a snapshot may come before it is late: longer than most captures take.
const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// How far clocks of machines may be apart.
const SLACK: SignedDuration = SignedDuration::from_mins(5);
/// How much later than it should a test restore may come.
const PROOF_GRACE: SignedDuration = SignedDuration::from_hours(48);

/// How a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should.
    Good,
    /// Its newest good snapshot is older than its schedule allows.
    Late,
    /// A step of its last run failed, or saw something that is not as it should be.
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

/// A snapshot that was taken whole, and of which nobody has found out that it is not right.
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
    /// The snapshot that it holds much less than.
    pub shrunk: Option<Shrunk>,
    /// Since when there should have been a newer one.
    pub late_since: Option<Timestamp>,
    /// When the next run is to begin.
    pub next_run: Option<Timestamp>,
    /// What came of the last time that a snapshot of it was read back, whole, restored, or what it added: when, and whether it was right.
    pub verified: Option<(Timestamp, bool)>,
    /// What came of the last test restore.
    pub restored: Option<(Timestamp, bool)>,
    /// What is remembered of its last run.
    pub last_run: Option<Run>,
    /// The service that should have begun since, if that run goes on for long.
    pub holds_up: Option<String>,
    /// What else is not as it should be, in sentences.
    pub faults: Vec<String>,
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
    /// Why nothing is remembered, if that is so for a reason.
    pub journal_fault: Option<String>,
    /// When it was looked at.
    pub at: Timestamp,
}

impl Health {
    /// The first step of its last run that failed, or that saw something that is not as it should be.
    pub fn failure(&self) -> Option<&Record> {
        self.last_run.as_ref()?.steps.iter().find(|record| record.is_bad())
    }
}

impl StoreHealth {
    /// Whether nobody need look.
    pub fn is_good(&self) -> bool {
        self.services.iter().all(|health| health.state == State::Good) && self.is_store_good()
    }

    /// The same of what is done for the whole store.
    pub fn is_store_good(&self) -> bool {
        self.failures().next().is_none() && self.journal_fault.is_none()
    }

    /// The steps for the whole store that failed, or that saw something that is not as it should be.
    pub fn failures(&self) -> impl Iterator<Item = &Record> {
        self.steps.iter().filter(|record| record.is_bad())
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
        journal_fault: entries.fault.clone(),
        at: now,
    }
}

pub(crate) fn is_done_still(config: &Config, record: &Record) -> bool {
    let remote = record.task.remote.as_ref();
    let names = || config.nightly.prune_remotes.iter().map(|remote| without_secret(remote));
    remote.is_none_or(|remote| names().any(|name| name == *remote))
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
    let jitter_max = config.nightly.jitter_max();
    let newest = goods(own, now).next().map(|newest| newest.good);
    let shrunk = shrinkage(own, now);
    let due = schedule.as_ref().and_then(|it| it.last(now.checked_sub(jitter_max + GRACE).ok()?, zone));
    let late_since = due.filter(|due| newest.as_ref().is_none_or(|newest| newest.taken < *due));
    let delay = jitter(service, host, jitter_max);
    let next = |it: &Schedule| it.next(now.checked_sub(delay).ok()?, zone)?.checked_add(delay).ok();
    let next_run = schedule.as_ref().and_then(next);
    let restored = own.iter().filter_map(|it| told(it.labels.restored()?)).chain(proved).max_by_key(latest);
    let mut health = Health {
        service: service.to_owned(),
        state: State::Good,
        schedule,
        faults: faults(config, own, (last_run, restored), (newest.as_ref(), shrunk.as_ref()), now),
        newest,
        shrunk,
        late_since,
        next_run,
        verified: verified(own, entries.verified.get(service), restored),
        restored,
        last_run: last_run.cloned(),
        holds_up: last_run.and_then(|run| held_up(config, service, run, entries, (now, zone))),
    };
    let failed = health.failure().is_some() || !health.faults.is_empty();
    health.state = match (&health.newest, failed, health.late_since) {
        (None, ..) => State::Never,
        (_, true, _) => State::Failed,
        (_, _, Some(_)) => State::Late,
        _ => State::Good,
    };
    health
}

/// The service that was to begin long ago, and has not, while the run of another one goes on: where one does one thing after the other, it waits.
fn held_up(
    config: &Config,
    service: &str,
    run: &Run,
    entries: &Entries,
    (now, zone): (Timestamp, &TimeZone),
) -> Option<String> {
    if run.ended.is_some() || run.died || now.duration_since(run.begun) <= LONG {
        return None;
    }
    // One that never ran here is kept by another machine, perhaps.
    let appointments = config.services.iter().filter_map(|(name, other)| {
        Some(Appointment {
            service: name.clone(),
            schedule: other.schedule.clone()?,
            delay: SignedDuration::ZERO,
            begun: entries.services.get(name)?.begun,
        })
    });
    let agenda = Agenda::new(appointments.collect(), zone.clone());
    // Timers come later by a time that is not known here.
    let slack = config.nightly.jitter_max() + SLACK;
    let (due, other) = agenda.waiting(service, now)?;
    (now.duration_since(due) >= slack).then(|| other.to_owned())
}

/// Read back whole, for which there is evidence, or what it added, of which this machine knows. What was restored well has been read, too.
fn verified(
    own: &[&Snapshot],
    by_night: Option<&Record>,
    restored: Option<(Timestamp, bool)>,
) -> Option<(Timestamp, bool)> {
    let by_night = by_night.map(|record| (record.at, record.grade == Grade::Done));
    let by_evidence = own.iter().filter_map(|it| told(it.labels.verified()?));
    by_evidence.chain(by_night).chain(restored.filter(|(_, good)| *good)).max_by_key(latest)
}

/// Of two at one time, the one that did not go well counts.
fn latest((at, good): &(Timestamp, bool)) -> (Timestamp, bool) {
    (*at, !good)
}

fn faults(
    config: &Config,
    own: &[&Snapshot],
    (last_run, restored): (Option<&Run>, Option<(Timestamp, bool)>),
    (newest, shrunk): (Option<&Good>, Option<&Shrunk>),
    now: Timestamp,
) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(shrunk) = shrunk.filter(|shrunk| shrunk.to_nothing) {
        let id = shrunk.left.id.brief();
        let (which, note) = match newest {
            Some(newest) if newest.id != shrunk.left.id => {
                (format!("snapshot {id}, the newest of its machine"), format!("icecore note {id}"))
            }
            // The newest of all is of a time that is yet to come.
            _ if own.iter().any(|it| taken(it) > Some(shrunk.left.taken)) => {
                ("its newest good snapshot".to_owned(), format!("icecore note {id}"))
            }
            _ => ("its newest snapshot".to_owned(), "icecore note".to_owned()),
        };
        faults.push(format!(
            "next to nothing is left in {which}: is its disk mounted? If that is meant, `{note}` says so"
        ));
    }
    if last_run.is_some_and(|run| run.died) {
        faults.push("its last run on this machine did not come to its end".to_owned());
    }
    if own.iter().any(|snapshot| is_yet_to_come(snapshot, now)) {
        faults.push("there is a snapshot of a time that is yet to come: whose clock is wrong?".to_owned());
    }
    for snapshot in own {
        let id = snapshot.id.brief();
        for fault in snapshot.labels.faulty().filter_map(|evidence| evidence.fault.as_ref()) {
            faults.push(format!("snapshot {id} was tried, and is not right: {fault}"));
        }
    }
    if let (Some(every), Some(run)) = (config.nightly.prove, last_run) {
        let since = restored.filter(|(_, good)| *good).map(|(at, _)| now.duration_since(at));
        let every = SignedDuration::try_from(every.0).unwrap_or(SignedDuration::MAX);
        let was_tried =
            run.steps.iter().any(|record| record.task.step == Step::Prove && record.grade.is_bad());
        if was_tried && since.is_none_or(|since| since > every.saturating_add(PROOF_GRACE)) {
            faults.push("it could not be tried whether its snapshots can be restored".to_owned());
        }
    }
    faults
}

/// Whether a snapshot is of a time that is yet to come, by more than clocks of machines may be apart.
pub fn is_yet_to_come(snapshot: &Snapshot, now: Timestamp) -> bool {
    taken(snapshot).is_some_and(|taken| taken > now + SLACK)
}

fn told(evidence: &Evidence) -> Option<(Timestamp, bool)> {
    Some((evidence.at.parse().ok()?, evidence.is_ok()))
}

/// What a newest good snapshot of a service holds much less than, of all that there are of it, the newest first.
pub(crate) fn shrinkage(own: &[&Snapshot], now: Timestamp) -> Option<Shrunk> {
    shrunk(&goods(own, now).collect::<Vec<_>>())
}

fn goods<'a>(own: &'a [&Snapshot], now: Timestamp) -> impl Iterator<Item = Sight<'a>> {
    let sight = |it: &&'a Snapshot| {
        let good = good(it)?;
        Some(Sight { host: &it.info().host, good, is_noted: it.labels.note.is_some() })
    };
    own.iter().filter_map(sight).filter(move |it| it.good.taken <= now + SLACK)
}

fn good(snapshot: &Snapshot) -> Option<Good> {
    let info = snapshot.info();
    let is_faulty = snapshot.labels.faulty().next().is_some();
    let is_good = info.findings.is_empty() && !is_of_a_part(snapshot) && !is_faulty;
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
