//! The contract of [`Storage`], kept with the requests of [`Client`].

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use icecore_storage::{Hold, Holder, ObjectMeta, PutMode, Storage, Version};
use ulid::Ulid;

use crate::cause::Cause;
use crate::client::{Client, Condition, Head, Partial};
use crate::location::S3Location;
use crate::options::{Conditions, Endpoint, S3Options};
use crate::retry::Tries;

/// What lies below is no object of the store: it comes and goes while somebody looks what the bucket can do.
pub(crate) const TEMP: &str = "tmp/";
/// How often the maker of a held object tries to remove it.
const WITHDRAWALS_MAX: usize = 3;
/// How many objects one request deletes.
const DELETE_MAX: usize = 1000;

/// The objects below a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct S3Storage {
    pub(crate) shared: Arc<Shared>,
}

/// What requests need.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) location: S3Location,
    pub(crate) options: S3Options,
    /// Some answer has said that the bucket is there.
    bucket_seen: AtomicBool,
    /// The server has taken a request that had a condition.
    conditions_taken: AtomicBool,
    /// The server has refused the first of them for that.
    conditions_refused: AtomicBool,
}

impl S3Storage {
    /// The objects at `location`. Finds out who and where we are, but makes no request to the bucket: `config` may tell whether there is a store.
    pub fn open(location: S3Location, options: S3Options) -> icecore_storage::Result<Self> {
        let client = Client::new(&location, &options)
            .map_err(|cause| cause.error("cannot open", location.to_string()))?;
        let shared = Shared {
            client,
            location,
            options,
            bucket_seen: AtomicBool::new(false),
            conditions_taken: AtomicBool::new(false),
            conditions_refused: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where the objects are.
    pub fn location(&self) -> &S3Location {
        &self.shared.location
    }

    /// The server they are on, wherever its name was found; `None` is that of AWS.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.shared.client.endpoint()
    }
}

impl Shared {
    /// Until a server has answered it may be misspelt, and is not waited for as long as one that has gone.
    pub(crate) fn tries(&self) -> Tries {
        let tries = Tries::new(&self.options);
        if self.bucket_seen.load(Ordering::Relaxed) { tries } else { tries.of_a_stranger() }
    }

    /// Makes a request until it succeeds or never will. It must not matter how often it took effect.
    pub(crate) fn ask<T>(&self, mut request: impl FnMut() -> Result<T, Cause>) -> Result<T, Cause> {
        let mut tries = self.tries();
        loop {
            match request() {
                Ok(answer) => {
                    self.bucket_seen.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(cause) => tries.again_after(cause)?,
            }
        }
    }

    /// Answers to `HEAD` have no body, so that one that says no does not say why: a missing bucket looks like a missing object. Where that
    /// matters, something else is asked that says it.
    pub(crate) fn head(&self, key: &str) -> Result<Head, Cause> {
        let cause = match self.ask(|| self.head_once(key)) {
            Ok(head) => return Ok(head),
            Err(Cause::NotFound) if self.bucket_seen.load(Ordering::Relaxed) => return Err(Cause::NotFound),
            Err(cause) if !cause.is_mute() => return Err(cause),
            Err(cause) => cause,
        };
        // Who may not list learns no more than before.
        match self.ask(|| self.client.list(key, None, Some(1))) {
            Err(Cause::Denied(_)) | Ok(_) => Err(cause),
            Err(told) => Err(told),
        }
    }

    /// Where nothing tells that it is S3 who says no, the object itself is asked for: that answer has words.
    fn head_once(&self, key: &str) -> Result<Head, Cause> {
        let cause = match self.client.head(key) {
            Err(cause @ Cause::Foreign(_)) => cause,
            outcome => return outcome,
        };
        match self.client.get(key, Some(&(0..1)), &mut Partial::default()) {
            // It has come in between, or whoever said no was wrong: it is asked again.
            Ok(()) | Err(Cause::OutOfRange) => Err(cause),
            Err(told) => Err(told),
        }
    }

    pub(crate) fn get(&self, key: &str, range: Option<&Range<u64>>) -> Result<Partial, Cause> {
        let mut tries = self.tries();
        let mut partial = Partial::default();
        loop {
            let had = partial.bytes.len();
            let mut answer = self.client.get(key, range, &mut partial);
            if let (Ok(()), Some(range)) = (&answer, range) {
                let wanted = range.end - range.start;
                let got = partial.bytes.len() as u64;
                if got != wanted && partial.len < range.end {
                    return Err(Cause::OutOfRange);
                }
                if got > wanted {
                    answer = Err(Cause::Unusable(format!("the server sends {got} bytes for {wanted}")));
                } else if got < wanted {
                    answer = Err(Cause::Broken(format!("{got} of {wanted} bytes came")));
                }
            }
            match answer {
                Ok(()) => {
                    self.bucket_seen.store(true, Ordering::Relaxed);
                    return Ok(partial);
                }
                Err(cause) => {
                    if partial.tag.is_none() {
                        // Nothing would tell the rest of it from the rest of another object.
                        partial = Partial::default();
                    } else if partial.bytes.len() > had {
                        tries.forget();
                    }
                    tries.again_after(cause)?;
                }
            }
        }
    }

    /// Puts an object, and returns its tag.
    pub(crate) fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: Condition<'_>,
    ) -> Result<Option<String>, Cause> {
        let is_sent =
            self.options.conditions == Conditions::Send && !self.conditions_refused.load(Ordering::Relaxed);
        if is_sent {
            let outcome = self.put_as_told(key, bytes, condition);
            let is_refused = matches!(outcome, Err(Cause::Unsupported(_)));
            // Who has taken one before means something else.
            if condition == Condition::Always || !is_refused || self.conditions_taken.load(Ordering::Relaxed)
            {
                let is_taken = matches!(outcome, Ok(_) | Err(Cause::Precondition));
                self.conditions_taken.fetch_or(is_taken && condition != Condition::Always, Ordering::Relaxed);
                return outcome;
            }
            self.conditions_refused.store(true, Ordering::Relaxed);
        }
        let condition = self.look_first(key, condition)?;
        self.put_as_told(key, bytes, condition)
    }

    /// The same, whatever is known of the server.
    pub(crate) fn put_as_told(
        &self,
        key: &str,
        bytes: &[u8],
        condition: Condition<'_>,
    ) -> Result<Option<String>, Cause> {
        if bytes.len() > self.options.part_len {
            return self.put_in_parts(key, bytes, condition);
        }
        let mark = (condition != Condition::Always).then(|| Ulid::generate().to_string());
        let mut tries = self.tries();
        let mut in_doubt = false;
        loop {
            let cause = match self.client.put(key, bytes, condition, mark.as_deref()) {
                Ok(tag) => {
                    self.bucket_seen.store(true, Ordering::Relaxed);
                    return Ok(tag);
                }
                Err(cause) => settle_condition(cause, condition),
            };
            // Somebody was first. If a try of ours was never answered, that somebody may be us.
            if let (Cause::Precondition, true, Some(mark)) = (&cause, in_doubt, &mark) {
                return self.is_ours(key, mark, bytes)?.ok_or(cause);
            }
            in_doubt |= cause.leaves_doubt();
            tries.again_after(cause)?;
        }
    }

    /// Whether the object is what the put with this mark has made of it: then its tag.
    pub(crate) fn is_ours(
        &self,
        key: &str,
        mark: &str,
        bytes: &[u8],
    ) -> Result<Option<Option<String>>, Cause> {
        let head = match self.head(key) {
            Ok(head) => head,
            Err(Cause::NotFound) => return Ok(None),
            Err(cause) => return Err(cause),
        };
        let is_ours = match head.mark {
            Some(found) => found == mark,
            // A server that keeps no metadata. Who puts the same bytes puts the same object.
            None if head.len != bytes.len() as u64 => false,
            None => self.get(key, None)?.bytes == bytes,
        };
        Ok(is_ours.then_some(head.tag))
    }

    /// For a server that knows no conditions: looks whether one would hold.
    fn look_first(&self, key: &str, condition: Condition<'_>) -> Result<Condition<'static>, Cause> {
        if condition == Condition::Always {
            return Ok(Condition::Always);
        }
        let found = match self.head(key) {
            Ok(head) => Some(head),
            Err(Cause::NotFound) => None,
            Err(cause) => return Err(cause),
        };
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => found.is_none(),
            Condition::Tag(tag) => found.is_some_and(|head| head.tag.as_deref() == Some(tag)),
        };
        if holds { Ok(Condition::Always) } else { Err(Cause::Precondition) }
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Cause> {
        let mut objects = Vec::new();
        let mut from: Option<String> = None;
        let mut seen = HashSet::new();
        loop {
            let page = self.ask(|| self.client.list(&self.location.key(prefix), from.as_deref(), None))?;
            objects.extend(page.objects.into_iter().filter_map(|(key, len)| {
                let name = self.location.name(&key)?;
                is_name(name).then(|| ObjectMeta { name: name.to_owned(), len })
            }));
            let Some(next) = page.next else { break };
            if !seen.insert(next.clone()) {
                return Err(Cause::Unusable("the server sends the same pages again and again".to_owned()));
            }
            from = Some(next);
        }
        // Not every server keeps the order, and a page may come twice.
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        objects.dedup_by(|a, b| a.name == b.name);
        Ok(objects)
    }

    fn delete_many(&self, keys: &[String]) -> Result<(), (String, Cause)> {
        let first = || keys.first().cloned().unwrap_or_default();
        let mut tries = self.tries();
        let mut rest = keys.to_vec();
        loop {
            let cause = match self.client.delete_many(&rest) {
                Ok(stayed) => {
                    let Some((key, cause)) = stayed.first().cloned() else { return Ok(()) };
                    // What will never go is told at once, whatever else may go later.
                    if let Some(for_good) = stayed.iter().find(|(_, cause)| !cause.is_transient()) {
                        return Err(for_good.clone());
                    }
                    rest = stayed.into_iter().map(|(key, _)| key).collect();
                    tries.again_after(cause).map_err(|cause| (key, cause))?;
                    continue;
                }
                Err(cause) => cause,
            };
            if matches!(cause, Cause::Unsupported(_)) {
                return rest.iter().try_for_each(|key| {
                    self.ask(|| self.client.delete(key)).map_err(|cause| (key.clone(), cause))
                });
            }
            tries.again_after(cause).map_err(|cause| (first(), cause))?;
        }
    }
}

/// Of a condition on a tag AWS says that the object is not there, if it is not.
pub(crate) fn settle_condition(cause: Cause, condition: Condition<'_>) -> Cause {
    match (cause, condition) {
        (Cause::NotFound, Condition::Tag(_)) => Cause::Precondition,
        (cause, _) => cause,
    }
}

/// Whether an object can be called so: others put theirs into buckets, and the web pages of providers put empty ones for folders.
fn is_name(name: &str) -> bool {
    !name.starts_with(TEMP) && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

fn condition_of<'a>(mode: PutMode<'a>) -> Result<Condition<'a>, Cause> {
    match mode {
        PutMode::CreateNew => Ok(Condition::Absent),
        PutMode::Overwrite => Ok(Condition::Always),
        PutMode::Replace(version) => std::str::from_utf8(version.as_bytes())
            .map(Condition::Tag)
            .map_err(|_| Cause::Unusable("the version is of another storage".to_owned())),
    }
}

impl Storage for S3Storage {
    fn get(&self, name: &str) -> icecore_storage::Result<Bytes> {
        let partial = self.shared.get(&self.key(name), None).map_err(self.fail("cannot read", name))?;
        Ok(self.shared.client.spare.lend(partial.bytes))
    }

    fn get_versioned(&self, name: &str) -> icecore_storage::Result<(Bytes, Version)> {
        let fail = self.fail("cannot read", name);
        let partial = match self.shared.get(&self.key(name), None) {
            Ok(partial) => partial,
            Err(cause) => return Err(fail(cause)),
        };
        match partial.tag {
            Some(tag) => Ok((partial.bytes.freeze(), Version::new(tag))),
            None => Err(fail(Cause::Unusable("the server gives objects no tags".to_owned()))),
        }
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> icecore_storage::Result<Bytes> {
        let key = self.key(name);
        let get = || match range.end.checked_sub(range.start) {
            None => Err(Cause::OutOfRange),
            // Nothing is no range to S3.
            Some(0) if self.shared.head(&key)?.len < range.end => Err(Cause::OutOfRange),
            Some(0) => Ok(Bytes::new()),
            Some(_) => Ok(self.shared.get(&key, Some(&range))?.bytes.freeze()),
        };
        get().map_err(self.fail("cannot read", name))
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> icecore_storage::Result<()> {
        let put = || self.shared.put(&self.key(name), bytes, condition_of(mode)?);
        put().map(drop).map_err(self.fail("cannot write", name))
    }

    fn list(&self, prefix: &str) -> icecore_storage::Result<Vec<ObjectMeta>> {
        self.shared.list(prefix).map_err(self.fail("cannot list", prefix))
    }

    fn len(&self, name: &str) -> icecore_storage::Result<u64> {
        self.shared.head(&self.key(name)).map(|head| head.len).map_err(self.fail("cannot read", name))
    }

    /// S3 does not tell whether there was anything to delete: it is asked before.
    fn delete(&self, name: &str) -> icecore_storage::Result<()> {
        let key = self.key(name);
        let delete = || {
            self.shared.head(&key)?;
            self.shared.ask(|| self.shared.client.delete(&key))
        };
        delete().map_err(self.fail("cannot delete", name))
    }

    fn delete_all(&self, names: &[String]) -> icecore_storage::Result<()> {
        names.chunks(DELETE_MAX).try_for_each(|names| {
            let keys: Vec<_> = names.iter().map(|name| self.key(name)).collect();
            self.shared.delete_many(&keys).map_err(|(key, cause)| {
                let name = self.shared.location.name(&key).unwrap_or_default();
                self.fail("cannot delete", name)(cause)
            })
        })
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> icecore_storage::Result<Box<dyn Hold>> {
        let key = self.key(name);
        let put = self.shared.put(&key, bytes, Condition::Absent);
        let tag = put.map_err(self.fail("cannot write", name))?;
        let storage = self.clone();
        Ok(Box::new(S3Hold { storage, name: name.to_owned(), key, tag, in_doubt: None, withdrawn: false }))
    }

    /// No lock in S3 ends with its process.
    fn holder(&self, name: &str) -> icecore_storage::Result<Holder> {
        self.shared.head(&self.key(name)).map_err(self.fail("cannot read", name))?;
        Ok(Holder::Unknown)
    }

    fn knows_holders(&self) -> bool {
        false
    }

    fn clear_unfinished(&self) -> icecore_storage::Result<u64> {
        self.shared.clear_unfinished().map_err(self.fail("cannot clear what is unfinished in", ""))
    }

    fn concurrency(&self) -> NonZeroUsize {
        self.shared.options.concurrency
    }
}

impl S3Storage {
    pub(crate) fn key(&self, name: &str) -> String {
        self.shared.location.key(name)
    }

    pub(crate) fn fail(&self, action: &'static str, name: &str) -> impl Fn(Cause) -> icecore_storage::Error {
        let place = self.shared.location.place(name);
        move |cause| cause.error(action, place.clone())
    }
}

#[derive(Debug)]
struct S3Hold {
    /// Whether there was a try to delete it.
    withdrawn: bool,
    storage: S3Storage,
    name: String,
    key: String,
    /// What the server said last of what we put. It keeps us from bringing back what somebody has removed because we seemed dead.
    tag: Option<String>,
    /// What the last update would have made of it, if nobody knows whether it did.
    in_doubt: Option<Vec<u8>>,
}

impl Hold for S3Hold {
    fn update(&mut self, bytes: &[u8]) -> icecore_storage::Result<()> {
        self.settle_doubt()
            .and_then(|()| self.put(bytes))
            .map_err(self.storage.fail("cannot write", &self.name))
    }

    fn release(mut self: Box<Self>) -> icecore_storage::Result<()> {
        self.withdraw().map_err(self.storage.fail("cannot delete", &self.name))
    }
}

impl S3Hold {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let condition = self.tag.as_deref().map_or(Condition::Always, Condition::Tag);
        match self.storage.shared.put(&self.key, bytes, condition) {
            Ok(tag) => self.tag = tag,
            Err(cause) => {
                self.in_doubt = cause.leaves_doubt().then(|| bytes.to_vec());
                return Err(cause);
            }
        }
        Ok(())
    }

    /// If the last update took effect and no answer said so, the object is still ours, with another tag.
    fn settle_doubt(&mut self) -> Result<(), Cause> {
        let Some(bytes) = &self.in_doubt else { return Ok(()) };
        let found = self.storage.shared.get(&self.key, None)?;
        if found.bytes == bytes {
            self.tag = found.tag;
        }
        self.in_doubt = None;
        Ok(())
    }

    /// Deletes the object, which is tried some times, and not for ever: what stays is told from what lives by its standing still.
    fn withdraw(&mut self) -> Result<(), Cause> {
        self.withdrawn = true;
        let client = &self.storage.shared.client;
        let tries = if client.is_interrupted() { 1 } else { WITHDRAWALS_MAX };
        let mut outcome = Ok(());
        for _ in 0..tries {
            outcome = client.delete_in_passing(&self.key);
            if !outcome.as_ref().is_err_and(Cause::is_transient) {
                break;
            }
        }
        outcome
    }
}

impl Drop for S3Hold {
    fn drop(&mut self) {
        if !self.withdrawn {
            // Nobody is there to be told.
            let _ = self.withdraw();
        }
    }
}
