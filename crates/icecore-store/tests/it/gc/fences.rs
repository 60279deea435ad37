//! Writers that are fenced, or dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use icecore_format::{Claim, Epoch, Manifest, names};
use icecore_storage::PutMode;
use icecore_store::{FencePolicy, GcOptions, Silent, StoreError};

use super::gc;
use crate::support::{BOTH, Crypto, Fixture, begin_with, check_all, in_time, noise, write};

#[test]
fn a_fenced_writer_is_told_and_can_run_again() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let content = noise(1, 3 << 20);
        let writer = begin_with(&fixture.store, "slow", &content);
        let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(2) };
        let options = GcOptions { fence, ..GcOptions::default() };
        fixture.another_process().gc(&options, &Silent).unwrap();
        assert!(matches!(writer.commit(|_| ()), Err(StoreError::Fenced)));
        // The marker has served.
        assert_eq!(fixture.names("snapshots/"), [""; 0]);
        check_all(&fixture.store, &BTreeMap::new());
        let written = write(&fixture.store, "slow", &[("a", &content)]);
        check_all(&fixture.store, &BTreeMap::from([(written.id, content)]));
        gc(&fixture.store);
        assert_eq!(fixture.names("claims/"), [""; 0]);
    }
}

#[test]
fn the_marker_of_a_fenced_writer_stays_while_it_may_publish_and_goes_when_it_is_dead() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(2) };
    let options = GcOptions { fence, ..GcOptions::default() };
    let writer = begin_with(&fixture.store, "slow", b"x");
    for _ in 0..2 {
        fixture.reopen().gc(&options, &Silent).unwrap();
        assert_eq!((fixture.names("claims/").len(), fixture.names("snapshots/").len()), (1, 1));
    }
    let [claim] = fixture.names("claims/").try_into().unwrap();
    let ([marker], bytes) =
        (fixture.names("snapshots/").try_into().unwrap(), fixture.storage.get(&claim).unwrap());
    let marker_bytes = fixture.storage.get(&marker).unwrap();
    drop(writer);
    assert_eq!((fixture.names("claims/").len(), fixture.names("snapshots/").len()), (0, 0));
    // As a killed process leaves them.
    fixture.storage.put(&claim, &bytes, PutMode::CreateNew).unwrap();
    fixture.storage.put(&marker, &marker_bytes, PutMode::CreateNew).unwrap();
    gc(&fixture.store);
    assert_eq!((fixture.names("claims/").len(), fixture.names("snapshots/").len()), (0, 0));
}

/// A writer that ends just before it is fenced takes its claim with it, and finds no marker yet.
#[test]
fn a_marker_whose_writer_is_gone_is_removed() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let name = names::snapshot("01hzzzzzzzzzzzzzzzzzzzzzzz");
    let marker = Manifest::encode_fence(&name, fixture.store.key(), &[7; 32]);
    fixture.storage.put(&name, &marker, PutMode::CreateNew).unwrap();
    gc(&fixture.store);
    assert_eq!(fixture.names("snapshots/"), [""; 0]);
}

#[test]
fn the_claim_of_a_dead_writer_is_cleared() {
    for fixture in [Fixture::memory(Crypto::Plain), Fixture::local(Crypto::Plain)] {
        let name = names::claim("01hzzzzzzzzzzzzzzzzzzzzzzz");
        let claim = Claim { epoch: Epoch(0), heartbeat: 0, holder: "create shop on db3".into() };
        // Put, not held: as a killed process leaves it.
        fixture.storage.put(&name, &claim.encode(&name), PutMode::CreateNew).unwrap();
        let garbage = names::claim("01hzzzzzzzzzzzzzzzzzzzzzz0");
        fixture.storage.put(&garbage, b"torn", PutMode::CreateNew).unwrap();
        let store = Arc::clone(&fixture.store);
        in_time(move || gc(&store));
        assert_eq!(fixture.names("claims/"), [""; 0]);
    }
}
