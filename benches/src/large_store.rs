//! What a store with many chunks costs: builds one, then measures opening, listing, looking up, planning a collection, and collecting.
//!
//! Chunks are made as small as the format allows, so that ten million of them fit on a disk; what is measured depends on their
//! number, not on their length.

#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser as _;
use icecore_format::{ChunkSizes, PartKind};
use icecore_storage::LocalStorage;
use icecore_store::{
    GcOptions, Grain, InitOptions, Silent, SnapshotHead, SnapshotWriter, Store, StoreError, Unlock,
    VerifyExtent,
};

#[derive(Debug, clap::Parser)]
struct Args {
    /// Chunks to store
    #[arg(long, default_value_t = 10_000_000)]
    chunks: u64,
    /// Where; a temporary directory if it is missing
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> Result<(), StoreError> {
    let args = Args::parse();
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let dir = args.dir.unwrap_or_else(|| temporary.path().to_owned());
    let storage = Arc::new(LocalStorage::new(&dir));
    let index = dir.join("index.redb");
    let options = InitOptions {
        chunk_sizes: ChunkSizes { min: 64, avg: 256, max: 1024 },
        ..InitOptions::new("2026-11-21T00:00:00Z")
    };
    let store = Arc::new(Store::init(Arc::clone(&storage) as _, index.clone(), &options)?);
    println!("| what | time | memory so far |\n|---|---|---|");

    let seconds = Instant::now();
    let mut snapshots = 0;
    while store.stats()?.chunks < args.chunks {
        snapshots += 1;
        write(&store, snapshots, args.chunks / 4 * 300)?;
    }
    let chunks = store.stats()?.chunks;
    row(&format!("store {chunks} chunks in {snapshots} snapshots"), seconds);
    drop(store);

    let started = Instant::now();
    let store = Arc::new(Store::open(storage, "bench", index.clone(), Unlock::Ask(&mut || None))?);
    row("open the store", started);
    let started = Instant::now();
    let (listed, _) = store.snapshots()?;
    row(&format!("list {} snapshots", listed.len()), started);
    let started = Instant::now();
    write(&store, snapshots + 1, 1 << 20)?;
    row("create 1 MiB of new data (about 3,500 chunks)", started);
    let started = Instant::now();
    let same = write(&store, snapshots + 1, 1 << 20)?;
    row(&format!("create the same again ({same} new chunks)"), started);
    let started = Instant::now();
    let plan = store.plan_gc(&GcOptions::default(), &Silent)?;
    row(&format!("plan a collection ({} packs stay)", plan.keep.len()), started);
    let started = Instant::now();
    let report = store.verify(None, VerifyExtent::Structure, 0, &Silent)?;
    row(&format!("verify the structure ({} findings)", report.findings.len()), started);
    let started = Instant::now();
    let newest = store.snapshots()?.0.into_iter().nth(2).expect("there are more");
    store.delete_snapshot(&newest)?;
    let report = store.gc(&GcOptions::default(), &Silent)?;
    let freed = report.bytes_freed / 1_000_000;
    row(
        &format!("delete a snapshot of many and collect ({} packs, {freed} MB)", report.packs_deleted),
        started,
    );
    let index_len = std::fs::metadata(&index).map_or(0, |meta| meta.len());
    println!("| index.redb | {} bytes a chunk | |", index_len / chunks.max(1));
    Ok(())
}

/// Stores `len` bytes of noise, which depend on `seed` only. Returns how many chunks were new.
fn write(store: &Arc<Store>, seed: u64, len: u64) -> Result<u64, StoreError> {
    let head = SnapshotHead {
        source: format!("source-{seed}"),
        created_at: format!("2026-11-21T00:00:{:02}Z", seed % 60),
        host: "bench".to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        parent: None,
        deltas: true,
    };
    let mut writer = SnapshotWriter::begin(Arc::clone(store), head, Arc::new(Silent))?;
    writer.begin_part(b"noise", PartKind::Data, Grain::Byte, false)?;
    let noise = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let copied = writer.copy(&mut noise.take(len), u64::MAX)?;
    copied.expect("noise never ends early");
    writer.end_part(None, None)?;
    Ok(writer.commit(|_| ())?.info.new_chunks)
}

fn row(what: &str, since: Instant) {
    let elapsed = since.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!("| {what} | {:.3} s | {peak} |", elapsed.as_secs_f64());
}
