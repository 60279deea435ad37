//! Packs, catalogs and records of the index.

use icecore_format::{
    Body, ChunkId, Codec, Copy, Difference, Digest, Extent, FileAttributes, PACK_TRAILER_LEN, PackHeader,
    PackId, PackToc, Parity, Part, PartKind, Residue, Run, StoreKey, TocChunk, encode_part,
};
use icecore_store::PackRecord;

use super::Seed;
use crate::parity;

pub(super) fn seeds() -> Vec<Seed> {
    [packs(), tables(), residues(), catalogs(), records(), parities()].concat()
}

fn body(stored_len: u32, chunks: &[u32]) -> Body {
    let chunk = |(number, len): (u8, &u32)| TocChunk { id: ChunkId::from_bytes([number; 32]), len: *len };
    Body {
        stored_len,
        plain_len: chunks.iter().sum(),
        codec: if chunks.len() > 1 { Codec::Zstd } else { Codec::Raw },
        runs: vec![Run { chunks: (1..).zip(chunks).map(chunk).collect(), ..Run::default() }],
    }
}

/// A body of two runs, one coded on the other.
fn deltas(stored_len: u32, depth: u8) -> Body {
    let id = |n: u8| ChunkId::from_bytes([n; 32]);
    let run = |n: u8, depth: u8, base: u8| Run {
        depth,
        bases: vec![TocChunk { id: id(base), len: 200 }.base()],
        is_listed: n == 4,
        chunks: vec![TocChunk { id: id(n), len: 100 }],
        sketches: Vec::new(),
    };
    Body {
        stored_len,
        plain_len: 30,
        codec: Codec::Delta,
        runs: vec![run(3, depth, 1), run(4, depth + 1, 3)],
    }
}

/// The stored table, and the trailer behind it.
fn table(bodies: Vec<Body>) -> (Vec<u8>, Vec<u8>, u64) {
    let header = PackHeader::new(false, [9; 32], 4);
    let toc_offset = 64 + bodies.iter().map(|body| u64::from(body.stored_len)).sum::<u64>();
    let mut stored = PackToc { bodies }.encode(&header, toc_offset, &StoreKey::Plain);
    let trailer = stored.split_off(stored.len() - PACK_TRAILER_LEN);
    (stored, trailer, toc_offset)
}

fn parities() -> Vec<Seed> {
    let pack = parity::pack();
    let whole = Parity::encode(&parity::id(), &pack, 20);
    let input = |pack: &[u8], parity: &[u8]| {
        let len = u16::try_from(pack.len()).unwrap_or_default();
        [pack, parity, &len.to_le_bytes()].concat()
    };
    let head = |at: usize, number: u32| {
        let mut bytes = whole.clone();
        bytes.splice(at..at + 4, number.to_le_bytes());
        bytes
    };
    let cut = pack.get(..pack.len() - 100).unwrap_or_default();
    vec![
        Seed::new("parity", "valid", input(&pack, &whole)),
        Seed::new("parity", "heals-a-cut-pack", input(cut, &whole)),
        Seed::new("parity", "heals-nothing", input(b"", &whole)),
        Seed::new("parity", "shards-of-terabytes", input(cut, &head(12, !63))),
        Seed::new("parity", "shards-of-nothing", input(cut, &head(12, 0))),
        Seed::new("parity", "pack-of-terabytes", input(cut, &head(20, u32::MAX))),
        Seed::new("parity", "more-data-than-there-can-be", input(cut, &head(24, u32::MAX))),
        Seed::new("parity", "more-parity-than-there-can-be", input(cut, &head(28, 32768))),
    ]
}

fn packs() -> Vec<Seed> {
    let header = PackHeader::new(false, [9; 32], 4).encode();
    let (stored, trailer, toc_offset) = table(vec![body(20, &[1, 2, 300]), body(9, &[9])]);
    let pack_len = toc_offset + (stored.len() + PACK_TRAILER_LEN) as u64;
    let mut pack = header.clone();
    pack.extend_from_slice(&[0xaa; 29]);
    pack.extend_from_slice(&stored);
    pack.extend_from_slice(&trailer);
    let place = |toc_offset: u64, toc_len: u32, pack_len: u64| {
        let mut bytes = trailer.clone();
        bytes.splice(..8, toc_offset.to_le_bytes());
        bytes.splice(8..12, toc_len.to_le_bytes());
        bytes.extend_from_slice(&pack_len.to_le_bytes());
        bytes
    };
    let swapped: Vec<u8> = pack.get(..64).into_iter().chain(pack.get(93..)).flatten().copied().collect();
    vec![
        Seed::new("pack", "valid", pack.clone()),
        Seed::new("pack", "without-bodies", swapped),
        Seed::new("pack", "header-is-trailer-too", pack.get(..64).unwrap_or_default()),
        Seed::new("pack", "cut", pack.get(..pack.len() - 1).unwrap_or_default()),
        Seed::new("pack_header", "plain", header),
        Seed::new("pack_header", "encrypted", PackHeader::new(true, [1; 32], (1 << 62) - 1).encode()),
        Seed::new("pack_trailer", "valid", [&*trailer, &pack_len.to_le_bytes()].concat()),
        Seed::new("pack_trailer", "table-in-the-header", place(63, 1, 128)),
        Seed::new("pack_trailer", "table-past-the-end", place(u64::MAX, u32::MAX, 128)),
        Seed::new("pack_trailer", "ends-at-the-last-offset", place(u64::MAX - 64, 0, u64::MAX)),
    ]
}

fn tables() -> Vec<Seed> {
    let seed = |name: &str, table: &[u8], at: u64| {
        Seed::new("pack_table", name, [table, &at.to_le_bytes()].concat())
    };
    let (valid, _, at) = table(vec![body(20, &[1, 2, 300]), body(9, &[9]), body(1 << 20, &[16 << 20])]);
    let (on_others, _, deltas_at) = table(vec![body(20, &[1, 2, 300]), deltas(12, 1)]);
    let (too_deep, ..) = table(vec![body(20, &[1, 2, 300]), deltas(12, 31)]);
    let change = |from: usize, to: &[u8]| {
        let mut bytes = valid.clone();
        bytes.splice(from..from + to.len(), to.iter().copied());
        bytes
    };
    vec![
        seed("valid", &valid, at),
        seed("empty", &[], 64),
        seed("bodies-end-elsewhere", &valid, at + 1),
        seed("at-the-last-offset", &valid, u64::MAX),
        seed("more-chunks-than-bytes", &change(17, &[0xff; 4]), at),
        seed("more-runs-than-bytes", &change(9, &[0xff; 4]), at),
        seed("two-runs-in-a-plain-body", &change(9, &[2]), at),
        seed("no-runs", &change(9, &[0]), at),
        seed("bases-of-a-plain-run", &change(15, &[1, 0]), at),
        seed("more-bases-than-bytes", &change(15, &[0xff; 2]), at),
        seed("depth-of-a-plain-run", &change(13, &[1]), at),
        seed("sketches-that-are-not-there", &change(14, &[1]), at),
        seed("body-longer-than-memory", &change(0, &[0xff; 8]), at),
        seed("unknown-codec", &change(8, &[3]), at),
        seed("no-chunks", &change(17, &[0; 4]), at),
        seed("deltas", &on_others, deltas_at),
        seed("deltas-at-the-bottom", &too_deep, deltas_at),
        seed("cut", valid.get(..valid.len() - 1).unwrap_or_default(), at),
    ]
}

/// The residue of two runs, of 40 and of 25 bytes, as the target expects it.
fn residues() -> Vec<Seed> {
    let copy = |literals, len, from| Copy { literals, len, from };
    let first = Difference { copies: vec![copy(3, 20, 10), copy(0, 9, 50)], literals: b"literals".to_vec() };
    let second = Difference { copies: vec![copy(0, 24, 0)], literals: b"x".to_vec() };
    let valid = Residue::encode(&[first, second]);
    let change = |at: usize, to: u8| {
        let mut bytes = valid.clone();
        bytes.splice(at..=at, [to]);
        bytes
    };
    vec![
        Seed::new("residue", "valid", valid.clone()),
        Seed::new("residue", "empty", b""),
        Seed::new("residue", "more-copies-than-bytes", change(0, 0x7f)),
        Seed::new("residue", "longer-than-the-run", change(5, 0x7f)),
        Seed::new("residue", "copies-of-nothing", change(5, 0)),
        Seed::new("residue", "before-the-base", change(8, 0x7f)),
        Seed::new("residue", "behind-the-base", change(8, 0x7e)),
        Seed::new("residue", "cut", valid.get(..valid.len() - 1).unwrap_or_default()),
        Seed::new("residue", "longer", [&valid[..], b"more"].concat()),
    ]
}

fn part(name: &str, kind: PartKind, len: u64, file: Option<FileAttributes>) -> Part {
    let rows = (kind == PartKind::Table).then_some(u64::MAX);
    Part { name: name.into(), kind, offset: 0, len, hash: Digest([4; 32]), rows, file: file.map(Box::new) }
}

fn catalogs() -> Vec<Seed> {
    let seed = |name: &str, records: &[u8]| {
        let cut = u16::try_from(records.len() / 2).unwrap_or(u16::MAX).to_le_bytes();
        Seed::new("catalog", name, [records, &cut, &[0]].concat())
    };
    let encode = |parts: &[Part]| {
        let mut out = Vec::new();
        parts.iter().for_each(|part| encode_part(part, &mut out));
        out
    };
    let file = |size, extents: &[(u64, u64)]| FileAttributes {
        mode: 0o644,
        mtime: (-1, 999_999_999),
        ctime: (i64::MIN, 0),
        inode: u64::MAX,
        size,
        target: b"../elsewhere".to_vec(),
        xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())],
        extents: extents.iter().map(|(offset, len)| Extent { offset: *offset, len: *len }).collect(),
        ..FileAttributes::default()
    };
    let valid = [
        part("public.t", PartKind::Table, 500, None),
        part("", PartKind::Directory, 0, Some(file(0, &[]))),
        part("a/b", PartKind::File, 150, Some(file(300, &[(10, 100), (200, 50)]))),
        part("link", PartKind::Symlink, 0, Some(file(0, &[]))),
    ];
    let many = vec![part("", PartKind::Data, 0, None); 400];
    let with =
        |extents: &[(u64, u64)]| encode(&[part("f", PartKind::File, 20, Some(file(1 << 40, extents)))]);
    vec![
        seed("valid", &encode(&valid)),
        seed("many-without-a-name", &encode(&many)),
        seed("extents-overlap", &with(&[(0, 15), (10, 5)])),
        seed("extents-backwards", &with(&[(10, 10), (0, 10)])),
        seed("extents-overflow", &with(&[(0, 20), (u64::MAX, u64::MAX)])),
        seed("extents-past-the-end", &with(&[(1 << 40, 20)])),
        seed("lengths-overflow", &encode(&vec![part("a", PartKind::Data, i64::MAX as u64, None); 3])),
        seed("longer-than-63-bits", &encode(&[part("a", PartKind::Data, u64::MAX, None)])),
        seed("record-longer-than-all", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        seed("number-of-eleven-bytes", &[0xff; 11]),
        seed("number-longer-than-needed", &[0x86, 0x80, 0, 0, 0, 0, 0, 0]),
        seed("empty-record", &[0]),
    ]
}

fn records() -> Vec<Seed> {
    let record = PackRecord {
        id: PackId::from_bytes([3; 32]),
        len: 32 << 20,
        chunks: 1000,
        deltas: 2,
        plain_len: 2 << 20,
        delta_len: 1 << 20,
        delta_stored_len: 1 << 14,
        sound_at: 3,
        verified_at: 0,
    };
    let extreme =
        PackRecord { len: u64::MAX, chunks: u32::MAX, deltas: u32::MAX, verified_at: u64::MAX, ..record };
    let bytes = record.encode();
    vec![
        Seed::new("index_record", "valid", bytes),
        Seed::new("index_record", "extreme", extreme.encode()),
        Seed::new("index_record", "cut", bytes.get(..55).unwrap_or_default()),
        Seed::new("index_record", "longer", [&bytes[..], b"more"].concat()),
    ]
}
