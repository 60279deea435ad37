//! How many requests it takes: the table in `docs/s3.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::Label;
use icecore_storage::{MemoryStorage, Storage};
use icecore_store::{InitOptions, Silent, Store, Unlock, VerifyExtent};
use icecore_testkit::{Call, RecordingStorage};

use super::{Pair, ids, pull, push};
use crate::support::{Crypto, Fixture, noise, options, read, write};

type Recording = RecordingStorage<MemoryStorage>;

fn recorded() -> (Arc<Recording>, Pair) {
    let recording = Arc::new(RecordingStorage::new(MemoryStorage::new()));
    let pair = Pair::between(Fixture::memory(Crypto::Plain), Arc::clone(&recording) as Arc<dyn Storage>);
    (recording, pair)
}

/// The far store, as a machine with this cache opens it.
fn far(pair: &Pair, machine: &str) -> Arc<Store> {
    let dir = pair.dir.path().join(machine);
    let storage = Arc::clone(&pair.remote_storage);
    let key = Unlock::Key(pair.local.store.key().clone());
    Arc::new(Store::open(storage, "there", dir.join("index.redb"), key).unwrap().far_away())
}

/// What was asked since the last time, by what; settling is no request there.
fn requests(recording: &Recording) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let asked = recording.take().into_iter().filter(|recorded| recorded.call != Call::Settle);
    asked.for_each(|recorded| *counts.entry(recorded.call.as_str()).or_default() += 1);
    counts
}

fn counts(counts: &[(&'static str, usize)]) -> BTreeMap<&'static str, usize> {
    counts.iter().copied().collect()
}

#[test]
fn a_thousand_snapshots_are_listed_by_two_requests_and_one_for_each_that_is_new() {
    let (recording, pair) = recorded();
    let id = write(&pair.local.store, "shop", &[("a", b"x")]).id;
    push(&pair.local.store, &pair.remote, &[id]).unwrap();
    for _ in 1..1000 {
        write(&pair.local.store, "shop", &[("a", b"x")]);
    }
    pair.push(&ids(&pair.local.store));
    let store = far(&pair, "another");
    recording.take();
    assert_eq!(store.snapshots().unwrap().0.len(), 1000);
    assert_eq!(requests(&recording), counts(&[("list", 2), ("get", 1000)]));
    assert_eq!(store.snapshots().unwrap().0.len(), 1000);
    assert_eq!(requests(&recording), counts(&[("list", 2)]));
    pair.remote.add_label(&id, &Label::Tag("x".into())).unwrap();
    write(&pair.remote, "shop", &[("a", b"y")]);
    let first = pair.remote.snapshots().unwrap().0.pop().unwrap();
    pair.remote.delete_snapshot(&first).unwrap();
    recording.take();
    // As the next process does. One manifest is new.
    let store = far(&pair, "another");
    requests(&recording);
    assert_eq!(store.snapshots().unwrap().0.len(), 1000);
    assert_eq!(requests(&recording), counts(&[("list", 2), ("get", 1)]));
    let kept = std::fs::read_dir(pair.dir.path().join("another/index.manifests")).unwrap().count();
    assert_eq!(kept, 1000);
}

#[test]
fn a_push_with_nothing_new_takes_two_requests() {
    let (recording, pair) = recorded();
    let id = write(&pair.local.store, "shop", &[("a", &noise(1, 50_000))]).id;
    pair.local.store.add_label(&id, &Label::Tag("x".into())).unwrap();
    let remote = far(&pair, "cache");
    push(&pair.local.store, &remote, &[id]).unwrap();
    remote.snapshots().unwrap();
    requests(&recording);
    let sent = push(&pair.local.store, &far(&pair, "cache"), &[id]).unwrap();
    assert!(sent.published.is_empty());
    // The configuration is read when the store is opened.
    assert_eq!(requests(&recording), counts(&[("get", 1), ("list", 2)]));
}

#[test]
fn a_nightly_push_takes_a_stated_number_of_requests() {
    let (recording, pair) = recorded();
    for n in 0..5 {
        let content = [noise(1, 50_000), noise(100 + n, 500)].concat();
        write(&pair.local.store, "shop", &[("a", &content)]);
        push(&pair.local.store, &far(&pair, "cache"), &ids(&pair.local.store)).unwrap();
    }
    let last = [noise(1, 50_000), noise(200, 500)].concat();
    let id = write(&pair.local.store, "shop", &[("a", &last)]).id;
    far(&pair, "cache").snapshots().unwrap();
    requests(&recording);
    let remote = far(&pair, "cache");
    let transfer = icecore_store::Transfer::push(
        Arc::clone(&pair.local.store),
        Arc::clone(&remote),
        super::transfer_options(),
    );
    let transfer = transfer.unwrap();
    let plan = transfer.plan(&[id], &Silent).unwrap();
    let planning = requests(&recording);
    let planned = plan.requests;
    let sent = transfer.carry_out(plan, &Silent).unwrap();
    assert_eq!((sent.published.len(), sent.packs), (1, 1));
    let carrying_out = requests(&recording);
    assert_eq!(planning, counts(&[("get", 1), ("list", 4)]));
    assert_eq!(carrying_out, counts(&[("get", 2), ("hold", 1), ("list", 3), ("len", 1), ("put", 2)]));
    // And the claim is deleted, which the hold does.
    assert_eq!(usize::try_from(planned).unwrap(), carrying_out.values().sum::<usize>() + 1);
}

#[test]
fn what_was_just_sent_is_not_read_again() {
    let (recording, pair) = recorded();
    let id = write(&pair.local.store, "shop", &[("a", &noise(1, 300_000))]).id;
    let remote = far(&pair, "cache");
    push(&pair.local.store, &remote, &[id]).unwrap();
    requests(&recording);
    let more = write(&pair.local.store, "shop", &[("a", &noise(1, 300_000)), ("b", b"x")]).id;
    push(&pair.local.store, &remote, &[more]).unwrap();
    let asked = recording.take();
    assert!(asked.iter().all(|recorded| recorded.call != Call::GetRange), "{asked:?}");
    remote.verify(None, VerifyExtent::Structure, 1, &Silent).unwrap();
}

#[test]
fn a_pull_of_one_snapshot_reads_each_pack_once() {
    let (recording, pair) = recorded();
    let id = write(&pair.local.store, "shop", &[("a", &noise(1, 300_000))]).id;
    pair.push(&[id]);
    let third = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let joined =
        pair.local.store.clone_to(Arc::new(MemoryStorage::new()), "here", third.path().join("index.redb"));
    let joined = Arc::new(joined.unwrap());
    let remote = far(&pair, "joined");
    requests(&recording);
    let sent = pull(&joined, &remote, &[id]).unwrap();
    let asked = recording.take();
    let of = |call| asked.iter().filter(|recorded| recorded.call == call).count();
    let packs = usize::try_from(sent.packs).unwrap();
    assert!(packs >= 4);
    // Two manifests: to list it, and to publish it.
    assert_eq!((of(Call::Get), of(Call::List)), (packs + 2, 4), "{asked:#?}");
    // Tables: the end and the header of each, and whether it is still there once it is known.
    assert!(of(Call::GetRange) <= 2 * packs && of(Call::Len) == packs, "{asked:#?}");
}

#[test]
fn a_restore_from_afar_reads_what_its_snapshot_takes_and_little_more() {
    let recording = Arc::new(RecordingStorage::new(MemoryStorage::new()));
    let sizes = InitOptions { pack_len: 4 << 20, body_len: 1 << 18, ..options(Crypto::Plain) };
    let local = Fixture::new(Arc::new(MemoryStorage::new()), &sizes);
    let pair = Pair::between(local, Arc::clone(&recording) as Arc<dyn Storage>);
    // Three nights of a source, and others that do not belong to it.
    let mut content = noise(1, 12_000_000);
    let mut last = None;
    for night in 0..3 {
        content.iter_mut().skip(night * 31).step_by(90_000).for_each(|byte| *byte ^= 1);
        last = Some(write(&pair.local.store, "shop", &[("a", &content)]).id);
        write(&pair.local.store, "other", &[("a", &noise(7 + night as u64, 3_000_000))]);
    }
    let last = last.unwrap();
    pair.push(&ids(&pair.local.store));
    // What it takes where nothing else is.
    let alone =
        pair.local.store.clone_to(Arc::new(MemoryStorage::new()), "alone", pair.dir.path().join("alone"));
    let stored = push(&pair.local.store, &Arc::new(alone.unwrap()), &[last]).unwrap().bytes;
    recording.take();
    assert_eq!(read(&far(&pair, "another"), last).unwrap(), content);
    let is_read = |call: &Call| matches!(call, Call::Get | Call::GetRange);
    let fetched = recording.take().into_iter().filter(|recorded| is_read(&recorded.call));
    let fetched: u64 = fetched.map(|recorded| recorded.count).sum();
    assert!(fetched * 10 <= stored * 11, "{fetched} bytes for {stored}");
}
