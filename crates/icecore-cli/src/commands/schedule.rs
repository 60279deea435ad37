//! `icecore schedule`

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use icecore::{Mark, Project, Timer, Unit, jitter, with_lines};
use jiff::SignedDuration;
use rustix::process::geteuid;
use serde_json::json;

use crate::args::parse_name;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::password;
use crate::paths::tidy;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::{counted, printable};

/// Where root's units lie.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// The longest line that every cron reads.
const LINE_LEN_MAX: usize = 998;

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
            let timers = timers(context, &project, args)?;
            if timers.is_empty() {
                let file = printable(&tidy(&project.file).display().to_string());
                return Err(CommandError::usage(format!("no service in {file} has a schedule")).hint(
                    "schedule = \"30 2 * * *\" below [services.NAME] captures it every night at 2:30; `icecore schedule remove` takes back what was installed",
                ));
            }
            warn_of_variables(ui, context, &project);
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

/// Variables by which what is outside of this machine is reached.
const OUTSIDE: [&str; 12] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
];

/// Neither systemd nor cron has the variables that are set here.
fn warn_of_variables(ui: &mut Ui, context: &Context, project: &Project) {
    if context.password_file.is_none() && password::is_given(None) {
        ui.warn("the password of the store in ICECORE_PASSWORD is not there when it is run: --password-file FILE is");
    }
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    for variable in OUTSIDE.iter().filter(|name| is_set(name)) {
        ui.warn(format_args!("the variable {variable} is set here, and not when it is run"));
    }
    for (name, service) in project.config.services.iter().filter(|(_, service)| service.schedule.is_some()) {
        if let Some(variable) = &service.password_env {
            ui.warn(format_args!(
                "{}: the variable {} with its password is not set when it is run; password_file or password_command says it there",
                printable(name),
                printable(variable)
            ));
        }
    }
}

fn list(ui: &mut Ui, context: &Context, project: &Project) -> Result<ExitStatus> {
    let (now, host) = (context.time(), context.host());
    let scheduled = project.config.services.iter();
    let scheduled = scheduled.filter_map(|(name, service)| Some((name, service.schedule.as_ref()?)));
    let rows: Vec<_> = scheduled
        .map(|(name, schedule)| {
            let delay = jitter(name, &host, jitter_max(project));
            let next = schedule.next(now - delay, &context.zone);
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

fn jitter_max(project: &Project) -> SignedDuration {
    SignedDuration::try_from(project.config.nightly.jitter.0).unwrap_or(SignedDuration::ZERO)
}

/// Where programs are found now. What is not absolute would be somewhere else there, and what breaks a line would be another one.
fn search_path() -> Option<String> {
    let path = std::env::var("PATH").ok()?;
    // Root runs nothing at night that others may have put there since.
    let is_safe = |folder: &str| !geteuid().is_root() || is_of_root_alone(Path::new(folder));
    let is_kept =
        |folder: &&str| folder.starts_with('/') && !folder.contains(char::is_control) && is_safe(folder);
    let mut folders: Vec<&str> = Vec::new();
    for folder in path.split(':').filter(is_kept) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    Some(folders.join(":")).filter(|path| !path.is_empty())
}

/// Whether nobody else may put something into a folder, or another folder in its place.
fn is_of_root_alone(folder: &Path) -> bool {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    real.ancestors().enumerate().all(|(above, folder)| match folder.metadata() {
        // In a folder that is sticky, what is root's stays where it is.
        Ok(it) => it.uid() == 0 && (it.mode() & 0o022 == 0 || (above > 0 && it.mode() & 0o1000 != 0)),
        // Who may make it is seen above it.
        Err(_) => true,
    })
}

/// The file, in a directory that must be there: nobody reads at night that it is not.
fn metrics_file(context: &Context, file: &Path) -> Result<PathBuf> {
    let file = context.cwd.join(file);
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(CommandError::usage(format!("{} is no file", file.display())));
    };
    match (dir.is_dir(), file.is_dir()) {
        (true, false) => Ok(tidy(dir).join(name)),
        (false, _) => Err(CommandError::usage(format!("there is no directory {}", tidy(dir).display()))),
        (true, true) => Err(CommandError::usage(format!("{} is a directory", tidy(&file).display()))),
    }
}

/// What is to be run for each service that has a schedule.
fn timers(context: &Context, project: &Project, args: &InstallArgs) -> Result<Vec<Timer>> {
    let program = std::env::current_exe().map_err(CommandError::io("cannot find the program itself"))?;
    let text = |path: &Path| {
        let absolute = tidy(&context.cwd.join(path));
        absolute.to_str().map(str::to_owned).ok_or_else(|| {
            CommandError::usage(format!("{} is not UTF-8, as units and crontabs are", absolute.display()))
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
    let path = search_path();
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
        true => in_crontab(ui, context, args, timers, (&mark, &dir), project),
        false => in_systemd(ui, args, timers, (&mark, &dir), project),
    }
}

fn in_crontab(
    ui: &mut Ui,
    context: &Context,
    args: &KeeperArgs,
    timers: &[Timer],
    (mark, dir): (&Mark, &Path),
    project: &Project,
) -> Result<ExitStatus> {
    let host = context.host();
    let line = |timer: &Timer| {
        let mut quiet = timer.clone();
        // What cron's commands say, it mails.
        quiet.command.insert(1, "-q".to_owned());
        let delay = jitter(&timer.service, &host, jitter_max(project));
        let line = quiet.line(dir, delay.try_into().unwrap_or_default());
        line.map_err(|error| CommandError::usage(format!("{}: {error}", printable(&timer.service))))
    };
    let lines = timers.iter().map(line).collect::<Result<Vec<_>>>()?;
    for (timer, line) in timers.iter().zip(&lines).filter(|(_, line)| line.len() > LINE_LEN_MAX) {
        ui.warn(format_args!(
            "{}: its line has {} characters, and some crons read no more than {LINE_LEN_MAX}: PATH makes it long, perhaps",
            printable(&timer.service),
            line.len()
        ));
    }
    if args.dry_run {
        return lines.iter().try_for_each(|line| ui.line(line)).map(|()| ExitStatus::Success);
    }
    let listed = output(Command::new("crontab").arg("-l"))?;
    // Who has none yet is told so, and the status is not 0.
    let none = String::from_utf8_lossy(&listed.stderr).contains("no crontab for");
    if !listed.status.success() && !none {
        return Err(failed("crontab -l", &listed));
    }
    let old = String::from_utf8(listed.stdout)
        .map_err(|_| CommandError::usage("the crontab is not UTF-8; nothing was changed"))?;
    let new = with_lines(&old, mark, &lines).ok_or_else(|| {
        let error = CommandError::new(
            ExitStatus::Refused,
            "the line is missing from the crontab at which ours end; nothing was changed",
        );
        error.hint("take out what icecore wrote with `crontab -e`, then run it again")
    })?;
    if new != old {
        let mut command = Command::new("crontab");
        let mut child = command
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(CommandError::io("cannot run crontab"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(new.as_bytes()).map_err(CommandError::io("cannot write the crontab"))?;
        }
        let written = child.wait_with_output().map_err(CommandError::io("cannot write the crontab"))?;
        if !written.status.success() {
            return Err(failed("crontab", &written));
        }
    }
    ui.line(format_args!("{} in the crontab", counted(lines.len() as u64, "line")))?;
    Ok(ExitStatus::Success)
}

fn in_systemd(
    ui: &mut Ui,
    args: &KeeperArgs,
    timers: &[Timer],
    (mark, dir): (&Mark, &Path),
    project: &Project,
) -> Result<ExitStatus> {
    let is_user = args.user || !geteuid().is_root();
    let user = (!is_user).then_some("root");
    let mut units = Vec::new();
    for timer in timers {
        let made = timer.units(mark, dir, project.config.nightly.jitter.0, user);
        units.extend(
            made.map_err(|error| CommandError::usage(format!("{}: {error}", printable(&timer.service))))?,
        );
    }
    let folder = if is_user { user_units()? } else { PathBuf::from(SYSTEM_UNITS) };
    if args.dry_run {
        for unit in &units {
            ui.line(format_args!("# {}\n{}", folder.join(&unit.name).display(), unit.text))?;
        }
        return Ok(ExitStatus::Success);
    }
    let control = |arguments: &[&str]| {
        let mut command = Command::new("systemctl");
        command.args(is_user.then_some("--user")).args(arguments);
        match output(&mut command)? {
            done if done.status.success() => Ok(()),
            done => Err(failed(&format!("systemctl {}", arguments.join(" ")), &done)),
        }
    };
    for old in installed(&folder, mark)?.iter().filter(|old| !units.iter().any(|unit| unit.name == **old)) {
        if old.ends_with(".timer") {
            control(&["disable", "--now", old])?;
        }
        fs::remove_file(folder.join(old)).map_err(CommandError::io(format!("cannot remove {old}")))?;
    }
    write(&folder, &units)?;
    control(&["daemon-reload"])?;
    let timers: Vec<&str> =
        units.iter().map(|unit| unit.name.as_str()).filter(|name| name.ends_with(".timer")).collect();
    for timer in &timers {
        control(&["enable", "--now", timer])?;
        // One that ran already goes by what stood in its file before.
        control(&["restart", timer])?;
    }
    let whose = if is_user { " of this user" } else { "" };
    ui.line(format_args!("{} of systemd{whose}", counted(timers.len() as u64, "timer")))?;
    if is_user && !timers.is_empty() {
        ui.hint("they run while you are logged in; `loginctl enable-linger` lets them run always");
    }
    Ok(ExitStatus::Success)
}

fn user_units() -> Result<PathBuf> {
    let from = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = from("XDG_CONFIG_HOME").or_else(|| Some(from("HOME")?.join(".config")));
    let base =
        base.ok_or_else(|| CommandError::usage("there is no place for units: set XDG_CONFIG_HOME or HOME"))?;
    Ok(base.join("systemd/user"))
}

/// The names of the units that were installed for this file.
fn installed(folder: &Path, mark: &Mark) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(CommandError::io(format!("cannot read {}", folder.display())))?,
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| mark.is_of(name)).collect();
    // A timer before what it starts.
    names.sort_by(|a, b| b.cmp(a));
    Ok(names)
}

fn write(folder: &Path, units: &[Unit]) -> Result<()> {
    let failed = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(folder).map_err(CommandError::io(failed()))?;
    for unit in units {
        fs::write(folder.join(&unit.name), &unit.text).map_err(CommandError::io(failed()))?;
    }
    Ok(())
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
