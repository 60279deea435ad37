use proptest::prelude::*;

use super::*;

fn cutter() -> Cutter {
    Cutter::new(ChunkSizes::default(), None)
}

/// Bytes of a fixed pseudo-random sequence.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn cuts(cutter: &Cutter, mut data: &[u8], grain: Grain) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !data.is_empty() {
        let len = cutter.cut(data, grain);
        lengths.push(len);
        data = &data[len..];
    }
    lengths
}

/// What stores of version 1 were made with.
const SMALL: ChunkSizes = ChunkSizes { min: 8 << 10, avg: 32 << 10, max: 128 << 10 };

/// Pinned for ever: stores made with other cuts would share nothing with what was stored before.
#[test]
fn golden_cut_points_of_the_published_table() {
    let lengths = |sizes| cuts(&Cutter::new(sizes, None), &noise(1, 400_000), Grain::Byte);
    assert_eq!(lengths(ChunkSizes::default()), GOLDEN_PLAIN);
    assert_eq!(lengths(SMALL), GOLDEN_PLAIN_SMALL);
}

#[test]
fn golden_cut_points_of_a_keyed_table() {
    let lengths = |sizes| cuts(&Cutter::new(sizes, Some(&[7; 32])), &noise(1, 400_000), Grain::Byte);
    assert_eq!(lengths(ChunkSizes::default()), GOLDEN_KEYED);
    assert_eq!(lengths(SMALL), GOLDEN_KEYED_SMALL);
}

const GOLDEN_PLAIN: &[usize] = &[76660, 159_933, 163_407];
const GOLDEN_KEYED: &[usize] = &[103_676, 23755, 18589, 69897, 31916, 83323, 67249, 1595];
const GOLDEN_PLAIN_SMALL: &[usize] = &[34830, 48574, 68346, 39685, 42356, 40534, 25542, 16513, 83620];
const GOLDEN_KEYED_SMALL: &[usize] =
    &[35133, 23064, 27722, 44290, 15811, 65215, 47811, 39578, 37216, 35872, 28288];

#[test]
fn zeros_are_cut_at_the_largest_size() {
    let lengths = cuts(&cutter(), &vec![0; 300_000], Grain::Byte);
    assert_eq!(lengths, [262_144, 37_856]);
}

#[test]
fn a_line_grain_cuts_after_line_ends() {
    let text = (0..20_000).map(|n| format!("{n}\t{}\n", n * 7919 % 10_007)).collect::<String>();
    let mut end = 0;
    for len in cuts(&cutter(), text.as_bytes(), Grain::Line) {
        end += len;
        assert_eq!(text.as_bytes()[end - 1], b'\n');
    }
}

#[test]
fn a_page_grain_cuts_at_pages() {
    let data = noise(3, 64 * 8192);
    assert!(cuts(&cutter(), &data, Grain::Page(8192)).iter().all(|len| len % 8192 == 0));
}

#[test]
fn a_row_longer_than_the_search_is_cut_inside() {
    let data = noise(5, 300_000).iter().map(|byte| byte & 0x7f | 0x80).collect::<Vec<_>>();
    assert_eq!(cuts(&cutter(), &data, Grain::Line), cuts(&cutter(), &data, Grain::Byte));
}

#[test]
fn an_insertion_at_the_front_leaves_most_cuts_where_they_were() {
    let data = noise(9, 2 << 20);
    let shifted = [&b"inserted"[..], &data].concat();
    let ends = |data: &[u8], skip: usize| {
        let mut end = 0usize;
        cuts(&cutter(), data, Grain::Byte)
            .into_iter()
            .filter_map(|len| {
                end += len;
                end.checked_sub(skip)
            })
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (before, after) = (ends(&data, 0), ends(&shifted, 8));
    assert!(before.intersection(&after).count() * 10 >= before.len() * 8);
}

proptest! {
    #[test]
    fn chunks_cover_any_data_and_respect_the_bounds(seed: u64, len in 0usize..600_000, grain in grains()) {
        let data = noise(seed, len);
        let cutter = cutter();
        let lengths = cuts(&cutter, &data, grain);
        prop_assert_eq!(lengths.iter().sum::<usize>(), data.len());
        let limit = cutter.lookahead(grain);
        prop_assert!(lengths.iter().all(|len| *len > 0 && *len <= limit));
    }

    #[test]
    fn a_cut_depends_on_no_byte_beyond_the_lookahead(seed: u64, grain in grains(), extra in 0usize..100_000) {
        let data = noise(seed, 400_000);
        let cutter = cutter();
        let short = cutter.lookahead(grain);
        prop_assert_eq!(cutter.cut(&data[..short], grain), cutter.cut(&data[..short + extra], grain));
    }
}

fn grains() -> impl Strategy<Value = Grain> {
    prop_oneof![Just(Grain::Byte), Just(Grain::Line), Just(Grain::Tuple), Just(Grain::Page(4096))]
}

#[test]
fn a_page_of_nonsense_makes_no_chunk_that_a_reader_refuses() {
    let data = vec![0; 3 << 20];
    for page in [0, 1, 3, (1 << 20) + 1, u32::MAX] {
        let lengths = cuts(&cutter(), &data, Grain::Page(page));
        assert_eq!(lengths.iter().sum::<usize>(), data.len());
        assert!(lengths.iter().all(|len| *len <= 263_000), "{page}");
        assert!(cutter().lookahead(Grain::Page(page)) <= 263_000);
    }
}
