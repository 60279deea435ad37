//! One instance of every stored object, pinned: whoever changes a byte of the format must change this file too, and give the
//! format a new version.

use icecore_format::{
    Config, Digest, Epoch, KdfCost, KeyFile, Label, Manifest, PackHeader, SecretBytes, SnapshotId, StoreId,
    StoreKey, TreeNode, encode_part, names,
};

use crate::values::{SALT, claim, condemned, config, manifest, secret, some_parts, table, table_end};

fn hash(bytes: &[u8]) -> String {
    Digest::of(bytes).to_hex()[..16].to_owned()
}

fn pack_table(key: &StoreKey) -> Vec<u8> {
    let header = PackHeader::new(key.is_encrypted(), SALT, 4);
    [header.encode(), table().encode(&header, table_end(&table()), key)].concat()
}

#[test]
fn every_stored_object_has_the_bytes_it_always_had() {
    let plain = StoreKey::Plain;
    let secret = secret();
    let snapshot = SnapshotId::from_bytes([1; 32]);
    let key_file = KeyFile::wrap(
        &SecretBytes([5; 32]),
        StoreId::from_bytes([1; 32]),
        b"password",
        "first",
        "now",
        KdfCost::CHEAPEST,
        SALT,
    );
    let name = names::snapshot("01h");
    let catalog = some_parts().iter().fold(Vec::new(), |mut out, part| {
        encode_part(part, &mut out);
        out
    });
    let TreeNode::Inner { nodes, .. } = manifest().content.root else { unreachable!() };
    let leaf = TreeNode::Leaf(nodes.iter().map(|node| node.node).collect());
    let found: Vec<(&str, String)> = vec![
        ("config", hash(&config().encode())),
        ("plain config", hash(&Config { crypto: None, ..config() }.encode())),
        ("key file", hash(&key_file.encode())),
        ("epoch", hash(&Epoch(7).encode("epoch"))),
        ("claim", hash(&claim().encode("claims/01h"))),
        ("condemned", hash(&condemned().encode("condemned/1"))),
        ("manifest", hash(&manifest().encode(&name, &plain, &SALT).1)),
        ("sealed manifest", hash(&manifest().encode(&name, &secret, &SALT).1)),
        ("fence", hash(&Manifest::encode_fence(&name, &plain, &SALT))),
        ("sealed fence", hash(&Manifest::encode_fence(&name, &secret, &SALT))),
        ("tag", hash(&Label::Tag("t".into()).encode(&snapshot, &plain, &SALT))),
        ("sealed tag", hash(&Label::Tag("t".into()).encode(&snapshot, &secret, &SALT))),
        ("note", hash(&Label::Note("n".into()).encode(&snapshot, &plain, &SALT))),
        ("catalog", hash(&catalog)),
        ("leaf", hash(&leaf.encode())),
        ("inner node", hash(&manifest().content.root.encode())),
        ("pack header and table", hash(&pack_table(&plain))),
        ("sealed pack header and table", hash(&pack_table(&secret))),
        ("sealed body", hash(&secret.pack_cipher(&SALT).seal_body(3, b"body".to_vec()))),
    ];
    let expected = GOLDEN.map(|(what, hash)| (what, hash.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn every_id_is_derived_as_it_always_was() {
    let (plain, secret) = (StoreKey::Plain, secret());
    let name = names::snapshot("01h");
    let seed = secret.gear_seed().unwrap();
    let found = [
        plain.chunk_id(b"chunk").to_string(),
        secret.chunk_id(b"chunk").to_string(),
        manifest().encode(&name, &plain, &SALT).0.to_string(),
        manifest().encode(&name, &secret, &SALT).0.to_string(),
        secret.part_hasher().update(b"part").finalize().to_string(),
        hash(&seed.0),
        names::label(&SnapshotId::from_bytes([1; 32]), &Label::Tag("t".into()).object_name(&plain)),
        names::label(&SnapshotId::from_bytes([1; 32]), &Label::Tag("t".into()).object_name(&secret)),
    ];
    assert_eq!(found, IDS);
}

#[test]
fn a_configuration_reads_like_this() {
    let bytes = config().encode();
    let text = String::from_utf8_lossy(&bytes[16..bytes.len() - 32]);
    assert_eq!(text, CONFIG.trim());
    assert_eq!(&bytes[..12], b"ICECOREC\x02\x00\x00\x00");
}

const CONFIG: &str = r#"
{
  "store_id": "0101010101010101010101010101010101010101010101010101010101010101",
  "created_at": "2026-11-20T10:00:00Z",
  "chunk_sizes": {
    "min": 8192,
    "avg": 32768,
    "max": 131072
  },
  "pack_len": 33554432,
  "body_len": 524288,
  "zstd_level": 3,
  "crypto": "aes-256-gcm"
}
"#;

const GOLDEN: [(&str, &str); 19] = [
    ("config", "8cafebdb974bea82"),
    ("plain config", "aade23feb54324e8"),
    ("key file", "21f03bbd1b56599e"),
    ("epoch", "fe4e22e2a6951781"),
    ("claim", "07250a3cbcc4ab80"),
    ("condemned", "bb1ef7c9838d8d39"),
    ("manifest", "133feb75420ccad0"),
    ("sealed manifest", "17865c7f39c5ae4a"),
    ("fence", "e150d8e7250d3e72"),
    ("sealed fence", "c2fae1bff0c389c7"),
    ("tag", "75f18ab108c0d082"),
    ("sealed tag", "37faf288a959afe9"),
    ("note", "38bb4725905e73ac"),
    ("catalog", "9fedd183028d2999"),
    ("leaf", "e93337b3ea69694d"),
    ("inner node", "f49c307f2fd76bc3"),
    ("pack header and table", "89f230b23bcd7402"),
    ("sealed pack header and table", "e1b1c879e2bc4ad5"),
    ("sealed body", "cd39fc173d799ba4"),
];
const IDS: [&str; 8] = [
    "6b1d440ada61d0f4e4416c73bcbab3694f96875a3e5df3253075163ffe93cd4d",
    "0f13d9bfd4daa1b67d321855d27abc1675a17b7d2ddb0f7a1d01ba0239f6c5cc",
    "78b4abf0f083b973011743c5aec276365aa8f439a8375ad4186184a67ae5f4a3",
    "eb2e269f7f14403ac059c70659fb4370c5c2157c58c4da0a055290b40cef7145",
    "488043f437e9e18067b68f21233302ec7adea24e63846dcad779f962cda0bda4",
    "ed8004642b0e23c6",
    "labels/0101010101010101010101010101010101010101010101010101010101010101/tag-189e32003bbad3f779a97bb0eac9aa77",
    "labels/0101010101010101010101010101010101010101010101010101010101010101/tag-ee652d519c3d30d60642e37d90e3ec5d",
];
