//! In which order things become durable, and what a crash in between leaves.

use std::fs;
use std::sync::Arc;

use icecore_format::{Claim, Epoch, PartKind};
use icecore_storage::{ErrorKind, MemoryStorage, PutMode, Storage};
use icecore_store::{Grain, IndexReader};
use icecore_testkit::{Calls, Fault, FaultyStorage, RecordingStorage};

use crate::support::{BOTH, Crypto, Fixture, begin, noise, options, read, try_write, write};

#[test]
fn the_manifest_is_put_after_every_pack() {
    let recording = Arc::new(RecordingStorage::new(MemoryStorage::new()));
    let fixture = Fixture::new(Arc::clone(&recording) as Arc<dyn Storage>, &options(Crypto::Plain));
    recording.take_changes();
    write(&fixture.store, "shop", &[("a", &noise(1, 400_000))]);
    let changes = recording.take_changes();
    let kinds: Vec<&str> = changes.iter().map(|change| change.split('/').next().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"hold claims"));
    assert_eq!(kinds.last(), Some(&"put snapshots"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "put packs").count(), kinds.len() - 2);
    assert!(kinds.len() > 5);
}

#[test]
fn the_index_never_knows_a_pack_that_is_not_stored() {
    for after in 1..8 {
        let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
        let fixture = Fixture::new(Arc::clone(&faulty) as Arc<dyn Storage>, &options(Crypto::Plain));
        faulty.fail(Fault {
            calls: Calls::Change,
            prefix: "",
            after,
            kind: ErrorKind::Other,
            for_good: true,
        });
        let written = try_write(&fixture.store, "shop", &[("a", &noise(1, 400_000))]);
        assert_eq!(written.is_err(), faulty.heal());
        let known = fixture.store.index().read(IndexReader::packs).unwrap();
        for (_, pack) in known {
            assert!(fixture.storage.len(&icecore_format::names::pack(&pack.id)).is_ok());
        }
    }
}

#[test]
fn a_writer_that_is_dropped_publishes_nothing_and_its_packs_are_reused() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let content = noise(1, 4 << 20);
        let mut writer = begin(&fixture.store, "shop").unwrap();
        writer.begin_part(b"a", PartKind::File, Grain::Byte, true).unwrap();
        writer.write(&content).unwrap();
        assert_eq!(fixture.names("claims/").len(), 1);
        drop(writer);
        assert_eq!(fixture.names("claims/"), [""; 0]);
        assert_eq!(fixture.names("snapshots/"), [""; 0]);
        let left = fixture.stored_bytes();
        assert!(left > 2 << 20);
        // Even by a process that has never heard of them.
        fs::remove_file(fixture.index_path()).unwrap();
        let written = write(&fixture.another_process(), "shop", &[("a", &content)]);
        assert!(written.info.changed_bytes < 2 << 20, "{:?}", written.info);
        assert!(written.info.stored_bytes < 2 << 20);
        assert!(read(&fixture.store, written.id).unwrap() == content);
    }
}

#[test]
fn the_claim_is_there_while_a_writer_runs_and_gone_after() {
    let fixture = Fixture::local(Crypto::Plain);
    let writer = begin(&fixture.store, "shop").unwrap();
    let [name] = fixture.names("claims/").try_into().unwrap();
    let bytes = fixture.storage.get(&name).unwrap();
    let claim = Claim::decode(&name, &bytes).unwrap();
    assert_eq!(claim.holder, "create shop on db3");
    let written = writer.commit(|_| ()).unwrap();
    assert_eq!(fixture.names("claims/"), [""; 0]);
    assert_eq!(fixture.names("snapshots/"), [name.replace("claims", "snapshots")]);
    assert_eq!(read(&fixture.store, written.id).unwrap(), b"");
}

#[test]
fn a_claim_is_made_anew_if_the_epoch_was_raised_before_it_was_there() {
    let memory = MemoryStorage::new();
    let (collector, once) = (memory.clone(), std::sync::Once::new());
    // A collection that starts just when the writer has read the epoch: it does not see the claim, which is not there yet.
    let recording = RecordingStorage::watched(memory, move |recorded| {
        if recorded.to_string() == "get epoch" {
            once.call_once(|| {
                collector.put("epoch", &Epoch(1).encode("epoch"), PutMode::Overwrite).unwrap();
            });
        }
    });
    let fixture = Fixture::new(Arc::new(recording), &options(Crypto::Plain));
    let _writer = begin(&fixture.store, "shop").unwrap();
    let [name] = fixture.names("claims/").try_into().unwrap();
    let claim = Claim::decode(&name, &fixture.storage.get(&name).unwrap()).unwrap();
    assert_eq!(claim.epoch, Epoch(1));
}
