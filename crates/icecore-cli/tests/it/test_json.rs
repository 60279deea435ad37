//! What is printed with `--json` is what `docs/json.md` says: no field more, none less, and of the types that it says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use icecore_testkit::postgres::PostgresServer;
use serde_json::Value;

use crate::support::{PG_DUMP, Said, TestEnv, keys, noise};
use crate::test_nightly::web::{drain, listen};
use crate::test_redis::Redis;

/// The types of all fields, by the names that the document has for them.
type Fields = BTreeMap<String, BTreeSet<String>>;

/// The tables of a section: what the document says of each field.
fn documented(section: &str) -> Vec<Fields> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let body = &text[start + 1..];
    let body = &body[..body[3..].find("\n## ").map_or(body.len(), |end| end + 3)];
    let mut tables: Vec<Fields> = Vec::new();
    for line in body.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", "field", ..] => tables.push(Fields::new()),
            ["", names, types, ..] if names.starts_with('`') => {
                for name in names.split('`').skip(1).step_by(2) {
                    let types = types.split(" or ").map(str::to_owned).collect();
                    assert!(
                        tables.last_mut().unwrap().insert(name.to_owned(), types).is_none(),
                        "{name} twice"
                    );
                }
            }
            _ => (),
        }
    }
    tables
}

/// Adds what a value has, by name.
fn gather(name: &str, value: &Value, fields: &mut Fields) {
    let mut seen = |what: &str| fields.entry(name.to_owned()).or_default().extend([what.to_owned()]);
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                gather(&name, value, fields);
            }
        }
        Value::Array(elements) => {
            // An empty list has no elements to look at, and is there.
            fields.entry(format!("{name}[]")).or_default();
            for value in elements {
                gather(&format!("{name}[]"), value, fields);
            }
        }
        Value::String(_) => seen("text"),
        Value::Number(_) => seen("number"),
        Value::Bool(_) => ["true", "false"].into_iter().for_each(seen),
        Value::Null => seen("null"),
    }
}

/// Holds documents to a table of a section; all of them together have all of its fields.
#[track_caller]
fn check_table(section: &str, table: usize, documents: &[Value]) {
    let documented = &documented(section)[table];
    let mut seen = Fields::new();
    documents.iter().for_each(|document| gather("", document, &mut seen));
    // Of a list of objects that is empty only here and there, the list alone says nothing.
    let is_list_of_objects = |name: &String| seen.keys().any(|other| other.starts_with(&format!("{name}.")));
    for (name, types) in seen.iter().filter(|(name, _)| !is_list_of_objects(name)) {
        let known = documented.get(name);
        let known = known.unwrap_or_else(|| panic!("{section}: the document has no field {name}"));
        assert!(types.is_subset(known), "{section}: {name} is {types:?}, and not {known:?}");
    }
    for name in documented.keys() {
        assert!(seen.contains_key(name), "{section}: nothing has the field {name}");
    }
}

#[track_caller]
fn check(section: &str, documents: &[Value]) {
    check_table(section, 0, documents);
}

fn parse(said: &Said) -> Value {
    serde_json::from_slice(&said.stdout).unwrap()
}

/// A world with a service that is a SQLite database, and a snapshot of it.
fn ledger() -> TestEnv {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        "[services.ledger]\nurl = 'sqlite:ledger.db'\n[services.gone]\npath = 'gone'\n",
    );
    let database = rusqlite::Connection::open(env.path("ledger.db")).unwrap();
    database.execute_batch("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, randomblob(60000))").unwrap();
    env
}

#[test]
fn every_section_is_looked_at() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let (text, this) = (std::fs::read_to_string(path).unwrap(), include_str!("test_json.rs"));
    for section in text.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(this.contains(&format!("\"{section}\"")), "nobody looks at {section}");
    }
}

/// What is posted without what of its steps is as in the document that was printed.
fn beyond(mut posted: Vec<Value>, printed: &Value) -> Vec<Value> {
    let mut printed = printed["steps"].as_array().unwrap().iter();
    for step in posted.iter_mut().flat_map(|it| it["steps"].as_array_mut().unwrap()) {
        let step = step.as_object_mut().unwrap();
        for (key, value) in printed.next().unwrap().as_object().unwrap() {
            assert_eq!(step.remove(key).as_ref(), Some(value), "{key}");
        }
    }
    assert_eq!(printed.next(), None);
    posted
}

#[test]
fn nights_are_told_as_documented() {
    let env = ledger();
    let services =
        "[services.ledger]\nurl = 'sqlite:ledger.db'\nschedule = '@daily'\n[services.gone]\npath = 'gone'\n";
    let settings = "[nightly]\npush = ['team']\nprune_remotes = ['team']\nprove = '7d'\n[retention]\ndefault = 'last 1'\n[remotes.team]\nurl = 'team'\n";
    env.write("icecore.toml", format!("{settings}{services}"));
    let mut states = vec![parse(&env.run(&["status", "--json"]))];
    let mut nights = Vec::new();
    for _ in 0..2 {
        rusqlite::Connection::open(env.path("ledger.db")).unwrap().execute("DELETE FROM t", []).unwrap();
        nights.push(parse(&env.run(&["nightly", "--json"])));
        states.push(parse(&env.run(&["status", "--json"])));
    }
    for bytes in [2_000_000, 1] {
        env.write("gone", noise(1, bytes));
        env.ok(&["create", "gone"]);
    }
    states.push(parse(&env.run(&["status", "--json"])));
    let late = Said::of(env.command(&["status", "--json"]).env("ICECORE_NOW", "2027-11-20T00:00:00Z"));
    states.push(parse(&late));
    // Of a dump there are no tables to look at.
    env.write("dump.sql", PG_DUMP);
    env.write("icecore.toml", format!("{settings}[services.dump]\npath = 'dump.sql'\n"));
    nights.push(parse(&env.run(&["nightly", "--json"])));
    states.push(parse(&env.run(&["status", "--json"])));
    let (port, posts) = listen(None, |_, _| 204);
    let webhook = format!("[nightly]\nwebhook = 'http://127.0.0.1:{port}/'\n");
    env.write("icecore.toml", format!("{webhook}[services.dump]\npath = 'dump.sql'\n"));
    nights.push(parse(&env.run(&["nightly", "--json"])));
    let told: Vec<Value> =
        drain(&posts).iter().map(|(_, posted)| serde_json::from_str(posted).unwrap()).collect();
    check_table("`icecore nightly`", 1, &beyond(told, nights.last().unwrap()));
    check("`icecore nightly`", &nights);
    check("`icecore status`", &states);
    env.write("icecore.toml", services);
    check("`icecore schedule list`", &[env.json(&["schedule", "list"])]);
}

#[test]
fn stores_elsewhere_are_told_as_documented() {
    let env = TestEnv::new();
    env.write("one", noise(1, 100_000));
    env.json(&["create", "one", "--tag", "a"]);
    let url = format!("file://{}", env.path("elsewhere").display());
    let remote = "`icecore remote`";
    let added = env.json(&["remote", "add", "team", &url]);
    let all = "endpoint = 'https://s3.example.org'\nregion = 'mars'\npath_style = true\nprofile = 'me'\nstorage_class = 'COLD'\nencryption = 'AES256'\nca_file = 'ca.pem'";
    let other = "[remotes.other]\nurl = 's3://backups'\npath_style = false";
    env.write("icecore.toml", format!("[remotes.shared]\nurl = 's3://backups/shop'\n{all}\n{other}\n"));
    check_table(remote, 1, &[env.json(&["remote", "list"])]);
    let checks = [env.json(&["remote", "check", "team"])];
    let transfer = "`icecore push`, `icecore pull`";
    check_table(transfer, 0, &[env.json(&["push", "team", "--dry-run"])]);
    let sent = env.json(&["push", "team"]);
    // What is damaged does not go.
    env.write("two", noise(2, 100_000));
    env.json(&["create", "two"]);
    let newest = env
        .files(".icecore/packs")
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    std::fs::remove_file(newest.unwrap()).unwrap();
    let damaged = env.run(&["--json", "push", "team"]);
    assert_eq!(damaged.status, 13, "{}", damaged.stderr);
    check_table(transfer, 1, &[sent, parse(&damaged)]);
    check_table(
        remote,
        2,
        &checks.into_iter().chain([env.json(&["remote", "check", "team"])]).collect::<Vec<_>>(),
    );
    check_table(remote, 0, &[added, env.json(&["remote", "remove", "team"])]);
}

#[test]
fn snapshots_and_the_store_are_told_as_documented() {
    let env = ledger();
    let made = env.json(&["init", "--store", "other"]);
    let joined = env.json(&[
        "init",
        "--store",
        "joined",
        "--from",
        &format!("file://{}", env.path("other").display()),
    ]);
    check("`icecore init`", &[made, joined]);
    let first = env.json(&["create", "ledger", "--tag", "a", "--note", "n"]);
    env.write("dump.sql", PG_DUMP);
    let second = env.json(&["create", "dump.sql"]);
    let third = env.json(&["create", "dump.sql"]);
    check("`icecore create`", &[first, second, third]);
    env.write("tree/f", "text");
    env.ok(&["create", "tree"]);
    let before = env.json(&["list"]);
    let proved = ["ledger", "tree"].map(|name| env.json(&["verify", "--restore", name]));
    env.ok(&["verify", "--record"]);
    check_table("`icecore export`", 0, &[env.json(&["export", "latest", "-o", "latest.tar"])]);
    let carried = env.json(&["export", "--all", "--format", "store", "-o", "store.tar"]);
    check_table("`icecore export`", 1, &[carried]);
    let imports = ["latest.tar", "latest.tar"].map(|file| env.json(&["--store", "other", "import", file]));
    check("`icecore import`", &imports);
    check("`icecore list`", &[before, env.json(&["list"])]);
    // One that was cut off has findings.
    env.run_with_input(&["create", "-", "--name", "cut", "--allow-incomplete"], &PG_DUMP.as_bytes()[..600]);
    let shown = ["ledger", "tree", "dump.sql", "cut"].map(|name| env.json(&["show", name]));
    check("`icecore show`", &shown);
    // One that fails, and one that cannot be tried.
    let redis = Redis::start(None);
    redis.ask(&["SET", "key", "value"]);
    env.json(&["create", &format!("redis+unix://{}", redis.socket().display()), "--name", "cache"]);
    std::fs::create_dir(env.path("bin")).unwrap();
    let mut command = env.command(&["--json", "verify", "--restore", "cut", "cache"]);
    let failed = parse(&Said::of(command.env("PATH", env.path("bin"))));
    let [ledger, tree] = proved;
    check_table("`icecore verify`", 1, &[ledger, tree, failed]);
    check("`icecore tag add`, `icecore tag remove`", &[env.json(&["tag", "add", "ledger", "b"])]);
    let noted = ["kept for the audit", ""].map(|text| env.json(&["note", "ledger", text]));
    check("`icecore note`", &noted);
    check("`icecore stats`", &[env.json(&["stats"])]);
    env.write("retention.toml", "[services.ledger]\nurl = 'sqlite:ledger.db'\nretention = 'last 1'\n");
    let pruned = [
        env.json(&["prune", "--policy", "last 2", "--dry-run"]),
        env.json(&["prune", "--config", "retention.toml"]),
    ];
    check("`icecore prune`", &pruned);
    check("`icecore delete`", &[env.json(&["delete", "dump.sql", "--yes"])]);
    check("`icecore gc`", &[env.json(&["gc", "--dry-run"]), env.json(&["gc"])]);
    let checked = parse(&env.run(&["--json", "config", "check"]));
    let with_retention = parse(&env.run(&["--json", "config", "check", "--config", "retention.toml"]));
    env.write("nightly.toml", "[nightly]\npush = ['nowhere']\n");
    let with_faults = parse(&env.run(&["--json", "config", "check", "--config", "nightly.toml"]));
    check("`icecore config check`", &[checked, with_retention, with_faults]);
    let errors =
        [&["show", "nothing"][..], &["restore", "ledger"], &["list", "--nonsense"]].map(|arguments| {
            let said = env.run(&[&["--json"], arguments].concat());
            assert!(said.stdout.is_empty());
            serde_json::from_str(&said.stderr).unwrap()
        });
    check("Exit statuses, and errors", &errors);
}

#[test]
fn keys_are_told_as_documented() {
    let env = TestEnv::bare();
    env.write("pw", "correct horse\n");
    env.write("new", "battery staple\n");
    let with = |arguments: &[&str]| env.json(&[&["--password-file", "pw"], arguments].concat());
    with(&["init", "--encrypt"]);
    let added = with(&["key", "add", "--new-password-file", "new", "--label", "second"]);
    check("`icecore key list`", &[with(&["key", "list"])]);
    let id = added["id"].as_str().unwrap().to_owned();
    check("`icecore key remove`", &[with(&["key", "remove", &id, "--yes"])]);
    let changed = with(&["key", "passwd", "--new-password-file", "new"]);
    check("`icecore key add`, `icecore key passwd`", &[added, changed]);
}

#[test]
fn restores_and_rollbacks_are_told_as_documented() {
    let env = ledger();
    env.json(&["create", "ledger"]);
    env.write("tree/f", "text");
    env.json(&["create", "tree"]);
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let url = server.url("shop");
    env.json(&["create", &url]);
    server.sql("shop", "CREATE TABLE seen AS SELECT 1 AS a; CREATE PUBLICATION p FOR TABLE t");
    let mut restores = vec![
        env.json(&["restore", "tree", "--to", "copy"]),
        env.json(&["restore", "ledger", "--yes"]),
        env.json(&["restore", "ledger", "--table", "t", "--yes"]),
        env.json(&["restore", "shop", "--yes"]),
        env.json(&["restore", "shop", "--table", "t", "--yes"]),
    ];
    let said = env.run(&["--json", "restore", "tree", "--part", "f", "--to", "-"]);
    restores.push(serde_json::from_str(&said.stderr).unwrap());
    let rollbacks = [
        env.json(&["rollback", "ledger", "--table", "t", "--yes"]),
        env.json(&["rollback", "ledger", "--yes"]),
        env.json(&["rollback", &url, "--table", "t", "--yes"]),
        env.json(&["rollback", &url, "--yes"]),
    ];
    check("`icecore rollback`", &rollbacks);
    // Where nothing is put aside, a snapshot comes back, and says so.
    env.json(&["restore", "ledger", "--yes", "--replace"]);
    let back = env.json(&["rollback", "ledger", "--yes"]);
    assert!(back["notes"][0].as_str().unwrap().contains("nothing is put aside"), "{back}");
    restores.push(back);
    // What an emergency passes over is in its notes.
    env.ok(&["create", "ledger", "--no-delta"]);
    let known: BTreeSet<_> = env.files(".icecore/packs").into_iter().collect();
    let database = rusqlite::Connection::open(env.path("ledger.db")).unwrap();
    database.execute_batch("UPDATE t SET b = randomblob(300000)").unwrap();
    drop(database);
    env.ok(&["create", "ledger", "--no-delta"]);
    for pack in env.files(".icecore/packs").into_iter().filter(|pack| !known.contains(pack)) {
        let mut bytes = std::fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(pack, bytes).unwrap();
    }
    let emergency = parse(&env.run(&["--json", "rollback", "ledger", "--emergency"]));
    assert!(emergency["notes"][0].as_str().unwrap().contains("trying the one before"), "{emergency}");
    restores.push(emergency);
    let redis = Redis::start(None);
    redis.ask(&["SET", "key", "value"]);
    let url = format!("redis+unix://{}", redis.socket().display());
    env.json(&["create", &url, "--name", "cache"]);
    restores.push(env.json(&["restore", "cache", "--to", &url, "--yes"]));
    check("`icecore restore`", &restores);
}

#[test]
fn runs_are_told_as_documented() {
    let env = ledger();
    let plan = "[[step]]\nname = 'a'\ncommand = 'true'\n[[step]]\nname = 'b'\ncommand = 'kill -9 $$'\n[[step]]\nname = 'c'\ncommand = 'true'\n";
    env.write("steps.toml", plan);
    env.write("tree/f", "text");
    let run = |arguments: &[&str]| parse(&env.run(&[&["--json", "run"], arguments].concat()));
    let mut documents = vec![
        run(&["ledger", "--", "sqlite3", "ledger.db", "INSERT INTO t VALUES (2, 2)"]),
        run(&["--plan", "steps.toml", "--rollback=c", "ledger"]),
        run(&["tree", "--", "sh", "-c", "rm tree/f; echo more > tree/g"]),
    ];
    for document in &mut documents {
        let restored = document["restored"].take();
        if !restored.is_null() {
            assert_eq!(restored["id"], document["rolled_back_to"]);
            assert!(keys(&restored).contains(&"written_bytes"));
        }
    }
    assert!(documents[1]["notes"][0].as_str().unwrap().contains("did not come to c"));
    check("`icecore run`", &documents);
}

#[test]
fn damage_is_told_as_documented() {
    let env = TestEnv::new();
    env.write("tree/f", noise(1, 300_000));
    env.json(&["create", "tree"]);
    env.write("small", "text");
    env.json(&["create", "small"]);
    let packs = env.files(".icecore/packs");
    let large = packs.iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let good = std::fs::read(large).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(large, bytes).unwrap();
    let record = env.files(".icecore/snapshots").pop().unwrap();
    let whole = std::fs::read(&record).unwrap();
    std::fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let verified = parse(&env.run(&["--json", "verify"]));
    check("`icecore verify`", &[verified]);
    // Elsewhere it lies the same, and is damaged, too: what is there can be had, but not all of it.
    let elsewhere = env.path("elsewhere");
    copy_tree(&env.path(".icecore"), &elsewhere);
    let from = format!("file://{}", elsewhere.display());
    let pack = elsewhere.join(large.strip_prefix(env.path(".icecore")).unwrap());
    let plan = || parse(&env.run(&["--json", "repair", "--dry-run", "--from", &from]));
    std::fs::write(&pack, good).unwrap();
    let mended = plan();
    std::fs::remove_file(&pack).unwrap();
    check_table("`icecore repair`", 0, &[mended, plan()]);
    std::fs::write(&pack, "nothing").unwrap();
    let tried = TestEnv::bare();
    copy_tree(&env.path(".icecore"), &tried.path(".icecore"));
    let tried = parse(&tried.run(&["--json", "repair", "--from", &from]));
    let kept = parse(&env.run(&["--json", "repair"]));
    let dropped = parse(&env.run(&["--json", "repair", "--drop-broken", "--yes"]));
    check_table("`icecore repair`", 1, &[tried, kept, dropped]);
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
