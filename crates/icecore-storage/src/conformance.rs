//! What every storage must do, as a suite that any implementation can run on an empty instance of itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{ErrorKind, Holder, PutMode, Result, Storage};

/// Runs the whole suite.
///
/// # Panics
/// With a sentence, where the contract is broken.
pub fn run(storage: &dyn Storage) {
    an_object_comes_back_as_it_was_put(storage);
    what_is_not_there_is_not_found(storage);
    many_are_deleted_at_once(storage);
    creation_needs_absence(storage);
    replacement_needs_the_version_that_was_read(storage);
    of_many_creations_one_wins(storage);
    listings_are_sorted_and_recursive(storage);
    a_hold_is_alive_until_it_is_dropped(storage);
    what_is_set_aside_lies_under_its_new_name(storage);
    a_reserve_is_given_up_once(storage);
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

fn succeeds<T>(result: Result<T>, claim: &str) {
    if let Err(error) = result {
        panic!("storage contract broken: {claim}, but {error}: {}", error.source);
    }
}

fn check(holds: bool, claim: &str) {
    assert!(holds, "storage contract broken: {claim}");
}

fn an_object_comes_back_as_it_was_put(storage: &dyn Storage) {
    for len in [0usize, 1, 100_000] {
        let bytes = vec![7u8; len];
        let name = format!("contract/len-{len}");
        succeeds(storage.put(&name, &bytes, PutMode::CreateNew), "put succeeds");
        check(storage.get(&name).is_ok_and(|found| found == bytes), "get returns what was put");
        check(storage.len(&name).is_ok_and(|found| found == len as u64), "len is the length");
    }
    let range = storage.get_range("contract/len-100000", 10..20);
    check(range.is_ok_and(|bytes| bytes.len() == 10), "a range is exactly as long as asked for");
    let beyond = storage.get_range("contract/len-1", 0..2);
    check(kind(beyond) == Some(ErrorKind::OutOfRange), "a range behind the end is out of range");
}

fn what_is_not_there_is_not_found(storage: &dyn Storage) {
    let name = "contract/missing";
    check(kind(storage.get(name)) == Some(ErrorKind::NotFound), "get");
    check(kind(storage.get_versioned(name)) == Some(ErrorKind::NotFound), "get_versioned");
    check(kind(storage.get_range(name, 0..1)) == Some(ErrorKind::NotFound), "get_range");
    check(kind(storage.len(name)) == Some(ErrorKind::NotFound), "len");
    check(kind(storage.delete(name)) == Some(ErrorKind::NotFound), "delete");
    check(kind(storage.holder(name)) == Some(ErrorKind::NotFound), "holder");
    check(storage.list("contract-missing/").is_ok_and(|found| found.is_empty()), "list of nothing is empty");
}

fn many_are_deleted_at_once(storage: &dyn Storage) {
    let names = ["contract/many/1", "contract/many/2", "contract/many/missing"].map(str::to_owned);
    for name in &names[..2] {
        succeeds(storage.put(name, b"", PutMode::CreateNew), "put succeeds");
    }
    succeeds(storage.delete_all(&names), "what is not there does not keep others from being deleted");
    check(storage.list("contract/many/").is_ok_and(|found| found.is_empty()), "all are gone");
    succeeds(storage.delete_all(&[]), "nothing is soon deleted");
}

fn what_is_set_aside_lies_under_its_new_name(storage: &dyn Storage) {
    succeeds(storage.put("contract/bad", b"bad", PutMode::CreateNew), "put succeeds");
    succeeds(storage.set_aside("contract/bad", "aside/contract/bad"), "it is set aside");
    check(kind(storage.get("contract/bad")) == Some(ErrorKind::NotFound), "the old name is gone");
    check(storage.get("aside/contract/bad").is_ok_and(|found| found == b"bad"[..]), "the bytes are the same");
    let missing = storage.set_aside("contract/bad", "aside/contract/bad");
    check(kind(missing) == Some(ErrorKind::NotFound), "what is not there cannot be set aside");
}

fn a_reserve_is_given_up_once(storage: &dyn Storage) {
    let objects = storage.list("").map(|found| found.len());
    succeeds(storage.keep_reserve().and_then(|()| storage.keep_reserve()), "a reserve is kept");
    check(storage.list("").map(|found| found.len()).ok() == objects.ok(), "a reserve is no object");
    let first = storage.release_reserve();
    check(first.is_ok() && storage.release_reserve().is_ok_and(|released| !released), "it is given up once");
}

fn creation_needs_absence(storage: &dyn Storage) {
    let name = "contract/create";
    succeeds(storage.put(name, b"first", PutMode::CreateNew), "the first creation wins");
    check(
        kind(storage.put(name, b"second", PutMode::CreateNew)) == Some(ErrorKind::AlreadyExists),
        "the second loses",
    );
    check(storage.get(name).is_ok_and(|found| found == "first"), "the loser changes nothing");
    succeeds(storage.put(name, b"third", PutMode::Overwrite), "overwriting needs nothing");
    check(storage.get(name).is_ok_and(|found| found == "third"), "overwriting takes effect");
    succeeds(storage.delete(name), "delete succeeds");
    check(kind(storage.get(name)) == Some(ErrorKind::NotFound), "a deleted object is gone");
}

fn replacement_needs_the_version_that_was_read(storage: &dyn Storage) {
    let name = "contract/replace";
    succeeds(storage.put(name, b"1", PutMode::CreateNew), "put succeeds");
    let Ok((_, version)) = storage.get_versioned(name) else {
        panic!("storage contract broken: get_versioned")
    };
    succeeds(storage.put(name, b"2", PutMode::Replace(&version)), "the version that was read replaces");
    let stale = storage.put(name, b"3", PutMode::Replace(&version));
    check(kind(stale) == Some(ErrorKind::AlreadyExists), "a stale version does not");
    check(storage.get(name).is_ok_and(|found| found == "2"), "a refused replacement changes nothing");
}

fn of_many_creations_one_wins(storage: &dyn Storage) {
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..8u8 {
            let wins = &wins;
            scope.spawn(move || {
                if storage.put("contract/race", &[n], PutMode::CreateNew).is_ok() {
                    wins.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    check(wins.into_inner() == 1, "exactly one of eight creations wins");
}

fn listings_are_sorted_and_recursive(storage: &dyn Storage) {
    for name in ["listing/b/2", "listing/a/1", "listing/c"] {
        succeeds(storage.put(name, name.as_bytes(), PutMode::CreateNew), "put succeeds");
    }
    let Ok(found) = storage.list("listing/") else { panic!("storage contract broken: list") };
    let found: Vec<_> = found.into_iter().map(|object| (object.name, object.len)).collect();
    let expected = [("listing/a/1", 11), ("listing/b/2", 11), ("listing/c", 9)];
    check(found == expected.map(|(name, len)| (name.to_owned(), len)), "names in order, with lengths");
}

fn a_hold_is_alive_until_it_is_dropped(storage: &dyn Storage) {
    let name = "contract/hold";
    let Ok(mut hold) = storage.hold(name, b"one") else { panic!("storage contract broken: hold") };
    check(storage.holder(name).is_ok_and(|holder| holder != Holder::Dead), "a held object is not dead");
    succeeds(hold.update(b"two"), "update succeeds");
    check(storage.get(name).is_ok_and(|found| found == "two"), "update takes effect");
    check(
        kind(storage.hold(name, b"again").map(drop)) == Some(ErrorKind::AlreadyExists),
        "a hold is exclusive",
    );
    drop(hold);
    check(kind(storage.get(name)) == Some(ErrorKind::NotFound), "dropping a hold removes the object");
}
