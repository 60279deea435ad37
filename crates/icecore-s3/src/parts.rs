//! Objects that are sent in parts, and what is left of those that were never finished.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ulid::Ulid;

use crate::cause::Cause;
use crate::client::{Condition, UploadMarker};
use crate::options::PART_LEN_MIN;
use crate::storage::{Shared, settle_condition};

/// How many parts an object has at most.
const PARTS_MAX: usize = 10_000;
/// How many parts of one object are sent at once.
const PARTS_AT_ONCE: usize = 4;
/// How often an upload that somebody else gave up is begun anew.
const UPLOADS_MAX: u32 = 3;
/// How old an unfinished upload is, by the server's clock, before it counts as left behind. No data hangs on it: whoever still writes such an
/// upload begins it anew. It would cost him time, and so it is long.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl Shared {
    /// Puts an object in parts: it appears when the last request is answered, whole. Parts of an upload that fails are removed.
    pub(crate) fn put_in_parts(
        &self,
        key: &str,
        bytes: &[u8],
        condition: Condition<'_>,
    ) -> Result<Option<String>, Cause> {
        let mark = Ulid::generate().to_string();
        let mut uploads = 1;
        loop {
            match self.upload(key, bytes, condition, &mark) {
                Err(Cause::NoUpload) if uploads < UPLOADS_MAX => uploads += 1,
                result => return result,
            }
        }
    }

    fn upload(
        &self,
        key: &str,
        bytes: &[u8],
        condition: Condition<'_>,
        mark: &str,
    ) -> Result<Option<String>, Cause> {
        let id = self.ask(|| self.client.begin_upload(key, bytes.len(), mark))?;
        let tags = self.send_parts(key, &id, bytes);
        let result = tags.and_then(|tags| self.complete(key, &id, &tags, condition, mark, bytes));
        if !matches!(result, Ok(_) | Err(Cause::NoUpload)) {
            // If this fails too, the next collection finds it.
            let _ = self.client.abort_upload(key, &id);
        }
        result
    }

    /// Sends the parts, a few at once, and returns their tags in order. No byte is copied for that.
    fn send_parts(&self, key: &str, id: &str, bytes: &[u8]) -> Result<Vec<String>, Cause> {
        let part_len = self.options.part_len.max(PART_LEN_MIN).max(bytes.len().div_ceil(PARTS_MAX));
        let parts: Vec<_> = bytes.chunks(part_len).collect();
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let results: Vec<_> = parts.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(part), Some(result)) = (parts.get(at), results.get(at)) else { return };
                let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
                let sent = self.ask(|| self.client.put_part(key, id, number, part));
                failed.fetch_or(sent.is_err(), Ordering::Relaxed);
                *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
            }
        };
        thread::scope(|scope| {
            for _ in 1..PARTS_AT_ONCE.min(parts.len()) {
                // With fewer threads it takes longer.
                drop(thread::Builder::new().name("parts".to_owned()).spawn_scoped(scope, work));
            }
            work();
        });
        let results = results
            .into_iter()
            .filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut results: Vec<_> = results.collect();
        // The first failure stopped the others: those that were not tried left gaps behind it.
        if let Some(at) = results.iter().position(Result::is_err) {
            return Err(results.swap_remove(at).err().unwrap_or(Cause::NoUpload));
        }
        results.into_iter().collect()
    }

    fn complete(
        &self,
        key: &str,
        id: &str,
        tags: &[String],
        condition: Condition<'_>,
        mark: &str,
        bytes: &[u8],
    ) -> Result<Option<String>, Cause> {
        let mut tries = self.tries();
        let mut in_doubt = false;
        loop {
            let cause = match self.client.complete_upload(key, id, tags, condition) {
                Ok(tag) => return Ok(tag),
                Err(cause) => settle_condition(cause, condition),
            };
            // An upload that was completed is not there any more, and its object is.
            if matches!(cause, Cause::Precondition | Cause::NoUpload | Cause::NotFound) && in_doubt {
                return self.is_ours(key, mark, bytes)?.ok_or(cause);
            }
            in_doubt |= cause.leaves_doubt();
            tries.again_after(cause)?;
        }
    }

    /// Gives up what was left behind, and returns how many bytes that was.
    pub(crate) fn clear_unfinished(&self) -> Result<u64, Cause> {
        let mut freed = 0;
        let mut from: UploadMarker = (None, None);
        loop {
            let page = self.ask(|| self.client.uploads(&self.location.key(""), from.clone()));
            let (uploads, next) = match page {
                Ok(page) => page,
                // Some servers keep no list, and some people may not read it: then it is for the bucket's own rules.
                Err(Cause::Unsupported(_) | Cause::Denied(_)) => return Ok(freed),
                Err(cause) => return Err(cause),
            };
            for upload in uploads {
                if upload.age.is_none_or(|age| age < ABANDONED_AFTER) {
                    continue;
                }
                let len = self.client.upload_len(&upload.key, &upload.id).unwrap_or(0);
                // Whoever was faster has done the same.
                if self.client.abort_upload(&upload.key, &upload.id).is_ok() {
                    freed += len;
                }
            }
            match next {
                Some(next) if next != from => from = next,
                _ => return Ok(freed),
            }
        }
    }
}
