use crate::support::{TestEnv, check_keys, redact};

fn some() -> TestEnv {
    let env = TestEnv::new();
    env.write("shop", "one");
    env.ok(&["create", "shop", "--tag", "release", "--note", "the first"]);
    env.run_with_input(&["create", "-", "--name", "cache"], b"x").ok();
    env.write("shop", "more");
    env.ok(&["create", "shop"]);
    env
}

#[test]
fn list_in_json_has_exactly_the_promised_fields_newest_first() {
    let env = some();
    let listed = env.json(&["list"]);
    check_keys(&listed, &["snapshots"]);
    let snapshots = listed["snapshots"].as_array().unwrap();
    for snapshot in snapshots {
        check_keys(
            snapshot,
            &[
                "index",
                "id",
                "source",
                "engine",
                "created_at",
                "tags",
                "note",
                "logical_bytes",
                "stored_bytes",
                "parts",
                "verified",
                "restored",
            ],
        );
    }
    let sources: Vec<_> = snapshots.iter().map(|snapshot| snapshot["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["shop", "cache", "shop"]);
    assert_eq!(snapshots[0]["note"], serde_json::Value::Null);
}

#[test]
fn filters_keep_the_numbers_by_which_snapshots_are_selected() {
    let env = some();
    let numbers = |arguments: &[&str]| {
        let mut all = vec!["list"];
        all.extend(arguments);
        let listed = env.json(&all);
        let snapshots = listed["snapshots"].as_array().unwrap().iter();
        snapshots.map(|snapshot| snapshot["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&[]), [1, 2, 3]);
    assert_eq!(numbers(&["shop"]), [1, 3]);
    assert_eq!(numbers(&["--source", "shop"]), [1, 3]);
    assert_eq!(numbers(&["--source", "shop", "--limit", "1"]), [1]);
    assert!(env.fails(2, &["list", "shop", "--source", "cache"]).contains("--source"));
    assert!(env.fails(10, &["list", "--source", "shp"]).contains("shop"));
    assert_eq!(numbers(&["--tag", "release"]), [3]);
    assert_eq!(numbers(&["--search", "FIRST"]), [3]);
    assert_eq!(numbers(&["--search", "cach"]), [2]);
    assert_eq!(numbers(&["--since", "2026-11-20T10:02"]), [1, 2]);
    assert_eq!(numbers(&["--until", "2026-11-20T10:02"]), [2, 3]);
    assert_eq!(numbers(&["--since", "2026-11-20", "--until", "2026-11-20"]), [1, 2, 3]);
    assert_eq!(numbers(&["--tag", "nobody"]), Vec::<u64>::new());
}

#[test]
fn the_table_lines_up() {
    let env = some();
    let table = env.ok(&["list"]);
    let table = table
        .lines()
        .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).count())
        .collect::<Vec<_>>();
    assert_eq!(table.len(), 4);
    let said = redact(&env.ok(&["list", "--tag", "release"]));
    assert!(said.contains("2026-11-20 10:01") && said.ends_with("release; the first"), "{said}");
}

#[test]
fn an_empty_store_says_what_to_do() {
    let env = TestEnv::new();
    let said = env.run(&["list"]);
    assert_eq!(said.stderr, "There are no snapshots yet.\nhint: `icecore create SOURCE` takes the first\n");
    assert_eq!(said.ok(), "");
}

#[test]
fn a_source_that_is_not_there_is_an_error_and_no_empty_list() {
    let env = TestEnv::new();
    env.write("a.txt", "a");
    env.ok(&["create", "a.txt"]);
    let said = env.fails(10, &["list", "nosuch"]);
    assert!(said.contains("the store has a.txt"), "{said}");
}

/// Two files of one name are one series.
#[test]
fn where_snapshots_of_one_name_come_from_is_shown_if_it_is_not_one_place() {
    let env = TestEnv::new();
    let paths = ["a/shop.sql", "b/shop.sql"].map(|name| env.write(name, name).display().to_string());
    env.ok(&["create", "a/shop.sql"]);
    env.ok(&["create", "a/shop.sql"]);
    let head = |arguments: &[&str]| env.ok(arguments).lines().next().unwrap().to_owned();
    assert!(!head(&["list"]).contains("FROM"));
    env.ok(&["create", "b/shop.sql"]);
    env.run_with_input(&["create", "-", "--name", "shop.sql"], b"x").ok();
    let table = env.ok(&["list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains("ENGINE  FROM "), "{table}");
    let says = |line: usize| paths.iter().position(|path| lines[line].contains(path));
    assert_eq!([1, 2, 3, 4].map(says), [None, Some(1), Some(0), Some(0)], "{table}");
    // Of what is listed, and no more.
    assert!(!head(&["list", "--until", "2026-11-20T10:03"]).contains("FROM"));
    assert!(env.ok(&["show", "shop.sql~1"]).contains(&format!("From      {}", paths[1])));
}

#[test]
fn the_list_is_sorted_limited_and_grouped_and_keeps_its_numbers() {
    let env = some();
    env.run_with_input(&["create", "-", "--name", "cache"], &[b'y'; 5000]).ok();
    let numbers = |arguments: &[&str]| {
        let listed = env.json(&[&["list"], arguments].concat());
        let snapshots = listed["snapshots"].as_array().unwrap().iter();
        snapshots.map(|snapshot| snapshot["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    // cache, shop, cache, shop: of 5000, 4, 1 and 3 bytes.
    assert_eq!(numbers(&["--limit", "2"]), [1, 2]);
    assert_eq!(numbers(&["--sort", "size"]), [1, 2, 4, 3]);
    assert_eq!(numbers(&["--sort", "size", "--limit", "1"]), [1]);
    assert_eq!(numbers(&["--sort", "source"]), [1, 3, 2, 4]);
    assert_eq!(numbers(&["--sort", "created"]), [1, 2, 3, 4]);
    assert_eq!(numbers(&["--group", "--limit", "1"]), [1, 2]);
    assert_eq!(numbers(&["--group", "--sort", "size"]), [1, 3, 2, 4]);
    assert_eq!(numbers(&["--sort", "added"]).len(), 4);
    env.fails(2, &["list", "--limit", "0"]);
    env.fails(2, &["list", "--sort", "age"]);
    let said = env.ok(&["list", "--group"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[4], lines[5]), ("cache: 2 snapshots", "", "shop: 2 snapshots"), "{said}");
}

#[test]
fn what_is_of_the_last_day_stands_out() {
    let env = some();
    let coloured = |now: &str| {
        let mut command = env.command(&["list", "--color", "always"]);
        crate::support::Said::of(command.env("ICECORE_NOW", now)).ok()
    };
    let bold = |text: &str| text.lines().filter(|line| line.starts_with("\x1b[1m")).count();
    assert_eq!(bold(&coloured("2026-11-20T12:00:00Z")), 3);
    // The first of three was taken at 10:01.
    assert_eq!(bold(&coloured("2026-11-21T10:01:30Z")), 2);
    assert_eq!(bold(&coloured("2026-11-23T10:00:00Z")), 0);
    assert!(!env.ok(&["list"]).contains('\x1b'));
}

/// A length of time was added to now: nothing was ever taken after that, and nobody was told.
#[test]
fn a_length_of_time_is_how_long_ago() {
    let env = some();
    // Taken at 10:01, 10:02 and 10:03.
    let now = "2026-11-20T10:10:00Z";
    let count = |arguments: &[&str]| {
        let listed = env.at(now, &[&["list", "--json"], arguments].concat()).json();
        listed["snapshots"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--since", "1h"]), 3);
    assert_eq!(count(&["--since", "8min"]), 2);
    assert_eq!(count(&["--since", "8 minutes ago", "--until", "7min 30s"]), 1);
    assert_eq!(count(&["--until", "8min"]), 2);
    assert_eq!(count(&["--until", "1 day"]), 0);
    let taken = |selector: &str| env.at(now, &["show", "--json", selector]).json()["created_at"].clone();
    assert_eq!(taken("shop@5min"), taken("#1"));
    assert_eq!(taken("shop@8m"), taken("#3"));
    let at = |length: &str| env.at(now, &["restore", "shop", "--at", length, "--to", "-"]);
    assert_eq!((at("5min").ok().as_str(), at("8min").ok().as_str()), ("more", "one"));
    assert!(env.at(now, &["list", "--since", "+1h"]).fails(2).contains("\"+1h\" is not a time"));
}
