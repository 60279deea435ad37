use icecore_format::{Catalog, Manifest, SnapshotId, SnapshotInfo, Tree};
use icecore_store::SnapshotLabels;

use super::*;

/// A snapshot of `source` whose id starts with `id`, taken on a day of November 2026 at ten.
fn snapshot(id: &str, source: &str, day: u32, tags: &[&str]) -> Snapshot {
    let id: SnapshotId = format!("{id:0<64}").parse().unwrap();
    let info = SnapshotInfo {
        source: source.to_owned(),
        engine: "files".to_owned(),
        engine_version: None,
        form: "file".to_owned(),
        origin: None,
        unpacked: None,
        fingerprint: None,
        created_at: format!("2026-11-{day:02}T10:00:00.000000Z"),
        host: "db1".to_owned(),
        tool_version: "0.1.0".to_owned(),
        parent: None,
        parts: 1,
        logical_bytes: 1,
        changed_bytes: 1,
        stored_bytes: 1,
        chunks: 1,
        new_chunks: 1,
        delta_chunks: 0,
        duration_ms: 1,
        findings: Vec::new(),
    };
    let manifest = Manifest { info, content: Tree::default(), catalog: Catalog::Inline(Vec::new()) };
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let labels = SnapshotLabels { tags, ..SnapshotLabels::default() };
    Snapshot { id, object: format!("snapshots/{id}"), copies: Vec::new(), manifest_len: 1, manifest, labels }
}

/// Newest first, as the store lists them.
fn snapshots() -> Vec<Snapshot> {
    vec![
        snapshot("aaaa1", "shop", 20, &[]),
        snapshot("aaaa2", "cache", 19, &[]),
        snapshot("bbbb1", "shop", 18, &["release", "keep"]),
        snapshot("cccc1", "a@b", 17, &[]),
        snapshot("dddd1", "shop", 16, &["release"]),
        snapshot("beef1", "feed", 15, &[]),
        snapshot("feed1", "old", 14, &[]),
    ]
}

/// A file may be called as a selector looks. Where both make sense, neither is chosen silently.
#[test]
fn a_source_that_looks_like_a_selector_never_hides_what_the_selector_means() {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut all = snapshots();
    all.push(snapshot("eeee1", "shop@release", 10, &[]));
    all.push(snapshot("eeee2", "gone~1", 10, &[]));
    let resolve = |text: &str| resolve(&all, text, now, &TimeZone::UTC);
    assert!(matches!(resolve("shop@release"), Err(Error::Ambiguous { .. })));
    assert_eq!(resolve("shop@release~0").unwrap().info().source, "shop@release");
    assert_eq!(resolve("gone~1").unwrap().info().source, "gone~1");
}

fn check(selector: &str, expected: &str) {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let all = snapshots();
    let found = match resolve(&all, selector, now, &TimeZone::UTC) {
        Ok(found) => found.id.to_string().trim_end_matches('0').to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{selector}");
}

#[test]
fn latest_is_the_newest_of_all() {
    check("latest", "aaaa1");
    check("latest~1", "aaaa2");
    check("latest~9", "there is no snapshot \"latest~9\": the store has 7 snapshots");
}

#[test]
fn latest_is_no_snapshot_that_a_restore_took_and_its_own_name_is() {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let mut all = snapshots();
    all.insert(0, snapshot("ffff1", "shop.before-restore", 21, &["before-restore"]));
    let found = |all: &[Snapshot], text: &str| match resolve(all, text, now, &TimeZone::UTC) {
        Ok(found) => found.id.to_string().trim_end_matches('0').to_owned(),
        Err(error) => error.to_string(),
    };
    for meant in ["latest", "latest~0", "latest@2026-11-21", "latest@1 minute ago", "shop"] {
        assert_eq!(found(&all, meant), "aaaa1", "{meant}");
    }
    assert_eq!(found(&all, "latest~1"), "aaaa2");
    for named in ["shop.before-restore", "shop.before-restore~0", "#1", "ffff1", "latest@before-restore"] {
        assert_eq!(found(&all, named), "ffff1", "{named}");
    }
    let alone =
        "there is no snapshot \"latest\": the store has no snapshots besides those that restores took";
    assert_eq!(found(&all[..1], "latest"), alone);
}

/// Only some of the names are told, and the one that was meant may be none of them.
#[test]
fn a_mistyped_name_is_told_however_many_there_are() {
    let near = "the store has a@b, cache, feed, old, shop ...; did you mean \"zebra\"?";
    let mut all = snapshots();
    all.push(snapshot("abcd1", "zebra", 3, &[]));
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    for text in ["zerba", "zerba~1", "zerba@release"] {
        let error = resolve(&all, text, now, &TimeZone::UTC).unwrap_err().to_string();
        assert!(error.ends_with(near), "{error}");
    }
}

#[test]
fn a_number_is_the_one_that_list_shows() {
    check("#1", "aaaa1");
    check("#5", "dddd1");
    check("#0", "there is no snapshot \"#0\": the store has 7 snapshots");
    check("#8", "there is no snapshot \"#8\": the store has 7 snapshots");
}

#[test]
fn a_name_is_its_newest_and_steps_go_back() {
    check("shop", "aaaa1");
    check("shop~1", "bbbb1");
    check("shop~2", "dddd1");
    check("shop~3", "there is no snapshot \"shop~3\": shop has 3 snapshots");
    check(
        "shopp",
        "there is no snapshot \"shopp\": the store has a@b, cache, feed, old, shop; did you mean \"shop\"?",
    );
}

#[test]
fn tags_come_before_times_and_the_newest_tagged_wins() {
    check("shop@release", "bbbb1");
    check("shop@2026-11-18", "bbbb1");
    check("shop@2026-11-18T09:59", "dddd1");
    check("shop@2026-11-18T10:00", "bbbb1");
    check("shop@3 days ago", "dddd1");
    check("shop@2026-11-01", "there is no snapshot \"shop@2026-11-01\": shop has no snapshot as old as that");
    let neither =
        "there is no snapshot \"shop@beta\": shop has no snapshot tagged \"beta\", and that is no time";
    check("shop@beta", neither);
    let mistyped = "there is no snapshot \"shop@relaese\": shop has no snapshot tagged \"relaese\", and that is no time; did you mean \"release\"?";
    check("shop@relaese", mistyped);
}

#[test]
fn an_id_needs_four_digits_and_to_be_the_only_one() {
    check("bbbb", "bbbb1");
    check("BBBB1", "bbbb1");
    let short = "there is no snapshot \"bbb\": an id needs at least 4 digits, and the store has a@b, cache, feed, old, shop";
    check("bbb", short);
    check("aaaa", "\"aaaa\" is ambiguous: aaaa10000000 of shop, aaaa20000000 of cache");
    check("eeee", "there is no snapshot \"eeee\"");
}

#[test]
fn a_source_whose_name_is_another_snapshots_id_is_ambiguous() {
    check("feed", "\"feed\" is ambiguous: the source feed, feed10000000 of old");
}

#[test]
fn a_source_may_have_any_name() {
    check("a@b", "cccc1");
}
