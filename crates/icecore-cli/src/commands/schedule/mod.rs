//! `icecore schedule`

mod crontab;
mod search_path;
mod systemd;
mod variables;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use icecore::{Mark, Project, Timer, jitter};
use serde_json::json;

use self::search_path::SearchPath;
use crate::args::parse_name;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::paths::tidy;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::printable;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Show when each service is captured
    List,
    /// Have systemd or cron run `icecore nightly` at the times that icecore.toml says
    ///
    /// Whatever was installed for the same file before is replaced, so that it is run again after a schedule has changed. systemd catches up with what was missed while the
    /// machine was off; cron does not. Neither is needed where `icecore daemon` runs.
    Install(InstallArgs),
    /// Take back what `install` did
    Remove(KeeperArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    keeper: KeeperArgs,
    /// Have each run write to this file how all services do, for Prometheus
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

/// Who keeps the time.
#[derive(Debug, clap::Args)]
pub(crate) struct KeeperArgs {
    /// By timers of systemd
    #[arg(long, group = "how")]
    systemd: bool,
    /// By lines in this user's crontab
    #[arg(long, group = "how")]
    cron: bool,
    /// With systemd: in this user's own manager, as it is for everybody but root
    #[arg(long, conflicts_with = "cron")]
    user: bool,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, command: &ScheduleCommand) -> Result<ExitStatus> {
    if let ScheduleCommand::Install(InstallArgs { keeper, .. }) | ScheduleCommand::Remove(keeper) = command {
        keeper.check()?;
    }
    let project = context.project_or_fail()?;
    match command {
        ScheduleCommand::List => list(ui, context, &project),
        ScheduleCommand::Install(args) => {
            let path = SearchPath::of_environment();
            let timers = timers(context, &project, args, &path)?;
            if timers.is_empty() {
                let file = shown(&project.file);
                return Err(CommandError::usage(format!("no service in {file} has a schedule")).hint(
                    "schedule = \"30 2 * * *\" below [services.NAME] captures it every night at 2:30; `icecore schedule remove` takes back what was installed",
                ));
            }
            variables::warn(ui, context, &project);
            for (folder, why) in &path.left_out {
                ui.warn(format_args!("PATH has no {} when it is run: {why}", printable(folder)));
            }
            apply(ui, context, &project, &args.keeper, &timers)
        }
        ScheduleCommand::Remove(args) => apply(ui, context, &project, args, &[]),
    }
}

impl KeeperArgs {
    fn check(&self) -> Result<()> {
        if self.systemd || self.cron {
            return Ok(());
        }
        Err(CommandError::usage("say who keeps the time: --systemd or --cron").hint(
            "systemd catches up with what was missed while the machine was off, cron does not; where there is neither, `icecore daemon` keeps it",
        ))
    }
}

fn list(ui: &mut Ui, context: &Context, project: &Project) -> Result<ExitStatus> {
    let (now, host) = (context.time(), context.host());
    let scheduled = project.config.services.iter();
    let scheduled = scheduled.filter_map(|(name, service)| Some((name, service.schedule.as_ref()?)));
    let rows: Vec<_> = scheduled
        .map(|(name, schedule)| {
            let delay = jitter(name, &host, project.config.nightly.jitter_max());
            let planned = now.checked_sub(delay).ok();
            let next = planned.and_then(|planned| schedule.next(planned, &context.zone));
            let next = next.and_then(|next| next.checked_add(delay).ok());
            (name, schedule, next.map(icecore::format_time))
        })
        .collect();
    if ui.json {
        let services = rows.iter().map(|(name, schedule, next)| {
            json!({ "service": name, "schedule": schedule.to_string(), "next_run": next })
        });
        ui.document(&json!({ "services": services.collect::<Vec<_>>() }))?;
    } else if rows.is_empty() {
        ui.line("No service has a schedule")?;
    } else {
        let left = Column::Left;
        let rows = rows.iter().map(|(name, schedule, next)| {
            let next = next.as_deref().map(|next| context.local_time(next)).unwrap_or_default();
            vec![printable(name), schedule.to_string(), schedule.description(), next]
        });
        ui.table(
            &[("SERVICE", left), ("SCHEDULE", left), ("IN WORDS", left), ("NEXT RUN", left)],
            rows.collect(),
        )?;
    }
    Ok(ExitStatus::Success)
}

/// The file, in a directory that must be there: nobody reads at night that it is not.
fn metrics_file(context: &Context, file: &Path) -> Result<PathBuf> {
    let file = context.cwd.join(file);
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(CommandError::usage(format!("{} is no file", shown(&file))));
    };
    match (dir.is_dir(), file.is_dir()) {
        (true, false) => Ok(tidy(dir).join(name)),
        (false, _) => Err(CommandError::usage(format!("there is no directory {}", shown(dir)))),
        (true, true) => Err(CommandError::usage(format!("{} is a directory", shown(&file)))),
    }
}

fn shown(path: &Path) -> String {
    printable(&tidy(path).display().to_string())
}

/// What is to be run for each service that has a schedule.
fn timers(context: &Context, project: &Project, args: &InstallArgs, path: &SearchPath) -> Result<Vec<Timer>> {
    let program = std::env::current_exe().map_err(CommandError::io("cannot find the program itself"))?;
    let text = |path: &Path| {
        let absolute = tidy(&context.cwd.join(path));
        absolute.to_str().map(str::to_owned).ok_or_else(|| {
            CommandError::usage(format!("{} is not UTF-8, as units and crontabs are", shown(&absolute)))
        })
    };
    let mut start = vec![text(&program)?, "--config".to_owned(), text(&project.file)?];
    start.extend(context.store_option().into_iter().flat_map(|(option, place)| {
        let is_name = option != "--store" && !icecore::is_plain_path(place);
        let place = if is_name || icecore::is_url(place) {
            place.to_owned()
        } else {
            tidy(&context.cwd.join(place)).display().to_string()
        };
        [option.to_owned(), place]
    }));
    if let Some(file) = &context.password_file {
        start.extend(["--password-file".to_owned(), text(file)?]);
    }
    start.push("nightly".to_owned());
    if let Some(file) = &args.metrics_file {
        start.extend(["--metrics-file".to_owned(), text(&metrics_file(context, file)?)?]);
    }
    let path = path.text();
    let scheduled = project.config.services.iter();
    let scheduled = scheduled.filter_map(|(name, service)| Some((name, service.schedule.clone()?)));
    for name in project.config.services.keys() {
        parse_name(name).map_err(|why| CommandError::usage(format!("{name:?} cannot be a name: {why}")))?;
    }
    let timer = |(service, schedule): (&String, _)| {
        let mut command = start.clone();
        command.extend(["--".to_owned(), service.clone()]);
        Timer { service: service.clone(), schedule, command, path: path.clone() }
    };
    Ok(scheduled.map(timer).collect())
}

fn apply(
    ui: &mut Ui,
    context: &Context,
    project: &Project,
    args: &KeeperArgs,
    timers: &[Timer],
) -> Result<ExitStatus> {
    let file = context.cwd.join(&project.file);
    let mark = Mark::of(&file.canonicalize().unwrap_or(file));
    let dir = context.cwd.join(&project.dir);
    let dir = dir.canonicalize().unwrap_or(dir);
    match args.cron {
        true => crontab::keep(ui, context, args, timers, (&mark, &dir), project),
        false => systemd::keep(ui, args, timers, (&mark, &dir), project),
    }
}

fn output(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let hint = match program.as_str() {
        "crontab" => "--systemd installs timers of systemd instead; `icecore daemon` needs neither",
        _ => "--cron installs lines in the crontab instead; `icecore daemon` needs neither",
    };
    let done = command.stdin(Stdio::null()).output();
    done.map_err(|error| CommandError::io(format!("cannot run {program}"))(error).hint(hint))
}

fn failed(what: &str, output: &Output) -> CommandError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next().unwrap_or_default().to_owned();
    CommandError::new(ExitStatus::Failed, format!("`{what}` ended with {}: {said}", output.status))
}
