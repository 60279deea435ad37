//! What a restore is of.

use icecore::{Counter, Monitor, Snapshot};

use crate::context::{Context, Opened};
use crate::progress::Progress;
use crate::ui::Ui;

/// The snapshot that was chosen, and the store that it is in.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    pub(crate) context: &'a Context,
    pub(crate) opened: &'a Opened,
    pub(crate) snapshot: &'a Snapshot,
}

impl Chosen<'_> {
    /// As a question names it.
    pub(super) fn described(&self) -> String {
        self.context.described(self.snapshot)
    }

    /// Works on it, and shows how far that is.
    pub(crate) fn show<T>(&self, ui: &Ui, what: &'static str, work: impl FnOnce(&dyn Monitor) -> T) -> T {
        let drawing = Progress::begin(ui, self.context, Counter::PlainBytes, what);
        let done = work(&*drawing.monitor());
        drawing.end();
        done
    }
}
