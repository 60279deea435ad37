//! What is encoded decodes to the same.

use icecore_format::{
    Claim, Condemned, Config, Digest, Epoch, KdfCost, KeyFile, Label, Manifest, PackHeader, PackId, PackToc,
    PackTrailer, SecretBytes, SnapshotId, StoreId, TreeNode, decode_parts, encode_part, names,
};
use proptest::prelude::*;

use crate::values::{
    EMPTY_HASH, SALT, config, headers, keys, labels, manifests, nodes, parts, table_end, tables,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_come_back_whole_and_unfinished_ones_are_left(parts in parts(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for part in &parts {
            encode_part(part, &mut bytes);
            ends.push(bytes.len());
        }
        let whole = decode_parts(&bytes, 0, EMPTY_HASH).unwrap();
        prop_assert_eq!(&whole, &(parts.clone(), bytes.len()));
        let cut = cut.index(bytes.len() + 1);
        let complete = ends.iter().filter(|end| **end <= cut).count() - 1;
        let (some, consumed) = decode_parts(&bytes[..cut], 0, EMPTY_HASH).unwrap();
        prop_assert_eq!(&some[..], &parts[..complete]);
        prop_assert_eq!(consumed, ends[complete]);
    }

    #[test]
    fn nodes_come_back(node in nodes()) {
        let bytes = node.encode();
        prop_assert_eq!(TreeNode::decode(&bytes).unwrap(), node);
    }

    #[test]
    fn manifests_come_back_under_their_own_name_only(manifest in manifests(), key in keys(), salt: [u8; 32]) {
        let name = names::snapshot("01h");
        let (id, bytes) = manifest.encode(&name, &key, &salt);
        prop_assert_eq!(Manifest::decode(&name, &bytes, &key).unwrap(), Some((id, manifest)));
        prop_assert!(Manifest::decode(&names::snapshot("01j"), &bytes, &key).is_err());
        let fence = Manifest::encode_fence(&name, &key, &salt);
        prop_assert_eq!(Manifest::decode(&name, &fence, &key).unwrap(), None);
    }

    #[test]
    fn labels_come_back_under_their_own_name_only(label in labels(), key in keys(), salt: [u8; 32]) {
        let ids = [1, 2].map(|n| SnapshotId::from_bytes([n; 32]));
        let [name, other] = ids.map(|id| names::label(&id, &label.object_name(&key)));
        let bytes = label.encode(&ids[0], &key, &salt);
        prop_assert_eq!(Label::decode(&name, &bytes, &key).unwrap(), label);
        prop_assert!(Label::decode(&other, &bytes, &key).is_err());
        prop_assert_eq!(names::parse_label(&name).map(|(id, _)| id), Some(ids[0]));
    }

    #[test]
    fn packs_come_back(header in headers(), toc in tables(), key in keys()) {
        let header = PackHeader::new(key.is_encrypted(), header.salt, header.first_body);
        let bytes = header.encode();
        prop_assert_eq!(bytes.len(), 64);
        prop_assert_eq!(PackHeader::decode(&bytes).unwrap(), header);
        let at = table_end(&toc);
        let stored = toc.encode(&header, at, &key);
        let (table, trailer) = stored.split_at(stored.len() - 64);
        let trailer = PackTrailer::decode(trailer, at + stored.len() as u64).unwrap();
        prop_assert_eq!((trailer.toc_offset, trailer.toc_len as usize), (at, table.len()));
        prop_assert_eq!(PackToc::decode(&header, &trailer, table.to_vec(), &key).unwrap(), toc);
    }

    #[test]
    fn bodies_are_opened_by_their_own_number_only(plain: Vec<u8>, key in keys(), number in 0..1u64 << 62, other in 0..1u64 << 62) {
        let cipher = key.pack_cipher(&SALT);
        let sealed = cipher.seal_body(number, plain.clone());
        prop_assert_eq!(cipher.open_body(number, sealed.clone()).unwrap(), plain);
        if key.is_encrypted() {
            prop_assert_eq!(cipher.open_body(other, sealed.clone()).is_ok(), other == number);
            prop_assert!(key.pack_cipher(&[8; 32]).open_body(number, sealed).is_err());
        }
    }

    #[test]
    fn small_objects_come_back(epoch: u64, heartbeat: u64, holder: String, packs: Vec<[u8; 32]>) {
        let epoch = Epoch(epoch);
        prop_assert_eq!(Epoch::decode("epoch", &epoch.encode("epoch")).unwrap(), epoch);
        let claim = Claim { epoch, heartbeat, holder };
        prop_assert_eq!(Claim::decode("claims/a", &claim.encode("claims/a")).unwrap(), claim);
        let condemned = Condemned { packs: packs.into_iter().map(PackId::from_bytes).collect() };
        let name = names::condemned(epoch.0);
        prop_assert_eq!(Condemned::parse_name(&name), Some(epoch.0));
        prop_assert_eq!(Condemned::decode(&name, &condemned.encode(&name)).unwrap(), condemned);
    }

    #[test]
    fn ids_and_names_come_back(bytes: [u8; 32]) {
        let digest = Digest(bytes);
        prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        let pack = PackId(digest);
        prop_assert_eq!(names::parse_pack(&names::pack(&pack)), Some(pack));
    }

    #[test]
    fn a_key_file_gives_the_key_for_its_password_only(root: [u8; 32], password: Vec<u8>, other: Vec<u8>, salt: [u8; 32]) {
        let store = StoreId::from_bytes([1; 32]);
        let file = KeyFile::wrap(&SecretBytes(root), store, &password, "label", "now", KdfCost::CHEAPEST, salt);
        let file = KeyFile::decode(&file.id, &file.encode()).unwrap();
        prop_assert_eq!(file.unwrap(store, &password).unwrap().0, root);
        prop_assert_eq!(file.unwrap(store, &other).is_ok(), other == password);
        prop_assert!(file.unwrap(StoreId::from_bytes([2; 32]), &password).is_err());
    }
}

#[test]
fn a_configuration_comes_back() {
    let config = config();
    assert_eq!(Config::decode(&config.encode()).unwrap(), config);
}
