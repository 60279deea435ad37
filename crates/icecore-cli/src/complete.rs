//! What a shell offers when Tab is pressed: services, snapshots, tags and remotes besides the words of the command line itself.
//!
//! The shell runs this program with [`VARIABLE`] set and the words that were typed. Whatever goes wrong, nothing is offered: nobody wants to read an error
//! on a line that is being typed. Nothing is asked, and no server: of a store in S3 only what the files here say is known.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::CompleteEnv;
use icecore::{Snapshot, Store, is_safety};

use crate::args::{Arguments, GlobalArgs};
use crate::context::Context;
use crate::signals::Interrupt;
use crate::units::printable;

/// Names the shell that asks.
pub(crate) const VARIABLE: &str = "ICECORE_COMPLETE";
/// So many snapshots are offered by their ids, the newest first.
const IDS_MAX: usize = 50;

type Candidates = Vec<CompletionCandidate>;

/// Answers a shell, if one asks: then the program has done its work.
pub(crate) fn answer() {
    CompleteEnv::with_factory(|| with_completers(Arguments::command())).var(VARIABLE).complete();
}

/// What is offered for a value is decided by what the help calls it.
fn with_completers(command: Command) -> Command {
    let is_create = command.get_name() == "create";
    let with_completer = |argument: Arg| {
        let name = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let offered: fn(&OsStr) -> Candidates = match name.as_deref() {
            Some("SERVICE") => services,
            Some("SNAPSHOT" | "SNAPSHOT|TIME") => snapshots,
            Some("SNAPSHOT|REMOTE") => snapshots_and_remotes,
            Some("REMOTE") => remotes,
            Some("TAG") => tags,
            Some("SOURCE") if is_create => sources,
            Some("SOURCE") => series,
            _ => return argument,
        };
        argument.add(ArgValueCompleter::new(offered))
    };
    command.mut_args(with_completer).mut_subcommands(with_completers)
}

/// Services.
fn services(current: &OsStr) -> Candidates {
    let services = |context: &Context| {
        let project = context.project().ok().flatten()?;
        let services = project.config.services.iter();
        let offered = services.map(|(name, service)| offer(name, service.engine_said().unwrap_or("")));
        Some(offered.collect())
    };
    fitting(current, asked().as_ref().and_then(services).unwrap_or_default())
}

/// Services, files and directories.
fn sources(current: &OsStr) -> Candidates {
    services(current).into_iter().chain(PathCompleter::any().complete(current)).collect()
}

/// Sources by their names, and snapshots by their ids.
fn snapshots(current: &OsStr) -> Candidates {
    let Some((context, snapshots)) = listed() else { return Candidates::new() };
    let mut seen = BTreeSet::new();
    let newest = snapshots.iter().filter(|snapshot| seen.insert(snapshot.info().source.as_str()));
    let names = newest.map(|snapshot| {
        let time = context.local_time(&snapshot.info().created_at);
        offer(&snapshot.info().source, &format!("the newest, of {time}"))
    });
    let ids = snapshots.iter().take(IDS_MAX).map(|snapshot| {
        let tags = snapshot.labels.tags.iter().map(|tag| format!(" {tag}")).collect::<String>();
        let (source, time) = (&snapshot.info().source, context.local_time(&snapshot.info().created_at));
        offer(&snapshot.id.brief(), &format!("{source} of {time}{tags}"))
    });
    fitting(current, [offer("latest", "the newest of all")].into_iter().chain(names).chain(ids).collect())
}

fn snapshots_and_remotes(current: &OsStr) -> Candidates {
    remotes(current).into_iter().chain(snapshots(current)).collect()
}

/// The names of sources of which there are snapshots.
fn series(current: &OsStr) -> Candidates {
    let Some((_, snapshots)) = listed() else { return Candidates::new() };
    let names: BTreeSet<&str> = snapshots.iter().map(|snapshot| snapshot.info().source.as_str()).collect();
    fitting(current, names.into_iter().map(|name| offer(name, "")).collect())
}

/// Tags.
fn tags(current: &OsStr) -> Candidates {
    let Some((_, snapshots)) = listed() else { return Candidates::new() };
    let usual = snapshots.iter().filter(|snapshot| !is_safety(snapshot));
    let tags: BTreeSet<&String> = usual.flat_map(|snapshot| &snapshot.labels.tags).collect();
    fitting(current, tags.into_iter().map(|tag| offer(tag, "")).collect())
}

/// Remotes.
fn remotes(current: &OsStr) -> Candidates {
    let remotes = asked().and_then(|context| context.remotes().ok());
    let offered = remotes.iter().flat_map(icecore::Remotes::iter);
    fitting(current, offered.map(|(name, remote)| offer(name, &remote.remote.url)).collect())
}

fn offer(value: &str, help: &str) -> CompletionCandidate {
    let help = (!help.is_empty()).then(|| printable(help).into());
    CompletionCandidate::new(value.to_owned()).help(help)
}

/// What begins as was typed. What would steer a terminal is not offered.
fn fitting(current: &OsStr, candidates: Candidates) -> Candidates {
    let begins = current.as_encoded_bytes();
    let is_plain = |value: &OsStr| value.to_str().is_some_and(|value| !value.chars().any(char::is_control));
    let fits = |it: &CompletionCandidate| {
        is_plain(it.get_value()) && it.get_value().as_encoded_bytes().starts_with(begins)
    };
    candidates.into_iter().filter(fits).collect()
}

fn listed() -> Option<(Context, Vec<Snapshot>)> {
    let context = asked()?;
    let store: Arc<Store> = context.open_unasked()?;
    let (snapshots, _) = store.snapshots().ok()?;
    Some((context, snapshots))
}

/// The surroundings that the words typed so far ask for.
fn asked() -> Option<Context> {
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let value = |option: &str, variable: &str| {
        let joined = format!("{option}=");
        let split = words.windows(2).find(|pair| pair.first().is_some_and(|word| word == option));
        let split = split.and_then(|pair| pair.get(1)).cloned();
        let whole = || words.iter().find_map(|word| Some(word.to_str()?.strip_prefix(&joined)?.into()));
        split.or_else(whole).or_else(|| std::env::var_os(variable).filter(|value| !value.is_empty()))
    };
    let text = |value: Option<OsString>| value.and_then(|value| value.into_string().ok());
    let path = |value: Option<OsString>| value.map(|value| in_home(Path::new(&value)));
    let global = GlobalArgs {
        store: text(value("--store", "ICECORE_STORE")),
        remote: None,
        config: path(value("--config", "ICECORE_CONFIG")),
        password_file: path(value("--password-file", "ICECORE_PASSWORD_FILE")),
        ..GlobalArgs::default()
    };
    Context::new(&global, Interrupt::default()).ok()
}

/// The shell has not put the home in place of `~` yet.
fn in_home(path: &Path) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}
