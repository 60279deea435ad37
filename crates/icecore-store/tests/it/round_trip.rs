//! What is written comes back.

use std::sync::Arc;

use icecore_format::{Catalog, ChunkSizes, Extent, FileAttributes, Part, PartKind};
use icecore_store::{Grain, Result, SnapshotReader, TreeReader};
use proptest::prelude::*;

use crate::support::{BOTH, Crypto, Fixture, begin, find, noise, options, read, reader, restore, write};

/// A part to be written.
#[derive(Debug, Clone)]
struct Plan {
    name: Vec<u8>,
    kind: PartKind,
    grain: Grain,
    own_chunks: bool,
    bytes: Vec<u8>,
    /// Lengths of pieces; odd ones are copied from a reader.
    pieces: Vec<usize>,
    rows: Option<u64>,
    file: Option<FileAttributes>,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let bytes = prop_oneof![
        Just(Vec::new()),
        (any::<u64>(), 1usize..3000).prop_map(|(seed, len)| noise(seed, len)),
        (any::<u64>(), 1usize..120_000).prop_map(|(seed, len)| noise(seed, len)),
        (0u8..4, 1usize..50_000).prop_map(|(byte, len)| vec![byte; len]),
        (1usize..4000)
            .prop_map(|n| (0..n).map(|n| format!("({n},'row'),\n")).collect::<String>().into_bytes()),
    ];
    let grain = prop_oneof![
        Just(Grain::Byte),
        Just(Grain::Line),
        Just(Grain::Tuple),
        Just(Grain::Page(0)),
        Just(Grain::Page(512)),
        Just(Grain::Page(8192)),
        Just(Grain::Page(u32::MAX)),
    ];
    let kind = prop_oneof![
        Just(PartKind::Data),
        Just(PartKind::Table),
        Just(PartKind::File),
        Just(PartKind::Member)
    ];
    let file = any::<(u32, u64, Vec<u8>)>().prop_map(|(mode, inode, target)| FileAttributes {
        mode,
        inode,
        target,
        mtime: (-5, 999_999_999),
        xattrs: vec![(b"user.a".to_vec(), vec![0; 300])],
        ..FileAttributes::default()
    });
    let plan = (
        prop::collection::vec(any::<u8>(), 0..20),
        kind,
        grain,
        any::<bool>(),
        bytes,
        prop::collection::vec(1usize..70_000, 1..8),
        any::<Option<u64>>(),
        prop::option::of(file),
    )
        .prop_map(|(name, kind, grain, own_chunks, bytes, pieces, rows, file)| Plan {
            name,
            kind,
            grain,
            own_chunks,
            bytes,
            pieces,
            rows,
            file,
        });
    prop::collection::vec(plan, 0..12)
}

fn write_plans(fixture: &Fixture, plans: &[Plan]) -> icecore_store::Written {
    let mut writer = begin(&fixture.store, "shop").expect("begin");
    for plan in plans {
        writer.begin_part(&plan.name, plan.kind, plan.grain, plan.own_chunks).expect("part");
        let mut rest = plan.bytes.as_slice();
        for piece in plan.pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut now, later) = rest.split_at(rest.len().min(*piece));
            rest = later;
            if piece % 2 == 0 {
                writer.write(now).expect("write");
            } else {
                let len = now.len() as u64;
                let copied = writer.copy(&mut now, len).expect("store").expect("reader");
                assert_eq!(copied, len);
            }
        }
        writer.end_part(plan.rows, plan.file.clone().map(Box::new)).expect("end");
    }
    writer.commit(|info| info.engine = "test".to_owned()).expect("commit")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_parts_in_any_pieces_come_back(plans in plans(), encrypted: bool, at: prop::sample::Index, len: prop::sample::Index) {
        let crypto = if encrypted { Crypto::Encrypted } else { Crypto::Plain };
        let fixture = Fixture::memory(crypto);
        let written = write_plans(&fixture, &plans);
        let content: Vec<u8> = plans.iter().flat_map(|plan| plan.bytes.clone()).collect();
        let store = fixture.reopen();
        let reader = reader(&store, written.id);
        prop_assert!(restore(&reader).unwrap() == content);

        let parts = reader.parts().collect::<Result<Vec<Part>>>().unwrap();
        prop_assert_eq!(parts.len(), plans.len());
        let mut offset = 0;
        for (part, plan) in parts.iter().zip(&plans) {
            prop_assert_eq!(&part.name, &plan.name);
            prop_assert_eq!(part.kind, plan.kind);
            prop_assert_eq!(part.offset, offset);
            prop_assert_eq!(part.len, plan.bytes.len() as u64);
            prop_assert_eq!(part.rows, plan.rows);
            prop_assert_eq!(part.file.as_deref(), plan.file.as_ref());
            offset += part.len;
        }
        let at = at.index(content.len() + 1);
        let len = len.index(content.len() - at + 1);
        let range: Result<Vec<_>> = reader.range(at as u64, len as u64).unwrap().collect();
        prop_assert!(range.unwrap().concat() == content[at..at + len]);
        prop_assert_eq!(written.info.logical_bytes, content.len() as u64);
        prop_assert_eq!(written.info.parts, plans.len() as u64);
        let stats = store.stats().unwrap();
        prop_assert_eq!(stats.stored_bytes, fixture.stored_bytes() + written.manifest_len);
    }

    #[test]
    fn the_pieces_of_the_input_do_not_change_the_chunks(plans in plans(), pieces in prop::collection::vec(1usize..400_000, 1..4)) {
        let fixture = Fixture::memory(Crypto::Plain);
        write_plans(&fixture, &plans);
        let other: Vec<Plan> = plans.iter().map(|plan| Plan { pieces: pieces.clone(), ..plan.clone() }).collect();
        let second = write_plans(&fixture, &other);
        prop_assert_eq!(second.info.new_chunks, 0);
        prop_assert_eq!(second.info.stored_bytes, 0);
    }
}

#[test]
fn large_input_is_cut_alike_in_any_pieces() {
    let content = noise(9, 5 << 20);
    let plan = |bytes: &[u8], grain, pieces| Plan {
        name: b"t".to_vec(),
        kind: PartKind::Table,
        grain,
        own_chunks: true,
        bytes: bytes.to_vec(),
        pieces,
        rows: None,
        file: None,
    };
    // The first part ends close behind a whole number of blocks, where what is cut depends most on the pieces.
    let (first, second) = content.split_at((2 << 20) + 3000);
    let fixture = Fixture::memory(Crypto::Plain);
    let plans =
        |pieces: Vec<usize>| [plan(first, Grain::Line, pieces.clone()), plan(second, Grain::Byte, pieces)];
    write_plans(&fixture, &plans(vec![10_000_000]));
    for pieces in [vec![1000, 1001], vec![1 << 20], vec![999_999]] {
        let again = write_plans(&fixture, &plans(pieces.clone()));
        assert_eq!(again.info.new_chunks, 0, "{pieces:?}");
    }
}

#[test]
fn an_empty_snapshot_is_a_snapshot() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let nothing = write(&fixture.store, "nothing", &[]);
        let empty = write(&fixture.store, "empty", &[("a", b""), ("b", b"")]);
        assert_eq!(read(&fixture.store, nothing.id).unwrap(), b"");
        assert_eq!(read(&fixture.store, empty.id).unwrap(), b"");
        assert_eq!(reader(&fixture.store, empty.id).parts().count(), 2);
        assert_eq!(fixture.names("packs/"), [""; 0]);
    }
}

#[test]
fn a_catalog_of_many_parts_is_spilled_and_comes_back() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let names: Vec<String> = (0..5000).map(|n| format!("public.table_{n:05}")).collect();
        let contents: Vec<Vec<u8>> = (0..5000).map(|n| noise(n, (n % 7) as usize)).collect();
        let parts: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
        let written = write(&fixture.store, "shop", &parts);
        let store = fixture.reopen();
        let reader = reader(&store, written.id);
        assert!(matches!(reader.manifest().catalog, Catalog::Stored(_)));
        assert_eq!(restore(&reader).unwrap(), contents.concat());
        let found: Vec<String> = reader.parts().map(|part| part.unwrap().display_name()).collect();
        assert_eq!(found, names);
        // Unchanged, it costs nothing, catalog and tree included.
        assert_eq!(write(&fixture.store, "shop", &parts).info.stored_bytes, 0);
    }
}

#[test]
fn deep_trees_come_back_and_are_shared() {
    for (len, depth) in [(40_000, 1), (8_000_000, 2)] {
        let mut options = options(Crypto::Plain);
        options.chunk_sizes = ChunkSizes { min: 64, avg: 256, max: 1024 };
        options.pack_len = 1 << 20;
        let fixture = Fixture::new(Arc::new(icecore_storage::MemoryStorage::new()), &options);
        let content = noise(3, len);
        let first = write(&fixture.store, "big", &[("a", &content)]);
        let store = fixture.reopen();
        let reader = reader(&store, first.id);
        assert!(
            reader.manifest().content.root.depth() >= depth,
            "{}",
            reader.manifest().content.root.depth()
        );
        assert!(restore(&reader).unwrap() == content);
        for at in [0, 1, len / 3, len / 2, len - 1] {
            let found: Result<Vec<_>> = reader.range(at as u64, 100).unwrap().collect();
            assert!(found.unwrap().concat() == content[at..len.min(at + 100)]);
        }
        // Seeking forwards and back lands on the chunk that holds the byte.
        let mut tree = reader.tree();
        for at in [0, len / 2, len / 2 + 1, len / 4, len - 1, 0, len] {
            tree.seek(at as u64).unwrap();
            match tree.next_chunk().unwrap() {
                Some((offset, chunk)) => {
                    assert!((offset..offset + u64::from(chunk.len)).contains(&(at as u64)));
                }
                None => assert_eq!(at, len),
            }
        }
        let again = write(&fixture.store, "big", &[("a", &content)]);
        assert_eq!((again.info.stored_bytes, again.info.new_chunks), (0, 0));
        let mut changed = content.clone();
        changed[len / 2] ^= 1;
        let little = write(&fixture.store, "big", &[("a", &changed)]);
        assert!(little.info.new_chunks <= 3, "{}", little.info.new_chunks);
        assert!(little.info.stored_bytes < 200_000, "{}", little.info.stored_bytes);
        assert!(read(&store, little.id).unwrap() == changed);
    }
}

#[test]
fn a_second_identical_snapshot_adds_no_pack() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let content = noise(1, 600_000);
        let first = write(&fixture.store, "shop", &[("a", &content)]);
        assert_eq!(first.info.stored_bytes, fixture.stored_bytes());
        assert_eq!(first.info.changed_bytes, 600_000);
        let packs = fixture.names("packs/");
        let second = write(&fixture.reopen(), "shop", &[("a", &content)]);
        assert_eq!((second.info.stored_bytes, second.info.new_chunks, second.info.changed_bytes), (0, 0, 0));
        assert_eq!(fixture.names("packs/"), packs);
        let mut changed = content.clone();
        changed[300_000] ^= 1;
        let third = write(&fixture.store, "shop", &[("a", &changed)]);
        // Where an encrypted store cuts is drawn by lot: it may take a few chunks until the cuts meet again.
        assert!(third.info.new_chunks <= 16 && third.info.stored_bytes < 100_000, "{:?}", third.info);
        assert!(read(&fixture.store, third.id).unwrap() == changed);
    }
}

#[test]
fn what_repeats_within_a_snapshot_is_stored_once() {
    let fixture = Fixture::memory(Crypto::Plain);
    let run = noise(1, 300_000);
    let parts: Vec<(&str, &[u8])> = vec![("a", &run); 8];
    let written = write(&fixture.store, "shop", &parts);
    let alone = write(&Fixture::memory(Crypto::Plain).store, "shop", &[("a", &run)]);
    assert_eq!(written.info.new_chunks, alone.info.new_chunks);
    assert_eq!(written.info.changed_bytes, 300_000);
    assert_eq!(read(&fixture.store, written.id).unwrap(), run.repeat(8));
}

#[test]
fn a_parents_file_is_reused_without_being_read() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let (a, b, c) = (noise(1, 50_000), noise(2, 333), noise(3, 80_000));
        let first = write(&fixture.store, "dir", &[("a", &a), ("b", &b), ("c", &c)]);
        let parent = reader(&fixture.store, first.id);
        let parts = parent.parts().collect::<Result<Vec<Part>>>().unwrap();
        let mut tree = parent.tree();
        let mut writer = begin(&fixture.store, "dir").unwrap();
        let changed = noise(4, 1000);
        for part in &parts {
            writer.begin_part(&part.name, part.kind, Grain::Byte, true).unwrap();
            if part.name == b"b" {
                writer.write(&changed).unwrap();
            } else {
                assert!(writer.reuse(&mut tree, part).unwrap());
            }
            writer.end_part(None, None).unwrap();
        }
        let second = writer.commit(|_| ()).unwrap();
        assert_eq!(second.info.changed_bytes, 1000);
        assert_eq!(read(&fixture.reopen(), second.id).unwrap(), [a, changed, c].concat());
    }
}

#[test]
fn a_part_inside_a_chunk_is_not_reused() {
    let fixture = Fixture::memory(Crypto::Plain);
    let mut writer = begin(&fixture.store, "dump").unwrap();
    for (name, bytes) in [(&b"a"[..], noise(1, 300)), (b"b", noise(2, 300))] {
        writer.begin_part(name, PartKind::Table, Grain::Byte, false).unwrap();
        writer.write(&bytes).unwrap();
        writer.end_part(Some(3), None).unwrap();
    }
    let first = writer.commit(|_| ()).unwrap();
    let parent = reader(&fixture.store, first.id);
    let parts = parent.parts().collect::<Result<Vec<Part>>>().unwrap();
    let mut writer = begin(&fixture.store, "dump").unwrap();
    writer.begin_part(b"b", PartKind::Table, Grain::Byte, false).unwrap();
    let mut tree = TreeReader::new(&fixture.store, &parent.manifest().content);
    assert!(!writer.reuse(&mut tree, &parts[1]).unwrap());
}

#[test]
fn a_damaged_parent_is_not_reused_and_breaks_nothing() {
    let mut options = options(Crypto::Plain);
    options.chunk_sizes = ChunkSizes { min: 64, avg: 256, max: 1024 };
    let fixture = Fixture::new(Arc::new(icecore_storage::MemoryStorage::new()), &options);
    let content = noise(1, 200_000);
    let first = write(&fixture.store, "dir", &[("a", &content)]);
    for pack in fixture.names("packs/") {
        fixture.tamper(&pack, |bytes| {
            let toc = bytes.len() - 64;
            bytes[64..toc].fill(0);
        });
    }
    let store = fixture.reopen();
    let parent = SnapshotReader::new(Arc::clone(&store), find(&store, first.id).manifest);
    let part = parent.parts().next().unwrap().unwrap();
    let mut writer = begin(&store, "dir").unwrap();
    writer.begin_part(b"a", PartKind::File, Grain::Byte, true).unwrap();
    assert!(!writer.reuse(&mut parent.tree(), &part).unwrap());
}

#[test]
fn a_parent_whose_content_is_gone_is_not_reused() {
    let fixture = Fixture::memory(Crypto::Plain);
    let content = noise(1, 600_000);
    let first = write(&fixture.store, "dir", &[("a", &content)]);
    // The largest packs hold content, not lists of chunks.
    let len = |name: &String| fixture.storage.len(name).unwrap();
    let lost = fixture.names("packs/").into_iter().max_by_key(len).unwrap();
    fixture.storage.delete(&lost).unwrap();
    let store = fixture.reopen();
    let parent = SnapshotReader::new(Arc::clone(&store), find(&store, first.id).manifest);
    let part = parent.parts().next().unwrap().unwrap();
    let mut writer = begin(&store, "dir").unwrap();
    writer.begin_part(b"a", PartKind::File, Grain::Byte, true).unwrap();
    assert!(!writer.reuse(&mut parent.tree(), &part).unwrap());
    drop(writer);
    // Nor is it published again as it is.
    let same = begin(&store, "dir").unwrap().commit_same(&find(&store, first.id), |_| ()).unwrap();
    assert!(same.is_err());
}

#[test]
fn a_part_that_could_not_be_read_back_is_refused() {
    let fixture = Fixture::memory(Crypto::Plain);
    let mut writer = begin(&fixture.store, "dir").unwrap();
    writer.begin_part(b"sparse", PartKind::File, Grain::Byte, true).unwrap();
    writer.write(b"ten bytes.").unwrap();
    let wrong = FileAttributes {
        size: 100,
        extents: vec![Extent { offset: 0, len: 11 }],
        ..FileAttributes::default()
    };
    assert!(writer.end_part(None, Some(Box::new(wrong))).is_err());
    drop(writer);
    assert_eq!(fixture.names("snapshots/"), [""; 0]);
}

#[test]
fn a_name_without_end_is_cut_short() {
    let fixture = Fixture::memory(Crypto::Plain);
    let name = "x".repeat(200_000);
    let written = write(&fixture.store, "tar", &[(&name, b"content")]);
    assert_eq!(read(&fixture.store, written.id).unwrap(), b"content");
}

#[test]
fn a_reader_that_fails_is_not_the_stores_fault() {
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("the source died"));
            }
            self.0 -= 1;
            buf.fill(7);
            Ok(buf.len())
        }
    }
    let fixture = Fixture::memory(Crypto::Plain);
    let mut writer = begin(&fixture.store, "s").unwrap();
    writer.begin_part(b"", PartKind::Data, Grain::Byte, false).unwrap();
    let copied = writer.copy(&mut Broken(3), u64::MAX).unwrap();
    assert_eq!(copied.unwrap_err().to_string(), "the source died");
    drop(writer);
    assert_eq!(fixture.names("snapshots/"), [""; 0]);
    assert_eq!(fixture.names("claims/"), [""; 0]);
}

#[test]
fn cuts_that_were_made_before_are_made_again_unless_they_are_nobodys() {
    let content = noise(1, 4 << 20);
    let chunks = |lens: Vec<u32>| {
        let fixture = Fixture::memory(Crypto::Plain);
        let mut writer = begin(&fixture.store, "shop").unwrap();
        writer.cut_at(Box::new(lens.into_iter()));
        writer.begin_part(b"", PartKind::Data, Grain::Byte, false).unwrap();
        writer.write(&content).unwrap();
        writer.end_part(None, None).unwrap();
        let written = writer.commit(|_| ()).unwrap();
        assert!(read(&fixture.store, written.id).unwrap() == content);
        written.info.chunks
    };
    assert_eq!(chunks(vec![1 << 16; 64]), 64);
    assert_eq!(chunks(vec![1 << 10; 4096]), 4096);
    // No cutter cuts like that: as many records would take more memory than a stranger's bytes are worth.
    assert!(chunks(vec![1; 4 << 20]) < (1 << 16) + chunks(Vec::new()) + 2);
    for odd in [0, u32::MAX] {
        assert_eq!(chunks(vec![odd; 64]), chunks(Vec::new()));
    }
}
