//! The store's main work on a generated dump, in one process: cutting, create, restore, verify, collection.
//!
//! Whole processes against other tools are compared by `compare.sh`.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use icecore_chunk::Cutter;
use icecore_format::{ChunkSizes, PartKind};
use icecore_storage::LocalStorage;
use icecore_store::{
    GcOptions, Grain, InitOptions, Silent, SnapshotHead, SnapshotReader, SnapshotWriter, Store, VerifyExtent,
};
use icecore_testkit::{Change, Dialect, DumpSpec, Night, write_dump};

const DUMP_LEN: u64 = 64 << 20;

fn main() {
    divan::main();
}

fn dump(nights: usize) -> Vec<u8> {
    let night = Night { changed: 0.01, how: Change::InPlace };
    let spec = DumpSpec { seed: 1, bytes: DUMP_LEN, dialect: Dialect::Postgres, nights: vec![night; nights] };
    let mut dump = Vec::new();
    write_dump(&spec, &mut dump).expect("writing to memory succeeds");
    dump
}

fn store() -> (tempfile::TempDir, Arc<Store>) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let options = InitOptions::new("2026-11-21T00:00:00Z");
    let storage = Arc::new(LocalStorage::new(dir.path()));
    let store = Store::init(storage, dir.path().join("index.redb"), &options).expect("a store can be made");
    (dir, Arc::new(store))
}

fn create(store: &Arc<Store>, source: &str, dump: &[u8]) {
    let head = SnapshotHead {
        source: source.to_owned(),
        created_at: "2026-11-21T00:00:00Z".to_owned(),
        host: "bench".to_owned(),
        tool_version: "0".to_owned(),
        parent: None,
        deltas: true,
    };
    let mut writer =
        SnapshotWriter::begin(Arc::clone(store), head, Arc::new(Silent)).expect("a writer can start");
    writer.begin_part(b"dump", PartKind::Data, Grain::Line, false).expect("a part can begin");
    writer.write(dump).expect("bytes can be written");
    writer.end_part(None, None).expect("a part can end");
    writer.commit(|_| ()).expect("a snapshot can be published");
}

#[divan::bench]
fn cut(bencher: Bencher<'_, '_>) {
    let dump = dump(0);
    let cutter = Cutter::new(ChunkSizes::default(), None);
    bencher.counter(BytesCount::of_slice(&dump)).bench(|| {
        let mut rest = dump.as_slice();
        let mut chunks = 0;
        while !rest.is_empty() {
            rest = &rest[cutter.cut(rest, Grain::Line)..];
            chunks += 1;
        }
        chunks
    });
}

#[divan::bench(sample_count = 10)]
fn create_first(bencher: Bencher<'_, '_>) {
    let dump = dump(0);
    bencher.counter(BytesCount::of_slice(&dump)).with_inputs(store).bench_values(|(dir, store)| {
        create(&store, "shop", &dump);
        (dir, store)
    });
}

#[divan::bench(sample_count = 10)]
fn create_unchanged(bencher: Bencher<'_, '_>) {
    let dump = dump(0);
    let (_dir, store) = store();
    create(&store, "shop", &dump);
    bencher.counter(BytesCount::of_slice(&dump)).bench(|| create(&store, "shop", &dump));
}

#[divan::bench(sample_count = 10)]
fn restore(bencher: Bencher<'_, '_>) {
    let dump = dump(0);
    let (_dir, store) = store();
    create(&store, "shop", &dump);
    let (snapshots, _) = store.snapshots().expect("snapshots can be listed");
    bencher.counter(BytesCount::of_slice(&dump)).bench(|| {
        let reader = SnapshotReader::new(Arc::clone(&store), snapshots[0].manifest.clone());
        reader.content().map(|chunk| chunk.expect("chunks can be read").1.len()).sum::<usize>()
    });
}

#[divan::bench(sample_count = 10)]
fn verify(bencher: Bencher<'_, '_>) {
    let dump = dump(0);
    let (_dir, store) = store();
    create(&store, "shop", &dump);
    bencher
        .counter(BytesCount::of_slice(&dump))
        .bench(|| store.verify(None, VerifyExtent::Everything, 0, &Silent).expect("a store can be verified"));
}

/// Two nights, the first of which was deleted.
#[divan::bench(sample_count = 5)]
fn collect(bencher: Bencher<'_, '_>) {
    let nights = [dump(0), dump(1)];
    let prepare = || {
        let (dir, store) = store();
        nights.iter().for_each(|night| create(&store, "shop", night));
        let (snapshots, _) = store.snapshots().expect("snapshots can be listed");
        store.delete_snapshot(&snapshots[1]).expect("a snapshot can be deleted");
        (dir, store)
    };
    bencher.with_inputs(prepare).bench_values(|(dir, store)| {
        let report = store.gc(&GcOptions::default(), &Silent).expect("a store can be collected");
        (dir, report)
    });
}
