//! `icecore prune`

mod policy_args;
mod show;

use icecore::{Config, Counter, Error, GcOptions, PruneOptions, PrunePlan, Pruned};

use self::policy_args::PolicyArgs;
use super::gc;
use crate::args::{ExclusiveArgs, ServiceArgs};
use crate::context::{Context, Opened};
use crate::failure::{Result, sentence};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{counted, printable};

/// Delete the snapshots that no policy keeps
///
/// What is kept is said by options, or by icecore.toml; where nothing says it, nothing is deleted. Of each source, what somebody named by a
/// tag or a note stays, unless --keep-named says otherwise, and so does the newest snapshot that is whole, whatever the policy. Nothing is
/// asked: look first with --dry-run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore prune --policy '7d all, 30d daily, 1y weekly, then monthly' --dry-run
  icecore prune shop --keep-daily 7 --keep-weekly 4 --gc\n")]
pub(crate) struct PruneArgs {
    /// Only of these, and of what restores took of them before they replaced it
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// The same, as `push` and `pull` have it
    #[arg(long = "source", value_name = "SOURCE")]
    named: Vec<String>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Only show what goes, what stays and why, and what that would free
    #[arg(long)]
    dry_run: bool,
    /// Give the space back too, as `icecore gc` does
    #[arg(long, conflicts_with = "dry_run")]
    gc: bool,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    alone: ExclusiveArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &PruneArgs) -> Result<ExitStatus> {
    let named = args.sources.iter().chain(&args.named).cloned().chain(args.service.or_positional(None)?);
    let options = PruneOptions { sources: named.collect(), ..args.policy.options() };
    let config = context.project()?.map(|project| project.config).unwrap_or_default();
    let opened = context.open()?;
    let clock = (context.now, &context.zone);
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Looking");
    let plan = icecore::plan_prune(&opened.store, &config, &options, clock, &*drawing.monitor());
    drawing.end();
    let plan = plan?;
    warn(ui, context, &plan);
    if args.dry_run {
        let freed = would_free(ui, context, &opened, &plan)?;
        show::plan(ui, context, &plan, freed)?;
        return Ok(status(&plan));
    }
    let something_goes = plan.going().next().is_some();
    if something_goes || args.gc {
        args.alone.check(context, &opened, "pruning")?;
    }
    let pruned = prune(ui, context, (&opened, &config), &options, &plan)?;
    let collected =
        if args.gc { Some(gc::collect(ui, context, &opened.store, &GcOptions::default())?) } else { None };
    show::pruned(ui, context, &pruned, collected.as_ref())?;
    let harmed = collected.is_some_and(|report| gc::tell_damage(ui, &report));
    Ok(match status(&pruned.plan) {
        ExitStatus::Success if harmed => ExitStatus::Findings,
        status => status,
    })
}

fn prune(
    ui: &mut Ui,
    context: &Context,
    (opened, config): (&Opened, &Config),
    options: &PruneOptions,
    plan: &PrunePlan,
) -> Result<Pruned> {
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Deleting");
    let clock = (context.now, &context.zone);
    let pruned = icecore::prune(&opened.store, config, options, clock, plan, &*drawing.monitor());
    drawing.end();
    Ok(pruned?)
}

/// What a collection would free now, and what it would free once the snapshots that go are deleted; nothing if that cannot be told.
fn would_free(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    plan: &PrunePlan,
) -> Result<Option<(u64, u64)>> {
    let (store, options) = (&opened.store, GcOptions::default());
    let going = plan.going().map(|judged| judged.snapshot.id).collect();
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Counting");
    let monitor = drawing.monitor();
    let now = store.plan_gc(&options, &*monitor);
    let then = now.and_then(|now| Ok((now, store.plan_gc_without(&going, &options, &*monitor)?)));
    drawing.end();
    match then {
        Ok((now, then)) => {
            let manifests: u64 = plan.going().map(|judged| judged.snapshot.manifest_len).sum();
            Ok(Some((now.freed_bytes(), then.freed_bytes() + manifests)))
        }
        Err(error) if error.is_damage() => {
            ui.warn(format_args!("what would be freed cannot be told: {}", sentence(&Error::from(error))));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells of what is not as one would think.
fn warn(ui: &mut Ui, context: &Context, plan: &PrunePlan) {
    for error in &plan.unread {
        ui.warn(sentence(error));
    }
    for series in &plan.series {
        let source = printable(&series.source);
        for judged in series.snapshots.iter().filter(|judged| plan.incomplete.contains(&judged.snapshot.id)) {
            ui.warn(format_args!(
                "{}: something of it is missing; an older one stays instead",
                context.described(&judged.snapshot)
            ));
        }
        let ahead = series.ahead().count() as u64;
        if ahead > 0 {
            let snapshots = counted(ahead, "snapshot");
            ui.warn(format_args!(
                "{source}: {snapshots} of a time that is yet to come: whose clock is wrong?"
            ));
        }
        if series.places > 1 && series.going().next().is_some() {
            ui.warn(format_args!(
                "{source}: its snapshots come from {} places, and count as those of one source; `create --name` keeps them apart",
                series.places
            ));
        }
    }
    if let [first, others @ ..] = plan.without_policy.as_slice() {
        let names = others.iter().fold(printable(first), |names, name| names + ", " + &printable(name));
        ui.status(format_args!("No policy says what to keep of {names}: all of that stays."));
    }
}

/// What cannot be read must not pass unnoticed, although it keeps nothing from being done.
fn status(plan: &PrunePlan) -> ExitStatus {
    match plan.unread.is_empty() && plan.incomplete.is_empty() {
        true => ExitStatus::Success,
        false => ExitStatus::Damaged,
    }
}
