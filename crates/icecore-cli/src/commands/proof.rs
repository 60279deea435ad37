//! `icecore verify --restore`

use std::path::Path;

use icecore::{Counter, Database, Error, Proof, ProofOptions, Snapshot, Witness};
use serde_json::{Value, json};

use crate::context::{Context, Opened};
use crate::evidence;
use crate::failure::{CommandError, Failure, Result};
use crate::progress::Progress;
use crate::select::Listing;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// What came of one snapshot.
struct Attempt<'s> {
    snapshot: &'s Snapshot,
    outcome: std::result::Result<Proof, Failure>,
}

/// Restores each of these, or the newest of each source, into something that is thrown away.
pub(crate) fn run(
    ui: &mut Ui,
    context: &Context,
    selectors: &[String],
    scratch: Option<&str>,
) -> Result<ExitStatus> {
    let scratch = scratch.map(|url| server(context, url)).transpose()?;
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let chosen = match selectors.is_empty() {
        true => newest_of_each(&listing),
        false => listing.resolve_all(context, selectors)?,
    };
    if chosen.is_empty() {
        ui.status("There are no snapshots yet.");
    }
    let options = ProofOptions { scratch, store_dir: opened.real_dir() };
    // Of one alone that cannot be tried, the error says all.
    let is_one = chosen.len() == 1;
    let mut attempts = Vec::new();
    for snapshot in chosen {
        let attempt = Attempt { snapshot, outcome: attempt(ui, context, &opened, snapshot, &options)? };
        let is_told = is_one && attempt.outcome.is_err();
        if !ui.json && !is_told {
            tell(ui, &attempt)?;
        }
        attempts.push(attempt);
    }
    let is_proved =
        |attempt: &Attempt<'_>| attempt.outcome.as_ref().is_ok_and(|proof| proof.evidence.is_ok());
    let is_ok = attempts.iter().all(is_proved);
    let is_tried = attempts.iter().any(|attempt| attempt.outcome.is_ok());
    if ui.json && (is_ok || is_tried) {
        let proofs: Vec<Value> = attempts.iter().map(entry).collect();
        ui.document(&json!({ "ok": is_ok, "proofs": proofs }))?;
    }
    if is_ok {
        return Ok(ExitStatus::Success);
    }
    let is_damaged = |attempt: &Attempt<'_>| attempt.outcome.as_ref().is_ok_and(|proof| proof.is_damaged);
    if attempts.iter().any(is_damaged) {
        // As any other command ends that meets it.
        return Ok(ExitStatus::Damaged);
    }
    if is_tried {
        return Ok(ExitStatus::Findings);
    }
    // Nothing was done: that is no finding about any of them.
    let count = attempts.len();
    let first = attempts.into_iter().find_map(|attempt| attempt.outcome.err());
    Err(match first.filter(|_| is_one || ui.json) {
        Some(failure) => CommandError::Failure(failure),
        None => CommandError::new(ExitStatus::Failed, format!("none of {count} snapshots could be tried")),
    })
}

/// What a URL of a server means.
fn server(context: &Context, url: &str) -> Result<Database> {
    let source = context.place(Path::new(url))?;
    Database::of(&source).ok_or_else(|| {
        CommandError::usage(format!("{} is no server on which a database could be made", printable(url)))
            .hint("give postgres://HOST, mysql://HOST or mariadb://HOST")
    })
}

/// What restores have taken for safety is no source's newest.
fn newest_of_each(listing: &Listing) -> Vec<&Snapshot> {
    let mut chosen: Vec<&Snapshot> = Vec::new();
    for snapshot in listing.snapshots.iter().filter(|snapshot| !icecore::is_safety(snapshot)) {
        if chosen.iter().all(|known| known.info().source != snapshot.info().source) {
            chosen.push(snapshot);
        }
    }
    chosen
}

/// What is to be told of one does not keep the others from being tried.
fn attempt(
    ui: &Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    options: &ProofOptions,
) -> Result<std::result::Result<Proof, Failure>> {
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Restoring");
    let witness = Witness { host: context.host(), now: context.now };
    let proved = icecore::prove(&opened.store, snapshot, options, &witness, &*drawing.monitor());
    drawing.end();
    match proved {
        Ok(proof) => Ok(Ok(proof)),
        Err(error @ Error::NoProof { .. }) => match CommandError::from(error) {
            CommandError::Failure(failure) => Ok(Err(failure)),
            error => Err(error),
        },
        Err(error) => Err(error.into()),
    }
}

fn tell(ui: &mut Ui, Attempt { snapshot, outcome }: &Attempt<'_>) -> Result<()> {
    let name = format!("{} {}", snapshot.id.brief(), printable(&snapshot.info().source));
    match outcome {
        Ok(Proof { evidence, .. }) if evidence.is_ok() && ui.quiet => Ok(()),
        Ok(Proof { evidence, .. }) => {
            ui.line(format_args!("{name}: {}", printable(&evidence::outcome(evidence))))?;
            for unproved in &evidence.unproved {
                ui.line(format_args!("  not proved: {}", printable(unproved)))?;
            }
            Ok(())
        }
        Err(_) => ui.line(format_args!("{name}: not tried")),
    }?;
    if let Err(failure) = outcome {
        ui.warn(&failure.message);
        if let Some(hint) = &failure.hint {
            ui.hint(hint);
        }
    }
    Ok(())
}

fn entry(Attempt { snapshot, outcome }: &Attempt<'_>) -> Value {
    let failure = outcome.as_ref().err();
    json!({
        "id": snapshot.id,
        "source": snapshot.info().source,
        "restored": evidence::whole(outcome.as_ref().ok().map(|proof| &proof.evidence)),
        "error": failure.map(|failure| &failure.message),
        "hint": failure.and_then(|failure| failure.hint.as_ref()),
    })
}
