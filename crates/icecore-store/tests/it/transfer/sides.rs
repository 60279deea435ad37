//! Two sides that do not fit, or of which one is damaged.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::{Manifest, SnapshotId, names};
use icecore_storage::{ErrorKind, MemoryStorage, PutMode, Storage};
use icecore_store::{FindingKind, RepairOptions, Silent, Store, StoreError, Transfer, VerifyExtent};
use icecore_testkit::{Calls, Fault, FaultyStorage};

use super::{Pair, check_sound, ids, night, nights, pull, push, transfer_options};
use crate::support::{BOTH, Crypto, Fixture, check_all, find, in_time, noise, read, write};

fn clone_into(local: &Fixture, storage: &Arc<dyn Storage>) -> icecore_store::Result<Store> {
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    local.store.clone_to(Arc::clone(storage), "s3://there", dir.path().join("index.redb"))
}

#[test]
fn another_store_is_refused_with_both_ids() {
    let (one, other) = (Fixture::memory(Crypto::Plain), Fixture::memory(Crypto::Plain));
    let both = [one.store.config().store_id, other.store.config().store_id].map(|id| id.to_string());
    let errors = [
        Transfer::push(Arc::clone(&one.store), Arc::clone(&other.store), transfer_options()).unwrap_err(),
        Transfer::pull(Arc::clone(&one.store), Arc::clone(&other.store), transfer_options()).unwrap_err(),
        clone_into(&one, &other.storage).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::AnotherStore { .. }), "{error:?}");
        assert!(both.iter().all(|id| error.to_string().contains(id)), "{error}");
    }
}

#[test]
fn a_place_that_holds_something_else_is_refused_and_left_alone() {
    for name in ["photos/cat.jpg", "packs/ab/cd", "keys/01234567", "copies/keys/01234567"] {
        let local = Fixture::memory(Crypto::Encrypted);
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        storage.put(name, b"something", PutMode::CreateNew).unwrap();
        match clone_into(&local, &storage).unwrap_err() {
            StoreError::PlaceTaken { place, object } => {
                assert_eq!((place.as_str(), object.as_str()), ("s3://there", name));
            }
            error => panic!("{error:?}"),
        }
        assert_eq!(storage.list("").unwrap().len(), 1);
    }
}

#[test]
fn a_clone_opens_with_the_same_passwords_and_can_be_repeated_wherever_it_failed() {
    for crypto in BOTH {
        for after in 0.. {
            let local = Fixture::memory(crypto);
            let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
            let storage = Arc::clone(&faulty) as Arc<dyn Storage>;
            faulty.fail(Fault {
                calls: Calls::Any,
                prefix: "",
                after,
                kind: ErrorKind::Other,
                for_good: true,
            });
            let first = clone_into(&local, &storage);
            let hit = faulty.heal();
            assert!(hit || first.is_ok());
            clone_into(&local, &storage).unwrap();
            let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
            let opened = crate::support::open(storage, dir.path().join("index.redb"));
            assert_eq!(opened.config(), local.store.config());
            write(&opened, "shop", &[("a", b"x")]);
            if !hit {
                break;
            }
        }
    }
}

/// Whoever made the far store may have died in between.
#[test]
fn the_first_push_makes_the_copies_that_are_missing() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let copies = pair.names("copies/");
        assert!(!copies.is_empty());
        copies.iter().for_each(|copy| pair.remote_storage.delete(copy).unwrap());
        let id = write(&pair.local.store, "shop", &[("a", &noise(1, 50_000))]).id;
        pair.push(&[id]);
        assert_eq!(pair.names("copies/"), copies);
        let report = pair.remote.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
}

/// What of the sender is damaged: it is refused, nothing wrong arrives, and what is not concerned goes.
#[test]
fn what_is_damaged_at_the_sender_is_refused() {
    for is_push in [true, false] {
        for harm in HARMS {
            let pair = Pair::new(Crypto::Encrypted);
            let (one, two) = (noise(1, 30_000), noise(2, 30_000));
            let first = write(&pair.local.store, "one", &[("a", &one)]).id;
            let [pack] = pair.local.names("packs/").try_into().unwrap();
            let second = write(&pair.local.store, "two", &[("a", &two)]).id;
            pair.local.tamper(&pack, |bytes| harm.apply(bytes));
            let sender = pair.local.reopen();
            let sent = if is_push {
                push(&sender, &pair.remote, &[first, second]).unwrap()
            } else {
                pull(&pair.remote, &sender, &[first, second]).unwrap()
            };
            assert_eq!(sent.published, [second]);
            let [failed] = sent.failed.try_into().unwrap();
            assert_eq!(failed.id, first);
            assert!(failed.error.is_damage(), "{:?}", failed.error);
            check_sound(&pair.remote, &BTreeMap::from([(second, two)]));
        }
    }
}

/// What happens to stored bytes.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip,
    Truncate,
    Garbage,
}

const HARMS: [Harm; 3] = [Harm::Flip, Harm::Truncate, Harm::Garbage];

impl Harm {
    fn apply(self, bytes: &mut Vec<u8>) {
        let middle = bytes.len() / 2;
        match self {
            Self::Flip => bytes[middle] ^= 1,
            Self::Truncate => bytes.truncate(middle),
            Self::Garbage => bytes.fill(7),
        }
    }
}

#[test]
fn of_a_damaged_pack_what_is_sound_and_needed_goes() {
    let pair = Pair::new(Crypto::Plain);
    let first = write(&pair.local.store, "shop", &[("a", &noise(1, 20_000)), ("b", &noise(2, 20_000))]).id;
    let [pack] = pair.local.names("packs/").try_into().unwrap();
    let second = write(&pair.local.store, "shop", &[("a", &noise(1, 20_000))]).id;
    // In the second part, of which the second snapshot needs nothing.
    pair.local.tamper(&pack, |bytes| bytes[35_000] ^= 1);
    let sent = push(&pair.local.reopen(), &pair.remote, &[first, second]).unwrap();
    assert_eq!(sent.published, [second]);
    assert_eq!(sent.failed.iter().map(|failed| failed.id).collect::<Vec<_>>(), [first]);
    check_sound(&pair.remote, &BTreeMap::from([(second, noise(1, 20_000))]));
}

#[test]
fn a_pack_that_is_missing_at_the_sender_is_told() {
    let pair = Pair::new(Crypto::Plain);
    let first = write(&pair.local.store, "one", &[("a", &noise(1, 30_000))]).id;
    let [pack] = pair.local.names("packs/").try_into().unwrap();
    let second = write(&pair.local.store, "two", &[("a", &noise(2, 30_000))]).id;
    pair.local.storage.delete(&pack).unwrap();
    let sent = push(&pair.local.store, &pair.remote, &[first, second]).unwrap();
    assert_eq!((sent.published.as_slice(), sent.failed.len()), (&[second][..], 1));
    assert!(matches!(sent.failed[0].error, StoreError::ChunkMissing { .. }), "{:?}", sent.failed);
    check_sound(&pair.remote, &BTreeMap::from([(second, noise(2, 30_000))]));
}

#[test]
fn records_that_are_damaged_at_the_sender_are_told() {
    let pair = Pair::new(Crypto::Plain);
    let first = write(&pair.local.store, "one", &[("a", &noise(1, 3000))]).id;
    let second = write(&pair.local.store, "two", &[("a", &noise(2, 3000))]).id;
    pair.local.store.add_label(&second, &icecore_format::Label::Tag("x".into())).unwrap();
    let object = find(&pair.local.store, first).object;
    pair.local.tamper(&object, |bytes| Harm::Flip.apply(bytes));
    let [label] = pair.local.names("labels/").try_into().unwrap();
    pair.local.tamper(&label, |bytes| Harm::Flip.apply(bytes));
    let transfer =
        Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options()).unwrap();
    let plan = transfer.plan(&[second], &Silent).unwrap();
    assert_eq!(plan.unreadable.len(), 2, "{plan:?}");
    let sent = transfer.carry_out(plan, &Silent).unwrap();
    assert_eq!((sent.published.as_slice(), sent.label_errors.len()), (&[second][..], 1));
    assert!(matches!(transfer.plan(&[first], &Silent), Err(StoreError::NoSnapshot { .. })));
}

/// A manifest that is damaged between the planning and the sending.
#[test]
fn a_manifest_that_is_damaged_meanwhile_is_not_published() {
    let pair = Pair::new(Crypto::Encrypted);
    let id = write(&pair.local.store, "one", &[("a", &noise(1, 3000))]).id;
    let transfer =
        Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options()).unwrap();
    let plan = transfer.plan(&[id], &Silent).unwrap();
    pair.local.tamper(&find(&pair.local.store, id).object, |bytes| Harm::Flip.apply(bytes));
    let sent = transfer.carry_out(plan, &Silent).unwrap();
    assert!(sent.failed.iter().all(|failed| failed.error.is_damage()) && sent.failed.len() == 1, "{sent:?}");
    assert_eq!(pair.names("snapshots/"), [""; 0]);
}

#[test]
fn a_config_or_a_key_that_is_damaged_is_read_from_its_copy_or_refused() {
    for name in ["config", "keys/"] {
        let local = Fixture::memory(Crypto::Encrypted);
        let object = local.names("").into_iter().find(|found| found.starts_with(name)).unwrap();
        local.tamper(&object, |bytes| Harm::Flip.apply(bytes));
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        clone_into(&local, &storage).unwrap();
        local.tamper(&object, |bytes| Harm::Flip.apply(bytes));
        local.tamper(&names::copy_of(&object), |bytes| Harm::Flip.apply(bytes));
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let error = clone_into(&local, &storage).unwrap_err();
        assert!(error.is_damage(), "{error:?}");
        assert_eq!(storage.list("").unwrap().len(), 0);
    }
}

/// What of the receiver is damaged: it is healed, or told.
#[test]
fn what_is_damaged_at_the_receiver_is_healed_or_told() {
    for harm in HARMS {
        for prefix in ["packs/", "snapshots/", "epoch", "config", "condemned/", "labels/"] {
            let pair = Pair::new(Crypto::Plain);
            let mut expected = nights(&pair.local.store, 2);
            pair.push(&ids(&pair.local.store));
            pair.remote.add_label(&ids(&pair.remote)[0], &icecore_format::Label::Note("n".into())).unwrap();
            let list = icecore_format::Condemned { packs: Vec::new() };
            let list = list.encode(&names::condemned(7));
            pair.remote_storage.put(&names::condemned(7), &list, PutMode::CreateNew).unwrap();
            let damaged = pair.names(prefix).pop().unwrap();
            let mut bytes = pair.remote_storage.get(&damaged).unwrap().to_vec();
            harm.apply(&mut bytes);
            pair.remote_storage.put(&damaged, &bytes, PutMode::Overwrite).unwrap();

            let id = write(&pair.local.store, "shop", &[("a", &night(2))]).id;
            let remote = pair.elsewhere("another");
            let all = ids(&pair.local.store);
            let outcome = push(&pair.local.store, &remote, &all);
            if prefix == "condemned/" {
                // Which packs must not be relied on is unknown.
                assert!(outcome.unwrap_err().is_damage());
                continue;
            }
            outcome.unwrap();
            expected.insert(id, night(2));
            let report = remote.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
            match prefix {
                // Another manifest was put beside the damaged one.
                "snapshots/" => {
                    assert!(report.findings.iter().all(|found| found.kind == FindingKind::Manifest));
                    let plan = remote.plan_repair(1, &Silent).unwrap();
                    remote.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
                    check_sound(&remote, &expected);
                }
                "labels/" => {
                    assert!(report.findings.iter().all(|found| found.kind == FindingKind::Label));
                    assert_eq!(report.findings.len(), 1);
                }
                // Where a table can be read, only who reads everything finds what is damaged.
                "packs/" if !report.findings.is_empty() => {
                    assert!(report.findings.iter().all(|found| found.kind == FindingKind::Pack));
                }
                _ => check_sound(&remote, &expected),
            }
        }
    }
}

/// Whatever fails at whichever request of either side: an error, no claim left, nothing listed that cannot be read, and a second run
/// completes it.
#[test]
fn a_transfer_that_fails_at_any_request_harms_nothing_and_can_be_repeated() {
    for (is_push, far_fails) in [(true, true), (true, false), (false, true), (false, false)] {
        for kind in [ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Other] {
            let is_answer = kind == ErrorKind::NotFound;
            let calls = if is_answer { Calls::Look } else { Calls::Any };
            for after in 0.. {
                if !one_fault(
                    is_push,
                    far_fails,
                    Fault { calls, prefix: "", after, kind, for_good: after % 2 == 0 },
                ) {
                    assert!(after > 5, "{kind:?}");
                    break;
                }
            }
        }
    }
}

/// False if the fault was never met.
fn one_fault(is_push: bool, far_fails: bool, fault: Fault) -> bool {
    let (near, far) = (
        Arc::new(FaultyStorage::new(MemoryStorage::new())),
        Arc::new(FaultyStorage::new(MemoryStorage::new())),
    );
    let local = Fixture::new(Arc::clone(&near) as Arc<dyn Storage>, &crate::support::options(Crypto::Plain));
    let pair = Pair::between(local, Arc::clone(&far) as Arc<dyn Storage>);
    let expected = nights(&pair.local.store, 2);
    let id = *ids(&pair.local.store).first().unwrap();
    pair.local.store.add_label(&id, &icecore_format::Label::Tag("x".into())).unwrap();
    let (sender, receiver) = (pair.local.reopen(), pair.elsewhere("another"));
    let faulty = if far_fails { &far } else { &near };
    faulty.fail(fault);
    let (one, two) = (Arc::clone(&sender), Arc::clone(&receiver));
    let all: Vec<SnapshotId> = expected.keys().copied().collect();
    let wanted = all.clone();
    let run = move || if is_push { push(&one, &two, &wanted) } else { pull(&two, &one, &wanted) };
    let outcome = in_time(run);
    let hit = faulty.heal();
    if let Err(error) = &outcome {
        assert!(hit, "{fault:?}: {error:?}");
    }
    // A claim that could not be withdrawn is the collection's.
    for snapshot in receiver.snapshots().unwrap().0 {
        assert_eq!(read(&receiver, snapshot.id).unwrap(), expected[&snapshot.id], "{fault:?} {outcome:?}");
    }
    let again = if is_push { push(&sender, &receiver, &all) } else { pull(&receiver, &sender, &all) };
    let again = again.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
    assert!(again.failed.is_empty(), "{fault:?} {again:?}");
    check_all(&pair.elsewhere("third"), &expected);
    assert!(find(&receiver, id).labels.tags.contains("x"), "{fault:?}");
    hit
}

#[test]
fn a_manifest_under_another_name_keeps_its_id() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let id = write(&fixture.store, "shop", &[("a", b"x")]).id;
        let object = find(&fixture.store, id).object;
        let bytes = fixture.storage.get(&object).unwrap();
        let name = names::snapshot("01hzzzzzzzzzzzzzzzzzzzzzzz");
        let key = fixture.store.key();
        let (same, renamed) = Manifest::rename(&object, &bytes, &name, key, &[7; 32]).unwrap().unwrap();
        assert_eq!(same, id);
        assert_eq!(Manifest::decode(&name, &renamed, key).unwrap().unwrap().0, id);
        assert!(Manifest::decode(&object, &renamed, key).is_err());
    }
}
