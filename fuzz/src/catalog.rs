//! A catalog's records.

use icecore_format::{Digest, PART_NAME_LEN_MAX, Part, decode_parts, encode_part};

use crate::input::split_tail;

const EMPTY_HASH: Digest = Digest([0xee; 32]);

/// The last byte says how far the content has come already, and the two before where the catalog is cut for a second reading.
pub(crate) fn parts(input: &[u8]) {
    let (records, [low, high, start]) = split_tail(input);
    let start = if start < 0x80 { u64::from(start) } else { u64::MAX - u64::from(start) };
    let Ok((parts, consumed)) = decode_parts(records, start, EMPTY_HASH) else { return };
    assert!(consumed <= records.len());
    let mut offset = start;
    for part in &parts {
        assert_eq!(part.offset, offset, "parts lie one after the other");
        offset = offset.checked_add(part.len).expect("they end within 64 bits");
        check(part);
    }
    let mut again = Vec::new();
    parts.iter().for_each(|part| encode_part(part, &mut again));
    assert_eq!(decode_parts(&again, start, EMPTY_HASH).as_ref(), Ok(&(parts.clone(), again.len())));
    let cut = usize::from(u16::from_le_bytes([low, high])).min(records.len());
    assert_eq!(in_two_pieces(records, cut, start), (parts, consumed), "cut at {cut}");
}

fn check(part: &Part) {
    assert!(part.name.len() <= PART_NAME_LEN_MAX);
    assert!(part.len > 0 || part.hash == EMPTY_HASH);
    let Some(file) = &part.file else { return };
    assert!(file.target.len() <= PART_NAME_LEN_MAX && file.mtime.1 < 1_000_000_000);
    let mut end = 0;
    for extent in &file.extents {
        assert!(extent.offset >= end, "extents overlap");
        end = extent.offset + extent.len;
    }
    if !file.extents.is_empty() {
        assert!(end <= file.size);
        assert_eq!(file.extents.iter().map(|extent| extent.len).sum::<u64>(), part.len);
    }
}

/// As a reader does it that has only the first `cut` bytes at first.
fn in_two_pieces(records: &[u8], cut: usize, start: u64) -> (Vec<Part>, usize) {
    let (front, _) = records.split_at(cut);
    let (mut parts, first) = decode_parts(front, start, EMPTY_HASH).expect("all of it was accepted");
    let offset = parts.last().map_or(start, |part| part.offset + part.len);
    let rest = records.get(first..).expect("no more was consumed than given");
    let (more, second) = decode_parts(rest, offset, EMPTY_HASH).expect("all of it was accepted");
    parts.extend(more);
    (parts, first + second)
}
