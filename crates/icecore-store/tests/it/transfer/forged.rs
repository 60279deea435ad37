//! Packs that are as their names say, and are not what their tables say.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::{
    Body, Codec, Config, Digest, PACK_HEADER_LEN, PACK_TRAILER_LEN, PackHeader, PackId, PackToc, PackTrailer,
    Run, StoreKey, TocChunk, names,
};
use icecore_storage::{PutMode, Storage};
use icecore_store::StoreError;

use super::{Pair, check_sound, ids, pull, push, transfer_options};
use crate::support::{Crypto, noise, write};

/// The only pack that is in `storage` and not below these names.
fn only_pack(storage: &dyn Storage, but: &[String]) -> String {
    let names = storage.list("packs/").unwrap().into_iter().map(|object| object.name);
    let names: Vec<String> = names.filter(|name| !but.contains(name)).collect();
    assert_eq!(names.len(), 1);
    names.into_iter().next().unwrap()
}

/// What a pack of a plain store holds before its table, and its table.
fn taken_apart(pack: &[u8]) -> (PackHeader, Vec<u8>, PackToc) {
    let (rest, trailer) = pack.split_at(pack.len() - PACK_TRAILER_LEN);
    let header = PackHeader::decode(&pack[..PACK_HEADER_LEN]).unwrap();
    let trailer = PackTrailer::decode(trailer, pack.len() as u64).unwrap();
    let (bodies, table) = rest.split_at(usize::try_from(trailer.toc_offset).unwrap());
    let toc = PackToc::decode(&header, &trailer, table.to_vec(), &StoreKey::Plain).unwrap();
    (header, bodies.to_vec(), toc)
}

/// Puts a pack in another one's place, under the name that is its own.
fn replace(
    storage: &dyn Storage,
    name: &str,
    (header, mut pack, toc): (PackHeader, Vec<u8>, PackToc),
) -> String {
    pack.extend_from_slice(&toc.encode(&header, pack.len() as u64, &StoreKey::Plain));
    storage.delete(name).unwrap();
    let forged = names::pack(&PackId(Digest::of(&pack)));
    storage.put(&forged, &pack, PutMode::CreateNew).unwrap();
    forged
}

/// Two machines' snapshots: the one here, and one that only the remote has, with the name of its pack.
fn pair_of_two() -> (Pair, BTreeMap<icecore_format::SnapshotId, Vec<u8>>, String) {
    let pair = Pair::new(Crypto::Plain);
    let here = write(&pair.local.store, "here", &[("a", &noise(1, 60_000))]).id;
    push(&pair.local.store, &pair.remote, &[here]).unwrap();
    let known = pair.names("packs/");
    write(&pair.elsewhere("other"), "there", &[("b", &noise(2, 60_000))]);
    let theirs = only_pack(&*pair.remote_storage, &known);
    (pair, BTreeMap::from([(here, noise(1, 60_000))]), theirs)
}

/// A chunk that lies in such a pack would have been looked for there from then on: a snapshot that was whole could not be read any more, and what came later
/// counted as stored that was nowhere.
#[test]
fn a_pack_that_claims_a_chunk_which_is_known_takes_nothing_from_what_is_here() {
    let (pair, mut expected, theirs) = pair_of_two();
    let ours = pair.local.storage.get(&only_pack(&*pair.local.storage, &[])).unwrap();
    let victim = taken_apart(&ours).2.chunks().next().unwrap().id;
    let (header, mut bodies, mut toc) = taken_apart(&pair.remote_storage.get(&theirs).unwrap());
    bodies.extend_from_slice(b"not what it should be");
    toc.bodies.push(Body {
        stored_len: 21,
        plain_len: 21,
        codec: Codec::Raw,
        runs: vec![Run { chunks: vec![TocChunk { id: victim, len: 21 }], ..Run::default() }],
    });
    let forged = replace(&*pair.remote_storage, &theirs, (header, bodies, toc));

    let remote = pair.elsewhere("fresh");
    let wanted: Vec<_> = ids(&remote).into_iter().filter(|id| !expected.contains_key(id)).collect();
    let sent = pull(&pair.local.store, &remote, &wanted).unwrap();
    // What is right of it was copied.
    assert_eq!((sent.published.as_slice(), sent.failed.len()), (wanted.as_slice(), 0), "{sent:?}");
    assert!(!pair.local.names("packs/").contains(&forged));
    expected.insert(wanted[0], noise(2, 60_000));
    check_sound(&pair.local.store, &expected);
    // What was stored still is: nothing is added for it.
    let again = write(&pair.local.store, "again", &[("a", &noise(1, 60_000))]);
    assert_eq!(again.info.changed_bytes, 0);
    expected.insert(again.id, noise(1, 60_000));
    check_sound(&pair.local.store, &expected);
}

#[test]
fn a_snapshot_that_needs_what_a_pack_only_claims_is_not_pulled() {
    let (pair, expected, theirs) = pair_of_two();
    let (header, bodies, mut toc) = taken_apart(&pair.remote_storage.get(&theirs).unwrap());
    let run = toc.bodies.iter_mut().flat_map(|body| &mut body.runs).find(|run| run.chunks.len() > 1).unwrap();
    let (one, other) = (run.chunks[0].id, run.chunks[1].id);
    (run.chunks[0].id, run.chunks[1].id) = (other, one);
    replace(&*pair.remote_storage, &theirs, (header, bodies, toc));

    let remote = pair.elsewhere("fresh");
    let sent = pull(&pair.local.store, &remote, &ids(&remote)).unwrap();
    assert_eq!((sent.published.len(), sent.failed.len()), (0, 1), "{sent:?}");
    assert!(matches!(sent.failed[0].error, StoreError::ChunkDamaged { .. }), "{sent:?}");
    check_sound(&pair.local.store, &expected);
}

/// A configuration has no secret checksum: who can write there can say that nothing is to be encrypted.
#[test]
fn a_remote_that_is_otherwise_encrypted_than_the_store_is_refused() {
    let pair = Pair::new(Crypto::Encrypted);
    let config = Config::decode(&pair.remote_storage.get(names::CONFIG).unwrap()).unwrap();
    let plain = Config { crypto: None, ..config }.encode();
    pair.remote_storage.put(names::CONFIG, &plain, PutMode::Overwrite).unwrap();
    let remote = pair.elsewhere("fresh");
    for way in [icecore_store::Transfer::push, icecore_store::Transfer::pull] {
        let error = way(Arc::clone(&pair.local.store), Arc::clone(&remote), transfer_options()).unwrap_err();
        assert!(matches!(error, StoreError::OtherwiseEncrypted { is_encrypted: true }), "{error:?}");
    }
}
