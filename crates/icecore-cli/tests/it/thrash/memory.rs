//! What must be in the store, as far as anybody outside can know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::content::Content;
use super::dice::Dice;

/// Whether a snapshot is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its `create` runs.
    Coming,
    /// Its `create` has said so, or it was listed when nobody was deleting it.
    There,
    /// Whoever made or deleted it was killed: the next listing decides.
    Unsure,
    /// Its `delete` runs.
    Leaving,
    /// It never was, or was deleted.
    Gone,
}

/// A `create` and what came of it.
#[derive(Debug, Clone)]
struct Attempt {
    source: String,
    content: Content,
    is_directory: bool,
    id: Option<String>,
    fate: Fate,
    /// Whether it has a tag; `None` if somebody was killed while changing that.
    tags: BTreeMap<String, Option<bool>>,
}

/// A snapshot that was chosen for something.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) time: String,
    pub(super) id: String,
    pub(super) is_directory: bool,
}

/// All attempts, by the time that each was given, which no two share.
#[derive(Default)]
pub(super) struct Memory {
    attempts: BTreeMap<String, Attempt>,
}

impl Memory {
    /// A `create` is about to begin.
    pub(super) fn begin(&mut self, time: &str, source: &str, content: Content, is_directory: bool) {
        let tags = BTreeMap::new();
        let (source, fate) = (source.to_owned(), Fate::Coming);
        let attempt = Attempt { source, content, is_directory, id: None, fate, tags };
        assert!(self.attempts.insert(time.to_owned(), attempt).is_none());
    }

    fn attempt(&mut self, time: &str) -> &mut Attempt {
        self.attempts.get_mut(time).unwrap()
    }

    pub(super) fn created(&mut self, time: &str, id: &str) {
        let attempt = self.attempt(time);
        (attempt.id, attempt.fate) = (Some(id.to_owned()), Fate::There);
    }

    pub(super) fn set_fate(&mut self, time: &str, fate: Fate) {
        self.attempt(time).fate = fate;
    }

    pub(super) fn fate(&mut self, time: &str) -> Fate {
        self.attempt(time).fate
    }

    pub(super) fn content(&mut self, time: &str) -> Content {
        self.attempt(time).content.clone()
    }

    pub(super) fn set_tag(&mut self, time: &str, tag: &str, has: Option<bool>) {
        self.attempt(time).tags.insert(tag.to_owned(), has);
    }

    pub(super) fn has_tag(&mut self, time: &str, tag: &str) -> Option<bool> {
        self.attempt(time).tags.get(tag).copied().unwrap_or(Some(false))
    }

    /// A snapshot that is there, or was a moment ago; with `own`, one of these sources that is there.
    pub(super) fn choose(&self, dice: &mut Dice, own: Option<&[String]>) -> Option<Chosen> {
        let fits = |attempt: &Attempt| match own {
            Some(own) => attempt.fate == Fate::There && own.contains(&attempt.source),
            None => matches!(attempt.fate, Fate::There | Fate::Leaving | Fate::Unsure),
        };
        let known: Vec<Chosen> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| fits(attempt))
            .filter_map(|(time, attempt)| {
                let (time, id) = (time.clone(), attempt.id.clone()?);
                Some(Chosen { time, id, is_directory: attempt.is_directory })
            })
            .collect();
        dice.pick(&known).cloned()
    }

    /// How many snapshots of these sources are there.
    pub(super) fn count(&self, own: &[String]) -> usize {
        let there = |attempt: &&Attempt| attempt.fate == Fate::There && own.contains(&attempt.source);
        self.attempts.values().filter(there).count()
    }

    pub(super) fn fates(&self) -> BTreeMap<String, Fate> {
        self.attempts.iter().map(|(time, attempt)| (time.clone(), attempt.fate)).collect()
    }

    /// Compares a listing with what must be there and what must not. `before` is what was known when `list` began.
    pub(super) fn compare(&mut self, before: &BTreeMap<String, Fate>, listed: &Value) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for entry in listed["snapshots"].as_array().unwrap() {
            let text = |field: &str| entry[field].as_str().unwrap().to_owned();
            let (time, id) = (text("created_at"), text("id"));
            let Some(attempt) = self.attempts.get_mut(&time) else {
                return Err(format!("nobody took the snapshot {entry}"));
            };
            if attempt.id.get_or_insert_with(|| id.clone()) != &id || attempt.source != text("source") {
                return Err(format!("{entry} should be {attempt:?}"));
            }
            match before.get(&time) {
                Some(Fate::Gone) => return Err(format!("{entry} was gone and is back")),
                Some(Fate::Unsure) if attempt.fate == Fate::Unsure => attempt.fate = Fate::There,
                _ => (),
            }
            seen.insert(time);
        }
        for (time, fate) in before.iter().filter(|(time, _)| !seen.contains(*time)) {
            let attempt = self.attempts.get_mut(time).unwrap();
            match fate {
                Fate::There if attempt.fate == Fate::There => {
                    return Err(format!("the snapshot of {time} is not listed: {attempt:?}"));
                }
                Fate::Unsure if attempt.fate == Fate::There => {
                    return Err(format!("the snapshot of {time} is listed sometimes: {attempt:?}"));
                }
                Fate::Unsure => attempt.fate = Fate::Gone,
                _ => (),
            }
        }
        Ok(())
    }

    /// Compares the tags of a listing that nobody disturbed.
    pub(super) fn compare_tags(&self, listed: &Value) -> Result<(), String> {
        for entry in listed["snapshots"].as_array().unwrap() {
            let tags = entry["tags"].as_array().unwrap();
            let tags: BTreeSet<_> = tags.iter().map(|tag| tag.as_str().unwrap()).collect();
            let attempt = &self.attempts[entry["created_at"].as_str().unwrap()];
            for (tag, has) in &attempt.tags {
                if has.is_some_and(|has| has != tags.contains(tag.as_str())) {
                    return Err(format!("{entry} should have these tags: {:?}", attempt.tags));
                }
            }
        }
        Ok(())
    }
}
