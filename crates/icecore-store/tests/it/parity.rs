//! Packs with parity: what is healed, what is not, and that no parity lies about without its pack.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::{Parity, names};
use icecore_storage::{ErrorKind, LocalStorage, MemoryStorage, PutMode, Storage};
use icecore_store::{
    FindingKind, InitOptions, RepairOptions, RepairReport, Silent, Store, VerifyExtent, VerifyReport, Written,
};
use icecore_testkit::{Call, Calls, Fault, FaultyStorage};
use tempfile::TempDir;

use crate::support::{BOTH, Crypto, Fixture, find, gc_options, noise, options, read, write};

const LEN: usize = 300_000;

/// A store with parity and one snapshot.
struct Shop {
    fixture: Fixture,
    written: Written,
    _dir: TempDir,
}

impl Shop {
    fn new(crypto: Crypto, local: bool, parity: u8) -> Self {
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        let storage: Arc<dyn Storage> = match local {
            true => Arc::new(LocalStorage::new(dir.path())),
            false => Arc::new(MemoryStorage::new()),
        };
        let fixture = Fixture::new(storage, &InitOptions { parity, ..options(crypto) });
        let written = write(&fixture.store, "shop", &[("a", &noise(1, LEN))]);
        Self { fixture, written, _dir: dir }
    }

    /// Plain and encrypted, in memory and on a disk.
    fn each(parity: u8) -> impl Iterator<Item = Self> {
        BOTH.into_iter()
            .flat_map(move |crypto| [false, true].map(move |local| Self::new(crypto, local, parity)))
    }

    fn store(&self) -> &Arc<Store> {
        &self.fixture.store
    }

    /// The largest pack.
    fn pack(&self) -> String {
        let packs = self.fixture.storage.list("packs/").unwrap();
        packs.into_iter().max_by_key(|object| object.len).unwrap().name
    }

    fn get(&self, name: &str) -> Vec<u8> {
        self.fixture.storage.get(name).unwrap().to_vec()
    }

    fn verify(&self) -> VerifyReport {
        self.store().verify(None, VerifyExtent::Everything, 1, &Silent).unwrap()
    }

    fn repair(&self) -> RepairReport {
        let plan = self.store().plan_repair(1, &Silent).unwrap();
        self.store().repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap()
    }

    fn objects(&self) -> BTreeSet<(String, Vec<u8>)> {
        let names = self.fixture.names("");
        let kept = names.into_iter().filter(|name| ["packs/", "parity/"].iter().any(|p| name.starts_with(p)));
        kept.map(|name| (name.clone(), self.get(&name))).collect()
    }

    fn check_whole(&self, what: &str) {
        let report = self.verify();
        assert!(report.findings.is_empty(), "{what}: {:?}", report.findings);
        assert!(read(self.store(), self.written.id).unwrap() == noise(1, LEN), "{what}");
        assert!(read(&self.fixture.reopen(), self.written.id).unwrap() == noise(1, LEN), "{what}");
    }
}

fn parity_of(pack: &str) -> String {
    pack.replace("packs/", "parity/")
}

#[test]
fn every_pack_has_its_parity_where_it_is_wanted_and_none_where_it_is_not() {
    for shop in Shop::each(5) {
        let packs = shop.fixture.names("packs/");
        assert!(packs.len() > 3);
        let parity: Vec<_> = packs.iter().map(|pack| parity_of(pack)).collect();
        assert_eq!(shop.fixture.names("parity/"), parity);
        let sum = |names: &[String]| names.iter().map(|name| shop.get(name).len() as u64).sum::<u64>();
        assert_eq!(shop.written.info.stored_bytes, sum(&packs) + sum(&parity));
        let manifest_len = find(shop.store(), shop.written.id).manifest_len;
        assert_eq!(shop.store().stats().unwrap().stored_bytes, sum(&packs) + sum(&parity) + manifest_len);
        for name in parity {
            let id = names::parse_parity(&name).unwrap();
            assert_eq!(Parity::check(&id, &shop.get(&name)), Ok(()));
        }
        shop.check_whole("untouched");
    }
    let without = Shop::new(Crypto::Plain, false, 0);
    assert_eq!(without.fixture.names("parity/"), [""; 0]);
}

/// What was read of it before is forgotten.
#[test]
fn a_healed_pack_is_read_anew_by_whoever_read_it_damaged() {
    for shop in Shop::each(5) {
        shop.fixture.tamper(&shop.pack(), |bytes| bytes[5000] ^= 1);
        let store = shop.fixture.reopen();
        assert!(read(&store, shop.written.id).is_err());
        let plan = store.plan_repair(1, &Silent).unwrap();
        store.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
        assert!(read(&store, shop.written.id).unwrap() == noise(1, LEN));
    }
}

#[test]
fn rot_in_any_place_of_a_pack_is_healed() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 9] = [
        ("header", |bytes| bytes[20] ^= 1),
        ("body", |bytes| bytes[5000] ^= 1),
        ("table", |bytes| *bytes.iter_mut().rev().nth(100).unwrap() ^= 1),
        ("trailer", |bytes| *bytes.iter_mut().rev().nth(20).unwrap() ^= 1),
        ("two blocks", |bytes| {
            bytes[4096..8192].fill(0);
            bytes[16384..20480].fill(0xff);
        }),
        ("end", |bytes| bytes.truncate(bytes.len() - 3000)),
        ("more", |bytes| bytes.extend_from_slice(&noise(7, 10_000))),
        ("much more", |bytes| bytes.extend_from_slice(&noise(7, 2 << 20))),
        ("more, and a flip", |bytes| {
            bytes[9000] ^= 0x80;
            bytes.push(0);
        }),
    ];
    for shop in Shop::each(5) {
        let whole = shop.objects();
        for (what, change) in changes {
            shop.fixture.tamper(&shop.pack(), change);
            let report = shop.verify();
            assert_eq!(report.findings.len(), 1, "{what}: {:?}", report.findings);
            assert_eq!(report.findings[0].kind, FindingKind::Pack, "{what}");
            assert!(report.findings[0].healable, "{what}");
            let done = shop.repair();
            assert_eq!((done.healed, done.set_aside.len(), done.chunks_lost), (1, 0, 0), "{what}");
            assert!(done.broken.is_empty(), "{what}");
            assert!(shop.objects() == whole, "{what}");
            shop.check_whole(what);
        }
        assert_eq!(shop.fixture.names("damaged/"), [""; 0]);
    }
}

#[test]
fn what_parity_cannot_heal_is_salvaged_as_without_it() {
    for shop in Shop::each(5) {
        let pack = shop.pack();
        shop.fixture.tamper(&pack, |bytes| {
            for block in 1..6 {
                bytes[block * 4096 + 7] ^= 1;
            }
        });
        let damaged = shop.get(&pack);
        let report = shop.verify();
        assert!(!report.findings[0].healable && !report.findings[0].snapshots.is_empty());
        let done = shop.repair();
        assert_eq!((done.healed, done.set_aside.len()), (0, 1));
        assert!(done.chunks_saved > 0 && done.chunks_lost > 0, "{done:?}");
        assert_eq!(
            shop.fixture.names("damaged/"),
            [format!("damaged/{pack}"), format!("damaged/{}", parity_of(&pack))]
        );
        assert_eq!(shop.get(&format!("damaged/{pack}")), damaged);
        write(shop.store(), "again", &[("a", &noise(1, LEN))]);
        shop.check_whole("stored again");
        shop.store().gc(&gc_options(), &Silent).unwrap();
        let packs = shop.fixture.names("packs/");
        assert_eq!(
            shop.fixture.names("parity/"),
            packs.iter().map(|pack| parity_of(pack)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn damaged_and_missing_parity_is_found_and_made_anew() {
    for shop in Shop::each(5) {
        let whole = shop.objects();
        let parity = parity_of(&shop.pack());
        for (what, damage) in [("flip", 0), ("cut", 1), ("empty", 2), ("gone", 3)] {
            match damage {
                3 => shop.fixture.storage.delete(&parity).unwrap(),
                _ => shop.fixture.tamper(&parity, |bytes| match damage {
                    0 => bytes[3000] ^= 1,
                    1 => bytes.truncate(3000),
                    _ => bytes.clear(),
                }),
            }
            let report = shop.verify();
            assert_eq!(report.findings.len(), 1, "{what}");
            let finding = &report.findings[0];
            assert_eq!((finding.kind, &finding.object), (FindingKind::Parity, &parity), "{what}");
            assert!(finding.snapshots.is_empty() && !finding.healable, "{what}");
            let done = shop.repair();
            assert_eq!((done.parity_made, done.healed, done.set_aside.len()), (1, 0, 0), "{what}");
            assert!(shop.objects() == whole, "{what}");
            shop.check_whole(what);
        }
        // A collection makes what is missing, too.
        shop.fixture.storage.delete(&parity).unwrap();
        shop.store().gc(&gc_options(), &Silent).unwrap();
        assert!(shop.objects() == whole);
    }
}

#[test]
fn a_pack_and_its_parity_are_healed_together() {
    for shop in Shop::each(20) {
        let whole = shop.objects();
        let pack = shop.pack();
        shop.fixture.tamper(&pack, |bytes| bytes[500] ^= 1);
        shop.fixture.tamper(&parity_of(&pack), |bytes| bytes[..4000].fill(0));
        assert_eq!(shop.repair().healed, 1);
        assert!(shop.objects() == whole);
        shop.check_whole("both");
    }
}

#[test]
fn what_a_disk_still_gives_back_of_a_pack_is_enough() {
    for crypto in BOTH {
        let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
        let storage = Arc::clone(&faulty) as Arc<dyn Storage>;
        let fixture = Fixture::new(storage, &InitOptions { parity: 5, ..options(crypto) });
        let id = write(&fixture.store, "shop", &[("a", &noise(1, LEN))]).id;
        let packs = fixture.names("packs/").len() as u64;
        // No pack can be read whole, as where a sector is bad; the rest of it can.
        let (calls, kind) = (Calls::Only(Call::Get), ErrorKind::Other);
        faulty.fail(Fault { calls, prefix: "packs/", after: 0, kind, for_good: true });
        let plan = fixture.store.plan_repair(1, &Silent).unwrap();
        assert!(
            plan.unread.len() as u64 == packs && plan.unread.iter().all(|pack| pack.healable),
            "{plan:?}"
        );
        let done = fixture.store.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
        assert_eq!((done.healed, done.set_aside.len()), (packs, 0));
        assert!(faulty.heal());
        let report = fixture.store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert!(read(&fixture.store, id).unwrap() == noise(1, LEN));
    }
}

#[test]
fn parity_of_a_wrong_pack_is_made_of_no_pack() {
    let shop = Shop::new(Crypto::Plain, false, 5);
    let pack = shop.pack();
    shop.fixture.storage.delete(&parity_of(&pack)).unwrap();
    shop.fixture.tamper(&pack, |bytes| bytes[500] ^= 1);
    shop.store().gc(&gc_options(), &Silent).unwrap();
    assert!(!shop.fixture.names("parity/").contains(&parity_of(&pack)));
}

#[test]
fn a_lost_pack_is_made_of_its_parity_alone_where_that_is_as_large() {
    for shop in Shop::each(100) {
        let whole = shop.objects();
        let pack = shop.pack();
        shop.fixture.storage.delete(&pack).unwrap();
        assert!(shop.verify().findings.iter().any(|finding| finding.healable));
        // A collection must not take its parity for an orphan.
        let _ = shop.store().gc(&gc_options(), &Silent);
        let done = shop.repair();
        assert_eq!((done.healed, done.broken.len()), (1, 0), "{done:?}");
        assert!(shop.objects() == whole);
        shop.check_whole("lost");
    }
}

#[test]
fn a_collection_leaves_no_parity_without_its_pack() {
    for shop in Shop::each(5) {
        let kept = write(shop.store(), "kept", &[("b", &noise(2, 100_000))]).id;
        let half = write(shop.store(), "half", &[("a", &noise(1, LEN / 2)), ("c", &noise(3, 50_000))]).id;
        shop.store().delete_snapshot(&find(shop.store(), shop.written.id)).unwrap();
        let orphan = format!("parity/ab/{}", "ab".repeat(32));
        shop.fixture.storage.put(&orphan, b"left by a crash", PutMode::CreateNew).unwrap();
        let before: u64 = shop.objects().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let report = shop.store().gc(&gc_options(), &Silent).unwrap();
        assert!(report.packs_deleted > 0);
        let packs = shop.fixture.names("packs/");
        assert_eq!(
            shop.fixture.names("parity/"),
            packs.iter().map(|pack| parity_of(pack)).collect::<Vec<_>>()
        );
        let after: u64 = shop.objects().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert_eq!(report.bytes_kept, after);
        assert_eq!(report.bytes_freed, before - after - b"left by a crash".len() as u64);
        assert!(read(shop.store(), kept).unwrap() == noise(2, 100_000));
        assert_eq!(read(shop.store(), half).unwrap().len(), LEN / 2 + 50_000);
        assert!(shop.verify().findings.is_empty());
    }
}
