//! Conditional puts whose answers are lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use icecore_storage::{ErrorKind, PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, noise};

/// Troubles after which the put has taken effect, and its maker does not know.
const LOST: [Trouble; 2] = [Trouble::DropAnswer, Trouble::AnswerAfter(503, "SlowDown")];

#[test]
fn who_won_and_did_not_hear_of_it_has_won() {
    let place = Place::new();
    let storage = place.storage();
    for (at, trouble) in LOST.into_iter().enumerate() {
        let name = format!("snapshots/{at}");
        place.server.inject(S3Fault::new(S3Call::Put, trouble));
        storage.put(&name, b"mine", PutMode::CreateNew).unwrap();
        assert_eq!(place.server.heal(), 0);
        // Also where more bytes are sent than fit into the connection.
        place.server.inject(S3Fault::new(S3Call::Put, trouble));
        storage.put(&format!("packs/{at}"), &noise(5_000_000), PutMode::CreateNew).unwrap();
        assert_eq!(place.server.heal(), 0);
    }
}

#[test]
fn who_lost_and_did_not_hear_of_it_has_lost() {
    let place = Place::new();
    let storage = place.storage();
    for (at, trouble) in LOST.into_iter().enumerate() {
        let name = format!("snapshots/{at}");
        storage.put(&name, b"theirs", PutMode::CreateNew).unwrap();
        place.server.inject(S3Fault::new(S3Call::Put, trouble));
        let error = storage.put(&name, b"mine", PutMode::CreateNew).unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists, "{trouble:?}");
        assert_eq!(storage.get(&name).unwrap(), &b"theirs"[..]);
    }
}

#[test]
fn equal_bytes_of_somebody_else_are_not_taken_for_ours() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("snapshots/1", b"the fence", PutMode::CreateNew).unwrap();
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::DropAnswer));
    let error = storage.put("snapshots/1", b"the fence", PutMode::CreateNew).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
}

#[test]
fn a_replacement_whose_answer_is_lost_has_happened_once() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("epoch", b"1", PutMode::CreateNew).unwrap();
    for (at, trouble) in LOST.into_iter().enumerate() {
        let (_, version) = storage.get_versioned("epoch").unwrap();
        place.server.inject(S3Fault::new(S3Call::Put, trouble));
        storage.put("epoch", &[b'a', u8::try_from(at).unwrap()], PutMode::Replace(&version)).unwrap();
        let stale = storage.put("epoch", b"z", PutMode::Replace(&version)).unwrap_err();
        assert_eq!(stale.kind, ErrorKind::AlreadyExists);
    }
    assert_eq!(place.server.heal(), 0);
}

#[test]
fn a_conflict_is_no_answer_yet() {
    let place = Place::new();
    let storage = place.storage();
    let conflict = Trouble::Answer(409, "ConditionalRequestConflict");
    place.server.inject(S3Fault::new(S3Call::Put, conflict).times(2));
    storage.put("snapshots/1", b"mine", PutMode::CreateNew).unwrap();
    place.server.inject(S3Fault::new(S3Call::Put, conflict).times(2));
    let error = storage.put("snapshots/1", b"mine", PutMode::CreateNew).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
}

#[test]
fn nobody_looks_who_won_when_the_answer_came() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("snapshots/1", b"1", PutMode::CreateNew).unwrap();
    storage.put("snapshots/1", b"1", PutMode::CreateNew).unwrap_err();
    let calls: Vec<_> = place.server.take_requests().into_iter().map(|request| request.call).collect();
    assert_eq!(calls, [S3Call::Put, S3Call::Put]);
}

#[test]
fn a_version_that_is_gone_cannot_be_replaced() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("epoch", b"1", PutMode::CreateNew).unwrap();
    let (_, version) = storage.get_versioned("epoch").unwrap();
    storage.delete("epoch").unwrap();
    let error = storage.put("epoch", b"2", PutMode::Replace(&version)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
}

#[test]
fn of_two_machines_one_wins_whatever_answers_are_lost() {
    let place = Place::new();
    let (one, other) = (place.storage(), place.storage());
    for round in 0..30 {
        let name = format!("snapshots/{round}");
        for after in [0, 1] {
            let trouble =
                [Trouble::DropAnswer, Trouble::CutBefore, Trouble::Answer(500, "InternalError")][round % 3];
            place.server.inject(S3Fault::new(S3Call::Put, trouble).after(after));
        }
        let wins = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (storage, bytes) in [(&one, b"one"), (&other, b"two")] {
                let (name, wins) = (&name, &wins);
                scope.spawn(move || match storage.put(name, bytes, PutMode::CreateNew) {
                    Ok(()) => {
                        wins.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(storage.get(name).unwrap(), &bytes[..], "who won finds his own");
                    }
                    Err(error) => assert_eq!(error.kind, ErrorKind::AlreadyExists, "{error:?}"),
                });
            }
        });
        assert_eq!(wins.into_inner(), 1, "round {round}");
        place.server.heal();
    }
}

#[test]
fn a_held_object_that_was_removed_is_not_brought_back() {
    let place = Place::new();
    let storage = place.storage();
    let mut hold = storage.hold("claims/1", b"0").unwrap();
    for beat in [b"1", b"2"] {
        place.server.inject(S3Fault::new(S3Call::Put, Trouble::DropAnswer));
        hold.update(beat).unwrap();
    }
    storage.delete("claims/1").unwrap();
    hold.update(b"3").unwrap_err();
    assert_eq!(storage.list("").unwrap(), []);
}

#[test]
fn a_held_object_whose_update_was_never_answered_can_still_be_updated() {
    let place = Place::new();
    let storage = place.storage();
    let mut hold = storage.hold("claims/1", b"0").unwrap();
    place.server.inject(S3Fault::new(S3Call::Any, Trouble::DropAnswer).for_good());
    hold.update(b"1").unwrap_err();
    place.server.heal();
    assert_eq!(storage.get("claims/1").unwrap(), &b"1"[..], "it took effect");
    hold.update(b"2").unwrap();
    assert_eq!(storage.get("claims/1").unwrap(), &b"2"[..]);
}

#[test]
fn a_held_object_that_was_replaced_in_doubt_is_left_to_who_has_replaced_it() {
    let place = Place::new();
    let storage = place.storage();
    let mut hold = storage.hold("claims/1", b"0").unwrap();
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::CutBefore).for_good());
    hold.update(b"1").unwrap_err();
    place.server.heal();
    storage.put("claims/1", b"x", PutMode::Overwrite).unwrap();
    hold.update(b"2").unwrap_err();
    assert_eq!(storage.get("claims/1").unwrap(), &b"x"[..]);
}
