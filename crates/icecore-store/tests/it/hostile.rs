//! Objects that no icecore would write, but that a stranger can.

use icecore_format::{
    Body, Catalog, ChunkId, ChunkRef, Codec, Digest, Manifest, NodeRef, PACK_HEADER_LEN, PackHeader, PackId,
    PackToc, Part, PartKind, Run, StoreKey, TocChunk, Tree, TreeNode, encode_part, names,
};
use icecore_storage::PutMode;
use icecore_store::{Silent, VerifyExtent};

use crate::support::{Crypto, Fixture, begin, find, gc_options, in_time, reader, write};

const SALT: [u8; 32] = [9; 32];

/// Puts these chunks into a pack, as they are.
fn put_pack(fixture: &Fixture, chunks: &[Vec<u8>]) {
    let ids = chunks.iter().map(|chunk| ChunkId(Digest::of(chunk)));
    put_pack_as(fixture, chunks, &ids.collect::<Vec<_>>());
}

/// A pack in which all is right but that chunks are called what the caller says.
fn put_pack_as(fixture: &Fixture, chunks: &[Vec<u8>], ids: &[ChunkId]) {
    let header = PackHeader::new(false, SALT, 0);
    let len = |chunk: &[u8]| u32::try_from(chunk.len()).unwrap();
    let bodies = chunks.iter().zip(ids).map(|(chunk, id)| Body {
        stored_len: len(chunk),
        plain_len: len(chunk),
        codec: Codec::Raw,
        runs: vec![Run { chunks: vec![TocChunk { id: *id, len: len(chunk) }], ..Run::default() }],
    });
    let toc = PackToc { bodies: bodies.collect() };
    let mut pack = header.encode();
    pack.extend_from_slice(&chunks.concat());
    let table = toc.encode(&header, pack.len() as u64, &StoreKey::Plain);
    assert!(pack.len() > PACK_HEADER_LEN);
    pack.extend_from_slice(&table);
    let name = names::pack(&PackId(Digest::of(&pack)));
    fixture.storage.put(&name, &pack, PutMode::CreateNew).unwrap();
}

/// A tree of a few chunks that stands for more references than anybody can walk: each node names the one below many times.
fn endless_tree() -> (Tree, Vec<Vec<u8>>) {
    let data = b"ten bytes!".to_vec();
    let mut chunks = vec![data.clone()];
    let reference =
        |bytes: &[u8]| ChunkRef { id: ChunkId(Digest::of(bytes)), len: u32::try_from(bytes.len()).unwrap() };
    let mut node = TreeNode::Leaf(vec![reference(&data); 32]);
    for depth in 1..=8 {
        let bytes = node.encode();
        let (span, below) = (node.span(), node.chunk_count());
        let above = NodeRef { node: reference(&bytes), span, chunks: below };
        node = TreeNode::Inner { depth, nodes: vec![above; 32] };
        chunks.push(bytes);
    }
    (Tree { root: node }, chunks)
}

#[test]
fn a_tree_that_repeats_itself_is_walked_once() {
    in_time(|| {
        let fixture = Fixture::memory(Crypto::Plain);
        let store = &fixture.store;
        let (content, chunks) = endless_tree();
        put_pack(&fixture, &chunks);
        let mut catalog = Vec::new();
        let part = Part {
            name: b"f".to_vec(),
            kind: PartKind::File,
            offset: 0,
            len: content.len(),
            hash: Digest([1; 32]),
            rows: None,
            file: None,
        };
        encode_part(&part, &mut catalog);
        let honest = find(store, write(store, "shop", &[("f", b"bytes")]).id).manifest;
        let manifest = Manifest { content, catalog: Catalog::Inline(catalog), info: honest.info };
        let (id, bytes) = manifest.encode("snapshots/hostile", &StoreKey::Plain, &SALT);
        fixture.storage.put("snapshots/hostile", &bytes, PutMode::CreateNew).unwrap();

        let writer = begin(store, "shop").unwrap();
        let again = writer.commit_same(&find(store, id), |_| ()).unwrap();
        assert!(again.is_ok(), "the parent is all there");
        let report = store.verify(None, VerifyExtent::Everything, 0, &Silent).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        store.gc(&gc_options(), &Silent).unwrap();
        assert_eq!(reader(store, id).parts().count(), 1);
        let far = reader(store, id);
        let found = far.range(part.len - 5, 5).unwrap().next().unwrap().unwrap();
        assert_eq!(&found[..], b"ytes!");
    });
}

#[test]
fn a_chunk_that_is_not_what_a_right_pack_calls_it_is_found() {
    let fixture = Fixture::memory(Crypto::Plain);
    let id = ChunkId(Digest::of(b"what it should be"));
    put_pack_as(&fixture, &[b"something else".to_vec()], &[id]);
    let report = fixture.store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].message, format!("chunk {id} is damaged"));
}
