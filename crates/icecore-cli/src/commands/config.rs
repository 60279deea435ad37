//! `icecore config`

use icecore::{Policies, Policy, Probed, Project, Service, probe};
use serde_json::{Value, json};

use crate::args::parse_name;
use crate::context::Context;
use crate::failure::{CommandError, Result, sentence};
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::printable;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell what each service means, whether it can be reached, and whether nights can be as [nightly] says
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Only these
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// What is said of one service.
struct Checked {
    name: String,
    engine: &'static str,
    place: String,
    /// The product's version, or what is wrong.
    state: std::result::Result<String, String>,
    /// What is kept of its snapshots, if anything says so.
    kept: Option<Policies>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, command: &ConfigCommand) -> Result<ExitStatus> {
    let ConfigCommand::Check(args) = command;
    let project = context.project_or_fail()?;
    project.check_services(&args.services)?;
    let names = project
        .config
        .services
        .keys()
        .filter(|name| args.services.is_empty() || args.services.contains(name));
    let checked: Vec<Checked> = names.map(|name| check(context, &project, name)).collect();
    // Whoever asks for some services does not ask for what is done every night.
    let faults = if args.services.is_empty() { nightly_faults(context, &project) } else { Vec::new() };
    let sound = checked.iter().all(|checked| checked.state.is_ok()) && faults.is_empty();
    if ui.json {
        ui.document(&document(&project, &checked, &faults))?;
    } else {
        show(ui, &project, &checked)?;
        show_faults(ui, &faults);
    }
    Ok(if sound { ExitStatus::Success } else { ExitStatus::Findings })
}

fn document(project: &Project, checked: &[Checked], faults: &[String]) -> Value {
    json!({
        "config": project.file,
        "services": checked.iter().map(|checked| json!({
            "name": checked.name,
            "engine": checked.engine,
            "place": checked.place,
            "version": checked.state.as_ref().ok(),
            "error": checked.state.as_ref().err(),
            "retention": checked.kept.as_ref().map(|kept| kept.automatic.to_string()),
            "retention_named": checked.kept.as_ref().map(|kept| kept.named.to_string()),
        })).collect::<Vec<_>>(),
        "nightly_faults": faults,
    })
}

/// A table of the services, and below it what is wrong with them.
fn show(ui: &mut Ui, project: &Project, checked: &[Checked]) -> Result<()> {
    if project.config.services.is_empty() {
        let file = printable(&project.file.display().to_string());
        ui.line(format_args!("There is no service in {file}"))?;
        ui.hint("two lines make one: [services.shop] and url = \"postgres://HOST/shop\"; docs/services.md shows more");
        return Ok(());
    }
    let left = Column::Left;
    let mut head = vec![("Service", left), ("Engine", left), ("Where", left), ("State", left)];
    let has_retention = project.config.has_retention();
    if has_retention {
        head.push(("Keeps", left));
    }
    let rows = checked.iter().map(|checked| {
        let state = match &checked.state {
            Ok(version) if version.is_empty() => "there".to_owned(),
            Ok(version) => format!("answers, version {version}"),
            Err(_) => "fails: see below".to_owned(),
        };
        let mut row = vec![
            printable(&checked.name).to_string(),
            checked.engine.to_owned(),
            printable(&checked.place).to_string(),
            state,
        ];
        if has_retention {
            row.push(printable(&kept_in_words(checked.kept.as_ref())));
        }
        row
    });
    ui.table(&head, rows.collect())?;
    for (name, error) in
        checked.iter().filter_map(|checked| Some((&checked.name, checked.state.as_ref().err()?)))
    {
        ui.warn(format_args!("{}: {}", printable(name), printable(error)));
    }
    Ok(())
}

fn show_faults(ui: &mut Ui, faults: &[String]) {
    for fault in faults {
        ui.warn(format_args!("[nightly] {}", printable(fault)));
    }
    if !faults.is_empty() {
        ui.hint(
            "docs/nightly.md shows what stands in [nightly]; `icecore remote list` shows the remotes there are",
        );
    }
}

/// What keeps nights from being as the file says.
fn nightly_faults(context: &Context, project: &Project) -> Vec<String> {
    match context.remotes() {
        Ok(remotes) => project.nightly_faults(&remotes, &context.environment()),
        Err(CommandError::Failure(failure)) => vec![failure.message],
        Err(_) => Vec::new(),
    }
}

fn check(context: &Context, project: &Project, name: &str) -> Checked {
    let kept = project.config.policies(name);
    let failed = |what: String| {
        let (engine, place, kept) = ("", String::new(), kept.clone());
        Checked { name: name.to_owned(), engine, place, state: Err(what), kept }
    };
    if let Err(why) = parse_name(name) {
        return failed(format!("{name:?} cannot be a name: {why}"));
    }
    match project.source(name, &context.environment()) {
        Ok(Some(source)) => {
            let said = project.config.services.get(name).and_then(Service::engine_said);
            let (engine, state) = match probe(&source) {
                Ok(Probed { engine, version }) => (engine, Ok(version)),
                Err(error) => (said.unwrap_or_else(|| source.engine()), Err(sentence(&error))),
            };
            Checked { name: name.to_owned(), engine, place: source.place(), state, kept: kept.clone() }
        }
        Ok(None) => failed("is gone".to_owned()),
        Err(error) => failed(sentence(&error)),
    }
}

/// What stays of the snapshots of a service when it is pruned.
fn kept_in_words(kept: Option<&Policies>) -> String {
    match kept {
        None => "all: no policy says what".to_owned(),
        Some(kept) if kept.named == Policy::all() => kept.automatic.to_string(),
        Some(kept) => format!("{}; of named ones: {}", kept.automatic, kept.named),
    }
}
