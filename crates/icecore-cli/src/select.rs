//! Snapshots in arguments and in what is shown of them.

use icecore::{Error, Selector, Snapshot, Store, StoreError};

use crate::context::Context;
use crate::failure::{CommandError, Result, sentence};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::counted;

/// What the store lists.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Newest first.
    pub(crate) snapshots: Vec<Snapshot>,
    /// Records that cannot be read, of which nobody knows what they are about.
    pub(crate) damaged: usize,
}

impl Listing {
    /// All snapshots of a store; tells of records that cannot be read.
    pub(crate) fn of(store: &Store, ui: &mut Ui) -> Result<Self> {
        Ok(Self::told(store.snapshots()?, ui))
    }

    /// The same of what was read.
    pub(crate) fn told((snapshots, errors): (Vec<Snapshot>, Vec<StoreError>), ui: &mut Ui) -> Self {
        let damaged = errors.len();
        for error in errors {
            ui.warn(sentence(&Error::from(error)));
        }
        Self { snapshots, damaged }
    }

    /// The snapshot that a selector means.
    pub(crate) fn resolve(&self, context: &Context, text: &str) -> Result<&Snapshot> {
        icecore::resolve(&self.snapshots, text, context.now, &context.zone).map_err(|error| self.blame(error))
    }

    /// The snapshots that several selectors mean, each once, in the order of the selectors.
    pub(crate) fn resolve_all(&self, context: &Context, texts: &[String]) -> Result<Vec<&Snapshot>> {
        let mut chosen: Vec<&Snapshot> = Vec::new();
        for text in texts {
            let snapshot = self.resolve(context, text)?;
            if !chosen.iter().any(|known| known.id == snapshot.id) {
                chosen.push(snapshot);
            }
        }
        Ok(chosen)
    }

    /// What is not found may be what cannot be read.
    fn blame(&self, error: Error) -> CommandError {
        if self.damaged == 0 || !matches!(error, Error::NoSnapshot { .. }) {
            return error.into();
        }
        let records = counted(self.damaged as u64, "record");
        let message = format!("{error}; it may be among the {records} that cannot be read");
        CommandError::new(ExitStatus::Damaged, message)
            .hint("`icecore verify` names them, `icecore repair` sets them aside")
    }
}

/// The options by which `restore` chooses, besides a selector.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) index: Option<usize>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) at: Option<&'a str>,
}

impl Wanted<'_> {
    /// The newest snapshot of which everything is true that was asked for.
    pub(crate) fn find<'s>(&self, context: &Context, listing: &'s Listing) -> Result<&'s Snapshot> {
        if let Some(index) = self.index {
            let selector = Selector::Index(index);
            return icecore::select(&listing.snapshots, &selector, context.now, &context.zone)
                .map_err(|error| listing.blame(error));
        }
        if self.tag.is_none() && self.at.is_none() {
            return listing.resolve(context, self.text.unwrap_or("latest"));
        }
        let latest = match self.at {
            Some(text) => Some(icecore::parse_time_point(text, context.now, &context.zone, true)?),
            None => None,
        };
        let named = self.text.filter(|name| *name != "latest");
        let fits = |snapshot: &&Snapshot| {
            let info = snapshot.info();
            named.is_none_or(|name| info.source == name)
                && (named.is_some() || self.tag.is_some() || !icecore::is_safety(snapshot))
                && self.tag.is_none_or(|tag| snapshot.labels.tags.contains(tag))
                && latest.is_none_or(|latest| {
                    info.created_at.parse().is_ok_and(|taken: jiff::Timestamp| taken <= latest)
                })
        };
        let found = listing.snapshots.iter().find(fits);
        found.ok_or_else(|| {
            listing.blame(Error::NoSnapshot { selector: self.describe(), reason: self.reason(listing) })
        })
    }

    /// Why nothing fits, where one thing alone rules everything out.
    fn reason(&self, listing: &Listing) -> Option<String> {
        let has_tag = |tag: &str| listing.snapshots.iter().any(|snapshot| snapshot.labels.tags.contains(tag));
        match (self.tag, self.at) {
            (Some(tag), _) if !has_tag(tag) => {
                let near = icecore::did_you_mean(tag, icecore::tags_of(&listing.snapshots));
                Some(format!("none is tagged {tag:?}{near}"))
            }
            (None, Some(_)) => Some("none is as old as that".to_owned()),
            _ => None,
        }
    }

    fn describe(&self) -> String {
        let tag = self.tag.map(|tag| format!("--tag {tag}"));
        let at = self.at.map(|at| format!("--at {at}"));
        [self.text.map(str::to_owned), tag, at].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
