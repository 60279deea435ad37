//! Thirty nights of a real database, with all steps on.

use std::collections::BTreeMap;

use icecore_testkit::postgres::PostgresServer;
use serde_json::Value;

use crate::support::TestEnv;

/// What a database holds, as a query tells.
const STATE: &str = "SELECT count(*), sum(hashtext(o::text)::bigint) FROM orders o";

#[test]
fn thirty_nights_leave_what_the_policy_keeps_all_of_which_restores_and_nothing_else() {
    let sql = "CREATE TABLE orders (id bigint PRIMARY KEY, note text, at timestamptz);
        INSERT INTO orders SELECT n, md5(n::text), now() FROM generate_series(1, 20000) n";
    let server = PostgresServer::with_database("shop", sql);
    let env = TestEnv::new();
    env.write("password", server.password());
    let config = format!(
        "[retention]\ndefault = '7d all, 3mo weekly'\n\n[nightly]\npush = ['team']\nprune_remotes = ['team']\nverify = '20MB'\n
        [remotes.team]\nurl = 'team'\n
        [services.shop]\nurl = '{}'\npassword_file = 'password'\nschedule = '30 2 * * *'\n",
        server.url("shop")
    );
    env.write("icecore.toml", config);
    let mut states = BTreeMap::new();
    for day in 1..=30 {
        // One row in a hundred, all over; some go, some come.
        let changes = format!(
            "UPDATE orders SET note = md5(note || '{day}') WHERE id % 100 = {day};
             DELETE FROM orders WHERE id % 1000 = {day};
             INSERT INTO orders SELECT 100000 + {day} * 100 + n, md5(n::text), now() FROM generate_series(1, 50) n"
        );
        server.sql("shop", &changes);
        let time = format!("2026-11-{day:02}T02:30:00Z");
        states.insert(time.replace("00Z", "00.000000Z"), server.sql("shop", STATE));
        let said = env.at(&time, &["nightly", "--json", "--metrics-file", "icecore.prom"]);
        assert_eq!(said.status, 0, "{day}: {}{}", said.text(), said.stderr);
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
            let restored = crate::support::Said::of(
                env.command(&arguments).env("ICECORE_NOW", now).env("PGPASSWORD", server.password()),
            );
            assert_eq!(restored.status, 0, "{time}: {}", restored.stderr);
            assert_eq!(server.sql(&to, STATE), states[*time], "{time}");
            server.sql("shop", &format!("DROP DATABASE {to}"));
        }
        env.at(now, &[&["verify"], remote].concat()).ok();
        // What nothing needs lies below what a collection leaves as not worth its work.
        let stats: Value = env.at(now, &[&["stats", "--json"], remote].concat()).json();
        let plan: Value = env.at(now, &[&["gc", "--dry-run", "--json"], remote].concat()).json();
        assert_eq!(plan["packs_deleted"], 0, "{plan}");
        assert!(stats["stored_bytes"].as_u64().unwrap() > 0);
    }
    let late = env.at("2026-12-01T04:00:00Z", &["status"]);
    assert_eq!(late.status, 3, "{}", late.text());
    assert!(env.path("icecore.prom").exists());
}
