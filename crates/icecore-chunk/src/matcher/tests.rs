use icecore_format::{Difference, Residue};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Matcher;

/// An edit of a run: where, how much goes, what comes.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    vec((any::<prop::sample::Index>(), 0..200usize, vec(any::<u8>(), 0..200)), 0..20)
}

/// Bytes with as much variety as text, or little: what repeats leads a search astray.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..20_000),
        vec(0..2u8, 0..20_000),
        (vec(any::<u8>(), 1..40), 0..500usize).prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

fn edit(base: &[u8], edits: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    let mut new = base.to_vec();
    for (at, gone, come) in edits {
        let at = at.index(new.len() + 1);
        let end = (at + gone).min(new.len());
        new.splice(at..end, come.iter().copied());
    }
    new
}

fn apply(difference: &Difference, base: &[u8], len: usize) -> Option<Vec<u8>> {
    Difference::apply(&difference.copies, &difference.literals, base, len)
}

proptest! {
    #[test]
    fn a_difference_gives_the_run_back(base in bytes(), other in bytes(), edits in edits()) {
        let mut matcher = Matcher::default();
        for new in [edit(&base, &edits), other] {
            let difference = matcher.difference(&base, &new);
            prop_assert_eq!(apply(&difference, &base, new.len()), Some(new.clone()));
            prop_assert_eq!(difference.copied() + difference.literals.len() as u64, new.len() as u64);
            prop_assert_eq!(apply(&difference, &base, new.len() + 1), None);
        }
    }

    #[test]
    fn a_residue_gives_every_run_back(base in bytes(), runs in vec((edits(), bytes()), 1..4)) {
        let mut matcher = Matcher::default();
        let news: Vec<_> =
            runs.iter().map(|(edits, more)| [edit(&base, edits), more.clone()].concat()).collect();
        let differences: Vec<_> = news.iter().map(|new| matcher.difference(&base, new)).collect();
        let bytes = Residue::encode(&differences);
        let lens: Vec<u32> = news.iter().map(|new| u32::try_from(new.len()).unwrap()).collect();
        let residue = Residue::decode(bytes.clone(), &lens).unwrap();
        for (number, new) in news.iter().enumerate() {
            prop_assert_eq!(residue.apply(number, &base, new.len()), Some(new.clone()));
        }
        for cut in 0..bytes.len().min(200) {
            prop_assert!(Residue::decode(bytes[..cut].to_vec(), &lens).is_err());
        }
    }
}

#[test]
fn scattered_changes_cost_little_more_than_themselves() {
    let mut random = fastrand::Rng::with_seed(7);
    let base: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(1 << 20).collect();
    let mut new = base.clone();
    for at in (1000..new.len() - 100).step_by(10_000) {
        // One byte changes, five come, three go.
        new[at] ^= 0xff;
        new.splice(at + 40..at + 40, *b"hello");
        new.drain(at + 80..at + 83);
    }
    let difference = Matcher::default().difference(&base, &new);
    let changes = 105;
    assert!(difference.literals.len() < changes * 16, "{}", difference.literals.len());
    assert!(difference.copies.len() <= changes * 3 + 1, "{}", difference.copies.len());
}

#[test]
fn what_moved_is_found_where_it_was() {
    let mut random = fastrand::Rng::with_seed(8);
    let base: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(100_000).collect();
    let new = [&base[60_000..], &base[..60_000]].concat();
    let difference = Matcher::default().difference(&base, &new);
    assert_eq!((difference.copies.len(), difference.literals.len()), (2, 0));
}

/// After much that is new the search takes long steps; they must not pass all blocks by.
#[test]
fn what_comes_after_much_that_is_new_is_found_wherever_it_lies() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut noise = |len| std::iter::repeat_with(|| random.u8(..)).take(len).collect::<Vec<u8>>();
    let base = noise(200_000);
    for shift in 0..32 {
        let new = [noise(100_000 + shift), base.clone()].concat();
        let difference = Matcher::default().difference(&base, &new);
        assert!(difference.copied() >= base.len() as u64, "{shift}: {}", difference.copied());
    }
}
