//! The small objects in their frames: configuration, keys, manifests, labels, the protocol's.
//!
//! The input is the payload: a frame with a right checksum is put around it, for mutations would hardly ever get past it.
//! [`any_object`] takes whole objects instead, frames included.

use icecore_chunk::{Cutter, Grain};
use icecore_format::{
    Claim, Condemned, Config, DecodeError, Epoch, KeyFile, Label, Manifest, SecretBytes, SnapshotId,
    StoreKey, names,
};

use crate::envelope;

const KEY: &str = "7a861bad";
const MANIFEST: &str = "snapshots/01h";
const CLAIM: &str = "claims/01h";
const SALT: [u8; 32] = [9; 32];

fn snapshot() -> SnapshotId {
    SnapshotId::from_bytes([1; 32])
}

fn note() -> String {
    names::label(&snapshot(), "note")
}

/// The input behind a frame, then the input as the frame itself.
fn both<T>(
    kind: u8,
    name: &str,
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Option<T> {
    let _ = decode(input);
    decode(&envelope::object(kind, name, input)).ok()
}

pub(crate) fn config(input: &[u8]) {
    if let Some(config) = both(b'C', names::CONFIG, input, Config::decode) {
        assert_eq!(Config::decode(&config.encode()), Ok(config.clone()));
        // What is accepted is good for all that is built from it.
        let cutter = Cutter::new(config.chunk_sizes, None);
        let cut = cutter.cut(input, Grain::Line);
        assert!(cut <= input.len() && (cut > 0 || input.is_empty()));
    }
}

pub(crate) fn key_file(input: &[u8]) {
    let decode = |bytes: &[u8]| KeyFile::decode(KEY, bytes);
    if let Some(file) = both(b'K', &names::key(KEY), input, decode) {
        assert_eq!(decode(&file.encode()), Ok(file.clone()), "its name is its id");
        assert!(file.cost.memory_kib <= 1 << 20 && file.cost.passes <= 64 && file.cost.lanes <= 64);
    }
}

pub(crate) fn manifest(input: &[u8]) {
    let decode = |bytes: &[u8]| Manifest::decode(MANIFEST, bytes, &StoreKey::Plain);
    let Some(found) = both(b'M', MANIFEST, input, decode) else { return };
    let Some((id, manifest)) = found else {
        assert_eq!(input, [0], "only one byte makes a fence");
        return;
    };
    assert_eq!(id, StoreKey::Plain.snapshot_id(input));
    let (id, bytes) = manifest.encode(MANIFEST, &StoreKey::Plain, &SALT);
    assert_eq!(decode(&bytes), Ok(Some((id, manifest))));
}

pub(crate) fn label(input: &[u8]) {
    let decode = |bytes: &[u8]| Label::decode(&note(), bytes, &StoreKey::Plain);
    if let Some(label) = both(b'L', &note(), input, decode) {
        let bytes = label.encode(&snapshot(), &StoreKey::Plain, &SALT);
        let name = names::label(&snapshot(), &label.object_name(&StoreKey::Plain));
        assert_eq!(Label::decode(&name, &bytes, &StoreKey::Plain), Ok(label));
        assert_eq!(names::parse_label(&name).map(|(id, _)| id), Some(snapshot()));
    }
}

pub(crate) fn claim(input: &[u8]) {
    if let Some(claim) = both(b'W', CLAIM, input, |bytes| Claim::decode(CLAIM, bytes)) {
        assert_eq!(Claim::decode(CLAIM, &claim.encode(CLAIM)), Ok(claim));
    }
}

pub(crate) fn epoch(input: &[u8]) {
    if let Some(epoch) = both(b'E', names::EPOCH, input, |bytes| Epoch::decode(names::EPOCH, bytes)) {
        assert_eq!(Epoch::decode(names::EPOCH, &epoch.encode(names::EPOCH)), Ok(epoch));
    }
}

pub(crate) fn condemned(input: &[u8]) {
    let name = names::condemned(1);
    if let Some(list) = both(b'X', &name, input, |bytes| Condemned::decode(&name, bytes)) {
        assert_eq!(Condemned::decode(&name, &list.encode(&name)), Ok(list));
    }
}

/// Whole objects, decoded as everything that they could be taken for, with and without a key: no two accept the same bytes.
pub(crate) fn any_object(input: &[u8]) {
    for key in [StoreKey::Plain, StoreKey::secret(SecretBytes([5; 32]))] {
        let errors = [
            Config::decode(input).err(),
            KeyFile::decode(KEY, input).err(),
            Manifest::decode(MANIFEST, input, &key).err(),
            Label::decode(&note(), input, &key).err(),
            Claim::decode(CLAIM, input).err(),
            Epoch::decode(names::EPOCH, input).err(),
            Condemned::decode(&names::condemned(1), input).err(),
        ];
        assert!(errors.iter().filter(|error| error.is_none()).count() <= 1);
        // A sentence can be made of every error.
        assert!(errors.iter().flatten().all(|error| !error.to_string().is_empty()));
    }
}
