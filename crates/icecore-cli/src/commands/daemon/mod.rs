//! `icecore daemon`

mod page;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus as ChildStatus, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use icecore::{Agenda, Appointment, Project, StoreHealth, jitter};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};

use self::page::Page;
use super::nightly::journal;
use super::status::{MetricsArgs, examine};
use crate::clock::is_journal;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::password::PASSWORD_VARIABLE;
use crate::paths::tidy;
use crate::signals;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// How often the clock is looked at: a machine that slept, or whose clock was set, is noticed within this.
const TICK: Duration = Duration::from_millis(200);
/// How long the file may have changed before that is noticed, and the clock have been set back.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// How old what Prometheus gets may be: what is late is not told by any run.
const EXAMINE_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// How long a run that is under way may take to end once the daemon is to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Capture services when their schedules say so
///
/// Runs `icecore nightly SERVICE` at the times that `schedule` in icecore.toml gives, one service after the other. What was missed while the machine slept or another
/// run took too long is caught up with once. It ends, when it is told to, as soon as a run that is under way has ended cleanly. It watches the file, too:
/// schedules may change while it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  icecore daemon --metrics-file /var/lib/prometheus/node-exporter/icecore.prom\n")]
pub(crate) struct DaemonArgs {
    #[command(flatten)]
    metrics: MetricsArgs,
    /// Answer at http://ADDRESS/metrics, too, for Prometheus: 127.0.0.1:9187
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// One who waits for the time.
struct Daemon<'a> {
    context: &'a Context,
    args: &'a DaemonArgs,
    project: Project,
    /// When the last run of each service began, or when its schedule was first seen.
    begun: BTreeMap<String, Timestamp>,
    page: Page,
    /// When Prometheus was last told.
    examined_at: Timestamp,
    /// What was last said to come next.
    announced: Option<(Timestamp, String)>,
    /// This program: where it was when it began, for an update may have put another one there.
    program: PathBuf,
    /// The store's, for the runs: who typed it is not there at night.
    password: Option<Vec<u8>>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &DaemonArgs) -> Result<ExitStatus> {
    signals::wait_for(PATIENCE);
    let project = context.project_or_fail()?;
    if !project.config.services.values().any(|service| service.schedule.is_some()) {
        let file = printable(&tidy(&project.file).display().to_string());
        return Err(CommandError::usage(format!("no service in {file} has a schedule"))
            .hint("schedule = \"30 2 * * *\" below [services.NAME] captures it every night at 2:30"));
    }
    let program = std::env::current_exe().map_err(CommandError::io("cannot find the program itself"))?;
    let mut daemon = Daemon {
        context,
        args,
        project,
        begun: BTreeMap::new(),
        page: Page::default(),
        examined_at: context.time(),
        announced: None,
        program,
        password: None,
    };
    ui.stamp = (!is_journal()).then(|| context.stamp());
    // What is wrong with the store or its password is told now, and not at night.
    daemon.recall(ui)?;
    if let Some(address) = args.listen {
        let served = daemon.page.serve(address);
        let address = served.map_err(CommandError::io(format!("cannot listen at {address}")))?;
        ui.status(format_args!("Metrics: http://{address}/metrics"));
    }
    daemon.serve(ui)
}

impl Daemon<'_> {
    /// When services were last captured, as far as anybody knows.
    fn recall(&mut self, ui: &mut Ui) -> Result<()> {
        let opened = self.context.open()?;
        let health = examine(ui, self.context, &self.project, &opened)?;
        let entries = journal(self.context, &opened).read();
        for it in &health.services {
            // One that did not come to its end is to be made up for.
            let run =
                entries.services.get(&it.service).filter(|run| run.ended.is_some()).map(|run| run.begun);
            let newest = it.newest.as_ref().map(|newest| newest.taken);
            if let Some(begun) = run.max(newest) {
                self.begun.insert(it.service.clone(), begun);
            }
        }
        self.password = opened.password;
        self.publish(&health)
    }

    /// What Prometheus gets.
    fn publish(&self, health: &StoreHealth) -> Result<()> {
        self.page.set(icecore::metrics(health));
        self.args.metrics.write(health)
    }

    /// The same again after some time.
    fn publish_if_old(&mut self, ui: &mut Ui) {
        if self.context.time().duration_since(self.examined_at).abs() > EXAMINE_AGAIN {
            self.publish_again(ui);
        }
    }

    /// The same, as it is now.
    fn publish_again(&mut self, ui: &mut Ui) {
        self.examined_at = self.context.time();
        if self.args.listen.is_none() && self.args.metrics.file().is_none() {
            return;
        }
        let published = self.context.open().and_then(|opened| {
            let health = examine(ui, self.context, &self.project, &opened)?;
            self.publish(&health)
        });
        // A store that is away for a while: the time of what is there says how old it is.
        if let Err(CommandError::Failure(failure)) = published {
            ui.warn(printable(&failure.message));
        }
    }

    fn serve(&mut self, ui: &mut Ui) -> Result<ExitStatus> {
        let mut agenda = self.agenda();
        let mut due = self.announce(ui, &mut agenda);
        let mut looked_at = self.context.time();
        while !self.is_stopped() {
            let now = self.context.time();
            if now.duration_since(looked_at).abs() > LOOK_AGAIN {
                looked_at = now;
                let is_changed = self.reread(ui);
                if is_changed {
                    agenda = self.agenda();
                }
                // By another clock something else may be due.
                due = agenda.next(now).map(|(due, _)| due);
                if is_changed || due.is_some_and(|due| now < due) {
                    due = self.announce(ui, &mut agenda);
                }
            }
            self.publish_if_old(ui);
            if due.is_none_or(|due| now < due) {
                thread::sleep(TICK);
                continue;
            }
            if let Some(service) = agenda.begin(now).map(str::to_owned) {
                self.begun.insert(service.clone(), now);
                self.capture(ui, &service, &agenda);
                self.publish_again(ui);
            }
            due = self.announce(ui, &mut agenda);
        }
        ui.status("Stopped.");
        Ok(ExitStatus::Success)
    }

    fn agenda(&mut self) -> Agenda {
        let (now, host) = (self.context.time(), self.context.host());
        let jitter_max = self.project.config.nightly.jitter_max();
        let scheduled = self.project.config.services.iter();
        let scheduled = scheduled.filter_map(|(name, service)| Some((name, service.schedule.clone()?)));
        let appointments = scheduled.map(|(service, schedule)| Appointment {
            service: service.clone(),
            schedule,
            delay: jitter(service, &host, jitter_max),
            begun: *self.begun.entry(service.clone()).or_insert(now),
        });
        Agenda::new(appointments.collect(), self.context.zone.clone())
    }

    /// Whether the file says something else now. One that cannot be read is told of: runs fail until it can.
    fn reread(&mut self, ui: &mut Ui) -> bool {
        match self.context.project_or_fail() {
            Ok(project) if project == self.project => false,
            Ok(project) => {
                let file = printable(&tidy(&project.file).display().to_string());
                ui.status(format_args!("{file} has changed"));
                self.project = project;
                true
            }
            Err(CommandError::Failure(failure)) => {
                ui.warn(format_args!(
                    "{}; nothing is captured until it can be read",
                    printable(&failure.message)
                ));
                false
            }
            Err(_) => false,
        }
    }

    /// Tells what comes next. Returns when that is.
    fn announce(&mut self, ui: &mut Ui, agenda: &mut Agenda) -> Option<Timestamp> {
        if self.is_stopped() {
            return None;
        }
        let next = agenda.next(self.context.time()).map(|(due, service)| (due, service.to_owned()));
        match &next {
            None => ui.status("No service has a schedule"),
            Some(_) if next == self.announced => (),
            Some((due, service)) => {
                let time = self.context.local_time(&icecore::format_time(*due));
                ui.status(format_args!("Next: {} at {time}", printable(service)));
            }
        }
        self.announced = next;
        self.announced.as_ref().map(|(due, _)| *due)
    }

    /// One run, in a process of its own: what it takes is given back, and what it dies of harms nobody else.
    fn capture(&mut self, ui: &mut Ui, service: &str, agenda: &Agenda) {
        ui.status(format_args!("Running: {}", printable(service)));
        let mut command = Command::new(&self.program);
        // Ctrl-C is for us: we tell it to stop, once, and it has nearly as long for that as we have.
        command.process_group(0);
        let patience = PATIENCE.as_secs().saturating_sub(2).to_string();
        command.args(self.context.same_place());
        command.args(["nightly", "--stop-within", &patience, "--", service]).stdin(Stdio::null());
        if let Some(password) = self.password.clone().filter(|_| self.context.password_file.is_none()) {
            command.env(PASSWORD_VARIABLE, OsString::from_vec(password));
        }
        let status = match command.spawn().and_then(|child| self.wait(ui, child, service, agenda)) {
            Ok(status) => status,
            // The next time it may go again.
            Err(error) => {
                let why = icecore::io_message(&error);
                ui.warn(format_args!("{}: cannot run `icecore nightly`: {why}", printable(service)));
                return;
            }
        };
        match status.code() {
            Some(0) => (),
            _ if self.is_stopped() => (),
            // What was wrong it said itself.
            Some(code) => ui.warn(format_args!("{}: ended with status {code}", printable(service))),
            None => ui.warn(format_args!("{}: ended with {status}", printable(service))),
        }
    }

    /// Waits for the end of a run, which is told to stop when the daemon is.
    fn wait(
        &mut self,
        ui: &mut Ui,
        mut child: Child,
        service: &str,
        agenda: &Agenda,
    ) -> std::io::Result<ChildStatus> {
        let (mut is_told, mut is_warned) = (false, false);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.is_stopped() && !is_told {
                is_told = true;
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                // One that has just ended needs no signal.
                pid.map(|pid| kill_process(pid, Signal::TERM)).unwrap_or(Ok(())).unwrap_or_default();
            }
            is_warned = is_warned || self.warn_if_held_up(ui, service, agenda);
            self.publish_if_old(ui);
            thread::sleep(TICK);
        }
    }

    /// Tells if another service waits for a run that takes long.
    fn warn_if_held_up(&self, ui: &mut Ui, service: &str, agenda: &Agenda) -> bool {
        let Some((due, other)) = agenda.held_up(service, self.context.time()) else { return false };
        let due = self.context.local_time(&icecore::format_time(due));
        let (service, other) = (printable(service), printable(other));
        ui.warn(format_args!(
            "{service}: its run takes longer than an hour, and {other}, which was due at {due}, waits for its end"
        ));
        true
    }

    fn is_stopped(&self) -> bool {
        self.context.interrupt.load(Ordering::SeqCst)
    }
}
