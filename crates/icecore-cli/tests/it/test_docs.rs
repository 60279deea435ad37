//! Every command in a document runs as it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::PostgresServer;
use icecore_testkit::s3::S3Server;

/// The documents whose `sh tour` blocks are run, each in a directory of its own, from top to bottom.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.chain([root.join("README.md")])
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect()
}

/// The fenced blocks of a document: what follows the fence, and the lines inside.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => found.push(block),
            (Some(info), None) => open = Some((info.trim().to_owned(), String::new())),
            (None, Some((info, body))) => open = Some((info, body + line + "\n")),
            (None, None) => (),
        }
    }
    found
}

#[test]
fn the_tours_of_all_documents_run() {
    let binary_dir = Path::new(env!("CARGO_BIN_EXE_icecore")).parent().unwrap();
    let path = format!("{}:{}", binary_dir.display(), std::env::var("PATH").unwrap());
    let mut tours = 0;
    for document in documents() {
        // Programs of PostgreSQL, and ours, find a server where the document says that there is one.
        let server = document.ends_with("postgres.md").then(PostgresServer::start);
        let place = server.iter().flat_map(|server| {
            let folder = server.socket_dir().display().to_string();
            [("PGHOST", folder), ("PGPORT", server.port().to_string()), ("PGUSER", "postgres".to_owned())]
        });
        let place: Vec<_> = place.collect();
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        // Those of MySQL look into a file.
        let mariadb = document.ends_with("mysql.md").then(MariaDbServer::start);
        if let Some(mariadb) = &mariadb {
            let options = format!("[client]\nsocket = {}\nuser = root\n", mariadb.socket().display());
            fs::write(dir.path().join(".my.cnf"), options).unwrap();
        }
        // A bucket is found by the variables of AWS.
        let bucket = document.ends_with("s3.md").then(S3Server::start);
        let site = bucket.iter().flat_map(|server| {
            server.create_bucket("backups");
            server.environment().into_iter().chain([("AWS_ENDPOINT_URL", server.endpoint())])
        });
        let place: Vec<_> = place.into_iter().chain(site).collect();
        for (info, body) in blocks(&fs::read_to_string(&document).unwrap()) {
            if info != "sh tour" {
                continue;
            }
            tours += 1;
            let script = Command::new("sh")
                .args(["-euxc", &body])
                .current_dir(dir.path())
                .env_clear()
                .env("PATH", &path)
                .env("HOME", dir.path())
                .env("TZ", "UTC")
                .envs(place.iter().map(|(name, value)| (name, value)))
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&script.stderr);
            assert!(script.status.success(), "{}:\n{body}\n{errors}", document.display());
        }
    }
    assert!(tours >= 7, "only {tours} tours were found");
}

#[test]
fn documents_show_no_shell_block_that_nobody_runs() {
    for document in documents() {
        for (info, body) in blocks(&fs::read_to_string(&document).unwrap()) {
            // `make` itself is what runs the tests; figures are measured by hand.
            let is_make = body.lines().all(|line| line.starts_with("make ") || line.is_empty());
            let is_run = info != "sh" || is_make;
            assert!(is_run, "{}: a `sh` block is not marked as a tour:\n{body}", document.display());
        }
    }
}

#[test]
fn the_readme_links_every_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let more = readme.split_once("\n## More\n").unwrap().1;
    for document in documents() {
        let name = document.file_name().unwrap().to_str().unwrap();
        let is_linked = name == "README.md" || more.contains(&format!("](docs/{name})"));
        assert!(is_linked, "README.md does not link {name}");
    }
}

/// Every test that a document names in backticks, as `module::name` or `a_sentence_of_several_words`, is there.
#[test]
fn tests_that_documents_name_exist() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    let mut folders = vec![crates];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                sources.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut named = 0;
    for document in ["concurrency.md", "lessons.md", "reliability.md"] {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(document))
                .unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let name = quoted.rsplit("::").next().unwrap_or_default();
            let is_test = name.bytes().filter(|byte| *byte == b'_').count() >= 3
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_test {
                named += 1;
                assert!(
                    sources.contains(&format!("fn {name}")),
                    "{document} names {quoted}, which is not there"
                );
            }
        }
    }
    assert!(named >= 100, "only {named} tests are named");
}
