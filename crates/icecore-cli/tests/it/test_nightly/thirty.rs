//! Thirty nights of a real database, with all steps on.

use std::collections::BTreeMap;
use std::fs;

use icecore_testkit::postgres::PostgresServer;
use serde_json::Value;

use super::web::{Posts, drain, listen};
use crate::support::{Said, TestEnv};

/// What is to be done every night. What is proved once a week comes after `verify`.
const STEPS: [&str; 8] = [
    "create shop",
    "verify shop",
    "push shop team",
    "prune shop",
    "prune shop team",
    "gc",
    "gc team",
    "sample",
];

/// What a database holds, as a query tells.
const STATE: &str = "SELECT count(*), sum(hashtext(o::text)::bigint),
    (SELECT sum(hashtext(c::text)::bigint) FROM cache c) FROM orders o";

#[test]
fn thirty_nights_leave_what_the_policy_keeps_all_of_which_restores_and_nothing_else() {
    let sql = "CREATE TABLE orders (id bigint PRIMARY KEY, note text, at timestamptz);
        INSERT INTO orders SELECT n, md5(n::text), now() FROM generate_series(1, 20000) n;
        CREATE TABLE cache (what text)";
    let server = PostgresServer::with_database("shop", sql);
    let env = TestEnv::new();
    env.write("password", server.password());
    let (port, posts) = listen(None, |_, _| 200);
    let config = format!(
        "[retention]
default = '7d all, 3mo weekly'

[nightly]
push = ['team']
prune_remotes = ['team']
prove = '7d'
verify = '20MB'
before = ['sh', '-c', 'echo $ICECORE_STEP $ICECORE_SERVICE $ICECORE_REMOTE >> begun']
after = ['sh', '-c', 'cat >> ended && echo >> ended']
webhook = 'http://127.0.0.1:{port}/hook'
ping = 'http://127.0.0.1:{port}/store'

[remotes.team]
url = 'team'

[services.shop]
url = '{}'
password_file = 'password'
schedule = '30 2 * * *'
ping = 'http://127.0.0.1:{port}/shop'
",
        server.url("shop")
    );
    env.write("icecore.toml", config);
    // What cron is given is what is run every night.
    let line = env.ok(&["schedule", "install", "--cron", "--dry-run", "--metrics-file", "icecore.prom"]);
    let command = line.strip_prefix("30 2 * * * ").unwrap().trim_end();
    let mut states = BTreeMap::new();
    for day in 1..=30 {
        // One row in a hundred, all over; some go, some come. And something of which nothing is left the next night.
        let changes = format!(
            "UPDATE orders SET note = md5(note || '{day}') WHERE id % 100 = {day};
             DELETE FROM orders WHERE id % 1000 = {day};
             INSERT INTO orders SELECT 100000 + {day} * 100 + n, md5(n::text), now() FROM generate_series(1, 50) n;
             TRUNCATE cache; INSERT INTO cache SELECT md5('{day} ' || n) FROM generate_series(1, 3000) n"
        );
        server.sql("shop", &changes);
        let time = format!("2026-11-{day:02}T02:30:00Z");
        states.insert(time.replace("00Z", "00.000000Z"), server.sql("shop", STATE));
        let mut by_cron = env.command_of("sh".as_ref(), &["-c", command]);
        let said = Said::of(by_cron.current_dir("/").env("ICECORE_NOW", &time));
        // Whatever is printed is mailed.
        assert_eq!((said.status, said.text(), &*said.stderr), (0, String::new(), ""), "{day}");
        check_what_was_told(&env, &posts, day);
        env.at(&format!("2026-11-{day:02}T03:00:00Z"), &["status"]).ok();
    }
    let now = "2026-11-30T12:00:00Z";
    for remote in [&[][..], &["--remote", "team"]] {
        let listed: Value = env.at(now, &[&["list", "--json"], remote].concat()).json();
        let kept = listed["snapshots"].as_array().unwrap();
        let times: Vec<&str> = kept.iter().map(|it| it["created_at"].as_str().unwrap()).collect();
        let days: Vec<&str> = times.iter().map(|time| &time[8..10]).collect();
        // All of a week, and the newest of each week before, which ends on a Sunday.
        assert_eq!(
            days,
            ["30", "29", "28", "27", "26", "25", "24", "23", "22", "15", "08", "01"],
            "{remote:?}"
        );
        for (n, time) in times.iter().enumerate() {
            let to = format!("back_{n}_{}", remote.len());
            let (selector, url) = (format!("#{}", n + 1), server.url(&to));
            let arguments = [&["restore", &selector, "--to", &url], remote].concat();
            let restored = Said::of(
                env.command(&arguments).env("ICECORE_NOW", now).env("PGPASSWORD", server.password()),
            );
            assert_eq!(restored.status, 0, "{time}: {}", restored.stderr);
            assert_eq!(server.sql(&to, STATE), states[*time], "{time}");
            server.sql("shop", &format!("DROP DATABASE {to}"));
        }
        env.at(now, &[&["verify"], remote].concat()).ok();
        // What nothing needs lies below what a collection leaves as not worth its work.
        let plan: Value = env.at(now, &[&["gc", "--dry-run", "--json"], remote].concat()).json();
        assert_eq!(plan["packs_deleted"], 0, "{plan}");
        let place = if remote.is_empty() { ".icecore" } else { "team" };
        for folder in ["claims", "condemned"] {
            assert!(env.files(&format!("{place}/{folder}")).is_empty(), "{place}/{folder}");
        }
        let ids: Vec<&str> = kept.iter().map(|it| it["id"].as_str().unwrap()).collect();
        let labels = env.files(&format!("{place}/labels"));
        assert!(!labels.is_empty(), "of proofs");
        for label in labels {
            assert!(
                ids.iter().any(|id| label.to_str().unwrap().contains(id)),
                "{label:?} is of none of {ids:?}"
            );
        }
    }
    check_what_one_takes(&env, now);
    let late = env.at("2026-12-01T04:00:00Z", &["status"]);
    assert_eq!(late.status, 3, "{}", late.text());
    assert!(env.path("icecore.prom").exists());
}

/// Where of thirty nights one is kept, and nothing is coded on many others any more, the store holds about what a new one holds of it: whatever else a
/// collection may think.
fn check_what_one_takes(env: &TestEnv, now: &str) {
    env.at(now, &["prune", "--keep-last", "1", "--gc"]).ok();
    assert_eq!(env.count(), 1);
    env.ok(&["--store", "fresh", "init"]);
    env.at(now, &["--store", "fresh", "create", "shop"]).ok();
    let len = |store: &str| -> u64 {
        let packs = env.files(&format!("{store}/packs"));
        packs.iter().map(|pack| pack.metadata().unwrap().len()).sum()
    };
    let (here, fresh) = (len(".icecore"), len("fresh"));
    // The first night stays as what the rest is coded on, with rows as they once were. The caches of thirty nights would be more than three times as much.
    assert!(here * 2 < fresh * 3, "{here} bytes instead of {fresh}");
    env.ok(&["restore", "shop", "--to", "-"]);
}

/// The hooks, the webhook and whoever waits for a ping have heard of each step of a night, and of nothing else.
fn check_what_was_told(env: &TestEnv, posts: &Posts, day: u32) {
    let mut expected = STEPS.to_vec();
    // Seven days after the one before.
    if day % 7 == 1 {
        expected.insert(2, "prove shop");
    }
    let told = |name: &str| {
        let text = String::from_utf8(env.read(name)).unwrap();
        fs::remove_file(env.path(name)).unwrap();
        text
    };
    let begun = told("begun");
    assert_eq!(begun.lines().map(str::trim).collect::<Vec<_>>(), expected, "{day}");
    let ended = told("ended");
    let ended: Vec<Value> = ended.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ended.iter().all(|step| step["outcome"] == "done"), "{day}: {ended:?}");
    assert_eq!(ended.iter().map(step).collect::<Vec<_>>(), expected, "{day}");
    let posts = drain(posts);
    let paths: Vec<_> = posts.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/shop/start", "/hook", "/shop", "/store/start", "/hook", "/store"], "{day}");
    let hooks = posts.iter().filter(|(path, _)| path == "/hook");
    let hooks: Vec<Value> = hooks.map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    assert!(hooks.iter().all(|it| it["ok"] == true), "{day}: {hooks:?}");
    let steps = hooks.iter().flat_map(|it| it["steps"].as_array().unwrap());
    assert_eq!(steps.map(step).collect::<Vec<_>>(), expected, "{day}");
}

/// A step as the hook before it says it.
fn step(document: &Value) -> String {
    let words = ["step", "service", "remote"].map(|key| document[key].as_str());
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
