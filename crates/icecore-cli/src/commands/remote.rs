//! `icecore remote`

use std::collections::BTreeMap;
use std::path::PathBuf;

use icecore::{Condition, Error, Named, Place, Probe, Remote, S3Cause, Store, StoreError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::{CommandError, Result, sentence};
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::printable;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum RemoteCommand {
    /// Give a store elsewhere a name, after a look at it
    Add(Box<AddArgs>),
    /// Show the remotes there are
    List,
    /// Forget a name; what lies there stays
    Remove(NameArgs),
    /// Find out what a remote lets us do
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// What it is called here
    #[arg(value_name = "NAME")]
    name: String,
    /// s3://BUCKET/PREFIX, file:///PATH or a path
    #[arg(value_name = "URL")]
    url: String,
    /// The URL of a server that is not AWS: https://s3.example.org
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Where the bucket is
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The bucket's name stands in the path of a URL [default: if there is an endpoint]
    #[arg(long, overrides_with = "host_style")]
    path_style: bool,
    /// The bucket's name is part of the host
    #[arg(long)]
    host_style: bool,
    /// The profile of AWS that says who we are
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// What packs are stored as: STANDARD_IA, INTELLIGENT_TIERING
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// How the server encrypts: AES256, aws:kms, aws:kms=KEY
    #[arg(long, value_name = "HOW")]
    encryption: Option<String>,
    /// Certificates of authorities to trust besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Do not look at it
    #[arg(long)]
    no_check: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NameArgs {
    /// Which
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Which: a name or a URL
    #[arg(value_name = "REMOTE")]
    at: String,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, command: &RemoteCommand) -> Result<ExitStatus> {
    match command {
        RemoteCommand::Add(args) => add(ui, context, args),
        RemoteCommand::List => list(ui, context),
        RemoteCommand::Remove(args) => remove(ui, context, &args.name),
        RemoteCommand::Check(args) => check(ui, context, &args.at),
    }
}

fn add(ui: &mut Ui, context: &Context, args: &AddArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    let dir = own_dir(&opened.place)?;
    let is_path = !icecore::is_url(&args.url);
    if is_path && !icecore::is_plain_path(&args.url) {
        let message = format!(
            "{:?} is neither a URL nor a path that begins with `/`, `./` or `../`",
            icecore::without_secret(&args.url)
        );
        return Err(CommandError::usage(message).hint("a place in S3 is s3://BUCKET/PREFIX"));
    }
    if in_project(context, &args.name)? {
        return Err(CommandError::usage(format!("icecore.toml has a remote {} already", args.name)));
    }
    let url =
        if is_path { context.cwd.join(&args.url).to_string_lossy().into_owned() } else { args.url.clone() };
    let remote = Remote {
        url,
        endpoint: args.endpoint.clone(),
        region: args.region.clone(),
        path_style: (args.path_style || args.host_style).then_some(args.path_style),
        profile: args.profile.clone(),
        storage_class: args.storage_class.clone(),
        encryption: args.encryption.clone(),
        ca_file: args.ca_file.as_ref().map(|file| context.cwd.join(file)),
    };
    let place = remote.place(&context.cwd)?;
    if place.as_directory().is_some_and(|there| same(there, dir)) {
        return Err(CommandError::usage(format!("{place} is the store itself")));
    }
    if !args.no_check {
        let status = look(ui, context, &place, Some(&opened.store), false)?;
        if !matches!(status, ExitStatus::Success | ExitStatus::Findings) {
            return Err(CommandError::new(
                status,
                format!("{place} cannot be used as it is; it was not added"),
            )
            .hint("--no-check adds it nevertheless"));
        }
    }
    icecore::add_remote(dir, &args.name, &remote)?;
    if ui.json {
        ui.document(&json!({ "name": args.name, "url": remote.url }))?;
    } else if !ui.quiet {
        ui.line(format_args!("Added {} at {place}", args.name))?;
        ui.hint(format_args!("`icecore push {}` sends the newest snapshot of each source", args.name));
    }
    Ok(ExitStatus::Success)
}

fn list(ui: &mut Ui, context: &Context) -> Result<ExitStatus> {
    let remotes = context.remotes()?;
    if ui.json {
        let remotes: Vec<_> = remotes.iter().map(|(name, named)| document(name, named)).collect();
        ui.document(&json!({ "remotes": remotes }))?;
    } else if ui.quiet {
        for (name, _) in remotes.iter() {
            ui.line(name)?;
        }
    } else {
        let rows: Vec<_> = remotes.iter().map(|(name, named)| row(name, named)).collect();
        if rows.is_empty() {
            ui.status("There are no remotes.");
            ui.hint("`icecore remote add NAME URL` names one");
        } else {
            let head = ["NAME", "URL", "FROM", "SETTINGS"].map(|name| (name, Column::Left));
            ui.table(&head, rows)?;
        }
    }
    Ok(ExitStatus::Success)
}

fn row(name: &str, named: &Named) -> Vec<String> {
    let settings = named.remote.settings().into_iter().map(|(name, value)| format!("{name}={value}"));
    let settings: Vec<_> = settings.collect();
    let url = icecore::without_secret(&named.remote.url);
    vec![name.to_owned(), printable(&url), named.file.to_owned(), printable(&settings.join(" "))]
}

fn document(name: &str, named: &Named) -> Value {
    let remote = &named.remote;
    let settings: BTreeMap<_, _> = remote.settings().into_iter().collect();
    json!({
        "name": name,
        "url": icecore::without_secret(&remote.url),
        "file": named.file,
        "endpoint": settings.get("endpoint"),
        "region": settings.get("region"),
        "path_style": remote.path_style,
        "profile": settings.get("profile"),
        "storage_class": settings.get("storage_class"),
        "encryption": settings.get("encryption"),
        "ca_file": settings.get("ca_file"),
    })
}

fn remove(ui: &mut Ui, context: &Context, name: &str) -> Result<ExitStatus> {
    let opened = context.open()?;
    if in_project(context, name)? {
        let message = format!("the remote {name} stands in icecore.toml: take it out there");
        return Err(CommandError::usage(message));
    }
    icecore::remove_remote(own_dir(&opened.place)?, name)?;
    if ui.json {
        ui.document(&json!({ "removed": name }))?;
    } else if !ui.quiet {
        ui.line(format_args!("Removed {name}; what lies there stays"))?;
    }
    Ok(ExitStatus::Success)
}

fn check(ui: &mut Ui, context: &Context, text: &str) -> Result<ExitStatus> {
    let place = context.remote_place(text)?;
    // A place may be looked at before there is a store here.
    let own = context.open().ok().map(|opened| opened.store);
    look(ui, context, &place, own.as_deref(), true)
}

/// Whether `icecore.toml` has a remote of this name, which goes before that of the store.
fn in_project(context: &Context, name: &str) -> Result<bool> {
    Ok(context.project()?.is_some_and(|project| project.config.remotes.contains_key(name)))
}

/// The directory of the store, where names of remotes are written down.
fn own_dir(place: &Place) -> Result<&std::path::Path> {
    place.as_directory().ok_or_else(|| {
        CommandError::usage(format!("the remotes of a store in S3 stand in icecore.toml, not in {place}"))
            .hint("[remotes.NAME] with url = \"...\"; docs/s3.md has an example")
    })
}

fn same(one: &std::path::Path, other: &std::path::Path) -> bool {
    let real = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// Finds out what a place lets us do; tells all of it, or only what is not as it should be.
fn look(
    ui: &mut Ui,
    context: &Context,
    place: &Place,
    own: Option<&Store>,
    is_told: bool,
) -> Result<ExitStatus> {
    let around = context.surroundings();
    let is_store = match icecore::is_store(place, &around) {
        // Nothing else would go better.
        Err(error) if !is_denied(&error) => return Err(error.into()),
        is_store => is_store,
    };
    let probe = icecore::probe_place(place, &around)?;
    let mut is_another = false;
    let holds = match is_store {
        Ok(true) => {
            let id = match own.map(|own| icecore::open_as(own, place, &around)) {
                None => context.open_at(place.clone())?.store.config().store_id,
                Some(Ok(store)) => store.config().store_id,
                Some(Err(Error::Store(StoreError::AnotherStore { found, .. }))) if is_told => {
                    is_another = true;
                    found
                }
                Some(Err(error)) => return Err(error.into()),
            };
            Some(id.to_string())
        }
        Ok(false) => None,
        // Told with the rest.
        Err(_) if probe.as_ref().is_some_and(|probe| probe.failures().next().is_some()) => None,
        Err(error) => return Err(error.into()),
    };
    let mut findings = probe.as_ref().map(findings).unwrap_or_default();
    if is_another {
        findings.insert(
            0,
            "it is another store than the one here: nothing can be pushed to it or pulled".to_owned(),
        );
    }
    // Who may only read, or write but not delete, may well be meant to.
    let has_class = |probe: &Probe| {
        let refused = |outcome: &Option<&S3Cause>| matches!(outcome, Some(S3Cause::UnknownClass(_)));
        !probe.failures().any(|(_, error)| refused(&S3Cause::of(error)))
    };
    let failed =
        probe.as_ref().is_some_and(|probe| probe.list.is_err() || probe.get.is_err() || !has_class(probe));
    if is_told {
        tell(ui, place, holds.as_deref(), probe.as_ref(), &findings)?;
    } else {
        findings.iter().for_each(|finding| ui.warn(finding));
    }
    Ok(match (failed, findings.is_empty()) {
        (true, _) => ExitStatus::Failed,
        (false, false) => ExitStatus::Findings,
        (false, true) => ExitStatus::Success,
    })
}

/// Whether whoever asks is known, but may not do this.
fn is_denied(error: &Error) -> bool {
    let Error::Store(StoreError::Storage(error)) = error else { return false };
    matches!(S3Cause::of(error), Some(S3Cause::Denied(_)))
}

/// What is not as it should be, in sentences.
pub(super) fn findings(probe: &Probe) -> Vec<String> {
    let mut findings: Vec<String> =
        probe.failures().map(|(what, error)| format!("cannot {what}: {}", sentence(error))).collect();
    if findings.is_empty() && !probe.keeps_conditions() {
        findings.push(
            "the server does not keep conditions: pushing, pulling and taking snapshots are safe, for they need none; to collect, to repair and to delete, \
            nobody else may write, and --exclusive says so"
                .to_owned(),
        );
    }
    for object in &probe.left_behind {
        findings.push(format!("the object {object} of this look could not be removed again"));
    }
    findings
}

fn tell(
    ui: &mut Ui,
    place: &Place,
    holds: Option<&str>,
    probe: Option<&Probe>,
    findings: &[String],
) -> Result<()> {
    if ui.json {
        return ui.document(&json!({
            "remote": place.to_string(),
            "store": holds,
            "conditional_writes": probe.is_none_or(Probe::keeps_conditions),
            "findings": findings,
        }));
    }
    ui.line(format_args!("Remote      {place}"))?;
    match holds {
        Some(id) => ui.line(format_args!("Store       {id}"))?,
        None => ui.line("Store       none yet: the first push makes it")?,
    }
    if let Some(probe) = probe {
        let said = |condition: &std::result::Result<Condition, _>| match condition {
            Ok(Condition::Kept) => "kept",
            Ok(Condition::Ignored) => "ignored",
            Ok(Condition::Refused) => "refused",
            Err(_) => "could not be tried",
        };
        ui.line(format_args!(
            "Conditions  {} where an object is made, {} where one is replaced",
            said(&probe.create),
            said(&probe.replace)
        ))?;
    }
    findings.iter().for_each(|finding| ui.warn(finding));
    Ok(())
}
