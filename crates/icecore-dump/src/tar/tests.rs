use proptest::prelude::*;

use super::*;
use crate::tests::{list, scan};
use crate::{Format, recognise};

/// A header block with a right checksum.
fn header(name: &str, kind: u8, size: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    sign(&mut block);
    block
}

fn sign(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, format!("{:011o}\0", content.len()).as_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let record = format!(" {key}={value}\n");
    let len = (record.len()..).find(|len| len.to_string().len() + record.len() == *len).unwrap();
    member("pax", b'x', format!("{len}{record}").as_bytes())
}

/// Something that may be found in a tarball.
pub(crate) fn entry() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(&b"0\0xgLKS5127Z"[..]);
    let content = prop::collection::vec(any::<u8>(), 0..1200);
    prop_oneof![
        6 => (kind, content).prop_map(|(kind, content)| member("some/name", kind, &content)),
        1 => "[a-z/]{1,300}".prop_map(|path| pax("path", &path)),
        1 => any::<u64>().prop_map(|size| pax("size", &size.to_string())),
        1 => prop::array::uniform12(any::<u8>()).prop_map(|size| header("hostile", b'0', &size)),
        1 => Just(vec![0; BLOCK]),
    ]
}

const END: [u8; 1024] = [0; 1024];

#[test]
fn members_are_exactly_their_contents() {
    let bytes = [
        member("a", b'0', b"hello"),
        member("dir/", b'5', b""),
        member("b", b'0', &[7; 512]),
        member("c", b'0', b"x"),
        END.to_vec(),
    ]
    .concat();
    let (marks, outcome) = scan(Format::Tar, &bytes);
    assert_eq!(recognise(&bytes), Some(Format::Tar));
    assert_eq!(outcome.completeness, Completeness::Complete);
    let expected = [
        " Data 0..512 -",
        "a Member 512..517 -",
        " Data 517..2048 -",
        "b Member 2048..2560 -",
        " Data 2560..3072 -",
        "c Member 3072..3073 -",
        " Data 3073..4608 -",
    ];
    assert_eq!(list(&marks), expected);
}

#[test]
fn extensions_rename_and_resize_the_next_member_only() {
    let long = "d/".repeat(200) + "file";
    let gnu = [&long.clone().into_bytes()[..], b"\0"].concat();
    let mut resized = member("short", b'0', b"123");
    resized[124..136].copy_from_slice(b"00000000000\0");
    sign(&mut resized[..BLOCK]);
    let bytes = [
        member("././@LongLink", b'L', &gnu),
        member("short", b'0', b"1"),
        pax("path", "päx"),
        pax("size", "3"),
        resized,
        pax("GNU.sparse.name", "real"),
        member("GNUSparseFile.0/real", b'0', b"map"),
        member("plain", b'0', b"2"),
        END.to_vec(),
    ]
    .concat();
    let (marks, outcome) = scan(Format::Tar, &bytes);
    let names: Vec<_> = list(&marks).into_iter().filter(|line| line.contains("Member")).collect();
    let starts = [&*long, "päx", "real", "plain"];
    assert_eq!(names.len(), starts.len(), "{names:?}");
    assert!(
        names.iter().zip(starts).all(|(name, start)| name.starts_with(&format!("{start} "))),
        "{names:?}"
    );
    assert_eq!(outcome.completeness, Completeness::Complete);
}

#[test]
fn sparse_maps_and_sizes_in_base_256_are_read() {
    let mut sparse = header("sparse", b'S', b"\x80\0\0\0\0\0\0\0\0\0\0\x05");
    sparse[482] = 1;
    sign(&mut sparse);
    let mut more = vec![0; BLOCK];
    more[504] = 1;
    let bytes = [sparse, more, vec![0; BLOCK], b"holes".to_vec(), vec![0; 507], END.to_vec()].concat();
    let (marks, outcome) = scan(Format::Tar, &bytes);
    assert_eq!(list(&marks), [" Data 0..1536 -", "sparse Member 1536..1541 -", " Data 1541..3072 -"]);
    assert_eq!(outcome.completeness, Completeness::Complete);
}

#[test]
fn a_tarball_without_its_end_is_cut() {
    let cut = Completeness::Cut { expected: "the end-of-archive blocks" };
    let bytes = member("a", b'0', b"hello");
    for len in [100, 512, 514, 517, 600, 1024] {
        assert_eq!(scan(Format::Tar, &bytes[..len]).1.completeness, cut, "{len}");
    }
    let huge = header("huge", b'0', b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(scan(Format::Tar, &[huge, vec![1; 5000]].concat()).1.completeness, cut);
}

#[test]
fn what_follows_a_broken_header_is_one_part() {
    let bytes = [member("a", b'0', b"hello"), vec![b'x'; 2000]].concat();
    let (marks, outcome) = scan(Format::Tar, &bytes);
    assert_eq!(list(&marks), [" Data 0..512 -", "a Member 512..517 -", " Data 517..3024 -"]);
    assert_eq!(outcome.completeness, Completeness::Unknown);
}
