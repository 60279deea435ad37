//! What a shell offers when Tab is pressed: services, snapshots, tags and remotes besides the words of the command line itself.
//!
//! The shell runs this program with [`VARIABLE`] set and what was typed. Whatever goes wrong, nothing is offered: nobody wants to read an error
//! on a line that is being typed. Nothing is asked, and no server: of a store in S3 nothing is offered.

mod shells;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::CompleteEnv;
use icecore::{Snapshot, Store, is_safety, is_url};

use crate::args::{Arguments, GlobalArgs};
use crate::context::Context;
use crate::signals::Interrupt;
use crate::units::printable;

pub(crate) use shells::SHELLS;

/// Names the shell that asks.
pub(crate) const VARIABLE: &str = "ICECORE_COMPLETE";
/// So many snapshots are offered by their ids, the newest first, and so many steps back.
const SNAPSHOTS_MAX: usize = 50;

type Candidates = Vec<CompletionCandidate>;

/// Where a value is typed.
#[derive(Debug, Clone)]
struct Line {
    /// The program and all that follows.
    words: Arc<[OsString]>,
    /// What is pulled lies at a remote, which is an argument.
    is_pull: bool,
}

/// Answers a shell, if one asks: then the program has done its work.
pub(crate) fn answer() {
    let Some(shell) = std::env::var_os(VARIABLE) else { return };
    let asked = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let line = Line { words: shells::words(&shell, asked).into(), is_pull: false };
    let command = || with_completers(Arguments::command(), &line);
    CompleteEnv::with_factory(command).var(VARIABLE).shells(SHELLS).complete();
}

/// What is offered for a value is decided by what the help calls it.
fn with_completers(command: Command, line: &Line) -> Command {
    let takes_any_source = matches!(command.get_name(), "create" | "run" | "rollback");
    let line = Line { is_pull: command.get_name() == "pull", ..line.clone() };
    let with_completer = |argument: Arg| {
        let name = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let offered: fn(&Line, &OsStr) -> Candidates = match name.as_deref() {
            Some("SERVICE") => services,
            Some("SNAPSHOT" | "SNAPSHOT|TIME") => snapshots,
            Some("SNAPSHOT|REMOTE") => snapshots_and_remotes,
            Some("REMOTE") => remotes,
            Some("TAG") => tags,
            Some("SOURCE") if takes_any_source => sources,
            Some("SOURCE") => series,
            Some("TARGET" | "PLACE") => paths,
            _ => return argument,
        };
        let line = line.clone();
        argument.add(ArgValueCompleter::new(move |current: &OsStr| offered(&line, current)))
    };
    command.mut_args(with_completer).mut_subcommands(|command| with_completers(command, &line))
}

/// Services.
fn services(line: &Line, current: &OsStr) -> Candidates {
    let services = |context: &Context| {
        let project = context.project().ok().flatten()?;
        let services = project.config.services.iter();
        let offered = services.map(|(name, service)| offer(name, service.engine_said().unwrap_or("")));
        Some(offered.collect())
    };
    fitting(current, line.context().as_ref().and_then(services).unwrap_or_default())
}

/// Services, files and directories.
fn sources(line: &Line, current: &OsStr) -> Candidates {
    services(line, current).into_iter().chain(paths(line, current)).collect()
}

fn paths(_: &Line, current: &OsStr) -> Candidates {
    PathCompleter::any().complete(current)
}

/// Sources by their names, and snapshots by their ids; once a name is there, its tags and steps back.
fn snapshots(line: &Line, current: &OsStr) -> Candidates {
    let Some((context, snapshots)) = line.snapshots() else { return Candidates::new() };
    let when = |snapshot: &Snapshot| context.local_time(&snapshot.info().created_at);
    let mut series: BTreeMap<&str, Vec<&Snapshot>> = BTreeMap::new();
    let mut names = Vec::new();
    for snapshot in &snapshots {
        let name = snapshot.info().source.as_str();
        let of_it = series.entry(name).or_default();
        if of_it.is_empty() {
            names.push(offer(name, &format!("the newest, of {}", when(snapshot))));
        }
        of_it.push(snapshot);
    }
    series.insert("latest", snapshots.iter().filter(|snapshot| !is_safety(snapshot)).collect());
    let ids = snapshots.iter().take(SNAPSHOTS_MAX).map(|snapshot| {
        let tags = snapshot.labels.tags.iter().map(|tag| format!(" {tag}")).collect::<String>();
        offer(&snapshot.id.brief(), &format!("{} of {}{tags}", snapshot.info().source, when(snapshot)))
    });
    let mut offered = vec![offer("latest", "the newest of all")];
    offered.extend(names.into_iter().chain(ids));
    let typed = current.to_str().unwrap_or_default();
    for (name, snapshots) in series {
        match typed.strip_prefix(name).and_then(|rest| rest.chars().next()) {
            Some('@') => {
                // The newest with a tag is meant by it.
                let mut tags = BTreeSet::new();
                let newest = snapshots.iter().flat_map(|it| it.labels.tags.iter().map(move |tag| (tag, it)));
                let newest = newest.filter(|(tag, _)| tags.insert(*tag));
                offered.extend(newest.map(|(tag, it)| offer(&format!("{name}@{tag}"), &when(it))));
            }
            Some('~') => {
                let steps = snapshots.iter().enumerate().take(SNAPSHOTS_MAX).skip(1);
                offered.extend(steps.map(|(back, it)| offer(&format!("{name}~{back}"), &when(it))));
            }
            _ => (),
        }
    }
    fitting(current, offered)
}

fn snapshots_and_remotes(line: &Line, current: &OsStr) -> Candidates {
    remotes(line, current).into_iter().chain(snapshots(line, current)).collect()
}

/// The names of sources of which there are snapshots.
fn series(line: &Line, current: &OsStr) -> Candidates {
    let Some((_, snapshots)) = line.snapshots() else { return Candidates::new() };
    let names: BTreeSet<&str> = snapshots.iter().map(|snapshot| snapshot.info().source.as_str()).collect();
    fitting(current, names.into_iter().map(|name| offer(name, "")).collect())
}

/// Tags.
fn tags(line: &Line, current: &OsStr) -> Candidates {
    let Some((_, snapshots)) = line.snapshots() else { return Candidates::new() };
    let usual = snapshots.iter().filter(|snapshot| !is_safety(snapshot));
    let tags: BTreeSet<&String> = usual.flat_map(|snapshot| &snapshot.labels.tags).collect();
    fitting(current, tags.into_iter().map(|tag| offer(tag, "")).collect())
}

/// Remotes.
fn remotes(line: &Line, current: &OsStr) -> Candidates {
    let remotes = line.context().and_then(|context| context.remotes().ok());
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

impl Line {
    /// What lies in the store that is meant.
    fn snapshots(&self) -> Option<(Context, Vec<Snapshot>)> {
        let mut context = self.context()?;
        if self.is_pull {
            context = self.context_at(Some(self.pulled_from(&context)?))?;
        }
        let store: Arc<Store> = context.open_unasked()?;
        let (snapshots, _) = store.snapshots().ok()?;
        Some((context, snapshots))
    }

    /// The surroundings that the words typed so far ask for.
    fn context(&self) -> Option<Context> {
        self.context_at(self.value("--remote", None).and_then(|remote| remote.into_string().ok()))
    }

    fn context_at(&self, remote: Option<String>) -> Option<Context> {
        let value = |option, variable| self.value(option, Some(variable));
        let path = |value: Option<OsString>| value.map(|value| in_home(Path::new(&value)));
        let global = GlobalArgs {
            store: path(value("--store", "ICECORE_STORE"))
                .and_then(|store| store.into_os_string().into_string().ok()),
            remote,
            config: path(value("--config", "ICECORE_CONFIG")),
            password_file: path(value("--password-file", "ICECORE_PASSWORD_FILE")),
            ..GlobalArgs::default()
        };
        Context::new(&global, Interrupt::default()).ok()
    }

    /// What an option says, or else its variable.
    fn value(&self, option: &str, variable: Option<&str>) -> Option<OsString> {
        let joined = format!("{option}=");
        let split = self.words.windows(2).find(|pair| pair.first().is_some_and(|word| word == option));
        let split = split.and_then(|pair| pair.get(1)).cloned();
        let whole = || self.words.iter().find_map(|word| Some(word.to_str()?.strip_prefix(&joined)?.into()));
        let set = || std::env::var_os(variable?).filter(|value| !value.is_empty());
        split.or_else(whole).or_else(set)
    }

    /// The remote of a pull: what follows may be options and what they say.
    fn pulled_from(&self, context: &Context) -> Option<String> {
        let remotes = context.remotes().ok()?;
        let mut words = self.words.iter().skip_while(|word| *word != "pull").skip(1);
        let is_remote = |word: &str| remotes.iter().any(|(name, _)| name == word);
        let is_meant = |word: &&str| is_remote(word) || is_url(word) || word.starts_with(['/', '.']);
        words.find_map(|word| word.to_str().filter(is_meant)).map(str::to_owned)
    }
}

/// The shell has not put the home in place of `~` yet.
fn in_home(path: &Path) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}
