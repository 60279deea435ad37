//! Every command in a document runs as it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let dir = tempfile::tempdir().unwrap();
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
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&script.stderr);
            assert!(script.status.success(), "{}:\n{body}\n{errors}", document.display());
        }
    }
    assert!(tours >= 6, "only {tours} tours were found");
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
