//! What is due.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Schedule;

/// A clock that was set back by less than this makes nothing run a second time; one that was set back further was wrong before.
const SET_BACK_MAX: SignedDuration = SignedDuration::from_hours(3);

/// What takes longer than this holds others up.
pub(crate) const LONG: SignedDuration = SignedDuration::from_hours(1);

/// A service, and when it is to be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appointment {
    /// The service.
    pub service: String,
    /// When.
    pub schedule: Schedule,
    /// How much later than the schedule says.
    pub delay: SignedDuration,
    /// When its last run began; before the first one, since when there is a schedule.
    pub begun: Timestamp,
}

/// What is to be done, by one who does one thing after the other.
#[derive(Debug, Clone)]
pub struct Agenda {
    appointments: Vec<Appointment>,
    zone: TimeZone,
}

impl Appointment {
    /// When its next run is to begin, which may be in the past; `None` if never.
    fn due(&self, zone: &TimeZone) -> Option<Timestamp> {
        let planned = self.begun.checked_sub(self.delay).ok()?;
        self.schedule.next(planned, zone)?.checked_add(self.delay).ok()
    }
}

impl Agenda {
    /// With the schedules' times in `zone`.
    pub fn new(appointments: Vec<Appointment>, zone: TimeZone) -> Self {
        Self { appointments, zone }
    }

    /// The service that has been due for longest. Its run begins with this: it is due again at the first time of its schedule after `now`, however many it
    /// has missed.
    pub fn begin(&mut self, now: Timestamp) -> Option<&str> {
        self.distrust(now);
        let zone = &self.zone;
        let due = |appointment: &&mut Appointment| appointment.due(zone).filter(|due| *due <= now);
        let waiting = self.appointments.iter_mut().filter_map(|it| Some((due(&it)?, it)));
        let (_, next) =
            waiting.min_by(|(a, first), (b, second)| (a, &first.service).cmp(&(b, &second.service)))?;
        next.begun = now;
        Some(&next.service)
    }

    /// What was begun long after now was begun by a wrong clock: nobody knows when.
    fn distrust(&mut self, now: Timestamp) {
        for appointment in &mut self.appointments {
            if appointment.begun.duration_since(now) > SET_BACK_MAX {
                appointment.begun = now;
            }
        }
    }

    /// The service that has waited for longest, and since when, while the run of `running` takes long.
    pub fn held_up(&self, running: &str, now: Timestamp) -> Option<(Timestamp, &str)> {
        let begun = self.appointments.iter().find(|it| it.service == running)?.begun;
        if now.duration_since(begun) <= LONG { None } else { self.waiting(running, now) }
    }

    /// The service that has waited for longest, and since when, if that of `running` is not counted.
    pub(crate) fn waiting(&self, running: &str, now: Timestamp) -> Option<(Timestamp, &str)> {
        let others = self.appointments.iter().filter(|it| it.service != running);
        let waiting = others.filter_map(|it| Some((it.due(&self.zone)?, it.service.as_str())));
        waiting.filter(|(due, _)| *due <= now).min()
    }

    /// When the next one is due, and which that is; what is due already, is now.
    pub fn next(&mut self, now: Timestamp) -> Option<(Timestamp, &str)> {
        self.distrust(now);
        let due = |it: &Appointment| it.due(&self.zone).map(|due| due.max(now));
        self.appointments.iter().filter_map(|it| Some((due(it)?, it.service.as_str()))).min()
    }
}

/// How much later than its schedule says a service is captured on this machine, less than `max`: always the same, so that a fleet of machines with one
/// schedule does not come all at once, and each keeps its time.
pub fn jitter(service: &str, host: &str, max: SignedDuration) -> SignedDuration {
    let mut hasher = DefaultHasher::new();
    (service, host).hash(&mut hasher);
    let max = u64::try_from(max.as_secs()).unwrap_or_default().max(1);
    SignedDuration::from_secs(i64::try_from(hasher.finish() % max).unwrap_or_default())
}
