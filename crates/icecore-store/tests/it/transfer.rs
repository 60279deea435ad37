//! Snapshots that go from one store to the same store elsewhere.

mod forged;
mod later;
mod others;
mod overlaps;
mod packs;
mod repairs;
mod requests;
mod sides;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use icecore_format::{Label, SnapshotId};
use icecore_storage::{MemoryStorage, Storage};
use icecore_store::{
    Result, Sent, Silent, Snapshot, Store, StoreError, Transfer, TransferOptions, VerifyExtent,
};
use tempfile::TempDir;

use crate::support::{BOTH, Crypto, Fixture, check_all, find, noise, options, read, write};

/// A store at hand, and the same one far away.
struct Pair {
    local: Fixture,
    remote: Arc<Store>,
    remote_storage: Arc<dyn Storage>,
    dir: TempDir,
}

impl Pair {
    fn new(crypto: Crypto) -> Self {
        Self::between(Fixture::memory(crypto), Arc::new(MemoryStorage::new()))
    }

    fn with_parity(crypto: Crypto) -> Self {
        let options = icecore_store::InitOptions { parity: 5, ..options(crypto) };
        Self::between(Fixture::new(Arc::new(MemoryStorage::new()), &options), Arc::new(MemoryStorage::new()))
    }

    fn between(local: Fixture, remote_storage: Arc<dyn Storage>) -> Self {
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        let index = dir.path().join("index.redb");
        let remote = Arc::new(local.store.clone_to(Arc::clone(&remote_storage), "there", index).unwrap());
        Self { local, remote, remote_storage, dir }
    }

    /// The far store as another machine sees it.
    fn elsewhere(&self, machine: &str) -> Arc<Store> {
        self.open_at(self.dir.path().join(machine).join("index.redb"))
    }

    fn open_at(&self, index: PathBuf) -> Arc<Store> {
        crate::support::open(Arc::clone(&self.remote_storage), index)
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let objects = self.remote_storage.list(prefix).unwrap();
        objects.into_iter().map(|object| object.name).collect()
    }

    fn push(&self, ids: &[SnapshotId]) -> Sent {
        push(&self.local.store, &self.remote, ids).unwrap()
    }
}

fn push(local: &Arc<Store>, remote: &Arc<Store>, ids: &[SnapshotId]) -> Result<Sent> {
    let transfer = Transfer::push(Arc::clone(local), Arc::clone(remote), transfer_options())?;
    transfer.carry_out(transfer.plan(ids, &Silent)?, &Silent)
}

fn pull(local: &Arc<Store>, remote: &Arc<Store>, ids: &[SnapshotId]) -> Result<Sent> {
    let transfer = Transfer::pull(Arc::clone(local), Arc::clone(remote), transfer_options())?;
    transfer.carry_out(transfer.plan(ids, &Silent)?, &Silent)
}

fn transfer_options() -> TransferOptions {
    TransferOptions { host: "db3".into() }
}

fn ids(store: &Store) -> Vec<SnapshotId> {
    store.snapshots().unwrap().0.iter().map(|snapshot| snapshot.id).collect()
}

/// Nothing is damaged, and every snapshot restores to these bytes.
fn check_sound(store: &Arc<Store>, expected: &BTreeMap<SnapshotId, Vec<u8>>) {
    check_all(store, expected);
    let report = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// A content of which a few bytes are others every night.
fn night(n: usize) -> Vec<u8> {
    let mut content = noise(1, 60_000);
    for night in 0..=n {
        content.iter_mut().skip(night * 31).step_by(9_000).for_each(|byte| *byte ^= 1);
    }
    content
}

/// Nights one after the other, each coded on the one before.
fn nights(store: &Arc<Store>, count: usize) -> BTreeMap<SnapshotId, Vec<u8>> {
    (0..count).map(|n| (write(store, "shop", &[("a", &night(n))]).id, night(n))).collect()
}

#[test]
fn what_is_pushed_is_there_with_the_same_id_and_comes_back() {
    for pair in BOTH.into_iter().flat_map(|crypto| [Pair::new(crypto), Pair::with_parity(crypto)]) {
        let expected = nights(&pair.local.store, 4);
        let deepest = expected.keys().map(|id| depth(&pair.local.store, *id)).max();
        assert!(deepest > Some(1), "deltas on deltas: {deepest:?}");
        let sent = pair.push(&ids(&pair.local.store));
        assert_eq!(sent.published.len(), 4);
        assert_eq!(sent.packs, pair.names("packs/").len() as u64);
        check_sound(&pair.remote, &expected);
        check_sound(&pair.elsewhere("another"), &expected);
        assert_eq!(pair.names("claims/"), [""; 0]);
        assert_eq!(pair.names("packs/"), pair.local.names("packs/"));

        let third = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let joined = pair.remote.clone_to(storage, "here", third.path().join("index.redb")).unwrap();
        let joined = Arc::new(joined);
        let pulled = pull(&joined, &pair.remote, &ids(&pair.remote)).unwrap();
        assert_eq!((pulled.published.len(), pulled.bytes), (4, sent.bytes));
        check_sound(&joined, &expected);
    }
}

fn depth(store: &Arc<Store>, id: SnapshotId) -> u8 {
    crate::support::reader(store, id).depths().unwrap().max
}

#[test]
fn only_what_is_lacking_is_sent() {
    let pair = Pair::new(Crypto::Plain);
    let first = write(&pair.local.store, "shop", &[("a", &noise(1, 300_000))]).id;
    pair.push(&[first]);
    let both = [noise(1, 300_000), noise(2, 70_000)].concat();
    let second = write(&pair.local.store, "shop", &[("a", &noise(1, 300_000)), ("b", &noise(2, 70_000))]).id;
    let transfer =
        Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options()).unwrap();
    let plan = transfer.plan(&[first, second], &Silent).unwrap();
    assert_eq!((plan.send.len(), plan.present.as_slice()), (1, &[first][..]));
    assert!(plan.bytes() < 80_000, "{plan:?}");
    let (planned, packs) = (plan.bytes(), plan.packs);
    let sent = transfer.carry_out(plan, &Silent).unwrap();
    assert_eq!((sent.bytes, sent.packs), (planned, packs));
    check_sound(&pair.remote, &BTreeMap::from([(first, noise(1, 300_000)), (second, both)]));
    let again = transfer.plan(&[first, second], &Silent).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn labels_go_along_and_what_the_other_side_says_stays() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let id = write(&pair.local.store, "shop", &[("a", &noise(1, 3000))]).id;
        let add = |store: &Store, label| store.add_label(&id, &label).unwrap();
        add(&pair.local.store, Label::Tag("one".into()));
        add(&pair.local.store, Label::Note("mine".into()));
        assert_eq!(pair.push(&[id]).labels, 2);
        add(&pair.remote, Label::Note("theirs".into()));
        add(&pair.local.store, Label::Tag("two".into()));
        assert_eq!(pair.push(&[id]).labels, 1);
        let labels = find(&pair.remote, id).labels;
        assert_eq!(labels.tags.iter().map(String::as_str).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(labels.note.as_deref(), Some("theirs"));
    }
}

#[test]
fn what_the_sender_does_not_have_is_said() {
    let pair = Pair::new(Crypto::Plain);
    let id = write(&pair.local.store, "shop", &[("a", &noise(1, 3000))]).id;
    let error = pull(&pair.local.store, &pair.remote, &[id]).unwrap_err();
    assert!(matches!(error, StoreError::NoSnapshot { id: found } if found == id), "{error:?}");
}

fn twins(store: &Store) -> Vec<Snapshot> {
    store.snapshots().unwrap().0.into_iter().filter(|snapshot| !snapshot.copies.is_empty()).collect()
}

#[test]
fn a_snapshot_that_two_have_published_is_one_and_goes_as_one() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let content = noise(1, 50_000);
        let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
        let transfer =
            Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options());
        let transfer = transfer.unwrap();
        let late = transfer.plan(&[id], &Silent).unwrap();
        assert_eq!(push(&pair.local.store, &pair.elsewhere("another"), &[id]).unwrap().published, [id]);
        // Planned before the other one has published.
        assert_eq!(transfer.carry_out(late, &Silent).unwrap().packs, 0);
        assert_eq!(pair.names("snapshots/").len(), 2);
        check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
        let [twin] = twins(&pair.remote).try_into().unwrap();
        pair.remote.add_label(&id, &Label::Tag("kept".into())).unwrap();
        assert!(find(&pair.remote, id).labels.tags.contains("kept"));
        pair.remote.delete_snapshot(&twin).unwrap();
        assert_eq!(pair.names("snapshots/"), [""; 0]);
        assert_eq!(pair.names("labels/"), [""; 0]);
        assert!(matches!(pair.remote.delete_snapshot(&twin), Err(StoreError::NoSnapshot { .. })));
    }
}

#[test]
fn what_was_pushed_can_be_read_alone() {
    let pair = Pair::new(Crypto::Encrypted);
    let expected = nights(&pair.local.store, 5);
    let newest = *ids(&pair.local.store).first().unwrap();
    let sent = pair.push(&[newest]);
    assert_eq!(sent.published, [newest]);
    check_sound(&pair.remote, &BTreeMap::from([(newest, expected[&newest].clone())]));
    assert_eq!(read(&pair.elsewhere("another"), newest).unwrap(), expected[&newest]);
}
