//! Units and lines, by what systemd itself makes of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::at;
use crate::schedule::{Calendar, Mark, Schedule, Timer, with_lines};

const BASE: &str = "2026-11-21 00:00:00 UTC";
const ROUNDS: usize = 12;

/// When systemd would begin, by its own word.
fn by_systemd(calendar: &str) -> Vec<Timestamp> {
    let mut command = Command::new("systemd-analyze");
    command.args(["calendar", &format!("--iterations={ROUNDS}"), "--base-time", BASE, calendar]);
    let output = command.env("TZ", "UTC").env("LC_ALL", "C").output().expect("systemd-analyze");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{calendar}: {}", String::from_utf8_lossy(&output.stderr));
    let times = text.lines().filter_map(|line| {
        let (what, time) = line.trim().split_once(": ")?;
        let is_time = what == "Next elapse" || what.starts_with("Iter. #");
        let time: Vec<&str> = time.split_whitespace().filter(|_| is_time).collect();
        let [_, date, time, _] = time.as_slice() else { return None };
        Some(at(&format!("{date}T{time}Z")))
    });
    times.collect()
}

#[test]
fn systemd_begins_when_the_schedule_says() {
    for text in [
        "30 2 * * *",
        "*/15 8-18 * * mon-fri",
        "0 0 1,15 * *",
        "@daily",
        "@hourly",
        "@weekly",
        "@monthly",
        "@yearly",
        "0 4 29 2 *",
        "0 4 1 * 0",
        "0 4 1 * 7",
        "5-59/20 1-9/4 * * *",
        "59 23 31 * *",
        "0 12 * jan,jul sun",
        "* * * * *",
        "7 3 * * 5-7",
        "0 4 */2 * mon",
        "0 4 ? * */3",
    ] {
        let schedule = Schedule::parse(text).expect("a schedule");
        let mut time = at("2026-11-21T00:00:00Z");
        // What is now is not after now.
        let mut wanted = Vec::new();
        while wanted.len() < ROUNDS {
            time = schedule.next(time, &TimeZone::UTC).expect("a next time");
            wanted.push(time);
        }
        let calendars = Calendar::of(&schedule).expect("sets").for_systemd();
        let mut times: Vec<Timestamp> = calendars.iter().flat_map(|calendar| by_systemd(calendar)).collect();
        times.sort_unstable();
        times.dedup();
        times.truncate(ROUNDS);
        assert_eq!(times, wanted, "{text}: {calendars:?}");
    }
}

#[test]
fn what_only_the_daemon_understands_is_refused() {
    for text in ["0 0 L * *", "0 0 * * 5#2", "0 0 15W * *"] {
        let schedule = Schedule::parse(text).expect("a schedule");
        let fault = Calendar::of(&schedule).expect_err("more than sets").to_string();
        assert!(fault.contains("only `icecore daemon` understands"), "{fault}");
    }
}

/// Whether cron runs on a day, as its manual says it: where a field of days begins with `*`, both must fit, and else one of them.
fn runs_by_cron(line: &str, day: Timestamp) -> bool {
    let fields: Vec<&str> = line.split(' ').take(5).collect();
    let [_, _, days, _, weekdays] = fields.as_slice() else { panic!("{line}") };
    let fits = |days: &str, weekdays: &str| {
        let alone = Schedule::parse(&format!("0 0 {days} * {weekdays}")).expect("a schedule");
        alone.last(day, &TimeZone::UTC) == Some(day)
    };
    let (day_fits, weekday_fits) = (fits(days, "*"), fits("*", weekdays));
    match days.starts_with('*') || weekdays.starts_with('*') {
        true => day_fits && weekday_fits,
        false => day_fits || weekday_fits,
    }
}

#[test]
fn cron_runs_on_the_days_that_the_schedule_says() {
    for (text, written) in [
        ("0 0 */9 * mon", "0 0 1,10,19,28 * mon"),
        ("0 0 13 * */3", "0 0 13 * 0,3,6"),
        ("0 0 */15 * */5", "0 0 1,16,31 * 0,5"),
        ("0 0 */7,5 * fri", "0 0 1,5,8,15,22,29 * fri"),
        ("0 0 */7 * *", "0 0 1,8,15,22,29 * *"),
        ("0 0 ? * mon", "0 0 * * mon"),
        ("0 0 1 * ?", "0 0 1 * *"),
        ("*/30 */6 1-7/2 * sat,sun", "*/30 */6 1-7/2 * sat,sun"),
        ("@weekly", "@weekly"),
    ] {
        let schedule = Schedule::parse(text).expect("a schedule");
        let line = Timer { schedule: schedule.clone(), ..timer("shop") };
        let line = line.line(Path::new("/srv"), Duration::ZERO).expect("a line");
        assert!(line.starts_with(&format!("{written} cd ")), "{text}: {line}");
        // At midnight of each day of two years.
        for day in (0..731).filter(|_| !written.starts_with('@')) {
            let day = at("2026-01-01T00:00:00Z") + jiff::SignedDuration::from_hours(24 * day);
            let wanted = schedule.last(day, &TimeZone::UTC) == Some(day);
            assert_eq!(runs_by_cron(&line, day), wanted, "{text}: {day}");
        }
    }
}

fn timer(service: &str) -> Timer {
    let command = ["/opt/ice core/icecore", "--config", "/srv/100%/icecore.toml", "nightly", "--", service];
    Timer {
        service: service.to_owned(),
        schedule: Schedule::parse("30 2 * * *").expect("a schedule"),
        command: command.map(str::to_owned).to_vec(),
        path: Some("/bin:/usr/my \"bin\" $x 5%\\".to_owned()),
    }
}

#[test]
fn units_escape_what_systemd_would_read_otherwise() {
    let mark = Mark::of(Path::new("/srv/100%/icecore.toml"));
    let [service, start] = timer("it's $a \"b\" %h\\")
        .units(&mark, Path::new("/srv/100%"), Duration::from_secs(600), Some("root"))
        .expect("units");
    assert!(service.name.starts_with("icecore-it-s--a--b---h--") && service.name.ends_with(".service"));
    assert!(mark.is_of(&service.name) && mark.is_of(&start.name));
    assert!(!Mark::of(Path::new("/srv/other/icecore.toml")).is_of(&service.name));
    assert!(!mark.is_of("nginx.service"));
    assert!(service.text.contains("User=root\nEnvironment=\"PATH=/bin:/usr/my \\\"bin\\\" $x 5%%\\\\\"\nWorkingDirectory=/srv/100%%\n"), "{}", service.text);
    let line = "ExecStart=\"/opt/ice core/icecore\" \"--config\" \"/srv/100%%/icecore.toml\" \"nightly\" \"--\" \"it's $$a \\\"b\\\" %%h\\\\\"\n";
    assert!(service.text.contains(line), "{}", service.text);
    assert!(
        start.text.contains("OnCalendar=*-*-* 02:30:00\nPersistent=true\nRandomizedDelaySec=600\n"),
        "{}",
        start.text
    );
    // Where nobody knows, systemd's own way stays.
    let unknown = Timer { path: None, ..timer("shop") };
    let [service, _] = unknown.units(&mark, Path::new("/"), Duration::ZERO, None).expect("units");
    assert!(!service.text.contains("Environment"), "{}", service.text);
    let line = unknown.line(Path::new("/"), Duration::ZERO).expect("a line");
    assert!(line.starts_with("30 2 * * * cd '/' && '/opt/ice core/icecore' "), "{line}");
    // Services whose names look alike have units of their own.
    let name = |service: &str| {
        timer(service).units(&mark, Path::new("/"), Duration::ZERO, None).expect("units")[0].name.clone()
    };
    assert_ne!(name("a b"), name("a-b"));
    assert!(name("shop").starts_with("icecore-shop-"));
}

#[test]
fn lines_take_the_place_of_the_earlier_ones_and_touch_nothing_else() {
    let mark = Mark::of(Path::new("/srv/icecore.toml"));
    let other = Mark::of(Path::new("/other/icecore.toml"));
    let line = |service: &str| {
        let path = Some("/bin:/it's".to_owned());
        let timer = Timer { path, ..timer(service) };
        timer.line(Path::new("/srv"), Duration::from_secs(7)).expect("a line")
    };
    assert_eq!(
        line("it's"),
        "30 2 * * * sleep 7 && cd '/srv' && PATH='/bin:/it'\\''s' '/opt/ice core/icecore' '--config' '/srv/100\\%/icecore.toml' 'nightly' '--' 'it'\\''s'"
    );
    let own = "MAILTO=me\n0 5 * * * backup\n";
    let with = |text: &str, mark: &Mark, lines: &[String]| with_lines(text, mark, lines).expect("an end");
    let both = with(&with(own, &mark, &[line("a"), line("b")]), &other, &[line("c")]);
    assert_eq!(both.matches("30 2 * * *").count(), 3);
    let changed = with(&both, &mark, &[line("d")]);
    assert!(changed.starts_with(own) && !changed.contains("'a'"), "{changed}");
    assert!(changed.contains("'c'") && changed.contains("'d'"), "{changed}");
    assert_eq!(with(&with(&changed, &mark, &[]), &other, &[]), own);
    // Where ours would end is not known, and what follows may be somebody else's.
    let ours = with(own, &mark, &[line("d")]);
    let end = ours.lines().find(|line| line.contains(": and ends here")).expect("an end");
    assert_eq!(with_lines(&ours.replace(&format!("{end}\n"), ""), &mark, &[]), None);
    assert_eq!(with("", &mark, &[]), "");
}
