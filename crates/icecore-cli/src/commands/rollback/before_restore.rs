//! What the last restore left of what it replaced, if it put nothing aside: a snapshot, or a database under a name of its own.

use icecore::Snapshot;

use super::meant::Meant;
use crate::commands::restore::back::{self, Leave};
use crate::commands::restore::chosen::Chosen;
use crate::commands::restore::preserved;
use crate::commands::restore::safety::safety_name;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// What was found.
pub(super) struct BeforeRestore {
    opened: Opened,
    /// The last that was taken of what a restore replaced.
    snapshot: Option<Snapshot>,
}

impl BeforeRestore {
    /// Looks into the store.
    pub(super) fn find(ui: &mut Ui, context: &Context, meant: &Meant) -> Result<Self> {
        let opened = context.open()?;
        let snapshots = opened.listing(ui)?.snapshots;
        let (series, origin) = (safety_name(&meant.name), meant.origin());
        // Whatever it was called, it knows where it belongs.
        let is_of = |snapshot: &Snapshot| {
            let info = snapshot.info();
            let is_named = info.source == series && !meant.is_elsewhere(context, snapshot);
            let is_from_here = |of: &String| *of == origin || context.is_at(of, &meant.source);
            icecore::is_safety(snapshot) && (is_named || info.origin.as_ref().is_some_and(is_from_here))
        };
        let snapshot = snapshots.into_iter().find(is_of);
        Ok(Self { opened, snapshot })
    }

    /// What `--preserve` has kept beside what is meant since that was taken.
    pub(super) fn kept_since(&self, context: &Context, meant: &Meant) -> Result<Option<String>> {
        let taken = self.snapshot.as_ref().and_then(|snapshot| snapshot.info().created_at.parse().ok());
        preserved::since(&meant.source, &context.time_suffix(taken.unwrap_or_default()))
    }

    /// Restores the snapshot.
    pub(super) fn restore(&self, ui: &mut Ui, context: &Context, meant: &Meant) -> Result<ExitStatus> {
        let Some(snapshot) = &self.snapshot else {
            let error = format!("there is nothing to bring back of {}", printable(&meant.name));
            return Err(CommandError::new(ExitStatus::NotFound, error).hint(format!(
                "no restore put anything aside, and there is no snapshot {}",
                printable(&safety_name(&meant.name))
            )));
        };
        let by = context.described(snapshot);
        ui.note(format!("nothing is put aside; what a restore before took a snapshot of is {by}"));
        let chosen = Chosen { context, opened: &self.opened, snapshot };
        back::restore(ui, chosen, (&meant.source, &meant.name), Leave::default())
    }
}
