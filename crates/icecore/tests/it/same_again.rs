//! What did not change costs next to nothing, and what did is noticed.

use std::fs;

use crate::support::Place;

#[test]
fn an_unchanged_directory_adds_a_manifest_and_nothing_else() {
    let place = Place::new();
    let source = place.path("source");
    fs::create_dir(&source).unwrap();
    for n in 0..50 {
        fs::write(source.join(format!("{n}")), format!("{n}\n").repeat(n * 500)).unwrap();
    }
    let first = place.create(&source).unwrap();
    let second = place.create(&source).unwrap();
    assert_eq!(second.info.parent, Some(first.id));
    assert_eq!((second.info.new_chunks, second.info.stored_bytes, second.info.changed_bytes), (0, 0, 0));
    assert!(second.stored_bytes < 64 << 10);
    assert_eq!(second.info.logical_bytes, first.info.logical_bytes);
}

#[test]
fn an_unchanged_file_is_published_again_without_being_read() {
    let place = Place::new();
    let source = place.path("big");
    fs::write(&source, "line\n".repeat(200_000)).unwrap();
    let first = place.create(&source).unwrap();
    assert!(first.info.fingerprint.is_some());
    let second = place.create(&source).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!((second.info.new_chunks, second.info.logical_bytes), (0, 1_000_000));
    place.restore(&place.path("copy"), |_| ()).unwrap();
    assert!(fs::read(place.path("copy")).unwrap() == fs::read(&source).unwrap());
}

#[test]
fn a_file_of_the_same_length_and_time_is_read_again_when_it_was_written() {
    let place = Place::new();
    let source = place.path("data");
    fs::write(&source, "before").unwrap();
    let modified = source.metadata().unwrap().modified().unwrap();
    place.create(&source).unwrap();
    fs::write(&source, "after.").unwrap();
    fs::File::options().write(true).open(&source).unwrap().set_modified(modified).unwrap();
    let second = place.create(&source).unwrap();
    assert_eq!(second.info.new_chunks, 1);
    place.restore(&place.path("copy"), |_| ()).unwrap();
    assert_eq!(fs::read(place.path("copy")).unwrap(), b"after.");
}

#[test]
fn a_file_whose_parent_snapshot_was_deleted_is_read_again() {
    let place = Place::new();
    let source = place.path("data");
    fs::write(&source, "content").unwrap();
    place.create(&source).unwrap();
    let (snapshots, _) = place.store.snapshots().unwrap();
    place.store.delete_snapshot(&snapshots[0]).unwrap();
    place.store.gc(&icecore::GcOptions::default(), &icecore::Silent).unwrap();
    place.create(&source).unwrap();
    place.restore(&place.path("copy"), |_| ()).unwrap();
    assert_eq!(fs::read(place.path("copy")).unwrap(), b"content");
}

#[test]
fn one_changed_row_costs_about_a_body() {
    let place = Place::new();
    let source = place.path("rows");
    let rows: Vec<String> =
        (0..100_000u64).map(|n| format!("{n}\t{}\n", n * 2_654_435_761 % 1_000_003)).collect();
    fs::write(&source, rows.concat()).unwrap();
    place.create(&source).unwrap();
    let mut changed = rows;
    changed[50_000] = "50000\tchanged\n".to_owned();
    fs::write(&source, changed.concat()).unwrap();
    let second = place.create(&source).unwrap();
    assert!((1..=3).contains(&second.info.new_chunks), "{:?}", second.info);
}

/// The pack of a store that holds content, the largest one.
fn largest_pack(place: &Place) -> std::path::PathBuf {
    let folders = fs::read_dir(place.path("store/packs")).unwrap().map(|folder| folder.unwrap().path());
    let packs = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|pack| pack.unwrap().path()));
    packs.max_by_key(|pack| pack.metadata().unwrap().len()).unwrap()
}

#[test]
fn an_unchanged_file_whose_pack_was_lost_or_cut_short_is_stored_again() {
    type Harm = fn(&std::path::Path);
    let harms: [Harm; 2] = [
        |pack| fs::remove_file(pack).unwrap(),
        |pack| fs::File::options().write(true).open(pack).unwrap().set_len(1000).unwrap(),
    ];
    for harm in harms {
        let place = Place::new();
        let source = place.path("data");
        fs::write(&source, (0..200_000u64).map(|n| format!("{}\n", n * n)).collect::<String>()).unwrap();
        place.create(&source).unwrap();
        harm(&largest_pack(&place));
        let healed = place.create(&source).unwrap();
        assert!(healed.info.new_chunks > 10, "{:?}", healed.info);
        place.restore(&place.path("copy"), |_| ()).unwrap();
        assert!(fs::read(place.path("copy")).unwrap() == fs::read(&source).unwrap());
    }
}
