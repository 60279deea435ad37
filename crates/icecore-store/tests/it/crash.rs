//! Every crash point of everything that changes a store.
//!
//! Each operation runs on a disk that crashes before its first step, before its second, and so on until it gets through. After each
//! crash, for each way in which a machine or a process dies, and with the index as it was left, lost, or older than it should be: the
//! store opens without help, what was there is there and restores, nothing is reported as damaged, the operation succeeds when it is
//! repeated, and a collection leaves nothing behind.
//!
//! To add an operation, add a test that calls [`every_crash_point`]: what it starts from, what it does, and
//! what has then been done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use icecore_format::{KdfCost, Label, SnapshotId};
use icecore_storage::{LocalStorage, PutMode, Storage};
use icecore_store::{
    FencePolicy, GcOptions, InitOptions, RepairOptions, Result, Silent, Snapshot, SnapshotReader, Store,
    StoreError, Unlock, VerifyExtent,
};
use icecore_testkit::{SimDisk, Survival};
use tempfile::TempDir;

use crate::support::{
    BOTH, Crypto, PASSWORD, begin, find, gc_options, noise, options, restore, try_write, write,
};

const ROOT: &str = "/backup/store";
const SECOND: &[u8] = b"battery staple";

/// What an operation starts from, does, and has done when it has returned without an error.
#[derive(Clone, Copy)]
struct Operation {
    /// Fills the new store; `None` if there is to be none yet.
    prepare: Option<fn(&Site, &Arc<Store>, &mut Expected)>,
    /// The operation itself. It begins with what it finds, as a person does who repeats a command, and keeps `Expected` true at every
    /// moment at which it could be cut off.
    work: fn(&Site, &mut Expected) -> Result<()>,
    /// Whether all is as it is to be once it has succeeded, besides `Expected`.
    done: fn(&Site) -> bool,
}

/// What must be in the store.
#[derive(Debug, Clone, Default)]
struct Expected {
    /// Snapshots that are there, and their bytes.
    snapshots: BTreeMap<SnapshotId, Vec<u8>>,
    /// Those of them that may be gone.
    doomed: BTreeSet<SnapshotId>,
    /// Bytes of snapshots that may be there although nobody was told.
    newborn: BTreeSet<Vec<u8>>,
    /// Tags that are there.
    tags: BTreeSet<(SnapshotId, String)>,
    /// Tags that may be there or not.
    open_tags: BTreeSet<(SnapshotId, String)>,
    /// Bytes in packs that the last create has stored.
    stored: Option<u64>,
    /// The id of the key that is to go.
    key: String,
    /// Whether something is damaged that harms no snapshot.
    damaged: bool,
}

/// A disk and an index: what a process finds.
struct Site {
    disk: SimDisk,
    storage: Arc<dyn Storage>,
    dir: TempDir,
    crypto: Crypto,
}

impl Site {
    fn new(disk: &SimDisk, index: Option<&[u8]>, crypto: Crypto) -> Self {
        // The index is a real file, whose syncs would take most of the time.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a temporary directory");
        let storage = Arc::new(LocalStorage::on(disk.clone(), ROOT));
        let site = Self { disk: disk.clone(), storage, dir, crypto };
        if let Some(index) = index {
            fs::write(site.index_path(), index).expect("the index is written");
        }
        site
    }

    fn index_path(&self) -> PathBuf {
        self.dir.path().join("index.redb")
    }

    fn index(&self) -> Option<Vec<u8>> {
        fs::read(self.index_path()).ok()
    }

    fn init(&self) -> Result<Store> {
        self.init_with_parity(0)
    }

    fn init_with_parity(&self, parity: u8) -> Result<Store> {
        let options = InitOptions { parity, ..options(self.crypto) };
        Store::init(Arc::clone(&self.storage), self.index_path(), &options)
    }

    fn open_with(&self, password: &[u8]) -> Result<Arc<Store>> {
        let mut ask = || Some(password.to_vec());
        Store::open(Arc::clone(&self.storage), "here", self.index_path(), Unlock::Ask(&mut ask)).map(Arc::new)
    }

    /// With whichever password there is.
    fn open(&self) -> Result<Arc<Store>> {
        match self.open_with(PASSWORD) {
            Err(StoreError::WrongPassword { .. }) => self.open_with(SECOND),
            opened => opened,
        }
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        self.storage.list(prefix).expect("list").into_iter().map(|object| object.name).collect()
    }
}

impl Expected {
    fn write(&mut self, store: &Arc<Store>, parts: &[(&str, &[u8])]) -> SnapshotId {
        let written = write(store, "shop", parts);
        self.snapshots.insert(written.id, parts.concat_bytes());
        written.id
    }

    /// Takes a snapshot that may be published before we learn of it.
    fn try_write(&mut self, store: &Arc<Store>, parts: &[(&str, &[u8])]) -> Result<()> {
        let bytes = parts.concat_bytes();
        self.newborn.insert(bytes.clone());
        let written = try_write(store, "shop", parts)?;
        self.snapshots.insert(written.id, bytes);
        self.stored = Some(written.info.stored_bytes);
        Ok(())
    }

    /// The oldest snapshot that is expected, if it is there.
    fn first(&self, store: &Store) -> Result<Option<Snapshot>> {
        let (snapshots, _) = store.snapshots()?;
        Ok(snapshots.into_iter().rev().find(|snapshot| self.snapshots.contains_key(&snapshot.id)))
    }

    fn check(&self, site: &Site, context: &str) {
        let store = match site.open() {
            Err(StoreError::NoStore { .. }) if self.no_store_yet(site) => return,
            opened => opened.unwrap_or_else(|error| panic!("the store does not open, {error:?}, {context}")),
        };
        let (snapshots, damaged) = store.snapshots().expect("list");
        assert!(damaged.is_empty(), "{damaged:?}, {context}");
        for id in self.snapshots.keys().filter(|id| !self.doomed.contains(id)) {
            assert!(snapshots.iter().any(|snapshot| snapshot.id == *id), "{id} is lost, {context}");
        }
        let mut tags = BTreeSet::new();
        for snapshot in snapshots {
            tags.extend(snapshot.labels.tags.iter().map(|tag| (snapshot.id, tag.clone())));
            let reader = SnapshotReader::new(Arc::clone(&store), snapshot.manifest);
            let bytes = restore(&reader).unwrap_or_else(|error| panic!("{error:?}, {context}"));
            let right = match self.snapshots.get(&snapshot.id) {
                Some(expected) => bytes == *expected,
                None => self.newborn.contains(&bytes),
            };
            assert!(right, "the bytes are those that were written, {context}");
        }
        let sure = |tags: &BTreeSet<_>| tags.difference(&self.open_tags).cloned().collect::<BTreeSet<_>>();
        assert_eq!(sure(&tags), sure(&self.tags), "{context}");
        let report = store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify");
        let harmless = self.damaged && report.findings.iter().all(|finding| finding.snapshots.is_empty());
        assert!(harmless || report.findings.is_empty(), "{:?}, {context}", report.findings);
    }

    fn no_store_yet(&self, site: &Site) -> bool {
        self.snapshots.is_empty() && site.names("snapshots/").is_empty()
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [(&str, &[u8])] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }
}

/// Crashes an operation before each of its steps, in stores of both kinds.
fn every_crash_point(operation: Operation) {
    for crypto in BOTH {
        crash_everywhere(operation, crypto, 0);
    }
}

/// The same in stores whose packs have parity.
fn every_crash_point_with_parity(operation: Operation) {
    for crypto in BOTH {
        crash_everywhere(operation, crypto, 5);
    }
}

#[expect(clippy::print_stdout, reason = "how much was tried, for whoever asks with --nocapture")]
fn crash_everywhere(operation: Operation, crypto: Crypto, parity: u8) {
    let start = Site::new(&SimDisk::new(), None, crypto);
    let mut expected = Expected::default();
    if let Some(prepare) = operation.prepare {
        prepare(&start, &Arc::new(start.init_with_parity(parity).expect("init")), &mut expected);
    }
    let disk = start.disk.reboot(Survival::Everything);
    let older = start.index();
    let packs = start.names("packs/");

    let whole = Site::new(&disk.reboot(Survival::Killed), older.as_deref(), crypto);
    let mut after = expected.clone();
    (operation.work)(&whole, &mut after).expect("without a crash it succeeds");
    after.check(&whole, "no crash");
    let whole_stored = after.stored;

    let (mut cases, mut reused) = (0, 0);
    for step in 0.. {
        let site = Site::new(&disk.reboot(Survival::Killed), older.as_deref(), crypto);
        let mut expected = expected.clone();
        site.disk.crash_at(step);
        let outcome = (operation.work)(&site, &mut expected);
        let crashed = site.disk.has_crashed();
        let left = site.index();
        let indexes = [(left.as_deref(), "as it was left"), (None, "lost"), (older.as_deref(), "older")];
        for (survival, turn) in Survival::all([2 * step, 2 * step + 1]).into_iter().zip(0..) {
            // Of an unlucky machine every index; of a lucky one each in turn.
            let every = matches!(survival, Survival::Killed | Survival::SyncedOnly | Survival::NamesOnly);
            let turn = usize::try_from(step).expect("few steps") + turn;
            for (index, what) in if every { &indexes[..] } else { &indexes[turn % 3..=turn % 3] } {
                let log = site.disk.log();
                let context =
                    format!("{crypto:?} {survival:?}, index {what}, after {log:#?} and {outcome:?}");
                let found = Site::new(&site.disk.reboot(survival), *index, crypto);
                let packs_left = found.names("packs/").iter().any(|name| !packs.contains(name));
                let repeated = aftermath(operation, &found, expected.clone(), outcome.is_ok(), &context);
                if let (true, Some(stored), Some(whole)) = (packs_left, repeated.stored, whole_stored) {
                    assert!(stored < whole, "nothing was reused: {stored} of {whole} bytes, {context}");
                    reused += 1;
                }
                cases += 1;
            }
        }
        if !crashed {
            outcome.expect("without a crash it succeeds");
            assert!(step >= 2, "only {step} steps");
            assert!(reused > 0 || whole_stored.is_none_or(|stored| stored == 0), "nothing was ever reused");
            println!("{crypto:?}: {step} steps, {cases} crashes, {reused} times something was reused");
            return;
        }
    }
}

/// What a process finds after a crash, does again, and leaves.
fn aftermath(
    operation: Operation,
    site: &Site,
    mut expected: Expected,
    done: bool,
    context: &str,
) -> Expected {
    expected.check(site, context);
    assert!(!done || (operation.done)(site), "what succeeded is not done, {context}");
    (operation.work)(site, &mut expected).unwrap_or_else(|error| panic!("repeated: {error:?}, {context}"));
    assert!((operation.done)(site), "what succeeded when it was repeated is not done, {context}");
    let again = |what: &str| format!("repeated, {what}, {context}");
    expected.check(site, &again("at once"));
    power_cut(operation, site, &expected, &again("then a power cut"));

    let store = site.open().expect("open");
    let report = store.gc(&gc_options(), &Silent).unwrap_or_else(|error| panic!("gc: {error:?}, {context}"));
    assert_eq!(report.packs_condemned, 0, "{context}");
    expected.check(site, &again("collected"));
    for prefix in ["claims/", "condemned/"] {
        assert_eq!(site.names(prefix), [""; 0], "{context}");
    }
    let plan = store.plan_gc(&gc_options(), &Silent).expect("plan");
    assert!(plan.is_empty() && plan.keep.iter().all(|pack| pack.live > 0), "{plan:?}, {context}");
    assert_eq!(plan.keep.len(), site.names("packs/").len(), "{context}");
    let parity = site.names("packs/").into_iter().map(|name| name.replace("packs/", "parity/"));
    let parity: Vec<_> = parity.filter(|_| store.config().parity > 0).collect();
    assert_eq!(site.names("parity/"), parity, "{context}");
    assert_eq!(site.storage.clear_unfinished().expect("clear"), 0, "{context}");
    let (snapshots, _) = store.snapshots().expect("list");
    let labels: usize = snapshots.iter().map(|snapshot| snapshot.labels.tags.len()).sum();
    assert_eq!(site.names("labels/").len(), labels, "{context}");
    assert_eq!(site.names("snapshots/").len(), snapshots.len(), "{context}");
    power_cut(operation, site, &expected, &again("collected, then a power cut"));
    expected
}

/// What has succeeded is still there when the machine dies.
fn power_cut(operation: Operation, site: &Site, expected: &Expected, context: &str) {
    let rebooted = Site::new(&site.disk.reboot(Survival::SyncedOnly), site.index().as_deref(), site.crypto);
    expected.check(&rebooted, context);
    assert!((operation.done)(&rebooted), "what was done is undone, {context}");
}

fn nothing_more(_: &Site) -> bool {
    true
}

/// A snapshot of two packs.
fn prepare_one(_: &Site, store: &Arc<Store>, expected: &mut Expected) {
    expected.write(store, &[("a", &noise(1, 100_000))]);
}

#[test]
fn every_crash_point_of_an_init() {
    every_crash_point(Operation {
        prepare: None,
        work: |site, _| match site.init() {
            // The crash came after it had been made.
            Ok(_) | Err(StoreError::StoreExists { .. }) => Ok(()),
            Err(error) => Err(error),
        },
        done: |site| site.open_with(PASSWORD).is_ok(),
    });
}

#[test]
fn every_crash_point_of_a_first_create() {
    every_crash_point(Operation {
        prepare: Some(|_, _, _| ()),
        work: |site, expected| {
            expected.try_write(&site.open()?, &[("a", &noise(1, 90_000)), ("b", &noise(2, 60_000))])
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_second_create() {
    every_crash_point(Operation {
        prepare: Some(prepare_one),
        work: |site, expected| {
            expected.try_write(&site.open()?, &[("a", &noise(1, 100_000)), ("b", &noise(2, 120_000))])
        },
        done: nothing_more,
    });
}

/// A content of which a few bytes here and there are others every night.
fn night(n: u64) -> Vec<u8> {
    let mut content = noise(1, 30_000);
    for night in 0..=n {
        content
            .iter_mut()
            .skip(usize::try_from(night).unwrap() * 31)
            .step_by(9_000)
            .for_each(|byte| *byte ^= 1);
    }
    content
}

#[test]
fn every_crash_point_of_a_create_that_is_coded_on_another() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            expected.write(store, &[("a", &night(0))]);
            expected.write(store, &[("a", &night(1))]);
        }),
        work: |site, expected| expected.try_write(&site.open()?, &[("a", &night(2))]),
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_create_with_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(prepare_one),
        work: |site, expected| {
            expected.try_write(&site.open()?, &[("a", &noise(1, 100_000)), ("b", &noise(2, 80_000))])
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_create_of_an_unchanged_source() {
    every_crash_point(Operation {
        prepare: Some(prepare_one),
        work: |site, expected| {
            let store = site.open()?;
            let parent = expected.first(&store)?.expect("it is there");
            let bytes = expected.snapshots[&parent.id].clone();
            expected.newborn.insert(bytes.clone());
            let writer = begin(&store, "shop")?;
            let written = writer.commit_same(&parent, |_| ())?.expect("the parent is whole");
            expected.snapshots.insert(written.id, bytes);
            Ok(())
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_deletion() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let id = expected.write(store, &[("a", &noise(1, 50_000))]);
            for tag in ["one", "two"] {
                store.add_label(&id, &Label::Tag(tag.into())).expect("tag");
                // They go with the snapshot.
                expected.open_tags.insert((id, tag.into()));
            }
            expected.write(store, &[("a", &noise(2, 25_000))]);
        }),
        work: |site, expected| {
            let store = site.open()?;
            let Some(victim) = expected
                .first(&store)?
                .filter(|snapshot| expected.snapshots[&snapshot.id] == noise(1, 50_000))
            else {
                return Ok(());
            };
            expected.doomed.insert(victim.id);
            store.delete_snapshot(&victim)?;
            expected.snapshots.remove(&victim.id);
            Ok(())
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_adding_and_removing_tags() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let id = expected.write(store, &[("a", &noise(1, 30_000))]);
            for tag in ["kept", "old"] {
                store.add_label(&id, &Label::Tag(tag.into())).expect("tag");
                expected.tags.insert((id, tag.into()));
            }
        }),
        work: |site, expected| {
            let store = site.open()?;
            let id = expected.first(&store)?.expect("it is there").id;
            let (old, new) = ((id, "old".to_owned()), (id, "new".to_owned()));
            expected.open_tags.insert(new.clone());
            store.add_label(&id, &Label::Tag(new.1.clone()))?;
            expected.open_tags.remove(&new);
            expected.tags.insert(new);
            expected.open_tags.insert(old.clone());
            store.remove_label(&id, &Label::Tag(old.1.clone()))?;
            expected.open_tags.remove(&old);
            expected.tags.remove(&old);
            Ok(())
        },
        done: nothing_more,
    });
}

fn collect(site: &Site, _: &mut Expected) -> Result<()> {
    let report = site.open()?.gc(&gc_options(), &Silent)?;
    assert_eq!(report.packs_condemned, 0);
    Ok(())
}

#[test]
fn every_crash_point_of_a_collection_that_drops_packs() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            let id = write(store, "shop", &[("a", &noise(1, 150_000))]).id;
            store.add_label(&id, &Label::Tag("orphan".into())).expect("tag");
            expected.write(store, &[("a", &noise(2, 80_000))]);
            // Its labels stay, as when a deletion is cut off.
            site.storage.delete(&find(store, id).object).expect("delete");
        }),
        work: collect,
        // A pack that comes back is dead still, and goes next time.
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_with_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(|site, store, expected| {
            let id = write(store, "shop", &[("a", &noise(1, 150_000))]).id;
            expected.write(store, &[("a", &noise(2, 80_000))]);
            store.delete_snapshot(&find(store, id)).expect("delete");
            let orphan = format!("parity/ab/{}", "ab".repeat(32));
            site.storage.put(&orphan, b"left by somebody", PutMode::CreateNew).expect("put");
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_fences_a_writer() {
    every_crash_point(Operation {
        prepare: Some(prepare_one),
        work: |site, _| {
            let writer = begin(&site.open()?, "slow")?;
            let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(1) };
            site.open()?.gc(&GcOptions { fence, ..gc_options() }, &Silent)?;
            match writer.commit(|_| ()) {
                Ok(_) => panic!("a fenced writer has published"),
                Err(StoreError::Fenced) => Ok(()),
                Err(error) => Err(error),
            }
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_clears_a_fenced_writer_that_died() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            let writer = begin(store, "slow").expect("begin");
            let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(1) };
            store.gc(&GcOptions { fence, ..gc_options() }, &Silent).expect("gc");
            let [claim] = site.names("claims/").try_into().expect("one claim");
            let left = [claim.replace("claims", "snapshots"), claim];
            let left = left.map(|name| (site.storage.get(&name).expect("get"), name));
            drop(writer);
            // As a killed process leaves them.
            for (bytes, name) in left {
                site.storage.put(&name, &bytes, PutMode::CreateNew).expect("put");
            }
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_repacks() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let files: Vec<Vec<u8>> = (0..24).map(|n| noise(n, 8_000)).collect();
            let all: Vec<(&str, &[u8])> = files.iter().map(|file| ("f", file.as_slice())).collect();
            let some: Vec<(&str, &[u8])> = all.iter().copied().step_by(3).collect();
            let first = write(store, "all", &all).id;
            expected.write(store, &some);
            store.delete_snapshot(&find(store, first)).expect("delete");
            let plan = store.plan_gc(&gc_options(), &Silent).expect("plan");
            assert!(plan.rewrite.len() > 1, "{plan:?}");
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_repacks_deltas() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let first = write(store, "all", &[("a", &night(0)), ("b", &noise(2, 25_000))]).id;
            let mut other = noise(2, 25_000);
            other.iter_mut().step_by(7_000).for_each(|byte| *byte ^= 1);
            let both = write(store, "all", &[("a", &night(1)), ("b", &other)]).id;
            expected.write(store, &[("a", &night(1))]);
            for id in [first, both] {
                store.delete_snapshot(&find(store, id)).expect("delete");
            }
            let plan = store.plan_gc(&gc_options(), &Silent).expect("plan");
            assert!(!plan.rewrite.is_empty(), "{plan:?}");
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_flattens() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            for n in 0..3 {
                expected.write(store, &[("a", &night(n))]);
            }
        }),
        work: |site, _| {
            let report = site.open()?.gc(&GcOptions { depth_max: 1, ..gc_options() }, &Silent)?;
            assert_eq!(report.packs_condemned, 0);
            Ok(())
        },
        done: |site| {
            let store = site.open().expect("opens");
            let (snapshots, _) = store.snapshots().expect("listed");
            snapshots.into_iter().all(|snapshot| {
                let reader = SnapshotReader::new(Arc::clone(&store), snapshot.manifest);
                reader.depths().expect("read").max <= 1
            })
        },
    });
}

/// A pack to which something was added has all its chunks, and is not what its name says.
#[test]
fn every_crash_point_of_a_repair() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.damaged = true;
            for name in site.names("packs/") {
                let bytes = [&site.storage.get(&name).expect("get")[..], b"something added"].concat();
                site.storage.put(&name, &bytes, PutMode::Overwrite).expect("put");
            }
        }),
        work: |site, _| {
            let store = site.open()?;
            let plan = store.plan_repair(1, &Silent)?;
            let report = store.repair(&plan, &RepairOptions::default(), 1, &Silent)?;
            assert!(report.broken.is_empty() && report.chunks_lost == 0, "{report:?}");
            Ok(())
        },
        done: |site| {
            let store = site.open().expect("open");
            store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify").findings.is_empty()
        },
    });
}

/// Every other pack is damaged, and the parity of the others.
#[test]
fn every_crash_point_of_a_repair_by_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(|site, store, expected| {
            expected.write(store, &[("a", &noise(1, 150_000))]);
            expected.damaged = true;
            for (name, turn) in site.names("packs/").into_iter().zip(0..) {
                let name = if turn % 2 == 0 { name } else { name.replace("packs/", "parity/") };
                let bytes = [&site.storage.get(&name).expect("get")[..], b"something added"].concat();
                site.storage.put(&name, &bytes, PutMode::Overwrite).expect("put");
            }
        }),
        work: |site, _| {
            let store = site.open()?;
            let plan = store.plan_repair(1, &Silent)?;
            let report = store.repair(&plan, &RepairOptions::default(), 1, &Silent)?;
            assert!(report.broken.is_empty() && report.set_aside.is_empty(), "{report:?}");
            Ok(())
        },
        done: |site| {
            let store = site.open().expect("open");
            store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify").findings.is_empty()
        },
    });
}

fn add_second_key(store: &Store) -> Result<String> {
    Ok(store.add_key(SECOND, "second", "2026-11-21T10:00:00Z", KdfCost::CHEAPEST)?.id)
}

fn remove_key(store: &Store, id: &str) -> Result<()> {
    match store.remove_key(id) {
        // The crash came after it had gone.
        Ok(()) | Err(StoreError::NoKey { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn opens_with(site: &Site, password: &[u8]) -> bool {
    match site.open_with(password) {
        Ok(_) => true,
        Err(StoreError::WrongPassword { .. }) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn every_crash_point_of_adding_a_key() {
    let operation = Operation {
        prepare: Some(prepare_one),
        work: |site, _| add_second_key(&*site.open()?).map(drop),
        done: |site| opens_with(site, PASSWORD) && opens_with(site, SECOND),
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}

#[test]
fn every_crash_point_of_removing_a_key() {
    let operation = Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.key = add_second_key(store).expect("add");
        }),
        work: |site, expected| remove_key(&*site.open()?, &expected.key),
        done: |site| opens_with(site, PASSWORD) && !opens_with(site, SECOND),
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}

#[test]
fn every_crash_point_of_a_change_of_the_password() {
    let operation = Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.key = store.key_of(PASSWORD).expect("key").id;
        }),
        work: |site, expected| {
            let store = site.open()?;
            if !opens_with(site, SECOND) {
                add_second_key(&store)?;
            }
            remove_key(&store, &expected.key)
        },
        done: |site| !opens_with(site, PASSWORD) && opens_with(site, SECOND),
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}

/// A store on which a process was killed in the middle of `work`.
fn killed_in(crypto: Crypto, work: impl Fn(&Site, &Arc<Store>)) -> (Site, SnapshotId) {
    let site = Site::new(&SimDisk::new(), None, crypto);
    let store = Arc::new(site.init().unwrap());
    let id = write(&store, "shop", &[("a", &noise(1, 50_000))]).id;
    work(&site, &store);
    assert!(site.disk.has_crashed());
    (Site::new(&site.disk.reboot(Survival::Killed), site.index().as_deref(), crypto), id)
}

#[test]
fn a_deleted_snapshot_does_not_come_back_without_its_chunks() {
    let (site, _) = killed_in(Crypto::Plain, |site, store| {
        let (snapshots, _) = store.snapshots().unwrap();
        site.disk.crash_at(1);
        store.delete_snapshot(&snapshots[0]).unwrap_err();
    });
    site.open().unwrap().gc(&gc_options(), &Silent).unwrap();
    let rebooted = Site::new(&site.disk.reboot(Survival::SyncedOnly), None, Crypto::Plain);
    assert_eq!(rebooted.names("packs/"), [""; 0]);
    assert_eq!(rebooted.names("snapshots/"), [""; 0]);
}

#[test]
fn a_key_that_was_found_to_be_gone_does_not_come_back() {
    let (site, _) = killed_in(Crypto::Encrypted, |site, store| {
        let key = add_second_key(store).unwrap();
        // The copy is removed and its folder synced; then the key, but not its folder.
        site.disk.crash_at(3);
        store.remove_key(&key).unwrap_err();
    });
    let error = site.open().unwrap().remove_key("second").unwrap_err();
    assert!(matches!(error, StoreError::NoKey { .. }), "{error:?}");
    let rebooted = Site::new(&site.disk.reboot(Survival::SyncedOnly), None, Crypto::Encrypted);
    assert!(!opens_with(&rebooted, SECOND));
}

#[test]
fn a_store_that_init_finds_does_not_go_away() {
    // The last step that must succeed makes the name of the configuration durable; a copy that could not be made is no failure.
    let last = (0..).map_while(|step| {
        let site = Site::new(&SimDisk::new(), None, Crypto::Plain);
        site.disk.crash_at(step);
        site.init().is_err().then_some(step)
    });
    let site = Site::new(&SimDisk::new(), None, Crypto::Plain);
    site.disk.crash_at(last.last().unwrap());
    site.init().unwrap_err();
    let killed = Site::new(&site.disk.reboot(Survival::Killed), None, Crypto::Plain);
    assert!(matches!(killed.init(), Err(StoreError::StoreExists { .. })));
    let rebooted = Site::new(&killed.disk.reboot(Survival::SyncedOnly), None, Crypto::Plain);
    rebooted.open().unwrap();
}
