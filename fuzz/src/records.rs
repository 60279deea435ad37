//! Records of the index.

use icecore_store::PackRecord;

pub(crate) fn pack_record(input: &[u8]) {
    if let Some(record) = PackRecord::decode(input) {
        let bytes = record.encode();
        assert!(input.starts_with(&bytes), "a record is what it was read from");
        assert_eq!(PackRecord::decode(&bytes), Some(record));
    }
}
