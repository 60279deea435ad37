//! `icecore push` and `icecore pull`

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use icecore::{
    Counter, Limits, RateLimit, Sent, Snapshot, SnapshotId, Surroundings, Transfer, TransferOptions,
    TransferPlan, is_safety,
};
use serde_json::json;

use crate::context::Context;
use crate::failure::{CommandError, Result, sentence};
use crate::progress::{Drawing, Progress};
use crate::select::Listing;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::{Bytes, counted, parse_rate, printable};

/// Send snapshots to a remote
///
/// Only what the remote lacks is sent, and each snapshot appears there when all of it has arrived. It may be interrupted at any time: what has arrived is not
/// sent again. The first push makes the store there, with the same id and the same passwords. Nothing is asked, for nothing is replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    transfer: TransferArgs,
    /// So many bytes a second at most: 5MB
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    limit_upload: Option<NonZeroU64>,
}

/// Fetch snapshots from a remote
///
/// Only what is lacking here is fetched, and checked before it counts. It may be interrupted at any time: what has arrived is not fetched again.
#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    #[command(flatten)]
    transfer: TransferArgs,
    /// So many bytes a second at most: 5MB
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    limit_download: Option<NonZeroU64>,
}

#[derive(Debug, clap::Args)]
struct TransferArgs {
    /// The remote: its name, a URL, or a path from / or ./
    #[arg(value_name = "REMOTE")]
    to: String,
    /// Which [default: the newest of each source]
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    /// All snapshots
    #[arg(long, conflicts_with = "snapshots")]
    all: bool,
    /// All with this tag
    #[arg(long, value_name = "TAG", conflicts_with_all = ["snapshots", "all"])]
    tag: Option<String>,
    /// All of this source
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["snapshots", "all"])]
    source: Option<String>,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn push(ui: &mut Ui, context: &Context, args: &PushArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    let place = context.remote_place(&args.transfer.to)?;
    let limits = Limits { upload: limit(args.limit_upload), ..Limits::default() };
    let around = Surroundings { limits, ..context.surroundings() };
    let listing = opened.listing(ui)?;
    let drawing = Progress::begin(ui, context, Counter::StoredBytes, "Pushing");
    let mut scratch = None;
    let remote = if args.transfer.dry_run && !icecore::is_store(&place, &around)? {
        // What would be made there: nothing is, yet.
        let dir = tempfile::tempdir().map_err(CommandError::io("cannot make a temporary directory"))?;
        let empty = icecore::empty_same(&opened.store, dir.path())?;
        scratch = Some(dir);
        empty
    } else {
        icecore::open_same(&opened.store, &place, &around)?
    };
    let transfer = Transfer::push(Arc::clone(&opened.store), remote, options(context))?;
    let there = place.to_string();
    let words = Words { done: "Pushed", would: "Would send", undone: "was not pushed", there, from: None };
    let status = run(ui, context, &args.transfer, &transfer, &listing, drawing, &words);
    drop(scratch);
    status
}

pub(crate) fn pull(ui: &mut Ui, context: &Context, args: &PullArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    let place = context.remote_place(&args.transfer.to)?;
    let limits = Limits { download: limit(args.limit_download), ..Limits::default() };
    let around = Surroundings { limits, ..context.surroundings() };
    let begin = |ui: &Ui| Progress::begin(ui, context, Counter::StoredBytes, "Pulling");
    let drawing = begin(ui);
    let remote = Context::open_same(&opened.store, &place, &around)?;
    let listed = remote.snapshots()?;
    // Warnings may come.
    drawing.end();
    let listing = Listing::told(listed, ui);
    let drawing = begin(ui);
    let transfer = Transfer::pull(Arc::clone(&opened.store), remote, options(context))?;
    let there = opened.place.to_string();
    let from = Some(args.transfer.to.as_str());
    let words = Words { done: "Pulled", would: "Would fetch", undone: "was not pulled", there, from };
    run(ui, context, &args.transfer, &transfer, &listing, drawing, &words)
}

fn options(context: &Context) -> TransferOptions {
    TransferOptions { host: context.host() }
}

fn limit(bytes_a_second: Option<NonZeroU64>) -> Option<Arc<RateLimit>> {
    bytes_a_second.map(|bytes| Arc::new(RateLimit::of(bytes)))
}

/// How a direction is told of.
pub(super) struct Words<'a> {
    pub(super) done: &'static str,
    pub(super) would: &'static str,
    pub(super) undone: &'static str,
    /// The receiver.
    pub(super) there: String,
    /// The sender, if it is a remote.
    pub(super) from: Option<&'a str>,
}

fn run(
    ui: &mut Ui,
    context: &Context,
    args: &TransferArgs,
    transfer: &Transfer,
    listing: &Listing,
    drawing: Drawing,
    words: &Words<'_>,
) -> Result<ExitStatus> {
    let chosen = choose(context, args, listing)?;
    let ids: Vec<SnapshotId> = chosen.iter().map(|snapshot| snapshot.id).collect();
    let plan = transfer.plan(&ids, &*drawing.monitor());
    let sent = match (args.dry_run, plan) {
        (true, plan) => {
            drawing.end();
            return show_plan(ui, context, &plan?, words);
        }
        (false, plan) => {
            let sent = plan.and_then(|plan| {
                let present = plan.present.len();
                Ok((transfer.carry_out(plan, &*drawing.monitor())?, present))
            });
            drawing.end();
            sent
        }
    };
    let (sent, present) = sent?;
    show_sent(ui, &sent, (present, None), words)?;
    Ok(judge(ui, &sent, listing.damaged, words))
}

/// The snapshots that are meant, newest first.
fn choose<'s>(context: &Context, args: &TransferArgs, listing: &'s Listing) -> Result<Vec<&'s Snapshot>> {
    if !args.snapshots.is_empty() {
        return listing.resolve_all(context, &args.snapshots);
    }
    let all = listing.snapshots.iter();
    if args.all {
        return Ok(all.collect());
    }
    if args.tag.is_some() || args.source.is_some() {
        let fits = |snapshot: &&Snapshot| {
            args.tag.as_ref().is_none_or(|tag| snapshot.labels.tags.contains(tag))
                && args.source.as_ref().is_none_or(|source| snapshot.info().source == *source)
        };
        let chosen: Vec<&Snapshot> = all.filter(fits).collect();
        if chosen.is_empty() {
            let tag = args.tag.iter().map(|tag| format!("the tag {:?}", printable(tag)));
            let source = args.source.iter().map(|source| format!("the source {:?}", printable(source)));
            let asked = tag.chain(source).collect::<Vec<_>>().join(" and ");
            let error = CommandError::new(ExitStatus::NotFound, format!("no snapshot has {asked}"));
            return Err(
                error.hint("`icecore list` shows the snapshots there are, with --remote those elsewhere")
            );
        }
        return Ok(chosen);
    }
    // What a restore has put aside is of no use elsewhere.
    let mut sources = BTreeSet::new();
    Ok(all.filter(|it| !is_safety(it) && sources.insert(it.info().source.as_str())).collect())
}

fn show_plan(ui: &mut Ui, context: &Context, plan: &TransferPlan, words: &Words<'_>) -> Result<ExitStatus> {
    if ui.json {
        let snapshots: Vec<_> = plan
            .send
            .iter()
            .map(|it| json!({ "id": it.id, "source": it.source, "created_at": it.created_at, "logical_bytes": it.logical_bytes }))
            .collect();
        ui.document(&json!({
            "to": words.there,
            "snapshots": snapshots,
            "present": plan.present.len(),
            "packs": plan.packs + plan.rewritten_packs,
            "bytes": plan.bytes(),
            "labels": plan.labels,
            "requests": plan.requests,
        }))?;
    } else if plan.send.is_empty() && plan.labels == 0 {
        ui.line(format_args!("Nothing to do: {} has it all", words.there))?;
    } else {
        let rows = plan.send.iter().map(|it| {
            let id = it.id.brief();
            vec![
                id,
                printable(&it.source),
                context.local_time(&it.created_at),
                Bytes(it.logical_bytes).to_string(),
            ]
        });
        let head = [
            ("ID", Column::Left),
            ("SOURCE", Column::Left),
            ("CREATED", Column::Left),
            ("SIZE", Column::Right),
        ];
        if !plan.send.is_empty() {
            ui.table(&head, rows.collect())?;
        }
        let labels =
            if plan.labels == 0 { String::new() } else { format!(", {}", counted(plan.labels, "label")) };
        ui.line(format_args!(
            "{} {} in {} to {}{labels}: about {}",
            words.would,
            Bytes(plan.bytes()),
            counted(plan.packs + plan.rewritten_packs, "pack"),
            words.there,
            counted(plan.requests, "request"),
        ))?;
    }
    for (id, error) in &plan.damaged {
        ui.warn(format_args!("snapshot {} cannot be sent: {}", id.brief(), sentence(error)));
    }
    Ok(if plan.damaged.is_empty() { ExitStatus::Success } else { ExitStatus::Damaged })
}

/// Says what has come, and how many snapshots were there before; of a file, in JSON, which packs in it are damaged, too.
pub(super) fn show_sent(
    ui: &mut Ui,
    sent: &Sent,
    (present, damaged): (usize, Option<&[String]>),
    words: &Words<'_>,
) -> Result<()> {
    if ui.json {
        let failed: Vec<_> = sent
            .failed
            .iter()
            .map(|failed| json!({ "id": failed.id, "error": sentence(&failed.error) }))
            .collect();
        let mut document = json!({
            "to": words.there,
            "snapshots": sent.published,
            "present": present,
            "packs": sent.packs,
            "bytes": sent.bytes,
            "labels": sent.labels,
            "failed": failed,
        });
        if let (Some(damaged), Some(document)) = (damaged, document.as_object_mut()) {
            document.insert("damaged".to_owned(), json!(damaged));
        }
        return ui.document(&document);
    }
    if ui.quiet {
        return sent.published.iter().try_for_each(|id| ui.line(id));
    }
    if sent.published.is_empty() && sent.labels == 0 && sent.failed.is_empty() {
        return ui.line(format_args!(
            "Nothing to do: {} has {}",
            words.there,
            counted(present as u64, "snapshot")
        ));
    }
    let there = if present == 0 { String::new() } else { format!("; {present} were there already") };
    let labels =
        if sent.labels == 0 { String::new() } else { format!(", {}", counted(sent.labels, "label")) };
    ui.line(format_args!(
        "{} {} to {}: {} in {}{labels}{there}",
        words.done,
        counted(sent.published.len() as u64, "snapshot"),
        words.there,
        Bytes(sent.bytes),
        counted(sent.packs, "pack"),
    ))
}

/// Tells of what could not be sent, or not be read.
pub(super) fn judge(ui: &mut Ui, sent: &Sent, damaged: usize, words: &Words<'_>) -> ExitStatus {
    for failed in &sent.failed {
        let id = failed.id.brief();
        ui.warn(format_args!("snapshot {id} {}: {}", words.undone, sentence(&failed.error)));
    }
    for error in &sent.label_errors {
        ui.warn(format_args!("a label {}: {}", words.undone, sentence(error)));
    }
    let is_damage = damaged > 0 || sent.failed.iter().any(|failed| failed.error.is_damage());
    if is_damage {
        let there = words.from.map_or(String::new(), |from| format!(" --remote {}", printable(from)));
        ui.hint(format_args!(
            "`icecore verify{there}` tells what is damaged, `icecore repair{there}` sets it aside"
        ));
        ExitStatus::Damaged
    } else if !sent.failed.is_empty() {
        ui.hint("what has arrived is not sent again");
        ExitStatus::Failed
    } else if !sent.label_errors.is_empty() {
        ExitStatus::Findings
    } else {
        ExitStatus::Success
    }
}
