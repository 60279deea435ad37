//! Snapshots of what a restore replaces, from which it can be brought back.

use icecore::{Counter, CreateOptions, SAFETY_SUFFIX, SnapshotId, Source};

use super::chosen::Chosen;
use crate::context::Opened;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::ui::Ui;

/// What the snapshots of a source are called that are taken of what a restore replaces: a series of their own, so that the newest of the source stays
/// what somebody meant to keep.
pub(crate) fn safety_name(name: &str) -> String {
    // What is rolled back is of the same series.
    format!("{}{SAFETY_SUFFIX}", name.strip_suffix(SAFETY_SUFFIX).unwrap_or(name))
}

/// A snapshot of what a restore is about to replace.
pub(super) struct Saved {
    id: SnapshotId,
    /// What it is called.
    pub(super) name: String,
    /// What could not be captured as it should be.
    pub(super) findings: Vec<String>,
}

impl Saved {
    /// Takes it back, for nothing was replaced: a rollback is to undo the restore before. If it cannot be, it stays.
    pub(super) fn withdraw(&self, opened: &Opened) {
        let snapshots = opened.store.snapshots().map(|(snapshots, _)| snapshots).unwrap_or_default();
        if let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.id == self.id) {
            let _ = opened.store.delete_snapshot(snapshot);
        }
    }
}

/// What a restore replaces.
pub(super) struct Replaced<'a> {
    /// What the snapshots of it are called.
    pub(super) name: &'a str,
    /// Where it can be read: where it has always been, or where it was put aside.
    pub(super) source: &'a Source,
    /// Where it belongs.
    pub(super) origin: &'a str,
}

impl Replaced<'_> {
    /// Takes a snapshot of it.
    pub(super) fn save(&self, ui: &Ui, chosen: Chosen<'_>) -> Result<Saved> {
        let Chosen { context, opened, .. } = chosen;
        let options = CreateOptions {
            name: Some(safety_name(self.name)),
            tags: vec![icecore::SAFETY_TAG.to_owned()],
            host: context.host(),
            store_dir: opened.real_dir(),
            origin: Some(self.origin.to_owned()),
            ..CreateOptions::default()
        };
        let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Saving what is there");
        let created =
            icecore::create(&opened.store, self.source, &options, context.time(), drawing.monitor());
        drawing.end();
        let created = created?;
        Ok(Saved { id: created.id, name: safety_name(self.name), findings: created.findings })
    }

    /// Has what was put aside dropped once it is in the store: nobody writes to it any more. Returns what could not be captured as it should be;
    /// the error is a warning that it is still there, under the name of `kept`.
    pub(super) fn save_and_drop(
        &self,
        ui: &Ui,
        chosen: Chosen<'_>,
        kept: &str,
        drop: impl FnOnce() -> icecore::Result<()>,
    ) -> std::result::Result<Vec<String>, String> {
        let saved = self.save(ui, chosen).and_then(|saved| Ok(drop().map(|()| saved.findings)?));
        saved.map_err(|error| match error {
            CommandError::Failure(failure) => {
                format!("what was there is still there, as {kept}: {}", failure.message)
            }
            CommandError::StreamClosed => {
                format!("what was there is still there, as {kept}")
            }
        })
    }
}
