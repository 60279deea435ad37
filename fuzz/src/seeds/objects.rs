//! Small objects: their payloads, and whole ones in their frames.

use icecore_format::{
    Catalog, ChunkId, ChunkRef, ChunkSizes, Claim, Condemned, Config, CryptoSuite, Epoch, KdfCost, KeyFile,
    Label, Manifest, NodeRef, PackId, SecretBytes, SnapshotId, StoreId, StoreKey, Tree, TreeNode, names,
};

use super::Seed;
use crate::envelope;
use crate::snapshots::info;

const SALT: [u8; 32] = [9; 32];
/// Bytes before and after the payload in a frame.
const BEFORE: usize = 16;
const AFTER: usize = 32;

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (target, name, object) in samples() {
        let payload = object.get(BEFORE..object.len() - AFTER).unwrap_or_default();
        seeds.push(Seed::new(target, name, payload));
        seeds.push(Seed::new("object", &format!("{target}-{name}"), object));
    }
    let secret = StoreKey::secret(SecretBytes([5; 32]));
    let sealed = manifest(leaf(3)).encode("snapshots/01h", &secret, &SALT).1;
    seeds.push(Seed::new("object", "manifest-sealed", sealed));
    seeds.push(Seed::new("object", "of-a-newer-version", b"ICECOREC\x02\0\0\0\0\0\0\0".as_slice()));
    seeds.push(Seed::new("object", "longer-than-memory", b"ICECOREC\x01\0\0\0\xff\xff\xff\xff{}".as_slice()));
    seeds.extend(hostile());
    seeds
}

fn samples() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let root = SecretBytes([5; 32]);
    let store = StoreId::from_bytes([1; 32]);
    let key =
        KeyFile::wrap(&root, store, b"password", "first", "2026-11-20T10:00:00Z", KdfCost::CHEAPEST, SALT);
    let snapshot = SnapshotId::from_bytes([1; 32]);
    let label = |label: Label| label.encode(&snapshot, &StoreKey::Plain, &SALT);
    let manifest = |root| manifest(root).encode("snapshots/01h", &StoreKey::Plain, &SALT).1;
    let condemned = Condemned { packs: vec![PackId::from_bytes([1; 32]), PackId::from_bytes([2; 32])] };
    let claim = Claim { epoch: Epoch(7), heartbeat: 3, holder: "create shop on db3".into() };
    vec![
        ("config", "encrypted", config(Some(CryptoSuite::Aes256Gcm)).encode()),
        ("config", "plain", config(None).encode()),
        ("key_file", "valid", key.encode()),
        ("manifest", "leaf", manifest(leaf(3))),
        ("manifest", "inner", manifest(inner(2, 2))),
        ("manifest", "fence", Manifest::encode_fence("snapshots/01h", &StoreKey::Plain, &SALT)),
        ("label", "note", label(Label::Note("before the move".into()))),
        ("label", "tag", label(Label::Tag("v1".into()))),
        ("claim", "valid", claim.encode("claims/01h")),
        ("epoch", "three", Epoch(3).encode(names::EPOCH)),
        ("epoch", "last", Epoch(u64::MAX).encode(names::EPOCH)),
        ("condemned", "two", condemned.encode(&names::condemned(1))),
        ("condemned", "none", Condemned::default().encode(&names::condemned(1))),
    ]
}

fn config(crypto: Option<CryptoSuite>) -> Config {
    Config {
        store_id: StoreId::from_bytes([1; 32]),
        created_at: "2026-11-20T10:00:00Z".into(),
        chunk_sizes: ChunkSizes::default(),
        pack_len: 32 << 20,
        body_len: 1 << 20,
        zstd_level: 3,
        crypto,
        parity: 0,
        deltas: true,
    }
}

fn chunk(number: u8) -> ChunkRef {
    ChunkRef { id: ChunkId::from_bytes([number; 32]), len: 1000 + u32::from(number) }
}

fn leaf(count: u8) -> TreeNode {
    TreeNode::Leaf((0..count).map(chunk).collect())
}

fn inner(depth: u8, count: u8) -> TreeNode {
    let node = |number| NodeRef { node: chunk(number), span: 70_000, chunks: 70 };
    TreeNode::Inner { depth, nodes: (0..count).map(node).collect() }
}

fn manifest(root: TreeNode) -> Manifest {
    Manifest {
        info: info("shop", "2026-11-20T10:00:00.000000Z".into()),
        content: Tree { root },
        catalog: Catalog::Stored(Tree { root: leaf(2) }),
    }
}

/// A node's bytes with a count and lengths that need not be true.
fn node(depth: u8, count: u32, entries: &[(u32, u64, u64)]) -> Vec<u8> {
    let mut out = vec![depth];
    out.extend_from_slice(&count.to_le_bytes());
    for (len, span, chunks) in entries {
        out.extend_from_slice(&[7; 32]);
        out.extend_from_slice(&len.to_le_bytes());
        if depth > 0 {
            out.extend_from_slice(&span.to_le_bytes());
            out.extend_from_slice(&chunks.to_le_bytes());
        }
    }
    out
}

fn hostile() -> Vec<Seed> {
    let depth = 3000;
    let nested = format!(r#"{{"tag":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let cost = |memory: u32, passes: u32, lanes: u32| {
        let cost = format!(r#"{{"memory_kib":{memory},"passes":{passes},"lanes":{lanes}}}"#);
        let salt = "0".repeat(64);
        format!(
            r#"{{"id":"7a861bad","label":"","created_at":"","cost":{cost},"salt":"{salt}","wrapped":"0"}}"#
        )
    };
    let head = |len: u32| [&[1], &len.to_le_bytes()[..], b"{}"].concat();
    let other_key = cost(16, 1, 1).replace("7a861bad", "00000000");
    let sizes = String::from_utf8_lossy(config(None).encode().get(BEFORE..).unwrap_or_default())
        .replace("8192", "64")
        .replace("32768", "256")
        .replace("131072", "1024");
    let sizes = sizes.rsplit_once('}').map_or(String::new(), |(front, _)| format!("{front}}}"));
    vec![
        Seed::new("config", "smallest-chunks", sizes),
        Seed::new("label", "nested-deeply", nested.clone()),
        Seed::new("claim", "nested-deeply", nested.clone()),
        Seed::new("condemned", "nested-deeply", nested.replace("tag", "packs")),
        Seed::new("condemned", "the-same-twice", format!(r#"{{"packs":["{0}","{0}"]}}"#, "AB".repeat(32))),
        Seed::new("epoch", "negative", "-1"),
        Seed::new("epoch", "too-large", "18446744073709551616"),
        Seed::new("epoch", "fraction", "1e3"),
        Seed::new("key_file", "memory-of-terabytes", cost(u32::MAX, 1, 1)),
        Seed::new("key_file", "passes-for-ever", cost(16, u32::MAX, 1)),
        Seed::new("key_file", "at-the-bounds", cost(1 << 20, 64, 64)),
        Seed::new("key_file", "all-zero", cost(0, 0, 0)),
        Seed::new("key_file", "under-the-id-of-another", other_key),
        Seed::new("manifest", "head-longer-than-all", head(u32::MAX)),
        Seed::new("manifest", "head-of-nothing", head(0)),
        Seed::new("manifest", "fence-with-more", [0, 0]),
        Seed::new("object", "empty", []),
        Seed::new("object", "wrong-kind", envelope::object(b'?', names::CONFIG, b"{}")),
        Seed::new("tree_node", "leaf", leaf(5).encode()),
        Seed::new("tree_node", "inner", inner(8, 3).encode()),
        Seed::new("tree_node", "empty", leaf(0).encode()),
        Seed::new("tree_node", "empty-inner", inner(1, 0).encode()),
        Seed::new("tree_node", "too-deep", node(9, 1, &[(1, 1, 1)])),
        Seed::new("tree_node", "count-overflows", node(0, u32::MAX, &[(1, 0, 0)])),
        Seed::new("tree_node", "chunk-of-nothing", node(0, 1, &[(0, 0, 0)])),
        Seed::new("tree_node", "chunk-too-long", node(0, 1, &[((16 << 20) + 1, 0, 0)])),
        Seed::new("tree_node", "spans-overflow", node(1, 2, &[(1, u64::MAX, 1), (1, u64::MAX, 1)])),
        Seed::new("tree_node", "spans-to-the-edge", node(1, 2, &[(1, i64::MAX as u64, 1), (1, 0, 1)])),
        Seed::new("tree_node", "counts-overflow", node(1, 2, &[(1, 1, u64::MAX), (1, 1, u64::MAX)])),
        Seed::new("tree_node", "the-same-node-twice", node(2, 2, &[(5, 5, 5), (5, 5, 5)])),
    ]
}
