//! No room left where the store is.

use crate::small_disk::SmallDisk;
use crate::support::noise;

/// A store with two snapshots, of `a` and of `b`, on a disk of 6 MiB; `big` does not fit.
fn two_snapshots() -> SmallDisk {
    let disk = SmallDisk::new("6m");
    for (seed, name, len) in
        [(1, "a", 1_500_000), (2, "b", 1_500_000), (3, "small", 200_000), (4, "big", 8_000_000)]
    {
        disk.env.write(name, noise(seed, len));
    }
    disk.icecore(&["init", "--pack-size", "300k"]).ok();
    disk.icecore(&["create", "a"]).ok();
    disk.icecore(&["create", "b"]).ok();
    disk.icecore(&["gc"]).ok();
    disk
}

/// Everything can be read and nothing is damaged.
#[track_caller]
fn check_readable(disk: &SmallDisk, name: &str) {
    disk.icecore(&["list"]).ok();
    disk.icecore(&["show", name]).ok();
    disk.icecore(&["stats"]).ok();
    disk.icecore(&["verify"]).ok();
    disk.check_restore(name, &disk.env.read(name));
}

/// A key of an RDB with `len` bytes.
fn rdb_key(name: &str, value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(value.len()).unwrap().to_be_bytes();
    [&[0, u8::try_from(name.len()).unwrap()], name.as_bytes(), &[0x80], &len, value].concat()
}

/// There is room for one sorted run of it and for what it packs to, but not for both at once, nor for all runs.
#[test]
fn an_rdb_that_there_is_no_room_to_sort_is_stored_as_it_came() {
    let disk = SmallDisk::new("24m");
    let keys = (0..100).map(|n| rdb_key(&format!("key {}", n % 7 * 100 + n), &noise(n % 30, 400_000)));
    let mut rdb = [b"REDIS0011\xfe\0".to_vec(), keys.collect::<Vec<_>>().concat(), vec![0xff]].concat();
    rdb.extend([0; 8]);
    disk.env.write("dump.rdb", &rdb);
    disk.icecore(&["init", "--pack-size", "1MB"]).ok();
    let said = disk.icecore(&["create", "dump.rdb"]);
    assert!(said.stderr.contains("are stored in the order in which they came"), "{}", said.stderr);
    assert!(said.stderr.contains("No space left on device"), "{}", said.stderr);
    said.ok();
    disk.check_restore("dump.rdb", &rdb);
    disk.check_leftovers();
}

/// The numbers in "no space left on device: 300 bytes needed, 200 free".
fn lengths(said: &str) -> (u64, u64) {
    let (_, rest) = said.split_once("no space left on device: ").unwrap();
    let (needed, rest) = rest.split_once(" bytes needed, ").unwrap();
    let (free, _) = rest.split_once(" free\n").unwrap();
    (needed.parse().unwrap(), free.parse().unwrap())
}

#[test]
fn a_create_that_does_not_fit_says_how_much_it_lacks_and_leaves_nothing_half_done() {
    let disk = two_snapshots();
    let said = disk.icecore(&["create", "big"]);
    let said = said.fails(1);
    assert!(said.contains("cannot write /") && said.contains("/.icecore/tmp/"), "{said}");
    let (needed, free) = lengths(&said);
    assert!(needed > free, "{said}");
    assert!(said.contains("hint: make room: `icecore delete` and `icecore gc`"), "{said}");
    disk.check_leftovers();
    disk.fill(0);
    let said = disk.icecore(&["create", "small"]).fails(1);
    assert_eq!(lengths(&said).1, 0, "{said}");
    disk.check_leftovers();
    check_readable(&disk, "a");
    check_readable(&disk, "b");
}

#[test]
fn on_a_full_disk_everything_can_be_read_and_gc_makes_room() {
    let disk = two_snapshots();
    disk.fill(0);
    check_readable(&disk, "a");
    disk.icecore(&["delete", "a", "--yes"]).ok();
    disk.fill(0);
    disk.icecore(&["gc"]).ok();
    assert!(disk.free() > 1_000_000, "{}", disk.free());
    assert!(disk.store.join("tmp/reserve").exists());
    disk.check_leftovers();
    disk.icecore(&["create", "small"]).ok();
    check_readable(&disk, "b");
    check_readable(&disk, "small");
}

#[test]
fn gc_makes_room_on_a_full_disk_without_its_reserve_too() {
    let disk = two_snapshots();
    std::fs::remove_file(disk.store.join("tmp/reserve")).unwrap();
    disk.icecore(&["delete", "a", "--yes"]).ok();
    disk.fill(0);
    disk.icecore(&["gc"]).ok();
    assert!(disk.free() > 1_000_000, "{}", disk.free());
    disk.check_leftovers();
    check_readable(&disk, "b");
    disk.icecore(&["create", "small"]).ok();
    check_readable(&disk, "small");
}

#[test]
fn with_neither_reserve_nor_index_gc_fails_cleanly_or_makes_room() {
    let disk = two_snapshots();
    disk.icecore(&["delete", "a", "--yes"]).ok();
    for name in ["tmp/reserve", "index.redb"] {
        std::fs::remove_file(disk.store.join(name)).unwrap();
    }
    disk.fill(0);
    let said = disk.icecore(&["gc"]);
    if said.status != 0 {
        let said = said.fails(1);
        assert!(said.contains("bytes needed, 0 free"), "{said}");
    }
    disk.check_leftovers();
    check_readable(&disk, "b");
    disk.clear();
    disk.icecore(&["gc"]).ok();
    check_readable(&disk, "b");
}

#[test]
fn a_full_disk_that_has_lost_its_index_can_still_be_read() {
    let disk = two_snapshots();
    std::fs::remove_file(disk.store.join("index.redb")).unwrap();
    disk.fill(0);
    check_readable(&disk, "a");
    check_readable(&disk, "b");
    disk.icecore(&["delete", "a", "--yes"]).ok();
    disk.icecore(&["gc"]).ok();
    check_readable(&disk, "b");
    disk.clear();
    check_readable(&disk, "b");
}

/// With a little more room each time the pack fits, then the index too, then the manifest.
#[test]
fn wherever_the_room_ends_a_create_is_whole_or_nothing() {
    let disk = two_snapshots();
    let mut statuses = Vec::new();
    for blocks in (0..60).step_by(3) {
        let content = noise(100 + blocks, 60_000);
        disk.env.write("c", &content);
        disk.fill(blocks * 4096);
        let said = disk.icecore(&["create", "c"]);
        statuses.push(said.status);
        disk.check_leftovers();
        disk.icecore(&["verify"]).ok();
        if said.status == 0 {
            disk.check_restore("c", &content);
        } else {
            let said = said.fails(1);
            assert!(said.contains("no space left on device"), "{said}");
        }
        disk.check_restore("a", &noise(1, 1_500_000));
        disk.clear();
    }
    assert!(statuses.contains(&0) && statuses.contains(&1), "{statuses:?}");
    disk.icecore(&["gc"]).ok();
    check_readable(&disk, "b");
}

/// What unpacks to more than there is room for, as a stranger's snapshot may, is refused before a disk is filled with it.
#[test]
fn what_cannot_fit_is_not_begun() {
    let disk = SmallDisk::new("6m");
    disk.env.write("bomb", vec![0; 64_000_000]);
    disk.icecore(&["--store", "elsewhere", "init"]).ok();
    disk.icecore(&["--store", "elsewhere", "create", "bomb"]).ok();
    let free = disk.free();
    let said = disk.icecore(&["--store", "elsewhere", "restore", "bomb", "--to", ".icecore/copy"]).fails(1);
    assert!(said.contains("64000000 bytes are needed") && said.contains("nothing was touched"), "{said}");
    assert_eq!(disk.free(), free);
    // Nor is anybody asked whether it may replace something.
    std::fs::write(disk.store.join("copy"), "precious").unwrap();
    let said = disk.icecore(&["--store", "elsewhere", "restore", "bomb", "--to", ".icecore/copy"]).fails(1);
    assert!(said.contains("64000000 bytes are needed"), "{said}");
    assert_eq!(std::fs::read(disk.store.join("copy")).unwrap(), b"precious");
}
