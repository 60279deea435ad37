//! What parity heals, what it does not, and that it always knows which.

use icecore_format::{Config, DecodeError, Digest, PackId, Parity, names};
use proptest::prelude::*;

use crate::values::config;

const HEAD: usize = 96;

/// Bytes of a fixed pseudo-random sequence.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn pack(len: usize) -> (PackId, Vec<u8>) {
    let bytes = noise(len as u64, len);
    (PackId(Digest::of(&bytes)), bytes)
}

/// Length of a shard, number of data shards, number of parity shards.
fn shape(parity: &[u8]) -> (usize, usize, usize) {
    let number = |at: usize| u32::from_le_bytes(parity[at..at + 4].try_into().expect("four bytes")) as usize;
    (number(12), number(24), number(28))
}

fn heal(id: &PackId, parity: &[u8], pack: &[u8]) -> Option<Vec<u8>> {
    let parity = Parity::decode(id, parity).ok()?;
    let healed = parity.heal(pack);
    assert_eq!(healed.is_some(), parity.can_heal(pack));
    healed
}

#[test]
fn parity_is_as_long_as_was_asked_for() {
    for (len, percent, expected) in [
        (1, 5, (64, 1, 2)),
        (700, 5, (704, 1, 2)),
        (4096, 5, (4096, 1, 2)),
        (40 * 4096, 5, (4096, 40, 2)),
        (40 * 4096 + 1, 5, (4096, 41, 3)),
        (1 << 20, 100, (4096, 256, 256)),
        (1 << 20, 1, (4096, 256, 3)),
    ] {
        let (id, pack) = pack(len);
        let parity = Parity::encode(&id, &pack, percent);
        assert_eq!(shape(&parity), expected, "{len} {percent}");
        assert_eq!(parity.len() as u64, Parity::stored_len(len as u64, percent));
        assert_eq!(Parity::check(&id, &parity), Ok(()));
    }
    assert_eq!(Parity::stored_len(1 << 20, 0), 0);
    // A long pack has longer shards, not more of them than the code can count.
    assert!(Parity::stored_len(32 << 20, 5) < (32 << 20) * 6 / 100);
    assert!(Parity::stored_len(2 << 30, 100) < (2 << 30) * 101 / 100);
}

#[test]
fn every_flipped_bit_and_every_cut_of_parity_is_noticed() {
    let (id, pack) = pack(900);
    let parity = Parity::encode(&id, &pack, 5);
    for at in 0..parity.len() {
        let mut flipped = parity.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(Parity::check(&id, &flipped).is_err(), "at {at}");
        // One flipped bit takes at most one of the two parity shards.
        let mut damaged = pack.clone();
        damaged[at % 900] ^= 1;
        assert_eq!(heal(&id, &flipped, &damaged), Some(pack.clone()), "at {at}");
        assert!(Parity::check(&id, &parity[..at]).is_err(), "cut at {at}");
        if let Ok(parity) = Parity::decode(&id, &parity[..at]) {
            let _ = parity.heal(&damaged);
        }
    }
    assert!(Parity::check(&id, &[parity, vec![0]].concat()).is_err());
}

#[test]
fn parity_of_another_pack_is_refused() {
    let (id, pack) = pack(9000);
    let parity = Parity::encode(&id, &pack, 5);
    let other = PackId(Digest::of(b"another"));
    assert_eq!(Parity::check(&other, &parity), Err(DecodeError::Damaged));
    assert_eq!(Parity::decode(&other, &parity).map(drop), Err(DecodeError::Damaged));
}

#[test]
fn a_short_pack_is_healed_when_nothing_of_it_is_left() {
    for len in [1, 900, 4096, 8192] {
        let (id, pack) = pack(len);
        assert_eq!(heal(&id, &Parity::encode(&id, &pack, 5), b""), Some(pack), "{len}");
    }
    let (id, pack) = pack(8193);
    assert_eq!(heal(&id, &Parity::encode(&id, &pack, 5), b""), None);
}

#[test]
fn damage_in_a_table_and_in_a_head_costs_no_shard() {
    let (id, pack) = pack(100_000);
    let parity = Parity::encode(&id, &pack, 10);
    let (len, data, spare) = shape(&parity);
    let table = (data + spare) * 16;
    let mut damaged = pack.clone();
    damaged.truncate((data - spare) * len);
    let second = HEAD + table + spare * len;
    for (from, to) in [(0, HEAD + table), (second, parity.len())] {
        let mut parity = parity.clone();
        parity[from..to].fill(0x55);
        assert_eq!(heal(&id, &parity, &damaged), Some(pack.clone()), "{from}");
    }
    // Something in front of it, something behind it.
    assert_eq!(heal(&id, &[parity.clone(), noise(1, 50)].concat(), &damaged), Some(pack.clone()));
    assert_eq!(heal(&id, &[noise(1, 5000), parity].concat(), &damaged), Some(pack));
}

#[test]
fn a_pack_that_only_ends_with_zeros_is_not_taken_for_whole_when_it_is_cut() {
    let pack = [noise(1, 50_000), vec![0; 50_000]].concat();
    let id = PackId(Digest::of(&pack));
    let parity = Parity::encode(&id, &pack, 20);
    assert_eq!(heal(&id, &parity, &pack[..90_000]), Some(pack.clone()));
    assert_eq!(heal(&id, &parity, &pack[..60_000]), None);
}

#[test]
fn parity_has_the_bytes_it_always_had() {
    let hash = |len, percent| {
        let (id, pack) = pack(len);
        Digest::of(&Parity::encode(&id, &pack, percent)).to_hex()[..16].to_owned()
    };
    let found = [hash(900, 5), hash(100_000, 5), hash(3 << 20, 5), hash(3 << 20, 100)];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 4] = ["a1d548ddc8f919d8", "871d1fc5089da8a1", "a853c8c00340955c", "8945654dea24e615"];

#[test]
fn a_configuration_says_how_much_parity_there_is_only_where_there_is_any() {
    let encode = |parity| Config { parity, ..config() }.encode();
    let text = |parity| String::from_utf8_lossy(&encode(parity)).into_owned();
    assert!(!text(0).contains("parity") && text(5).contains("\"parity\": 5\n"));
    for parity in [0, 1, 5, 100] {
        assert_eq!(Config::decode(&encode(parity)).map(|config| config.parity), Ok(parity));
    }
    assert!(Config::decode(&encode(101)).is_err());
}

#[test]
fn parity_lies_under_one_name() {
    let (lower, upper) = ("ab".repeat(32), "AB".repeat(32));
    let id = names::parse_parity(&format!("parity/ab/{lower}")).unwrap();
    assert_eq!(names::parity(&id), format!("parity/ab/{lower}"));
    assert_eq!(names::parse_parity(&format!("parity/AB/{upper}")), None);
    assert_eq!(names::parse_parity(&format!("parity/cd/{lower}")), None);
    assert_eq!(names::parse_parity(&format!("packs/ab/{lower}")), None);
    assert_eq!(names::parse_pack(&format!("parity/ab/{lower}")), None);
}

/// Damages `count` shards of the pack and its parity, in an order drawn by lot.
fn damage(pack: &mut [u8], parity: &mut [u8], lot: &[prop::sample::Index], count: usize, flip: u8) {
    let (len, data, spare) = shape(parity);
    let mut left: Vec<usize> = (0..data + spare).collect();
    for index in lot.iter().cycle().take(count) {
        let number = left.swap_remove(index.index(left.len()));
        if number < data {
            let end = pack.len().min((number + 1) * len);
            let at = number * len + index.index(end - number * len);
            pack[at] ^= flip;
        } else {
            let at = HEAD + (data + spare) * 16 + (number - data) * len + index.index(len);
            parity[at] ^= flip;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_within_its_power_is_healed_and_more_is_refused(
        len in prop_oneof![1usize..5000, 1usize..200_000, 1usize..1_500_000],
        percent in 1u8..=100,
        lot in prop::collection::vec(any::<prop::sample::Index>(), 1..9),
        flip in 1u8..,
    ) {
        let (id, whole) = pack(len);
        let parity = Parity::encode(&id, &whole, percent);
        let (_, data, spare) = shape(&parity);
        for count in [1, spare.div_ceil(2), spare, spare + 1] {
            let (mut pack, mut parity) = (whole.clone(), parity.clone());
            damage(&mut pack, &mut parity, &lot, count.min(data + spare), flip);
            let healed = heal(&id, &parity, &pack);
            // Where all the damage is in the parity, the pack is whole.
            prop_assert_eq!(healed.is_some(), count <= spare || pack == whole, "{} of {}", count, spare);
            prop_assert!(healed.is_none_or(|healed| healed == whole));
        }
    }

    #[test]
    fn a_pack_that_was_cut_or_grew_is_healed_as_far_as_parity_goes(
        len in 1usize..300_000,
        percent in 1u8..=100,
        cut in any::<prop::sample::Index>(),
        more: Vec<u8>,
    ) {
        let (id, whole) = pack(len);
        let parity = Parity::encode(&id, &whole, percent);
        let (shard, data, spare) = shape(&parity);
        prop_assert_eq!(heal(&id, &parity, &[&whole[..], &more].concat()), Some(whole.clone()));
        let cut = cut.index(len);
        let lost = data - cut / shard;
        prop_assert_eq!(heal(&id, &parity, &whole[..cut]), (lost <= spare).then_some(whole));
    }

    #[test]
    fn no_bytes_make_its_decoder_panic(bytes: Vec<u8>, pack: Vec<u8>) {
        let id = PackId(Digest::of(b"x"));
        let _ = Parity::check(&id, &bytes);
        if let Ok(parity) = Parity::decode(&id, &bytes) {
            prop_assert!(parity.heal(&pack).is_none());
        }
    }
}
