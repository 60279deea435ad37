//! No bytes make a decoder panic, allocate without bound, or take one thing for another.

use icecore_format::{
    Claim, Condemned, Config, DecodeError, Digest, EVIDENCE_ENTRIES_MAX, EVIDENCE_TEXT_MAX, Epoch,
    FORMAT_VERSION, KdfCost, KeyFile, Label, Manifest, PackHeader, PackToc, PackTrailer, SecretBytes,
    SnapshotId, StoreId, StoreKey, TreeNode, decode_parts, encode_part, names,
};
use proptest::prelude::*;

use crate::values::{
    EMPTY_HASH, SALT, claim, condemned, config, manifest, secret, some_parts, table, table_end,
};

/// The id of the key file whose salt is [`SALT`].
const KEY: &str = "7a861bad";
const MANIFEST: &str = "snapshots/01h";

fn label_name() -> String {
    names::label(&SnapshotId::from_bytes([1; 32]), "note")
}

/// Decodes as everything that it could be taken for. Whether any decoder accepted it.
fn decode_all(bytes: &[u8], key: &StoreKey) -> bool {
    let accepted = [
        Config::decode(bytes).is_ok(),
        KeyFile::decode(KEY, bytes).is_ok_and(|file| {
            // A changed cost may be a high one: bounded, but not to be paid by a test.
            if file.cost.memory_kib <= 1024 && file.cost.passes <= 2 {
                let _ = file.unwrap(StoreId::from_bytes([1; 32]), b"password");
            }
            true
        }),
        Manifest::decode(MANIFEST, bytes, key).is_ok(),
        Manifest::decode("elsewhere", bytes, key).is_ok(),
        Label::decode(&label_name(), bytes, key).is_ok(),
        Claim::decode("claims/01h", bytes).is_ok(),
        Epoch::decode("epoch", bytes).is_ok(),
        Condemned::decode("condemned/1", bytes).is_ok(),
    ];
    let _ = decode_parts(bytes, u64::MAX - 5, EMPTY_HASH);
    if let Ok(node) = TreeNode::decode(bytes) {
        assert_eq!(node.encode(), bytes);
        let _ = (node.span(), node.chunk_count(), node.ends_here());
    }
    accepted.contains(&true) | decode_pack(bytes, key)
}

fn decode_pack(bytes: &[u8], key: &StoreKey) -> bool {
    let header = bytes.get(..64).map(PackHeader::decode);
    let trailer =
        bytes.len().checked_sub(64).map(|at| (at, PackTrailer::decode(&bytes[at..], bytes.len() as u64)));
    let (Some(Ok(header)), Some((end, Ok(trailer)))) = (header, trailer) else { return false };
    let start = usize::try_from(trailer.toc_offset).expect("it lies before the end");
    PackToc::decode(&header, &trailer, bytes[start..end].to_vec(), key).is_ok()
}

/// An object with a right checksum around any payload: what a stranger could put into a plain store.
fn forge(kind: u8, flags: u16, name: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = b"ICECORE".to_vec();
    out.push(kind);
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&u32::try_from(payload.len()).expect("short").to_le_bytes());
    out.extend_from_slice(payload);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(&out);
    out.extend_from_slice(hasher.finalize().as_bytes());
    out
}

fn forge_pack(header: &PackHeader, table: &[u8], toc_offset: u64) -> (PackTrailer, u64) {
    let mut trailer = toc_offset.to_le_bytes().to_vec();
    let len = u32::try_from(table.len()).expect("short");
    trailer.extend_from_slice(&len.to_le_bytes());
    trailer.extend_from_slice(&[0; 4]);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.encode());
    hasher.update(table);
    hasher.update(&toc_offset.to_le_bytes());
    hasher.update(&len.to_le_bytes());
    trailer.extend_from_slice(hasher.finalize().as_bytes());
    trailer.extend_from_slice(&[0; 8]);
    trailer.extend_from_slice(b"ICECOREp");
    let pack_len = toc_offset + table.len() as u64 + 64;
    (PackTrailer::decode(&trailer, pack_len).expect("a trailer"), pack_len)
}

/// One valid encoding of everything, with a name for messages.
fn valid(key: &StoreKey) -> Vec<(&'static str, Vec<u8>)> {
    let file = KeyFile::wrap(
        &SecretBytes([5; 32]),
        StoreId::from_bytes([1; 32]),
        b"password",
        "first",
        "now",
        KdfCost::CHEAPEST,
        SALT,
    );
    let header = PackHeader::new(key.is_encrypted(), SALT, 4);
    let mut pack = header.encode();
    pack.resize(usize::try_from(table_end(&table())).expect("short"), 0);
    pack.extend_from_slice(&table().encode(&header, pack.len() as u64, key));
    vec![
        ("config", config().encode()),
        ("key", file.encode()),
        ("manifest", manifest().encode(MANIFEST, key, &SALT).1),
        ("fence", Manifest::encode_fence(MANIFEST, key, &SALT)),
        ("label", Label::Note("why".into()).encode(&SnapshotId::from_bytes([1; 32]), key, &SALT)),
        ("claim", claim().encode("claims/01h")),
        ("epoch", Epoch(3).encode("epoch")),
        ("condemned", condemned().encode("condemned/1")),
        ("pack", pack),
    ]
}

fn keys() -> [StoreKey; 2] {
    [StoreKey::Plain, secret()]
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    for key in keys() {
        for (what, bytes) in valid(&key) {
            assert!(decode_all(&bytes, &key), "{what}");
            for at in 0..bytes.len() {
                // The checksum of a pack's table does not cover its bodies: their chunks have ids.
                let in_body = what == "pack"
                    && (64..usize::try_from(table_end(&table())).expect("short")).contains(&at);
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                assert!(!decode_all(&flipped, &key) || in_body, "{what} at {at}");
                assert!(!decode_all(&bytes[..at], &key), "{what} cut at {at}");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(!decode_all(&longer, &key), "{what}");
        }
    }
}

#[test]
fn nothing_passes_for_something_else() {
    for key in keys() {
        for (what, bytes) in valid(&key) {
            let refused = |kind: &str, error: Option<DecodeError>| {
                assert!(what == kind || error.is_some(), "{what} passes for {kind}");
            };
            refused("config", Config::decode(&bytes).err());
            refused("epoch", Epoch::decode("epoch", &bytes).err());
            refused("claim", Claim::decode("claims/01h", &bytes).err());
            refused("label", Label::decode(&label_name(), &bytes, &key).err());
        }
    }
}

#[test]
fn plain_and_sealed_objects_are_not_mixed() {
    let [plain, secret] = keys();
    for (with, under) in [(&plain, &secret), (&secret, &plain)] {
        let (_, bytes) = manifest().encode(MANIFEST, with, &SALT);
        assert_eq!(Manifest::decode(MANIFEST, &bytes, under), Err(DecodeError::CryptoMismatch));
        let other = StoreKey::secret(SecretBytes([6; 32]));
        if with.is_encrypted() {
            assert_eq!(Manifest::decode(MANIFEST, &bytes, &other), Err(DecodeError::Damaged));
        }
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    for (what, mut bytes) in valid(&StoreKey::Plain) {
        let (found, supported) = (FORMAT_VERSION + 1, FORMAT_VERSION);
        bytes[8..10].copy_from_slice(&found.to_le_bytes());
        let newer = DecodeError::TooNew { found, supported };
        // Of a flipped bit the checksum tells; a newer program makes it right.
        let as_newer = |name: &str, bytes: &[u8]| {
            let covered = &bytes[..bytes.len() - 32];
            let named = [&(name.len() as u64).to_le_bytes()[..], name.as_bytes(), covered].concat();
            [covered, &Digest::of(&named).0].concat()
        };
        match what {
            "config" => {
                assert_eq!(Config::decode(&bytes), Err(DecodeError::Damaged));
                assert_eq!(Config::decode(&as_newer("config", &bytes)), Err(newer));
            }
            "manifest" => {
                let decode = |bytes: &[u8]| Manifest::decode(MANIFEST, bytes, &StoreKey::Plain);
                assert_eq!(decode(&bytes), Err(DecodeError::Damaged));
                assert_eq!(decode(&as_newer(MANIFEST, &bytes)), Err(newer));
            }
            "pack" => assert_eq!(PackHeader::decode(&bytes[..64]), Err(newer)),
            _ => assert!(!decode_all(&bytes, &StoreKey::Plain)),
        }
    }
}

#[test]
fn a_key_file_may_not_cost_the_earth() {
    let json = |cost: &str| {
        format!(
            r#"{{"id":"{KEY}","label":"","created_at":"","cost":{cost},"salt":"{}","wrapped":""}}"#,
            "0".repeat(64)
        )
    };
    let decode = |cost| KeyFile::decode(KEY, &forge(b'K', 0, &format!("keys/{KEY}"), json(cost).as_bytes()));
    assert!(decode(r#"{"memory_kib":16,"passes":1,"lanes":1}"#).is_ok());
    for cost in [
        r#"{"memory_kib":4000000000,"passes":1,"lanes":1}"#,
        r#"{"memory_kib":16,"passes":4000000000,"lanes":1}"#,
        r#"{"memory_kib":16,"passes":1,"lanes":4000000000}"#,
    ] {
        assert!(decode(cost).is_err());
    }
    // Costs that Argon2 itself refuses are no panic either.
    let odd = decode(r#"{"memory_kib":0,"passes":0,"lanes":0}"#).unwrap();
    assert!(odd.unwrap(StoreId::from_bytes([1; 32]), b"x").is_err());
}

#[test]
fn a_key_file_says_under_which_id_it_lies() {
    let salt = "0".repeat(64);
    let json = |id| {
        let cost = r#"{"memory_kib":16,"passes":1,"lanes":1}"#;
        format!(r#"{{"id":"{id}","label":"","created_at":"","cost":{cost},"salt":"{salt}","wrapped":""}}"#)
    };
    let decode = |id| KeyFile::decode(KEY, &forge(b'K', 0, &names::key(KEY), json(id).as_bytes()));
    assert!(decode(KEY).is_ok());
    assert!(decode("00000000").is_err());
}

#[test]
fn names_lead_nowhere_else() {
    let id = "ab".repeat(32);
    for label in ["", ".", "..", "../../x", "a/b", "a\0b"] {
        assert_eq!(names::parse_label(&format!("labels/{id}/{label}")), None, "{label:?}");
    }
    for id in ["", "..", "../../x", "a/b"] {
        let cost = r#"{"memory_kib":16,"passes":1,"lanes":1}"#;
        let salt = "0".repeat(64);
        let json = format!(
            r#"{{"id":"{id}","label":"","created_at":"","cost":{cost},"salt":"{salt}","wrapped":""}}"#
        );
        assert!(KeyFile::decode(id, &forge(b'K', 0, &names::key(id), json.as_bytes())).is_err(), "{id}");
    }
}

#[test]
fn nothing_lies_in_a_store_under_two_names() {
    let (lower, upper) = ("ab".repeat(32), "AB".repeat(32));
    assert!(names::parse_pack(&format!("packs/ab/{lower}")).is_some());
    assert_eq!(names::parse_pack(&format!("packs/AB/{upper}")), None);
    assert_eq!(names::parse_pack(&format!("packs/cd/{lower}")), None);
    assert_eq!(names::parse_label(&format!("labels/{lower}/note")).map(|(_, label)| label), Some("note"));
    assert_eq!(names::parse_label(&format!("labels/{upper}/note")), None);
    assert_eq!(Condemned::parse_name(&names::condemned(5)), Some(5));
    assert_eq!(Condemned::parse_name("condemned/5"), None);
    assert_eq!(Condemned::parse_name("condemned/+0000000000000000005"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes: Vec<u8>) {
        for key in keys() {
            decode_all(&bytes, &key);
        }
    }

    #[test]
    fn no_payload_behind_a_right_checksum_makes_a_decoder_panic(payload: Vec<u8>, kind in 0..9usize, flags in 0..4u16) {
        let (label, key_name) = (label_name(), names::key(KEY));
        let (kind, name) = [
            (b'C', "config"), (b'K', &key_name), (b'M', MANIFEST), (b'L', &label), (b'W', "claims/01h"),
            (b'E', "epoch"), (b'X', "condemned/1"), (b'M', "elsewhere"), (b'P', "packs/00"),
        ][kind];
        for key in keys() {
            decode_all(&forge(kind, flags, name, &payload), &key);
        }
    }

    #[test]
    fn no_change_of_a_payload_makes_a_decoder_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let valid = valid(&StoreKey::Plain);
        let (what, bytes) = &valid[which.index(valid.len() - 1)];
        let mut payload = bytes[16..bytes.len() - 32].to_vec();
        for (at, byte) in &changes {
            let at = at.index(payload.len());
            payload[at] = *byte;
        }
        if changes.len() == 3 {
            payload.truncate(cut.index(payload.len() + 1));
        }
        let (label, key_name) = (label_name(), names::key(KEY));
        let name = match *what {
            "config" => "config",
            "key" => &key_name,
            "manifest" | "fence" => MANIFEST,
            "label" => &label,
            "claim" => "claims/01h",
            "epoch" => "epoch",
            _ => "condemned/1",
        };
        decode_all(&forge(bytes[7], 0, name, &payload), &StoreKey::Plain);
    }

    #[test]
    fn no_change_of_a_catalog_makes_its_decoder_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut bytes = Vec::new();
        for part in some_parts() {
            encode_part(&part, &mut bytes);
        }
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Ok((parts, consumed)) = decode_parts(&bytes, 0, EMPTY_HASH) {
            // What was accepted is whole: it can be written again, and is then the same.
            let mut again = Vec::new();
            parts.iter().for_each(|part| encode_part(part, &mut again));
            prop_assert_eq!(decode_parts(&again, 0, EMPTY_HASH).unwrap().0, parts);
            prop_assert!(consumed <= bytes.len());
        }
    }

    #[test]
    fn no_table_behind_a_right_checksum_makes_its_decoder_panic(
        random: Vec<u8>,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        from_valid: bool,
    ) {
        let header = PackHeader::new(false, SALT, 0);
        let stored = table().encode(&header, 75, &StoreKey::Plain);
        let mut bytes = if from_valid { stored[..stored.len() - 64].to_vec() } else { random };
        if !bytes.is_empty() {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        let (trailer, _) = forge_pack(&header, &bytes, 75);
        if let Ok(toc) = PackToc::decode(&header, &trailer, bytes, &StoreKey::Plain) {
            for body in &toc.bodies {
                prop_assert!(body.plain_len <= icecore_format::BODY_LEN_MAX);
                prop_assert!(!body.runs.is_empty() && body.runs.iter().all(|run| !run.chunks.is_empty()));
            }
            prop_assert_eq!(table_end(&toc), 75);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text: String) {
        let _ = text.parse::<Digest>();
        let _ = names::parse_pack(&format!("packs/{text}"));
        let _ = names::parse_label(&format!("labels/{text}"));
        let _ = Condemned::parse_name(&format!("condemned/{text}"));
    }
}

#[test]
fn evidence_that_is_longer_than_it_may_be_is_refused() {
    let label = |fault: &str, checks: usize| {
        let checks = vec![r#"{"name":"n","count":1}"#; checks].join(",");
        format!(
            r#"{{"evidence":{{"kind":"verified","at":"t","host":"h","tool_version":"v","checks":[{checks}],"fault":"{fault}"}}}}"#
        )
    };
    let is_read = |json: String| {
        let bytes = forge(b'L', 0, &label_name(), json.as_bytes());
        Label::decode(&label_name(), &bytes, &StoreKey::Plain).is_ok()
    };
    assert!(is_read(label(&"x".repeat(EVIDENCE_TEXT_MAX), EVIDENCE_ENTRIES_MAX)));
    assert!(!is_read(label(&"x".repeat(EVIDENCE_TEXT_MAX + 1), 0)));
    assert!(!is_read(label("", EVIDENCE_ENTRIES_MAX + 1)));
    assert!(!is_read(label("", 0).replace("verified", "believed")));
}
