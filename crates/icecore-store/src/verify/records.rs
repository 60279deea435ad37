//! The small objects by which writers, collectors and passwords know each other.

use icecore_format::{Claim, Condemned, DecodeError, Epoch, KeyFile, names};
use icecore_storage::ErrorKind;

use super::finding::Finding;
use crate::store::Store;
use crate::{Result, StoreError};

impl Store {
    /// Reads the epoch, claims, condemned lists and keys.
    pub(crate) fn check_records(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let epoch = |name: &str, bytes: &[u8]| Epoch::decode(name, bytes).map(drop);
        match self.read_record(names::EPOCH, epoch) {
            Ok(()) => (),
            // There is always one; the next writer makes it anew.
            Err(error) if error.is_gone() => findings.push(Finding::of_record(names::EPOCH, &error)),
            Err(error) => {
                let error = self.still_listed(error)?;
                findings.push(Finding::of_record(names::EPOCH, &error));
            }
        }
        let claim = |name: &str, bytes: &[u8]| Claim::decode(name, bytes).map(drop);
        let condemned = |name: &str, bytes: &[u8]| Condemned::decode(name, bytes).map(drop);
        let key = |name: &str, bytes: &[u8]| {
            KeyFile::decode(name.strip_prefix(names::KEYS).unwrap_or(name), bytes).map(drop)
        };
        type Decode<'d> = &'d dyn Fn(&str, &[u8]) -> std::result::Result<(), DecodeError>;
        let kinds: [(&str, Decode<'_>); 3] =
            [(names::CLAIMS, &claim), (names::CONDEMNED, &condemned), (names::KEYS, &key)];
        for (prefix, decode) in kinds {
            for object in self.storage.list(prefix)? {
                match self.read_record(&object.name, decode) {
                    Ok(()) => (),
                    // Withdrawn or worked off since it was listed.
                    Err(StoreError::Storage(error)) if error.kind == ErrorKind::NotFound => (),
                    Err(error) => {
                        let error = self.still_listed(error)?;
                        findings.push(Finding::of_record(&object.name, &error));
                    }
                }
            }
        }
        Ok(findings)
    }

    /// Looks at the second copies of the configuration and the keys.
    pub(super) fn copy_findings(&self) -> Result<Vec<Finding>> {
        Ok(self.check_copies()?.iter().map(|(original, error)| Finding::of_copy(original, error)).collect())
    }

    fn read_record(
        &self,
        name: &str,
        decode: impl Fn(&str, &[u8]) -> std::result::Result<(), DecodeError>,
    ) -> Result<()> {
        let bytes = self.storage.get(name).map_err(StoreError::unread(name))?;
        decode(name, &bytes).map_err(StoreError::damaged(name))
    }
}
