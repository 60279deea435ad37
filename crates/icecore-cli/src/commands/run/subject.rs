//! What a run may change: where its snapshots come from, and go back to.

use std::path::Path;

use icecore::{Counter, CreateOptions, Error, Snapshot, Source};

use super::{Run, RunArgs};
use crate::commands::restore::back::{self, Leave};
use crate::commands::restore::chosen::Chosen;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// A source that a restore can bring back to where it is.
pub(super) struct Subject {
    source: Source,
    /// What its snapshots are called.
    pub(super) name: String,
}

impl Subject {
    /// What the arguments name.
    pub(super) fn find(ui: &mut Ui, context: &Context, args: &RunArgs) -> Result<Self> {
        let positional = args.source.as_deref();
        // `--service` is text; a path need not be.
        let service = args.service.or_positional(positional.map(|_| ""))?.filter(|name| !name.is_empty());
        let Some(text) = service.as_ref().map(Path::new).or(positional) else {
            return Err(CommandError::usage("say of what to take the snapshots")
                .hint("icecore run SERVICE -- COMMAND, where SERVICE is what `icecore create` takes"));
        };
        if Source::shows_password(text) {
            ui.warn("the password in the URL can be seen by others on this machine; PGPASSWORD, MYSQL_PWD, REDISCLI_AUTH and icecore.toml keep it to yourself");
        }
        let (source, service) = context.source(text)?;
        let source = match source {
            Source::Stdin | Source::Command(_) => {
                return Err(CommandError::usage("what comes in by standard input cannot be restored there")
                    .hint("name a service of icecore.toml, a URL or a path"));
            }
            Source::Path(path) => Source::Path(context.cwd.join(path)),
            Source::Sqlite(path) => Source::Sqlite(context.cwd.join(path)),
            source => source,
        };
        let name = service.unwrap_or_else(|| source.default_name());
        Ok(Self { source, name })
    }

    /// Takes a snapshot of it, and says what was saved.
    pub(super) fn save(&self, ui: &mut Ui, run: &Run<'_>, tags: Vec<String>) -> Result<Snapshot> {
        let Run { context, opened, .. } = *run;
        let tagged = tags.join(", ");
        let options = CreateOptions {
            name: Some(self.name.clone()),
            tags,
            host: context.host(),
            store_dir: opened.real_dir(),
            // A table without rows, or a directory without files, is something to go back to.
            allow_empty: true,
            ..CreateOptions::default()
        };
        let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Saving what is there");
        let created =
            icecore::create(&opened.store, &self.source, &options, context.time(), drawing.monitor());
        drawing.end();
        let created = created?;
        for finding in &created.findings {
            ui.warn(printable(finding));
        }
        let (snapshots, _) = opened.store.snapshots()?;
        let snapshot = snapshots.into_iter().find(|snapshot| snapshot.id == created.id);
        let snapshot = snapshot.ok_or_else(|| Error::NoSnapshot {
            selector: created.id.to_string(),
            reason: Some("somebody has deleted it".to_owned()),
        })?;
        ui.status(format_args!(
            "Saved {} as {}, tagged {}: {}, {} added, {}",
            printable(&self.name),
            snapshot.id.brief(),
            printable(&tagged),
            Bytes(created.info.logical_bytes),
            Bytes(created.stored_bytes),
            Millis(created.info.duration_ms),
        ));
        Ok(snapshot)
    }

    /// Refuses to start anything after a snapshot that is not whole: it is none to go back to.
    pub(super) fn refuse_partial(&self, snapshot: &Snapshot, args: &RunArgs) -> Result<()> {
        let findings = &snapshot.info().findings;
        if findings.is_empty() || args.allow_incomplete {
            return Ok(());
        }
        let error = format!(
            "snapshot {} of {} is not whole, {} could not be captured, and the command was not started",
            snapshot.id.brief(),
            printable(&self.name),
            counted(findings.len() as u64, "thing")
        );
        Err(CommandError::new(ExitStatus::Refused, error)
            .hint("--allow-incomplete runs it all the same, and restores what there is of the snapshot; what could not be captured is lost then"))
    }

    /// Restores one of its snapshots to where it is, as `restore` does.
    pub(super) fn restore(&self, ui: &mut Ui, chosen: Chosen<'_>, incomplete: bool) -> Result<ExitStatus> {
        // It was taken from here a moment ago, by whoever runs this.
        back::restore(ui, chosen, (&self.source, &self.name), Leave { incomplete, trusted: true })
    }
}
