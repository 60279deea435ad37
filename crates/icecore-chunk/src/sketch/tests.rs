use icecore_format::{ChunkSizes, Sketch};

use super::Sketcher;

fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn shared(a: &Sketch, b: &Sketch) -> usize {
    a.numbers().iter().filter(|number| b.numbers().contains(number)).count()
}

#[test]
fn a_sketch_has_the_numbers_it_always_had() {
    // They are stored: with others, nothing would be found to resemble what is stored already.
    let text: Vec<u8> = (0..20_000u32).flat_map(|n| format!("{n}\trow\n").into_bytes()).collect();
    let found = [None, Some(&[7; 32])]
        .map(|seed| Sketcher::new(ChunkSizes::default(), seed).sketch(&text).numbers().to_vec());
    assert_eq!(found, [PUBLISHED.to_vec(), KEYED.to_vec()]);
}

#[test]
fn chunks_that_differ_in_a_hundredth_share_most_of_their_numbers() {
    let sketcher = Sketcher::new(ChunkSizes::default(), None);
    let mut total = 0;
    for seed in 0..20 {
        let base = random_bytes(seed, 80_000);
        let mut new = base.clone();
        for at in (500..new.len()).step_by(20_000) {
            new.splice(at..at + 150, random_bytes(seed + 100, 180));
        }
        total += shared(&sketcher.sketch(&base), &sketcher.sketch(&new));
        let other = random_bytes(seed + 1000, 80_000);
        assert_eq!(shared(&sketcher.sketch(&base), &sketcher.sketch(&other)), 0);
    }
    assert!(total >= 72, "{total} of 80");
}

#[test]
fn a_sketch_does_not_depend_on_what_lies_before_its_windows() {
    let sketcher = Sketcher::new(ChunkSizes::default(), None);
    let base = random_bytes(1, 80_000);
    let shifted = [&b"shifted by so many bytes"[..], &base].concat();
    assert!(shared(&sketcher.sketch(&base), &sketcher.sketch(&shifted)) >= 3);
}

#[test]
fn what_has_no_variety_has_no_sketch_or_a_small_one() {
    let sketcher = Sketcher::new(ChunkSizes::default(), None);
    for bytes in [vec![], vec![1; 63], vec![0; 100_000], b"ab".repeat(50_000)] {
        assert!(sketcher.sketch(&bytes).numbers().len() <= 2);
    }
}

const PUBLISHED: [u64; 4] =
    [1_864_280_695_111_596, 13_632_367_725_643_488, 86_000_830_691_316_539, 175_451_980_359_355_647];
const KEYED: [u64; 4] =
    [227_720_361_770_614_160, 231_803_624_776_513_216, 343_696_008_878_941_234, 369_404_273_683_466_844];
