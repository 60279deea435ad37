//! Valid values of every type, fixed ones and any.

use icecore_format::{
    Body, Catalog, Check, ChunkId, ChunkRef, ChunkSizes, Claim, Codec, Condemned, Config, CryptoSuite,
    DEPTH_MAX, Digest, Epoch, Evidence, EvidenceKind, Extent, FileAttributes, Label, Manifest, NodeRef,
    PackHeader, PackId, PackToc, Part, PartKind, Run, SecretBytes, Sketch, SnapshotId, SnapshotInfo, StoreId,
    StoreKey, TocChunk, Tree, TreeNode,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) const SALT: [u8; 32] = [9; 32];

pub(crate) fn secret() -> StoreKey {
    StoreKey::secret(SecretBytes([5; 32]))
}

pub(crate) fn keys() -> impl Strategy<Value = StoreKey> {
    prop_oneof![Just(StoreKey::Plain), any::<[u8; 32]>().prop_map(|root| StoreKey::secret(SecretBytes(root)))]
}

pub(crate) fn chunk_ids() -> impl Strategy<Value = ChunkId> {
    any::<[u8; 32]>().prop_map(ChunkId::from_bytes)
}

fn chunk_refs() -> impl Strategy<Value = ChunkRef> {
    (chunk_ids(), 1..=icecore_format::CHUNK_LEN_MAX).prop_map(|(id, len)| ChunkRef { id, len })
}

pub(crate) fn nodes() -> impl Strategy<Value = TreeNode> {
    let node = (chunk_refs(), 0..1u64 << 40, 0..1u64 << 40).prop_map(|(node, span, chunks)| NodeRef {
        node,
        span,
        chunks,
    });
    prop_oneof![
        vec(chunk_refs(), 0..200).prop_map(TreeNode::Leaf),
        (1..=8u8, vec(node, 0..200)).prop_map(|(depth, nodes)| TreeNode::Inner { depth, nodes }),
    ]
}

pub(crate) fn parts() -> impl Strategy<Value = Vec<Part>> {
    vec(part(), 0..20).prop_map(|mut parts| {
        let mut offset = 0;
        for part in &mut parts {
            part.offset = offset;
            offset += part.len;
        }
        parts
    })
}

pub(crate) const EMPTY_HASH: Digest = Digest([0xee; 32]);

fn part() -> impl Strategy<Value = Part> {
    let kinds = [
        PartKind::Data,
        PartKind::Schema,
        PartKind::Table,
        PartKind::Member,
        PartKind::File,
        PartKind::Directory,
        PartKind::Symlink,
        PartKind::Hardlink,
        PartKind::Fifo,
        PartKind::Socket,
        PartKind::CharDevice,
        PartKind::BlockDevice,
    ];
    let len = prop_oneof![Just(0u64), 1..1u64 << 50];
    let whole = (
        vec(any::<u8>(), 0..40),
        prop::sample::select(kinds.to_vec()),
        len,
        any::<[u8; 32]>(),
        any::<Option<u64>>(),
    );
    (whole, option::of(file()), vec((0..1000u64, 1..1000u64), 0..5)).prop_map(|(whole, mut file, runs)| {
        let (name, kind, mut len, hash, rows) = whole;
        if let Some(file) = &mut file
            && !runs.is_empty()
        {
            let mut end = 0;
            len = 0;
            for (gap, run) in runs {
                file.extents.push(Extent { offset: end + gap, len: run });
                end += gap + run;
                len += run;
            }
            file.size = end + 5;
        }
        let hash = if len == 0 { EMPTY_HASH } else { Digest(hash) };
        Part { name, kind, offset: 0, len, hash, rows, file: file.map(Box::new) }
    })
}

fn file() -> impl Strategy<Value = FileAttributes> {
    let time = || (any::<i64>(), 0..1_000_000_000u32);
    let bytes = || vec(any::<u8>(), 0..30);
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>());
    (numbers, time(), time(), bytes(), vec((bytes(), bytes()), 0..3)).prop_map(
        |(numbers, mtime, ctime, target, xattrs)| {
            let (mode, uid, gid, inode, size, device) = numbers;
            FileAttributes {
                mode,
                uid,
                gid,
                mtime,
                ctime,
                inode,
                size,
                target,
                device,
                xattrs,
                extents: Vec::new(),
            }
        },
    )
}

pub(crate) fn headers() -> impl Strategy<Value = PackHeader> {
    (any::<[u8; 32]>(), 0..1u64 << 62).prop_map(|(salt, first_body)| PackHeader::new(false, salt, first_body))
}

pub(crate) fn tables() -> impl Strategy<Value = PackToc> {
    let chunk = || (chunk_ids(), 1..100_000u32).prop_map(|(id, len)| TocChunk { id, len });
    let plain_run = (vec(chunk(), 1..20), any::<bool>()).prop_map(|(chunks, is_sketched)| Run {
        sketches: if is_sketched { chunks.iter().map(|chunk| sketch(chunk.len)).collect() } else { vec![] },
        chunks,
        ..Run::default()
    });
    let plain = (1..1u32 << 20, any::<bool>(), plain_run).prop_map(|(stored_len, raw, run)| Body {
        stored_len,
        plain_len: run.plain_len(),
        codec: if raw { Codec::Raw } else { Codec::Zstd },
        runs: vec![run],
    });
    let delta_run = (1..=DEPTH_MAX, vec(chunk(), 0..9), any::<bool>(), vec(chunk(), 1..20)).prop_map(
        |(depth, bases, is_listed, chunks)| {
            let bases: Vec<_> = bases.iter().map(TocChunk::base).collect();
            let is_listed = is_listed || bases.is_empty();
            Run { depth, bases, is_listed, chunks, sketches: vec![] }
        },
    );
    let delta = (1..1u32 << 20, 1..1u32 << 20, vec(delta_run, 1..5))
        .prop_map(|(stored_len, plain_len, runs)| Body { stored_len, plain_len, codec: Codec::Delta, runs });
    vec(prop_oneof![plain, delta], 0..10).prop_map(|bodies| PackToc { bodies })
}

pub(crate) fn table_end(toc: &PackToc) -> u64 {
    64 + toc.bodies.iter().map(|body| u64::from(body.stored_len)).sum::<u64>()
}

pub(crate) fn manifests() -> impl Strategy<Value = Manifest> {
    let catalog = prop_oneof![
        vec(any::<u8>(), 0..100).prop_map(Catalog::Inline),
        nodes().prop_map(|root| Catalog::Stored(Tree { root })),
    ];
    (
        any::<[String; 5]>(),
        any::<[Option<String>; 4]>(),
        any::<[u32; 8]>(),
        any::<Option<[u8; 32]>>(),
        vec(any::<String>(), 0..3),
        nodes(),
        catalog,
    )
        .prop_map(|(texts, options, numbers, parent, findings, root, catalog)| {
            let [source, engine, form, created_at, host] = texts;
            let [engine_version, origin, unpacked, fingerprint] = options;
            let numbers = numbers.map(u64::from);
            Manifest {
                info: SnapshotInfo {
                    source,
                    engine,
                    engine_version,
                    form,
                    origin,
                    unpacked,
                    fingerprint,
                    created_at,
                    host,
                    tool_version: "0.1.0".into(),
                    parent: parent.map(SnapshotId::from_bytes),
                    parts: numbers[0],
                    logical_bytes: numbers[1],
                    changed_bytes: numbers[2],
                    stored_bytes: numbers[3],
                    chunks: numbers[4],
                    new_chunks: numbers[5],
                    delta_chunks: numbers[6],
                    duration_ms: numbers[7],
                    findings,
                },
                content: Tree { root },
                catalog,
            }
        })
}

pub(crate) fn config() -> Config {
    Config {
        store_id: StoreId::from_bytes([1; 32]),
        created_at: "2026-11-20T10:00:00Z".into(),
        chunk_sizes: ChunkSizes { min: 8 << 10, avg: 32 << 10, max: 128 << 10 },
        pack_len: 32 << 20,
        body_len: 512 << 10,
        zstd_level: 3,
        crypto: Some(CryptoSuite::Aes256Gcm),
        parity: 0,
        deltas: true,
    }
}

pub(crate) fn manifest() -> Manifest {
    let chunk = |n: u8| ChunkRef { id: ChunkId::from_bytes([n; 32]), len: 1000 + u32::from(n) };
    let node = NodeRef { node: chunk(3), span: 70_000, chunks: 70 };
    Manifest {
        info: SnapshotInfo {
            source: "shop".into(),
            engine: "mariadb".into(),
            engine_version: Some("10.11.6".into()),
            form: "mysqldump".into(),
            origin: Some("/srv/shop.sql".into()),
            unpacked: Some("gzip".into()),
            fingerprint: None,
            created_at: "2026-11-20T10:00:00Z".into(),
            host: "db3".into(),
            tool_version: "0.1.0".into(),
            parent: Some(SnapshotId::from_bytes([2; 32])),
            parts: 2,
            logical_bytes: 70_000,
            changed_bytes: 5,
            stored_bytes: 6,
            chunks: 70,
            new_chunks: 7,
            delta_chunks: 0,
            duration_ms: 8,
            findings: vec!["a table was skipped".into()],
        },
        content: Tree { root: TreeNode::Inner { depth: 1, nodes: vec![node, node] } },
        catalog: Catalog::Stored(Tree { root: TreeNode::Leaf(vec![chunk(1), chunk(2)]) }),
    }
}

pub(crate) fn table() -> PackToc {
    let chunk = |n: u8| TocChunk { id: ChunkId::from_bytes([n; 32]), len: u32::from(n) };
    PackToc {
        bodies: vec![
            Body {
                stored_len: 2,
                plain_len: 3,
                codec: Codec::Zstd,
                runs: vec![Run {
                    chunks: vec![chunk(1), chunk(2)],
                    sketches: vec![sketch(3), Sketch::default()],
                    ..Run::default()
                }],
            },
            Body {
                stored_len: 9,
                plain_len: 3,
                codec: Codec::Raw,
                runs: vec![Run { chunks: vec![chunk(3)], ..Run::default() }],
            },
            Body {
                stored_len: 5,
                plain_len: 7,
                codec: Codec::Delta,
                runs: vec![on(1, &[1, 2], chunk(4)), on(2, &[4], chunk(5))],
            },
        ],
    }
}

fn on(depth: u8, bases: &[u8], chunk: TocChunk) -> Run {
    let base = |n: &u8| TocChunk { id: ChunkId::from_bytes([*n; 32]), len: u32::from(*n) }.base();
    let bases = bases.iter().map(base).collect();
    Run { depth, bases, is_listed: depth == 2, chunks: vec![chunk], sketches: vec![] }
}

/// Up to four numbers.
fn sketch(seed: u32) -> Sketch {
    let mut sketch = Sketch::default();
    (0..u64::from(seed % 6))
        .for_each(|n| sketch.insert((u64::from(seed) + n).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    sketch
}

pub(crate) fn some_parts() -> Vec<Part> {
    let file = FileAttributes {
        mode: 0o644,
        uid: 1000,
        gid: 100,
        mtime: (-1, 999_999_999),
        ctime: (1_700_000_000, 5),
        inode: 77,
        size: 300,
        target: b"elsewhere".to_vec(),
        device: 2049,
        xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())],
        extents: vec![Extent { offset: 10, len: 150 }],
    };
    let hash = Digest([4; 32]);
    vec![
        Part {
            name: b"public.t".to_vec(),
            kind: PartKind::Table,
            offset: 0,
            len: 500,
            hash,
            rows: Some(300),
            file: None,
        },
        Part {
            name: vec![],
            kind: PartKind::Directory,
            offset: 500,
            len: 0,
            hash: EMPTY_HASH,
            rows: None,
            file: None,
        },
        Part {
            name: b"f".to_vec(),
            kind: PartKind::File,
            offset: 500,
            len: 150,
            hash,
            rows: None,
            file: Some(Box::new(file)),
        },
    ]
}

pub(crate) fn claim() -> Claim {
    Claim { epoch: Epoch(7), heartbeat: 3, holder: "create shop on db3".into() }
}

pub(crate) fn condemned() -> Condemned {
    Condemned { packs: vec![PackId::from_bytes([1; 32]), PackId::from_bytes([2; 32])] }
}

pub(crate) fn labels() -> impl Strategy<Value = Label> {
    prop_oneof![
        any::<String>().prop_map(Label::Tag),
        any::<String>().prop_map(Label::Note),
        evidence().prop_map(Label::Evidence)
    ]
}

pub(crate) fn evidence() -> impl Strategy<Value = Evidence> {
    let kinds = [EvidenceKind::Verified, EvidenceKind::Restored];
    let texts = (any::<String>(), any::<String>(), any::<Option<String>>(), any::<Option<String>>());
    let check = (any::<String>(), any::<u64>()).prop_map(|(name, count)| Check { name, count });
    let lists = (vec(check, 0..5), vec(any::<String>(), 0..5));
    let numbers = (any::<u64>(), any::<u64>(), any::<Option<u64>>(), any::<Option<u64>>());
    (prop::sample::select(kinds.to_vec()), texts, lists, numbers).prop_map(|(kind, texts, lists, numbers)| {
        let (at, host, engine, fault) = texts;
        let (checks, unproved) = lists;
        let (chunks, bytes, tables, rows) = numbers;
        let tool_version = "0.1.0".to_owned();
        let evidence = Evidence {
            kind,
            at,
            host,
            tool_version,
            engine,
            chunks,
            bytes,
            tables,
            rows,
            checks,
            unproved,
            fault,
        };
        evidence.clipped()
    })
}
