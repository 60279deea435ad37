//! Tags and notes on their way.

use icecore_format::Label;
use icecore_storage::{ErrorKind, PutMode};

use super::Transfer;
use crate::{Result, StoreError};

impl Transfer {
    /// Copies a label as it is: it is bound to its name, which is the same on both sides. False if it is not there any more.
    pub(super) fn send_label(&self, name: &str) -> Result<bool> {
        let bytes = match self.from.storage.get(name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::unread(name)(error)),
        };
        Label::decode(name, &bytes, &self.from.key).map_err(StoreError::damaged(name))?;
        match self.to.storage.put(name, &bytes, PutMode::CreateNew) {
            // Somebody else said the same, or something else, meanwhile.
            Err(error) if error.kind != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(true),
        }
    }
}
