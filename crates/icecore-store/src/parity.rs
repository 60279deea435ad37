//! Parity beside packs: making it, keeping it, and healing packs with it.
//!
//! A pack's parity is durable before the pack has its name, and goes after it. So every pack that is there has its parity, whatever crashed,
//! and what a crash leaves is parity without a pack, which the next collection removes. A pack that is healed is written over the
//! damaged one in one step, and only when its bytes have the hash that is its name.

use std::collections::BTreeSet;

use icecore_format::{Digest, PackId, Parity, names};
use icecore_storage::{ErrorKind, ObjectMeta, PutMode};

use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// How many bytes of packs one collection reads at most to make parity that is missing.
const MADE_LEN_MAX: u64 = 1 << 30;
/// Packs that cannot be read as a whole are read in pieces of this length, that of most shards.
const PIECE_LEN: u64 = 4096;

impl Store {
    /// Whether packs get parity here.
    pub(crate) fn has_parity(&self) -> bool {
        self.config.parity > 0
    }

    /// Makes a pack's parity durable, whatever lay there. Returns its length; 0 in a store without.
    pub(crate) fn put_parity(&self, id: &PackId, pack: &[u8]) -> Result<u64> {
        if !self.has_parity() {
            return Ok(0);
        }
        let parity = Parity::encode(id, pack, self.config.parity);
        self.storage.put(&names::parity(id), &parity, PutMode::Overwrite)?;
        Ok(parity.len() as u64)
    }

    /// The parity objects that there are; none in a store without, which is not asked.
    pub(crate) fn listed_parity(&self) -> Result<Vec<(PackId, ObjectMeta)>> {
        if !self.has_parity() {
            return Ok(Vec::new());
        }
        let objects = self.storage.list(names::PARITY)?.into_iter();
        Ok(objects.filter_map(|object| Some((names::parse_parity(&object.name)?, object))).collect())
    }

    /// Removes the parity of packs that are not there. All that could still put these packs must be over.
    pub(crate) fn remove_orphaned_parity(&self, listed: &[(PackId, ObjectMeta)]) -> Result<()> {
        if listed.is_empty() {
            return Ok(());
        }
        let packs = self.listed_packs()?;
        for (id, object) in listed.iter().filter(|(id, _)| !packs.contains_key(id)) {
            // Whoever deleted the pack may have crashed before that was durable: it must not come back without its parity.
            self.storage.settle(&folder_of(&names::pack(id)))?;
            self.delete_if_there(&object.name)?;
        }
        Ok(())
    }

    /// Makes parity that is missing, of a bounded number of packs: of those that are as their names say.
    pub(crate) fn keep_parity(&self, monitor: &dyn Monitor) -> Result<()> {
        if !self.has_parity() {
            return Ok(());
        }
        // Packs first: the parity of whatever is listed was there before.
        let packs = self.listed_packs()?;
        let there: BTreeSet<PackId> = self.listed_parity()?.into_iter().map(|(id, _)| id).collect();
        let mut read = 0;
        for (id, len) in packs.iter().filter(|(id, _)| !there.contains(id)) {
            read += len;
            if monitor.is_cancelled() || read > MADE_LEN_MAX.max(*len) {
                return Ok(());
            }
            self.make_parity(id)?;
        }
        Ok(())
    }

    /// Makes the parity of a pack anew. False if the pack is not there, or not what its name says.
    pub(crate) fn make_parity(&self, id: &PackId) -> Result<bool> {
        let pack = match self.storage.get(&names::pack(id)) {
            Ok(pack) => pack,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let is_right = PackId(Digest::of(&pack)) == *id;
        if is_right {
            self.put_parity(id, &pack)?;
        }
        Ok(is_right)
    }

    /// What is wrong with the parity of a pack that is there.
    pub(crate) fn check_parity(&self, id: &PackId) -> Result<Option<String>> {
        if !self.has_parity() {
            return Ok(None);
        }
        let name = names::parity(id);
        Ok(match self.storage.get(&name) {
            Ok(bytes) => Parity::check(id, &bytes).err().map(|error| error.to_string()),
            Err(error) if error.kind == ErrorKind::NotFound => {
                // A collection may just have taken both.
                self.storage.len(&names::pack(id)).is_ok().then(|| "the pack has no parity".to_owned())
            }
            Err(error) => Some(self.still_listed(StoreError::unread(&name)(error))?.to_string()),
        })
    }

    /// Whether a pack can be healed.
    pub(crate) fn can_heal(&self, id: &PackId) -> Result<bool> {
        let Some(bytes) = self.parity_of(id)? else { return Ok(false) };
        let Ok(parity) = Parity::decode(id, &bytes) else { return Ok(false) };
        Ok(parity.can_heal(&self.left_of(&names::pack(id))?))
    }

    /// Heals a pack: puts its bytes as they were, and its parity if that was damaged too. False, and nothing is changed, if too much of
    /// both is lost. What was known of the pack may be wrong: whoever heals forgets it.
    pub(crate) fn heal(&self, id: &PackId) -> Result<bool> {
        let Some(bytes) = self.parity_of(id)? else { return Ok(false) };
        let Ok(parity) = Parity::decode(id, &bytes) else { return Ok(false) };
        let Some(pack) = parity.heal(&self.left_of(&names::pack(id))?) else { return Ok(false) };
        if Parity::check(id, &bytes).is_err() {
            self.put_parity(id, &pack)?;
        }
        self.storage.put(&names::pack(id), &pack, PutMode::Overwrite)?;
        Ok(true)
    }

    /// What a killed repair has healed, and looks right since, is healed for good.
    pub(crate) fn settle_healed(&self) -> Result<()> {
        let listed = self.listed_parity()?;
        let folders: BTreeSet<String> = listed
            .iter()
            .flat_map(|(id, _)| [folder_of(&names::pack(id)), folder_of(&names::parity(id))])
            .collect();
        folders.iter().try_for_each(|folder| Ok(self.storage.settle(folder)?))
    }

    /// What can be read of a pack's parity, if there is any.
    fn parity_of(&self, id: &PackId) -> Result<Option<Vec<u8>>> {
        let parity = if self.has_parity() { self.left_of(&names::parity(id))? } else { Vec::new() };
        Ok((!parity.is_empty()).then_some(parity))
    }

    /// What can be read of an object; zeros are where a disk gives nothing back. Empty if it is not there.
    fn left_of(&self, name: &str) -> Result<Vec<u8>> {
        match self.storage.get(name) {
            Ok(bytes) => return Ok(bytes.into()),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Denied) => (),
            Err(error) => return Err(error.into()),
        }
        let Ok(len) = self.storage.len(name) else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        let mut at = 0;
        while at < len {
            let end = len.min(at + PIECE_LEN);
            match self.storage.get_range(name, at..end) {
                Ok(piece) => left.extend_from_slice(&piece),
                Err(_) => left.extend((at..end).map(|_| 0)),
            }
            at = end;
        }
        Ok(left)
    }
}

/// The folder in which an object lies directly.
fn folder_of(name: &str) -> String {
    name.trim_end_matches(|at| at != '/').to_owned()
}
