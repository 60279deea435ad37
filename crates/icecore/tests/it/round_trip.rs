//! What is captured comes back.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use icecore_testkit::{Change, Dialect, DumpSpec, Night, write_dump};
use proptest::prelude::*;

use crate::support::Place;

/// One entry of a random tree; names are unique by their number.
#[derive(Debug, Clone)]
enum Entry {
    File { content: Vec<u8>, mode: u32, mtime: i64 },
    Directory(Vec<Entry>),
    Link(String),
}

fn entry() -> impl Strategy<Value = Entry> {
    let content = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..100),
        (any::<u8>(), 0usize..300_000).prop_map(|(seed, len)| noise(seed, len)),
    ];
    let file = (content, prop::sample::select(vec![0o644, 0o600, 0o755, 0o4755, 0o444]), 0i64..2_000_000_000)
        .prop_map(|(content, mode, mtime)| Entry::File { content, mode, mtime });
    let leaf = prop_oneof![4 => file, 1 => "[a-z./]{1,20}".prop_map(Entry::Link)];
    leaf.prop_recursive(3, 24, 6, |inner| prop::collection::vec(inner, 0..6).prop_map(Entry::Directory))
}

fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

fn make(path: &Path, entry: &Entry) {
    match entry {
        Entry::File { content, mode, mtime } => {
            fs::write(path, content).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            let time =
                std::time::UNIX_EPOCH + std::time::Duration::new(u64::try_from(*mtime).unwrap(), 123_456_789);
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
        Entry::Directory(entries) => {
            fs::create_dir(path).unwrap();
            for (number, entry) in entries.iter().enumerate() {
                make(&path.join(format!("{number}-entry")), entry);
            }
        }
        Entry::Link(target) => symlink(target, path).unwrap(),
    }
}

/// Everything about a tree that must come back.
fn look(path: &Path, name: &str, seen: &mut Vec<(String, u32, i64, i64, Vec<u8>)>) {
    let meta = path.symlink_metadata().unwrap();
    let content = if meta.is_file() {
        fs::read(path).unwrap()
    } else if meta.is_symlink() {
        fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
    } else {
        Vec::new()
    };
    seen.push((name.to_owned(), meta.mode(), meta.mtime(), meta.mtime_nsec(), content));
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for child in names {
            look(&path.join(&child), &format!("{name}/{}", child.to_string_lossy()), seen);
        }
    }
}

fn looked(path: &Path) -> Vec<(String, u32, i64, i64, Vec<u8>)> {
    let mut seen = Vec::new();
    look(path, "", &mut seen);
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_beside_over_and_in_place(before in entry_list(), after in entry_list()) {
        let place = Place::new();
        let source = place.path("source");
        make(&source, &Entry::Directory(before));
        place.create(&source).unwrap();
        let copy = place.path("copy");
        place.restore(&copy, |_| ()).unwrap();
        prop_assert_eq!(looked(&source), looked(&copy));

        fs::remove_dir_all(&source).unwrap();
        make(&source, &Entry::Directory(after));
        place.create(&source).unwrap();
        let over = place.path("over");
        place.restore(&over, |_| ()).unwrap();
        fs::remove_dir_all(&over).unwrap();
        fs::create_dir(&over).unwrap();
        fs::write(over.join("in the way"), "x").unwrap();
        place.restore(&over, |options| options.replace = true).unwrap();
        prop_assert_eq!(looked(&source), looked(&over));

        place.restore(&copy, |options| (options.replace, options.in_place) = (true, true)).unwrap();
        prop_assert_eq!(looked(&source), looked(&copy));
        let report = place.store.verify(None, icecore::VerifyExtent::Everything, 0, &icecore::Silent).unwrap();
        prop_assert!(report.findings.is_empty());
    }

    #[test]
    fn any_stream_comes_back(content in prop::collection::vec(any::<u8>(), 1..2000), repeat in 1usize..400) {
        let place = Place::new();
        let source = place.path("stream");
        fs::write(&source, content.repeat(repeat)).unwrap();
        place.create(&source).unwrap();
        place.restore(&place.path("copy"), |_| ()).unwrap();
        prop_assert_eq!(fs::read(&source).unwrap(), fs::read(place.path("copy")).unwrap());
    }
}

fn entry_list() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(entry(), 0..6)
}

fn dump(dialect: Dialect, nights: usize) -> Vec<u8> {
    let night = Night { changed: 0.01, how: Change::InPlace };
    let mut dump = Vec::new();
    write_dump(&DumpSpec { seed: 7, bytes: 3_000_000, dialect, nights: vec![night; nights] }, &mut dump)
        .unwrap();
    dump
}

#[test]
fn dumps_come_back_whole_and_table_by_table() {
    for (dialect, table) in [(Dialect::Postgres, "public.customers"), (Dialect::MariaDb, "customers")] {
        let place = Place::new();
        let source = place.path("shop.sql");
        let content = dump(dialect, 0);
        fs::write(&source, &content).unwrap();
        let created = place.create(&source).unwrap();
        assert!(created.info.parts > 5, "{:?}", created.info);
        place.restore(&place.path("copy.sql"), |_| ()).unwrap();
        assert!(fs::read(place.path("copy.sql")).unwrap() == content);

        let part = place.path("table.sql");
        place.restore(&part, |options| options.part = Some(table.to_owned())).unwrap();
        let part = fs::read(part).unwrap();
        assert!(part.len() > 1000 && content.windows(part.len()).any(|window| window == part));
    }
}

#[test]
fn a_tarball_comes_back_to_the_byte_and_its_members_alone() {
    let place = Place::new();
    fs::create_dir(place.path("files")).unwrap();
    for n in 0..20u8 {
        fs::write(place.path(&format!("files/{n}")), noise(n, 1000 * usize::from(n))).unwrap();
    }
    let tarball = place.path("files.tar");
    let tar =
        Command::new("tar").arg("-C").arg(place.dir.path()).arg("-cf").arg(&tarball).arg("files").status();
    assert!(tar.unwrap().success());
    place.create(&tarball).unwrap();
    place.restore(&place.path("copy.tar"), |_| ()).unwrap();
    assert!(fs::read(&tarball).unwrap() == fs::read(place.path("copy.tar")).unwrap());
    place.restore(&place.path("member"), |options| options.part = Some("files/19".to_owned())).unwrap();
    assert!(fs::read(place.path("member")).unwrap() == noise(19, 19_000));
}

#[test]
fn an_unpacked_file_shares_its_chunks_with_the_plain_one() {
    let place = Place::new();
    let content = dump(Dialect::Postgres, 0);
    let plain = place.path("shop.sql");
    fs::write(&plain, &content).unwrap();
    let first = place.create(&plain).unwrap();
    let packed = place.path("shop.sql.gz");
    let gzip = Command::new("gzip").arg("-c").arg(&plain).stdout(fs::File::create(&packed).unwrap()).status();
    assert!(gzip.unwrap().success());
    let second = place.create(&packed).unwrap();
    assert_eq!(second.info.unpacked.as_deref(), Some("gzip"));
    assert_eq!((second.info.logical_bytes, second.info.new_chunks), (first.info.logical_bytes, 0));
}

#[test]
fn a_target_that_exists_is_refused_and_untouched() {
    let place = Place::new();
    let source = place.path("data");
    fs::write(&source, "stored").unwrap();
    place.create(&source).unwrap();
    fs::File::create(&source).unwrap().write_all(b"live").unwrap();
    let error = place.restore(&source, |_| ()).unwrap_err();
    assert!(matches!(error, icecore::Error::TargetExists { .. }), "{error}");
    assert_eq!(fs::read(&source).unwrap(), b"live");
    place.restore(&source, |options| options.replace = true).unwrap();
    assert_eq!(fs::read(&source).unwrap(), b"stored");
}

#[test]
fn in_place_writes_only_what_differs() {
    let place = Place::new();
    let source = place.path("big");
    let content = noise(3, 3_000_000);
    fs::write(&source, &content).unwrap();
    place.create(&source).unwrap();
    let mut changed = content.clone();
    changed[1_500_000] ^= 1;
    fs::write(&source, &changed).unwrap();
    let restored =
        place.restore(&source, |options| (options.replace, options.in_place) = (true, true)).unwrap();
    assert!(fs::read(&source).unwrap() == content);
    assert!(restored.written_bytes > 0 && restored.written_bytes < 200_000, "{restored:?}");
}

#[test]
fn a_dump_is_rewritten_in_place_across_its_tables() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let place = Place::new();
        let source = place.path("shop.sql");
        fs::write(&source, dump(dialect, 0)).unwrap();
        place.create(&source).unwrap();
        fs::write(&source, dump(dialect, 1)).unwrap();
        let in_place =
            |options: &mut icecore::RestoreOptions| (options.replace, options.in_place) = (true, true);
        place.restore(&source, in_place).unwrap();
        assert!(fs::read(&source).unwrap() == dump(dialect, 0));
        let again = place.restore(&source, in_place).unwrap();
        assert!(again.written_bytes < again.bytes / 4, "{again:?}");
    }
}

#[test]
fn a_database_captured_as_bytes_is_not_put_beside_another_ones_log() {
    let place = Place::new();
    let source = place.path("app");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("shop.db"), [b"SQLite format 3\0".as_slice(), &[0; 100]].concat()).unwrap();
    place.create(&source).unwrap();
    let target = place.path("live.db");
    let part = |options: &mut icecore::RestoreOptions| options.part = Some("shop.db".to_owned());
    fs::write(place.path("live.db-wal"), "pages of another database").unwrap();
    let error = place.restore(&target, part).unwrap_err();
    assert!(error.to_string().contains("live.db-wal"), "{error}");
    fs::remove_file(place.path("live.db-wal")).unwrap();
    place.restore(&target, part).unwrap();
}

#[test]
fn nothing_is_restored_into_the_store() {
    let place = Place::new();
    let source = place.path("data");
    fs::write(&source, "x").unwrap();
    place.create(&source).unwrap();
    for target in ["store/config", "store/packs", "store/new/deep", "store"] {
        let error = place.restore(&place.path(target), |options| options.replace = true).unwrap_err();
        assert!(matches!(error, icecore::Error::Unfitting(_)), "{target}: {error}");
    }
}

#[test]
fn damage_that_is_met_on_the_way_leaves_the_live_file_as_it_was() {
    let place = Place::new();
    let source = place.path("live");
    fs::write(&source, noise(1, 400_000)).unwrap();
    place.create(&source).unwrap();
    fs::write(&source, "live data").unwrap();
    let packs = place.path("store/packs");
    let pack = walk(&packs).into_iter().next().unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[200_000] ^= 0x10;
    fs::write(&pack, bytes).unwrap();
    let error = place.restore(&source, |options| options.replace = true).unwrap_err();
    let in_the_part = matches!(&error, icecore::Error::Damaged { part: Some(part), .. } if part == "live");
    assert!(in_the_part, "{error}");
    assert_eq!(fs::read(&source).unwrap(), b"live data");
    let left: Vec<_> =
        fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing but the store and the live file: {left:?}");
}

#[test]
fn damage_changes_nothing_in_place_and_is_no_matter_where_the_bytes_are_there() {
    let place = Place::new();
    let tree = place.path("tree");
    let content = noise(1, 400_000);
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("a"), "captured").unwrap();
    fs::write(tree.join("b"), &content).unwrap();
    place.create(&tree).unwrap();
    let pack = walk(&place.path("store/packs")).into_iter().next().unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[300_000] ^= 0x10;
    fs::write(&pack, bytes).unwrap();
    fs::write(tree.join("a"), "live").unwrap();
    fs::write(tree.join("b"), noise(2, 500_000)).unwrap();
    fs::write(tree.join("c"), "live too").unwrap();
    let there = looked(&tree);
    for part in [None, Some("b".to_owned())] {
        let to = if part.is_some() { tree.join("b") } else { tree.clone() };
        let error = place.restore(&to, |options| {
            (options.replace, options.in_place, options.part) = (true, true, part);
        });
        let error = error.unwrap_err();
        assert!(matches!(&error, icecore::Error::Damaged { part: Some(_), .. }), "{error}");
        assert_eq!(looked(&tree), there);
    }
    fs::write(tree.join("b"), &content).unwrap();
    let restored = place.restore(&tree, |options| (options.replace, options.in_place) = (true, true));
    assert_eq!(restored.unwrap().written_bytes, 8);
    assert!(fs::read(tree.join("b")).unwrap() == content && !tree.join("c").exists());
}

/// Changes a file when all was compared, and before anything is written.
struct Meddler(std::path::PathBuf, std::sync::atomic::AtomicUsize);

impl icecore::Monitor for Meddler {
    fn count(&self, _: icecore::Counter, _: u64) {}

    fn expect(&self, _: u64) {
        if self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            let file = fs::File::options().write(true).open(&self.0).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"meddled", 100_000).unwrap();
        }
    }
}

#[test]
fn what_is_changed_while_it_is_compared_is_compared_again() {
    let place = Place::new();
    let tree = place.path("tree");
    let content = noise(1, 400_000);
    fs::create_dir(&tree).unwrap();
    for name in ["a", "b"] {
        fs::write(tree.join(name), &content).unwrap();
    }
    place.create(&tree).unwrap();
    fs::write(tree.join("b"), "live").unwrap();
    // Files that are older than the restore are not read twice.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let meddler = Meddler(tree.join("a"), Default::default());
    let restored = place.restore_watched(&tree, &meddler, |options| {
        (options.replace, options.in_place) = (true, true);
    });
    let written = restored.unwrap().written_bytes;
    assert!(written > 400_000 && written < 700_000, "{written}");
    for name in ["a", "b"] {
        assert!(fs::read(tree.join(name)).unwrap() == content, "{name}");
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_single_file_keeps_its_mode_and_time() {
    let place = Place::new();
    let source = place.path("run.sh");
    fs::write(&source, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o751)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000, 5);
    fs::File::open(&source).unwrap().set_modified(time).unwrap();
    place.create(&source).unwrap();
    place.restore(&place.path("copy"), |_| ()).unwrap();
    assert_eq!(looked(&source), looked(&place.path("copy")));
}
