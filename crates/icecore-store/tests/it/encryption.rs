//! What passwords open, and what nobody else sees.

use std::path::PathBuf;
use std::sync::Arc;

use icecore_format::{Digest, KdfCost, Label, PartKind, names};
use icecore_storage::{MemoryStorage, PutMode, Storage};
use icecore_store::{
    FindingKind, Grain, RepairOptions, Result, Silent, SnapshotHead, SnapshotWriter, Store, StoreError,
    Unlock, VerifyExtent,
};

use crate::support::{Crypto, Fixture, PASSWORD, find, gc_options, head, noise, options, read, write};

const NOW: &str = "2026-11-20T10:00:00Z";

fn open_with(fixture: &Fixture, password: Option<&[u8]>) -> Result<Store> {
    let mut ask = || password.map(<[u8]>::to_vec);
    Store::open(Arc::clone(&fixture.storage), "here", fixture.index_path(), Unlock::Ask(&mut ask))
}

#[test]
fn only_the_password_opens_the_store() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let id = write(&fixture.store, "shop", &[("a", b"content")]).id;
    let store = Arc::new(open_with(&fixture, Some(PASSWORD)).unwrap());
    assert_eq!(read(&store, id).unwrap(), b"content");
    assert!(matches!(open_with(&fixture, Some(b"wrong")), Err(StoreError::WrongPassword { keys: 1 })));
    assert!(matches!(open_with(&fixture, Some(b"")), Err(StoreError::WrongPassword { keys: 1 })));
    assert!(matches!(open_with(&fixture, None), Err(StoreError::PasswordNeeded)));
    let key = Unlock::Key(fixture.store.key().clone());
    Store::open(Arc::clone(&fixture.storage), "here", fixture.index_path(), key).unwrap();
}

#[test]
fn several_passwords_open_it_and_the_last_one_stays() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let id = write(&fixture.store, "shop", &[("a", b"content")]).id;
    let second = fixture.store.add_key(b"second", "laptop", NOW, KdfCost::CHEAPEST).unwrap();
    let first = fixture.store.key_of(PASSWORD).unwrap();
    assert_eq!(fixture.store.key_of(b"second").unwrap(), second);
    assert_eq!(fixture.store.keys().unwrap().len(), 2);
    let store = Arc::new(open_with(&fixture, Some(b"second")).unwrap());
    assert_eq!(read(&store, id).unwrap(), b"content");

    store.remove_key(&first.id).unwrap();
    assert!(matches!(open_with(&fixture, Some(PASSWORD)), Err(StoreError::WrongPassword { keys: 1 })));
    assert!(matches!(store.remove_key(&second.id), Err(StoreError::LastKey { .. })));
    assert!(matches!(store.remove_key(&first.id), Err(StoreError::NoKey { .. })));
    open_with(&fixture, Some(b"second")).unwrap();
}

#[test]
fn two_people_who_remove_each_others_keys_leave_one() {
    for _ in 0..20 {
        let fixture = Fixture::memory(Crypto::Encrypted);
        let second = fixture.store.add_key(b"second", "laptop", NOW, KdfCost::CHEAPEST).unwrap();
        let first = fixture.store.key_of(PASSWORD).unwrap();
        std::thread::scope(|scope| {
            for id in [&first.id, &second.id] {
                scope.spawn(|| fixture.store.remove_key(id));
            }
        });
        assert!(!fixture.store.keys().unwrap().is_empty());
    }
}

#[test]
fn a_damaged_key_does_not_keep_the_others_from_opening() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let second = fixture.store.add_key(b"second", "laptop", NOW, KdfCost::CHEAPEST).unwrap();
    let copy = |id: &str| names::copy_of(&names::key(id));
    // One of the two is enough, and mends the other.
    fixture.tamper(&names::key(&second.id), |bytes| bytes.truncate(50));
    open_with(&fixture, Some(b"second")).unwrap();
    fixture.tamper(&copy(&second.id), |bytes| bytes.truncate(50));
    open_with(&fixture, Some(b"second")).unwrap();
    fixture.tamper(&names::key(&second.id), |bytes| bytes.truncate(50));
    open_with(&fixture, Some(PASSWORD)).unwrap();
    assert!(matches!(open_with(&fixture, Some(b"second")), Err(StoreError::WrongPassword { .. })));
    let first = fixture.store.key_of(PASSWORD).unwrap();
    assert!(matches!(fixture.store.remove_key(&first.id), Err(StoreError::LastKey { .. })));
    fixture.tamper(&names::key(&first.id), |bytes| bytes[70] ^= 1);
    fixture.storage.delete(&copy(&first.id)).unwrap();
    assert!(open_with(&fixture, Some(PASSWORD)).unwrap_err().is_damage());
}

#[test]
fn a_plain_store_has_no_keys() {
    let fixture = Fixture::memory(Crypto::Plain);
    assert!(matches!(fixture.store.keys(), Err(StoreError::NotEncrypted)));
    assert!(matches!(
        fixture.store.add_key(b"x", "x", NOW, KdfCost::CHEAPEST),
        Err(StoreError::NotEncrypted)
    ));
    open_with(&fixture, None).unwrap();
}

#[test]
fn nothing_of_what_is_stored_can_be_seen() {
    let fixture = Fixture::local(Crypto::Encrypted);
    let secrets = [
        "secret-rows",
        "secret-part",
        "secret-source",
        "secret-tag",
        "secret-note",
        "secret-origin",
        "secret-engine",
    ];
    let mut rows = "secret-rows ".repeat(5000).into_bytes();
    rows.extend_from_slice(&noise(1, 20_000));
    let mut writer =
        SnapshotWriter::begin(Arc::clone(&fixture.store), head("secret-source"), Arc::new(Silent)).unwrap();
    for n in 0..500 {
        writer.begin_part(format!("secret-part {n}").as_bytes(), PartKind::Table, Grain::Byte, true).unwrap();
        writer.write(&rows[..n * 100]).unwrap();
        writer.end_part(None, None).unwrap();
    }
    // While the claim is there too.
    let claims = fixture.names("claims/");
    let claim: Vec<_> = claims.iter().map(|name| fixture.storage.get(name).unwrap()).collect();
    assert_eq!(claim.len(), 1);
    let id = writer
        .commit(|info| {
            info.origin = Some("secret-origin".into());
            info.engine = "secret-engine".into();
        })
        .unwrap()
        .id;
    fixture.store.add_label(&id, &Label::Tag("secret-tag".into())).unwrap();
    fixture.store.add_label(&id, &Label::Note("secret-note".into())).unwrap();
    let objects = fixture.names("");
    assert!(objects.len() > 8);
    let all = objects.iter().map(|name| (name.clone(), fixture.storage.get(name).unwrap()));
    for (name, bytes) in all.chain(claim.into_iter().map(|bytes| ("claim".to_owned(), bytes))) {
        for secret in secrets {
            assert!(!name.contains(secret));
            let seen = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!seen, "{secret} in {name}");
        }
    }
    // The ids are keyed: nobody can look for a content he knows.
    let plain = blake3::hash(b"x");
    assert_ne!(fixture.store.key().chunk_id(b"x").as_bytes(), plain.as_bytes());
}

#[test]
fn equal_contents_look_different_in_different_stores() {
    let content = noise(1, 100_000);
    let lens = [1, 2].map(|_| {
        let fixture = Fixture::memory(Crypto::Encrypted);
        let id = write(&fixture.store, "shop", &[("a", &content)]).id;
        let chunks: Vec<_> =
            crate::support::reader(&fixture.store, id).content().map(|chunk| chunk.unwrap().0).collect();
        chunks
    });
    let cuts = |chunks: &[icecore_format::ChunkRef]| chunks.iter().map(|chunk| chunk.len).collect::<Vec<_>>();
    assert_ne!(cuts(&lens[0]), cuts(&lens[1]));
}

#[test]
fn objects_cannot_be_swapped() {
    for crypto in [Crypto::Plain, Crypto::Encrypted] {
        let fixture = Fixture::memory(crypto);
        let ids = [1u8, 2].map(|n| write(&fixture.store, "shop", &[("a", &[n; 100])]).id);
        let swap = |from: &str, to: &str| {
            let bytes = fixture.storage.get(from).unwrap();
            fixture.storage.put(to, &bytes, PutMode::Overwrite).unwrap();
        };
        let objects = ids.map(|id| find(&fixture.store, id).object);
        let labels = ids.map(|id| {
            let label = Label::Tag(format!("of {id}"));
            fixture.store.add_label(&id, &label).unwrap();
            names::label(&id, &label.object_name(fixture.store.key()))
        });
        let moved = labels[0].replace(&ids[0].to_string(), &ids[1].to_string());
        swap(&labels[0], &moved);
        let (snapshots, damaged) = fixture.store.snapshots().unwrap();
        assert_eq!(snapshots.len(), 2);
        assert!(
            matches!(&damaged[..], [StoreError::Damaged { object, .. }] if *object == moved),
            "{damaged:?}"
        );
        assert_eq!(find(&fixture.store, ids[1]).labels.tags.len(), 1);
        fixture.storage.delete(&moved).unwrap();

        swap(&objects[0], &objects[1]);
        let (snapshots, damaged) = fixture.store.snapshots().unwrap();
        assert_eq!(snapshots.len(), 1);
        assert!(
            matches!(&damaged[..], [StoreError::Damaged { object, .. }] if *object == objects[1]),
            "{damaged:?}"
        );
        let elsewhere = names::snapshot("01hzzzzzzzzzzzzzzzzzzzzzzz");
        swap(&objects[0], &elsewhere);
        assert_eq!(fixture.store.snapshots().unwrap().1.len(), 2);
        assert!(matches!(fixture.store.gc(&gc_options(), &Silent), Err(StoreError::Damaged { .. })));
    }
}

#[test]
fn a_pack_under_anothers_name_is_damage() {
    for crypto in [Crypto::Plain, Crypto::Encrypted] {
        let fixture = Fixture::memory(crypto);
        let ids = [1, 2].map(|n| write(&fixture.store, "shop", &[("a", &noise(n, 5000))]).id);
        let [one, two] = fixture.names("packs/").try_into().unwrap();
        let bytes = fixture.storage.get(&one).unwrap();
        fixture.storage.put(&two, &bytes, PutMode::Overwrite).unwrap();
        let store = fixture.reopen();
        let report = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == two), "{:?}", report.findings);
        let failed = ids.iter().filter(|id| read(&store, **id).is_err()).count();
        assert_eq!(failed, 1);
    }
}

/// Of a configuration, as a newer program would.
fn make_checksum_right(config: &mut [u8]) {
    let covered = config.len() - 32;
    let named = [&6u64.to_le_bytes()[..], b"config", &config[..covered]].concat();
    config[covered..].copy_from_slice(&Digest::of(&named).0);
}

#[test]
fn places_without_a_store_and_stores_of_the_future_are_told_apart() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let index = || dir.path().join("index.redb");
    let open =
        |path: PathBuf| Store::open(Arc::clone(&storage), "the place", path, Unlock::Ask(&mut || None));
    assert!(matches!(open(index()), Err(StoreError::NoStore { place }) if place == "the place"));
    Store::init(Arc::clone(&storage), index(), &options(Crypto::Plain)).unwrap();
    let again = Store::init(Arc::clone(&storage), index(), &options(Crypto::Plain));
    assert!(matches!(again, Err(StoreError::StoreExists { .. })));
    let good = storage.get(names::CONFIG).unwrap();
    let put = |bytes: &[u8]| storage.put(names::CONFIG, bytes, PutMode::Overwrite).unwrap();
    // The copy does for the configuration, and mends it, but never takes the place of a newer one.
    put(b"something else");
    open(index()).unwrap();
    assert_eq!(storage.get(names::CONFIG).unwrap(), good);
    let mut newer = good.to_vec();
    newer[8] = 99;
    make_checksum_right(&mut newer);
    put(&newer);
    assert!(matches!(open(index()), Err(StoreError::StoreTooNew { found: 99, .. })));
    storage.delete(&names::copy_of(names::CONFIG)).unwrap();
    // Beside an epoch it is a store's configuration, whatever has become of it; alone, a file that is called so.
    for nonsense in [b"".as_slice(), b"something else"] {
        put(nonsense);
        assert!(open(index()).unwrap_err().is_damage());
    }
    let elsewhere: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    elsewhere.put(names::CONFIG, b"something else", PutMode::CreateNew).unwrap();
    let opened = Store::open(elsewhere, "elsewhere", index(), Unlock::Ask(&mut || None));
    assert!(matches!(opened, Err(StoreError::NoStore { .. })));
    let mut newer = good.to_vec();
    newer[8] = 99;
    make_checksum_right(&mut newer);
    put(&newer);
    assert!(matches!(open(index()), Err(StoreError::StoreTooNew { found: 99, .. })));
    let mut damaged = good.to_vec();
    damaged[40] ^= 1;
    put(&damaged);
    assert!(open(index()).unwrap_err().is_damage());
}

#[test]
fn a_store_that_could_not_be_opened_again_is_not_made() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let mut options = options(Crypto::Plain);
    options.chunk_sizes.min = 7;
    assert!(Store::init(Arc::clone(&storage), "/nowhere/index.redb".into(), &options).is_err());
    assert!(storage.list("").unwrap().is_empty());
}

#[test]
fn a_head_says_what_it_was_given() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let head = SnapshotHead { parent: None, ..head("shop") };
    let writer = SnapshotWriter::begin(Arc::clone(&fixture.store), head.clone(), Arc::new(Silent)).unwrap();
    let id = writer.commit(|info| info.engine_version = Some("15.3".into())).unwrap().id;
    let found = find(&fixture.store, id);
    assert_eq!((found.info().source.as_str(), &found.info().created_at), ("shop", &head.created_at));
    assert_eq!(found.info().engine_version.as_deref(), Some("15.3"));
}

/// A crash between an object and its copy leaves none, and so does an older program.
#[test]
fn a_collection_makes_copies_that_are_missing() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let key = fixture.names(names::KEYS).remove(0);
    for original in [names::CONFIG, &key] {
        let copy = names::copy_of(original);
        fixture.storage.delete(&copy).unwrap();
        fixture.store.gc(&gc_options(), &Silent).unwrap();
        assert_eq!(fixture.storage.get(&copy).unwrap(), fixture.storage.get(original).unwrap());
    }
}

#[test]
fn copies_that_are_missing_are_found_and_put_back_by_a_repair() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let key = fixture.names(names::KEYS).remove(0);
    for original in [names::CONFIG, &key] {
        let copy = names::copy_of(original);
        let good = fixture.storage.get(&copy).unwrap();
        for cut in [None, Some(30)] {
            match cut {
                None => fixture.storage.delete(&copy).unwrap(),
                Some(len) => fixture.tamper(&copy, |bytes| bytes.truncate(len)),
            }
            let report = fixture.store.verify(None, VerifyExtent::Structure, 1, &Silent).unwrap();
            let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
            assert_eq!((finding.kind, &finding.object), (FindingKind::Copy, &copy));
            assert!(finding.snapshots.is_empty());
            let plan = fixture.store.plan_repair(1, &Silent).unwrap();
            assert!(!plan.is_empty());
            let done = fixture.store.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
            assert_eq!((done.copies_made, done.set_aside.len()), (1, 0));
            assert_eq!(fixture.storage.get(&copy).unwrap(), good);
        }
        // An original that is damaged is no copy's fault.
        let whole = fixture.storage.get(original).unwrap();
        fixture.tamper(original, |bytes| bytes.truncate(30));
        fixture.storage.delete(&copy).unwrap();
        let report = fixture.store.verify(None, VerifyExtent::Structure, 1, &Silent).unwrap();
        assert!(report.findings.iter().all(|finding| finding.kind != FindingKind::Copy), "{report:?}");
        for name in [original, &copy] {
            fixture.storage.put(name, &whole, PutMode::Overwrite).unwrap();
        }
    }
}
