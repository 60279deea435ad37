//! The schedule under a simulated clock.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

mod timer;

use super::{Agenda, Appointment, Schedule, jitter};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("a zone")
}

fn appointment(service: &str, schedule: &str, begun: &str) -> Appointment {
    Appointment {
        service: service.to_owned(),
        schedule: Schedule::parse(schedule).expect("a schedule"),
        delay: SignedDuration::ZERO,
        begun: at(begun),
    }
}

/// One who sleeps until something is due, and takes `length` for each run.
struct Daemon {
    agenda: Agenda,
    now: Timestamp,
    length: SignedDuration,
    runs: Vec<String>,
}

impl Daemon {
    fn new(appointments: Vec<Appointment>, zone: TimeZone, now: &str) -> Self {
        let length = SignedDuration::from_mins(10);
        Self { agenda: Agenda::new(appointments, zone), now: at(now), length, runs: Vec::new() }
    }

    fn until(&mut self, end: &str) -> &mut Self {
        let end = at(end);
        loop {
            while self.now < end
                && let Some(service) = self.agenda.begin(self.now)
            {
                self.runs.push(format!("{service} {}", self.now.strftime("%dT%H:%M")));
                self.now += self.length;
            }
            match self.agenda.next(self.now) {
                Some((next, _)) if next < end => self.now = next,
                _ => break,
            }
        }
        self.now = self.now.max(end);
        self
    }
}

#[test]
fn schedules_are_read_and_faults_are_one_sentence() {
    for text in [
        "30 2 * * *",
        "*/15 8-18 * * mon-fri",
        "0 0 1,15 * *",
        "@daily",
        "@midnight",
        "@hourly",
        " 0 4 29 2 * ",
    ] {
        assert_eq!(Schedule::parse(text).expect(text).to_string(), text.trim());
    }
    // It becomes a line of a crontab.
    assert_eq!(Schedule::parse("30\t2 *\n* *").expect("a schedule").to_string(), "30 2 * * *");
    for (text, expected) in [
        ("", "it has 0 fields, and not five"),
        ("30 2 * *", "it has 4 fields"),
        ("0 30 2 * * *", "it has 6 fields"),
        ("61 2 * * *", "\"61\" is no minute: 0 to 59 are"),
        ("30 24 * * *", "\"24\" is no hour: 0 to 23 are"),
        ("30 2 0 * *", "\"0\" is no day of the month: 1 to 31 are"),
        ("30 2 L,40 * *", "\"40\" is no day of the month"),
        ("30 2 32W * *", "\"32W\" is no day of the month: 1 to 31 are"),
        ("30 2 L 13 *", "\"13\" is no month: 1 to 12, or jan to dec are"),
        ("30 2 * * 8", "\"8\" is no day of the week: 0 to 7, or sun to sat are"),
        ("30 2 * * mo", "\"mo\" is no day of the week: 0 to 7, or sun to sat are"),
        ("30 2 * * 5#9", "\"5#9\" is no day of the week"),
        ("30 2 * foo *", "\"foo\" is no month: 1 to 12, or jan to dec are"),
        ("2:30 * * * *", "\"2:30\" is no minute: 0 to 59 are"),
        ("70000 2 * * *", "\"70000\" is no minute"),
        ("-5 2 * * *", "\"-5\" is no minute"),
        ("30 17-9 * * *", "the hour 17-9 ends before it begins"),
        ("30 2 * * fri-mon", "\"fri-mon\" is no day of the week"),
        ("30 1-2-3 * * *", "\"1-2-3\" is no hour"),
        ("5/15 2 * * *", "the minute needs * or a range before its /, as in */15"),
        ("/15 2 * * *", "the minute needs * or a range before its /, as in */15"),
        ("*/0 2 * * *", "the minute needs a number from 1 to 255 after its /, as in */2"),
        ("*/x 2 * * *", "the minute needs a number from 1 to 255 after its /"),
        ("5-59/65535 2 * * *", "the minute needs a number from 1 to 255 after its /"),
        ("*/256 2 * * *", "the minute needs a number from 1 to 255 after its /"),
        ("0 2 */1000 * *", "the day of the month needs a number from 1 to 255 after its /"),
        ("0,,30 2 * * *", "a comma in the minute has nothing beside it"),
        ("0 2, * * *", "a comma in the hour has nothing beside it"),
        ("30 2 * * @daily", "\"@daily\" is no day of the week"),
        ("@nightly", "the words that are known are @hourly, @daily"),
        ("@daily 5", "the words that are known are"),
        ("@", "the words that are known are"),
        ("0 0 30 2 *", "there is no such day"),
        ("half past two at night", "\"half\" is no minute: 0 to 59 are"),
    ] {
        let fault = Schedule::parse(text).expect_err(text).to_string();
        assert!(fault.starts_with(&format!("{text:?} is no schedule: {expected}")), "{fault}");
        check_words(&fault);
    }
}

/// No fault is told in the words of the parser.
fn check_words(fault: &str) {
    assert!(!fault.contains('\n') && !fault.ends_with('.'), "{fault}");
    for foreign in ["attern", "omponent", "osition", "Invalid", "bounds", "Scheduler", "not understood"] {
        assert!(!fault.contains(foreign), "{fault}");
    }
}

#[test]
fn whatever_is_written_a_fault_names_the_field() {
    let mut state = 7_u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % n
    };
    let pieces =
        ["*", "?", "0", "7", "31", "60", "9", "-", "/", ",", "L", "W", "#", "mon", "JAN", "x", "+", "@", "é"];
    let mut faults = 0;
    for _ in 0..5_000 {
        let mut text = String::new();
        for field in 0..5 {
            text.push_str(if field > 0 { " " } else { "" });
            let length = 1 + below(3);
            (0..length).for_each(|_| text.push_str(pieces[below(pieces.len())]));
        }
        if let Err(fault) = Schedule::parse(&text) {
            faults += 1;
            check_words(&fault.to_string().replace(&format!("{text:?}"), ""));
        }
    }
    assert!(faults > 1_000, "{faults}");
}

#[test]
fn every_night_is_one_run() {
    let shop = appointment("shop", "30 2 * * *", "2026-11-01T12:00:00Z");
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-01T12:00:00Z");
    daemon.until("2026-11-04T12:00:00Z");
    assert_eq!(daemon.runs, ["shop 02T02:30", "shop 03T02:30", "shop 04T02:30"]);
}

#[test]
fn what_a_machine_slept_through_is_caught_up_with_once() {
    let shop = appointment("shop", "30 2 * * *", "2026-11-01T02:30:00Z");
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-05T09:00:00Z");
    daemon.until("2026-11-06T12:00:00Z");
    assert_eq!(daemon.runs, ["shop 05T09:00", "shop 06T02:30"]);
}

#[test]
fn a_run_that_takes_too_long_overlaps_with_none_and_what_it_missed_comes_once() {
    let shop = appointment("shop", "0 * * * *", "2026-11-01T00:30:00Z");
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-01T00:30:00Z");
    daemon.length = SignedDuration::from_mins(150);
    daemon.until("2026-11-01T08:00:00Z");
    assert_eq!(daemon.runs, ["shop 01T01:00", "shop 01T03:30", "shop 01T06:00"]);
}

#[test]
fn who_has_waited_longest_comes_first_and_nobody_is_forgotten() {
    let begun = "2026-11-01T00:00:00Z";
    let services = [("b", "0 2 * * *"), ("a", "0 2 * * *"), ("c", "55 1 * * *")];
    let appointments = services.map(|(service, schedule)| appointment(service, schedule, begun));
    let mut daemon = Daemon::new(appointments.to_vec(), TimeZone::UTC, begun);
    daemon.until("2026-11-01T12:00:00Z");
    assert_eq!(daemon.runs, ["c 01T01:55", "a 01T02:05", "b 01T02:15"]);
}

#[test]
fn who_waits_for_a_run_that_takes_long_is_known() {
    let begun = "2026-11-01T00:00:00Z";
    let services = [("a", "0 1 * * *"), ("b", "30 1 * * *"), ("c", "15 1 * * *"), ("d", "0 * * * *")];
    let services = services.map(|(service, schedule)| appointment(service, schedule, begun));
    let mut agenda = Agenda::new(services[..3].to_vec(), TimeZone::UTC);
    assert_eq!(agenda.begin(at("2026-11-01T01:00:00Z")), Some("a"));
    assert_eq!(agenda.held_up("a", at("2026-11-01T02:00:00Z")), None);
    let since = at("2026-11-01T01:15:00Z");
    assert_eq!(agenda.held_up("a", at("2026-11-01T02:00:01Z")), Some((since, "c")));
    // Nobody waits for it; least of all it itself.
    let mut agenda = Agenda::new(vec![services[0].clone(), services[3].clone()], TimeZone::UTC);
    assert_eq!(agenda.begin(at("2026-11-01T01:00:00Z")), Some("a"));
    assert_eq!(agenda.begin(at("2026-11-01T01:00:00Z")), Some("d"));
    assert_eq!(agenda.held_up("d", at("2026-11-01T05:00:00Z")), None);
    assert_eq!(agenda.held_up("x", at("2026-11-01T05:00:00Z")), None);
}

#[test]
fn a_clock_that_is_set_back_a_little_repeats_nothing() {
    let shop = appointment("shop", "30 2 * * *", "2026-11-01T12:00:00Z");
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-01T12:00:00Z");
    daemon.until("2026-11-02T02:40:00Z").now = at("2026-11-02T02:20:00Z");
    daemon.until("2026-11-03T12:00:00Z");
    assert_eq!(daemon.runs, ["shop 02T02:30", "shop 03T02:30"]);
}

#[test]
fn a_clock_that_was_far_ahead_stops_nothing() {
    let shop = appointment("shop", "30 2 * * *", "2031-01-01T02:30:00Z");
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-01T12:00:00Z");
    daemon.until("2026-11-03T12:00:00Z");
    assert_eq!(daemon.runs, ["shop 02T02:30", "shop 03T02:30"]);
}

#[test]
fn a_clock_that_jumps_ahead_makes_one_run() {
    let shop = appointment("shop", "30 2 * * *", "2026-11-01T12:00:00Z");
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-01T12:00:00Z");
    daemon.now = at("2027-03-01T00:00:00Z");
    daemon.until("2027-03-01T12:00:00Z");
    assert_eq!(daemon.runs, ["shop 01T00:00", "shop 01T02:30"]);
}

#[test]
fn in_the_nights_when_clocks_change_there_is_one_run_too() {
    // 2:30 does not exist on 29 March 2026, and comes twice on 25 October.
    let shop = || vec![appointment("shop", "30 2 * * *", "2026-03-27T12:00:00Z")];
    let mut spring = Daemon::new(shop(), berlin(), "2026-03-27T12:00:00Z");
    spring.until("2026-03-30T12:00:00Z");
    assert_eq!(spring.runs, ["shop 28T01:30", "shop 29T01:00", "shop 30T00:30"]);
    let mut autumn = Daemon::new(
        vec![appointment("shop", "30 2 * * *", "2026-10-23T12:00:00Z")],
        berlin(),
        "2026-10-23T12:00:00Z",
    );
    autumn.until("2026-10-26T12:00:00Z");
    assert_eq!(autumn.runs, ["shop 24T00:30", "shop 25T00:30", "shop 26T01:30"]);
    // What is done every so often is done in both.
    let often = vec![appointment("shop", "*/30 * * * *", "2026-10-24T23:50:00Z")];
    let mut often = Daemon::new(often, berlin(), "2026-10-24T23:50:00Z");
    often.until("2026-10-25T02:10:00Z");
    assert_eq!(often.runs.len(), 5, "{:?}", often.runs);
}

#[test]
fn a_delay_is_always_the_same_and_skips_nothing() {
    let max = SignedDuration::from_mins(10);
    let delay = jitter("shop", "db1", max);
    assert_eq!(delay, jitter("shop", "db1", max));
    let different =
        (0..50).map(|n| jitter("shop", &format!("db{n}"), max)).collect::<std::collections::BTreeSet<_>>();
    assert!(different.len() > 25 && different.iter().all(|delay| *delay < max), "{different:?}");
    assert_eq!(jitter("shop", "db1", SignedDuration::ZERO), SignedDuration::ZERO);

    let mut shop = appointment("shop", "*/5 * * * *", "2026-11-01T00:01:00Z");
    shop.delay = SignedDuration::from_mins(7);
    let mut daemon = Daemon::new(vec![shop], TimeZone::UTC, "2026-11-01T00:01:00Z");
    daemon.length = SignedDuration::from_secs(10);
    daemon.until("2026-11-01T00:20:00Z");
    assert_eq!(daemon.runs, ["shop 01T00:02", "shop 01T00:07", "shop 01T00:12", "shop 01T00:17"]);
}
