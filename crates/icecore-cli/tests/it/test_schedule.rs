use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Command;

use rustix::process::geteuid;

use crate::support::{Said, TestEnv, check_keys};

const CONFIG: &str = "
[nightly]
jitter = '10min'

[services.shop]
path = 'shop'
schedule = '30 2 * * *'

[services.ledger]
path = 'ledger'
schedule = '0 4 1 * sun'

[services.notes]
path = 'notes'
";

/// Notes what it was asked; and keeps a crontab.
fn programs(env: &TestEnv) -> String {
    let here = env.path("").display().to_string();
    env.path_with(&[
        ("systemctl", format!("echo \"$@\" >> '{here}/asked'")),
        (
            "crontab",
            format!(
                "case $1 in -l) cat '{here}/crontab' 2>/dev/null || {{ echo 'no crontab for me' >&2; exit 1; }};; -) cat > '{here}/crontab';; esac"
            ),
        ),
    ])
}

fn run(env: &TestEnv, arguments: &[&str]) -> Said {
    let path = programs(env);
    Said::of(env.command(arguments).env("PATH", path).env("HOME", env.path("home")))
}

#[test]
fn timers_of_systemd_come_go_and_are_understood() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    let shown = run(&env, &["schedule", "install", "--systemd", "--user", "--dry-run"]).ok();
    assert!(
        shown.contains("OnCalendar=*-*-* 02:30:00\n") && shown.contains("RandomizedDelaySec=600\n"),
        "{shown}"
    );
    assert!(!env.path("home/.config").exists());
    let said = run(&env, &["schedule", "install", "--systemd", "--user"]);
    assert_eq!(said.text(), "2 timers of systemd of this user\n");
    let units = || {
        let mut names: Vec<_> = env.files("home/.config/systemd/user");
        names.sort();
        names
    };
    assert_eq!(units().len(), 4);
    let asked = String::from_utf8(env.read("asked")).unwrap();
    assert!(asked.starts_with("--user daemon-reload\n--user enable --now icecore-ledger-"), "{asked}");
    assert_eq!(asked.matches("enable --now").count(), 2, "{asked}");
    // systemd itself reads them without complaint.
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--user", "--man=no"]).args(units());
    verify.env("XDG_RUNTIME_DIR", env.path("")).env("HOME", env.path("home"));
    let verified = verify.output().unwrap();
    let complaint = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(!complaint.contains("icecore-"), "{complaint}");
    // What runs there does what it is to do.
    let service = units()
        .into_iter()
        .find(|path| path.to_str().unwrap().contains("shop") && path.extension().unwrap() == "service")
        .unwrap();
    let text = fs::read_to_string(service).unwrap();
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    env.write("shop", "shop");
    let mut command = env.command_of("sh".as_ref(), &["-c", line("ExecStart=")]);
    let ran = Said::of(command.current_dir(line("WorkingDirectory=")));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(env.count(), 1);
    // A schedule that went takes its units with it.
    fs::remove_file(env.path("asked")).unwrap();
    env.write("icecore.toml", CONFIG.replace("schedule = '0 4 1 * sun'", ""));
    run(&env, &["schedule", "install", "--systemd", "--user"]).ok();
    assert_eq!(units().len(), 2);
    let asked = String::from_utf8(env.read("asked")).unwrap();
    assert!(asked.starts_with("--user disable --now icecore-ledger-"), "{asked}");
    let foreign = env.write("home/.config/systemd/user/icecore-other-12345678.timer", "");
    assert_eq!(
        run(&env, &["schedule", "remove", "--systemd", "--user"]).ok(),
        "0 timers of systemd of this user\n"
    );
    assert_eq!(units(), [foreign]);
}

#[test]
fn lines_for_cron_come_and_go_and_nothing_else_is_touched() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    let shown = run(&env, &["schedule", "install", "--cron", "--dry-run"]).ok();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(!env.path("crontab").exists());
    assert_eq!(run(&env, &["schedule", "install", "--cron"]).ok(), "2 lines in the crontab\n");
    let crontab = || String::from_utf8(env.read("crontab")).unwrap();
    assert_eq!(crontab().lines().count(), 4);
    let before = crontab();
    run(&env, &["schedule", "install", "--cron"]).ok();
    assert_eq!(crontab(), before);
    // What stands in it does what it is to do, wherever it is run.
    env.write("shop", "shop");
    let line = before.lines().find(|line| line.ends_with("'shop'")).unwrap();
    let command = line.strip_prefix("30 2 * * * ").unwrap();
    let (sleep, command) = command.split_once(" && ").unwrap();
    assert!(sleep.starts_with("sleep "), "{sleep}");
    let ran = Said::of(env.command_of("sh".as_ref(), &["-c", command]).current_dir("/"));
    assert_eq!((ran.status, ran.text().as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(env.count(), 1);
    env.write("crontab", format!("MAILTO=me\n{before}0 5 * * * backup\n"));
    assert_eq!(run(&env, &["schedule", "remove", "--cron"]).ok(), "0 lines in the crontab\n");
    assert_eq!(crontab(), "MAILTO=me\n0 5 * * * backup\n");
}

#[test]
fn what_cannot_be_installed_is_said_and_nothing_is_written() {
    let env = TestEnv::new();
    let said = env.fails(10, &["schedule", "install", "--cron"]);
    assert!(said.contains("there is no icecore.toml here or above"), "{said}");
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\n");
    let said = run(&env, &["schedule", "install", "--cron"]).fails(2);
    assert!(said.contains("no service in ") && said.contains("has a schedule"), "{said}");
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\nschedule = '0 0 L * *'\n");
    let said = run(&env, &["schedule", "install", "--systemd", "--user"]).fails(2);
    assert!(
        said.contains("shop: \"0 0 L * *\" is no schedule: it says what only `icecore daemon`"),
        "{said}"
    );
    for verb in ["install", "remove"] {
        let said = run(&env, &["schedule", verb]).fails(2);
        assert!(said.starts_with("error: say who keeps the time: --systemd or --cron\nhint: "), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
    run(&env, &["schedule", "install", "--cron", "--systemd"]).fails(2);
    env.write("icecore.toml", CONFIG);
    let path = env.path_with(&[("crontab", "echo 'you are not allowed' >&2; exit 1")]);
    let said = Said::of(env.command(&["schedule", "install", "--cron"]).env("PATH", path)).fails(1);
    assert!(said.contains("`crontab -l` ended with exit status: 1: you are not allowed"), "{said}");
    assert!(!env.path("crontab").exists() && !env.path("home").exists());
}

#[test]
fn each_run_writes_the_metrics_that_were_asked_for() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    fs::create_dir(env.path("collected by node")).unwrap();
    fs::create_dir(env.path("other")).unwrap();
    let file = "other/../collected by node/icecore.prom";
    let said =
        run(&env, &["schedule", "install", "--systemd", "--user", "--metrics-file", file, "--dry-run"]);
    let shown = said.ok();
    let words = format!(
        "\"nightly\" \"--metrics-file\" \"{}\" \"--\" \"shop\"",
        env.path("collected by node/icecore.prom").display()
    );
    assert!(shown.contains(&words), "{shown}");
    let shown = run(&env, &["schedule", "install", "--cron", "--metrics-file", file, "--dry-run"]).ok();
    let line = shown.lines().find(|line| line.ends_with("'shop'")).unwrap();
    let (_, command) = line.strip_prefix("30 2 * * * ").unwrap().split_once(" && ").unwrap();
    let ran = Said::of(env.command_of("sh".as_ref(), &["-c", command]).current_dir("/"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(env.path("collected by node/icecore.prom").is_file());
    fs::create_dir(env.path("bell\u{7}")).unwrap();
    for (file, why) in [
        ("nowhere/icecore.prom", "there is no directory "),
        ("other", "other is a directory"),
        ("bell\u{7}", "bell\u{fffd} is a directory"),
    ] {
        let said = run(&env, &["schedule", "install", "--cron", "--metrics-file", file]).fails(2);
        assert!(said.contains(why), "{said}");
    }
    assert!(!env.path("crontab").exists());
    run(&env, &["schedule", "remove", "--cron", "--metrics-file", file]).fails(2);
}

#[test]
fn programs_are_found_at_night_where_they_are_found_now() {
    let env = TestEnv::new();
    let own = env.path("my \"own\" 100% $HOME\\");
    fs::create_dir(&own).unwrap();
    // A program that is found only there.
    env.path_with(&[("own-hook", "echo hush")]);
    fs::rename(env.path("bin/own-hook"), own.join("own-hook")).unwrap();
    env.write("shop", "shop");
    let hook = "[nightly]\nbefore = ['own-hook']\n";
    env.write("icecore.toml", format!("{hook}[services.shop]\npath = 'shop'\nschedule = '30 2 * * *'\n"));
    let path = format!("{}:.:relative::{}:{}", own.display(), own.display(), programs(&env));
    let with = |arguments: &[&str]| {
        Said::of(env.command(arguments).env("PATH", &path).env("HOME", env.path("home"))).ok()
    };
    with(&["schedule", "install", "--systemd", "--user"]);
    let units = env.files("home/.config/systemd/user");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--user", "--man=no"]).args(&units);
    verify.env("XDG_RUNTIME_DIR", env.path("")).env("HOME", env.path("home"));
    let complaint = String::from_utf8(verify.output().unwrap().stderr).unwrap();
    assert!(!complaint.contains("icecore-"), "{complaint}");
    let service = units.iter().find(|path| path.extension().unwrap() == "service").unwrap();
    let text = fs::read_to_string(service).unwrap();
    let line = text.lines().find(|line| line.starts_with("Environment=")).unwrap();
    let escaped = own.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    // Each folder once, and none that is another one wherever it is looked for.
    assert!(
        line.starts_with(&format!("Environment=\"PATH={escaped}:{}:", env.path("bin").display())),
        "{line}"
    );
    assert_eq!(
        (line.matches("my ").count(), line.contains("relative"), line.contains("::")),
        (1, false, false)
    );
    let shown = with(&["schedule", "install", "--cron", "--dry-run"]);
    let command = shown.trim_end().strip_prefix("30 2 * * * ").unwrap();
    // As cron gives it to the shell, and with what it sets itself.
    let command = command.replace("\\%", "%");
    let mut shell = env.command_of("/bin/sh".as_ref(), &["-c", &command]);
    let ran = Said::of(shell.current_dir("/").env("PATH", "/usr/bin:/bin"));
    assert_eq!(ran.status, 0, "{}{}", ran.text(), ran.stderr);
    assert_eq!(env.count(), 1);
}

#[test]
fn root_runs_nothing_at_night_that_others_may_have_put_there() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    for folder in ["own", "theirs", "open"] {
        fs::create_dir(env.path(folder)).unwrap();
    }
    fs::set_permissions(env.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink(env.path("own"), env.path("by-root")).unwrap();
    symlink(env.path("own"), env.path("theirs/link")).unwrap();
    // Only root may give something away; whoever else runs this keeps what is his.
    let is_root = geteuid().is_root();
    if is_root {
        chown(env.path("theirs"), Some(54_321), None).unwrap();
    }
    let path =
        ["open", "by-root", "theirs", "theirs/link"].map(|folder| env.path(folder).display().to_string());
    for how in [&["--cron"][..], &["--systemd", "--user"]] {
        let mut command = env.command(&[&["schedule", "install", "--dry-run"], how].concat());
        let said = Said::of(command.env("PATH", format!("{}:bin", path.join(":"))));
        assert_eq!(said.status, 0, "{}", said.stderr);
        let own = env.path("own").display().to_string();
        let (kept, without): (Vec<&str>, &[&String]) = match is_root {
            true => (vec![&path[1], &own], &[&path[0], &path[2]]),
            false => (path.iter().map(String::as_str).collect(), &[]),
        };
        let kept = format!("PATH={}", kept.join(":"));
        let shown = said.text().replace("PATH='", "PATH=");
        assert!(shown.contains(&format!("{kept}'")) || shown.contains(&format!("{kept}\"")), "{shown}");
        for folder in without {
            let told = format!(
                "warning: PATH has no {folder} when it is run: others than root may put programs there\n"
            );
            assert_eq!(said.stderr.matches(&told).count(), 1, "{}", said.stderr);
        }
        assert!(
            said.stderr.contains("warning: PATH has no bin when it is run: it is another one wherever"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_line_that_is_too_long_for_some_crons_is_told() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    let folders: Vec<String> = (0..60).map(|n| format!("/opt/some/program/{n}/bin")).collect();
    let mut command = env.command(&["schedule", "install", "--cron", "--dry-run"]);
    let said = Said::of(command.env("PATH", folders.join(":")));
    assert!(said.stderr.contains("warning: shop: its line has 1"), "{}", said.stderr);
    assert!(said.stderr.contains("some crons read no more than 998"), "{}", said.stderr);
    assert_eq!(said.status, 0);
}

#[test]
fn paths_are_written_without_detours() {
    let env = TestEnv::bare();
    env.ok(&["init", "--store", "snapshots"]);
    env.write("app/icecore.toml", format!("store = '../snapshots'\n{CONFIG}"));
    fs::create_dir(env.path("etc")).unwrap();
    let options = ["--config", "etc/../app/icecore.toml", "--store", "./etc/../snapshots"];
    let shown = run(&env, &[&options[..], &["schedule", "install", "--cron", "--dry-run"]].concat()).ok();
    let words = format!(
        " '--config' '{}' '--store' '{}' ",
        env.path("app/icecore.toml").display(),
        env.path("snapshots").display()
    );
    assert!(shown.contains(&words) && !shown.contains(".."), "{shown}");
    let said = Said::of(&mut env.command(&["--json", "status", "--config", "etc/../app/icecore.toml"]));
    let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(document["store"]["place"], env.path("snapshots").display().to_string());
    env.write("app/icecore.toml", "[services.shop]\npath = 'shop'\n");
    let said = run(&env, &[&options[..2], &["schedule", "install", "--cron"]].concat()).fails(2);
    let file = env.path("app/icecore.toml");
    assert!(said.contains(&format!("no service in {} has a schedule", file.display())), "{said}");
}

#[test]
fn what_is_only_in_a_variable_is_not_there_at_night() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\nschedule = '@daily'\npassword_env = 'SHOP'\n");
    let mut command = env.command(&["schedule", "install", "--cron", "--dry-run"]);
    let said = Said::of(command.env("ICECORE_PASSWORD", "correct horse"));
    assert!(
        said.stderr.contains("warning: the password of the store in ICECORE_PASSWORD"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("warning: shop: the variable SHOP"), "{}", said.stderr);
    assert!(!said.text().contains("horse"), "{}", said.text());
}

#[test]
fn of_variables_only_those_are_told_that_something_scheduled_heeds() {
    let env = TestEnv::new();
    let told = |config: &str| {
        env.write("icecore.toml", config);
        let mut command = env.command(&["schedule", "install", "--cron", "--dry-run"]);
        for variable in ["AWS_CONFIG_FILE", "all_proxy", "PGHOST", "PGPASSWORD", "MYSQL_PWD", "REDISCLI_AUTH"]
        {
            command.env(variable, "hush");
        }
        let said = Said::of(command.env("PGPORT", "5433"));
        assert_eq!(said.status, 0, "{}", said.stderr);
        assert!(!said.stderr.contains("hush"), "{}", said.stderr);
        let variable = |line: &str| Some(line.split_once("the variable ")?.1.split(' ').next()?.to_owned());
        said.stderr.lines().filter_map(variable).collect::<Vec<String>>()
    };
    let scheduled = |service: &str| format!("[services.shop]\nschedule = '@daily'\n{service}\n");
    assert_eq!(told(&scheduled("path = 'shop'")), [""; 0]);
    assert_eq!(told(&scheduled("url = 'postgres:///shop'")), ["PGHOST", "PGPORT", "PGPASSWORD"]);
    assert_eq!(told(&scheduled("url = 'postgres://db.example:5432/shop'\npassword_file = 'x'")), [""; 0]);
    assert_eq!(told(&scheduled("url = 'mysql://me@localhost/shop'")), ["MYSQL_PWD"]);
    assert_eq!(told(&scheduled("url = 'redis://localhost'")), ["REDISCLI_AUTH"]);
    assert_eq!(told(&scheduled("path = 'shop'\nping = 'https://ping.example/1'")), ["all_proxy"]);
    let far = format!("[nightly]\npush = ['s3://bucket/shop']\n{}", scheduled("path = 'shop'"));
    assert_eq!(told(&far), ["all_proxy", "AWS_CONFIG_FILE"]);
    // What is not scheduled is run by whoever has the variable.
    let by_hand = format!("{}[services.db]\nurl = 'postgres:///shop'\n", scheduled("path = 'shop'"));
    assert_eq!(told(&by_hand), [""; 0]);
}

#[test]
fn schedules_are_listed_in_words_with_their_next_runs() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG.replace("jitter = '10min'", ""));
    let said = env.ok(&["schedule", "list"]);
    assert!(said.starts_with("SERVICE  SCHEDULE     IN WORDS"), "{said}");
    assert!(said.contains("shop     30 2 * * *   At 2:30 AM") || said.contains("02:30"), "{said}");
    assert!(said.contains("2026-11-21 02:30"), "{said}");
    let document = env.json(&["schedule", "list"]);
    check_keys(&document["services"][0], &["service", "schedule", "next_run"]);
    // However long nobody can wait for.
    env.write("icecore.toml", CONFIG.replace("10min", "99999999999d"));
    for arguments in [&["schedule", "list"][..], &["schedule", "install", "--cron", "--dry-run"]] {
        assert!(env.ok(arguments).contains("shop"));
    }
    env.fails(3, &["status"]);
    env.write("icecore.toml", "");
    assert_eq!(env.ok(&["schedule", "list"]), "No service has a schedule\n");
}
