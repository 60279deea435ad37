//! What a bucket lets us do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use icecore_storage::{Error, PutMode, Result, Storage as _};
use ulid::Ulid;

use crate::cause::Cause;
use crate::client;
use crate::options::{PART_LEN_MIN, StorageClass};
use crate::storage::{S3Storage, TEMP};

/// How often two puts run against each other.
const RACES: usize = 4;

/// What was found. Each request that failed comes with why.
#[derive(Debug)]
pub struct Probe {
    /// Listing the objects.
    pub list: Result<()>,
    /// Putting an object.
    pub put: Result<()>,
    /// Reading one, and a range of it.
    pub get: Result<()>,
    /// Sending an object in parts, and giving that up.
    pub parts: Result<()>,
    /// Putting an object that is long enough for the class of storage, if one is chosen.
    pub class: Result<()>,
    /// Putting an object only if there is none of its name.
    pub create: Result<Condition>,
    /// Putting an object only if it is still what it was.
    pub replace: Result<Condition>,
    /// Deleting an object.
    pub delete: Result<()>,
    /// What could not be removed again.
    pub left_behind: Vec<String>,
}

/// What a server does with a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It keeps it: one of two wins.
    Kept,
    /// It says yes to everybody, and overwrites.
    Ignored,
    /// It refuses requests that have one.
    Refused,
}

impl Probe {
    /// Whether machines that know nothing of each other may collect here at once.
    pub fn keeps_conditions(&self) -> bool {
        let kept = |found: &Result<Condition>| matches!(found, Ok(Condition::Kept));
        kept(&self.create) && kept(&self.replace)
    }

    /// The same, or why it is not known.
    ///
    /// # Errors
    /// If one of the two could not be tried, and the other one does not tell already.
    pub fn finding(self) -> Result<bool> {
        match (self.create, self.replace) {
            (Ok(Condition::Kept), Ok(Condition::Kept)) => Ok(true),
            (Ok(Condition::Ignored | Condition::Refused), _)
            | (_, Ok(Condition::Ignored | Condition::Refused)) => Ok(false),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// What failed, with a word for it.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &Error)> {
        let outcomes = [
            ("list", self.list.as_ref().err()),
            ("put", self.put.as_ref().err()),
            ("get", self.get.as_ref().err()),
            ("put in parts", self.parts.as_ref().err()),
            ("put in the class of storage", self.class.as_ref().err()),
            ("create", self.create.as_ref().err()),
            ("replace", self.replace.as_ref().err()),
            ("delete", self.delete.as_ref().err()),
        ];
        outcomes.into_iter().filter_map(|(what, error)| Some((what, error?)))
    }
}

impl S3Storage {
    /// Tries everything out on objects below `tmp/`, and removes them again.
    pub fn probe(&self) -> Probe {
        let names =
            |what: &str| format!("{TEMP}probe-{}-{what}", Ulid::generate().to_string().to_lowercase());
        let plain = names("plain");
        let mut made = vec![plain.clone()];
        let list = self.list(TEMP).map(drop);
        let put = self.put(&plain, b"probe", PutMode::Overwrite);
        let get = self.probe_get(&plain, put.is_ok());
        let parts = self.probe_parts(&names("parts"));
        let class = self.probe_class(&names("class"), &mut made);
        let create = self.probe_create(&names("create"), &mut made);
        let replace = self.probe_replace(&plain);
        let mut delete = Ok(());
        let mut left_behind = Vec::new();
        for name in made {
            match self.shared.ask(|| self.shared.client.delete(&self.key(&name))) {
                Ok(()) => (),
                Err(cause) => {
                    left_behind.push(self.shared.location.place(&name));
                    delete = Err(self.fail("cannot delete", &name)(cause));
                }
            }
        }
        Probe { list, put, get, parts, class, create, replace, delete, left_behind }
    }

    /// Who may only read tries it on something that is not there: to be told so takes the same permission.
    fn probe_get(&self, name: &str, is_there: bool) -> Result<()> {
        let fail = self.fail("cannot read", name);
        match self.shared.get(&self.key(name), Some(&(1..3))) {
            Ok(partial) if partial.bytes == b"ro"[..] => Ok(()),
            Ok(_) => Err(fail(Cause::Unusable("the server sends other bytes than were put".to_owned()))),
            Err(Cause::NotFound) if !is_there => Ok(()),
            Err(cause) => Err(fail(cause)),
        }
    }

    fn probe_parts(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        let client = &self.shared.client;
        let send = || {
            let id = self.shared.ask(|| client.begin_upload(&key, PART_LEN_MIN, "probe"))?;
            let sent = self.shared.ask(|| client.put_part(&key, &id, 1, b"probe"));
            let gone = self.shared.ask(|| client.abort_upload(&key, &id));
            sent.and(gone)
        };
        send().map_err(self.fail("cannot write", name))
    }

    /// Some servers look at the class of an upload in parts only when it is completed, if at all.
    fn probe_class(&self, name: &str, made: &mut Vec<String>) -> Result<()> {
        if self.shared.options.storage_class.is_none() {
            return Ok(());
        }
        made.push(name.to_owned());
        self.put(name, &[0; StorageClass::LEN_MIN], PutMode::Overwrite)
    }

    /// Twice one after the other, then a few times at once: some servers look first and write then.
    fn probe_create(&self, name: &str, made: &mut Vec<String>) -> Result<Condition> {
        made.push(name.to_owned());
        let found = self.condition(name, client::Condition::Absent);
        if !matches!(found, Ok(Condition::Kept)) {
            return found;
        }
        for race in 0..RACES {
            let name = format!("{name}-{race}");
            made.push(name.clone());
            let won = AtomicUsize::new(0);
            thread::scope(|scope| {
                let create = |bytes: &'static [u8]| {
                    let created = self.shared.put_as_told(&self.key(&name), bytes, client::Condition::Absent);
                    won.fetch_add(usize::from(created.is_ok()), Ordering::Relaxed);
                };
                scope.spawn(move || create(b"one"));
                create(b"two");
            });
            if won.into_inner() > 1 {
                return Ok(Condition::Ignored);
            }
        }
        Ok(Condition::Kept)
    }

    fn probe_replace(&self, name: &str) -> Result<Condition> {
        let head = self.shared.head(&self.key(name)).map_err(self.fail("cannot read", name))?;
        let tag = head.tag.unwrap_or_default();
        self.condition(name, client::Condition::Tag(&tag))
    }

    /// Puts twice with the same condition, which can hold only once.
    fn condition(&self, name: &str, condition: client::Condition<'_>) -> Result<Condition> {
        let put = |bytes: &[u8]| self.shared.put_as_told(&self.key(name), bytes, condition);
        match put(b"first") {
            Ok(_) => (),
            Err(Cause::Unsupported(_)) => return Ok(Condition::Refused),
            Err(cause) => return Err(self.fail("cannot write", name)(cause)),
        }
        match put(b"second") {
            Ok(_) => Ok(Condition::Ignored),
            Err(Cause::Precondition) => Ok(Condition::Kept),
            Err(Cause::Unsupported(_)) => Ok(Condition::Refused),
            Err(cause) => Err(self.fail("cannot write", name)(cause)),
        }
    }
}
