//! What every command needs: where it runs, what time it is, which store is meant.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icecore::{
    CONFIG_FILE, Database, Environment, Error, Limits, Place, Project, Remotes, Snapshot, Source, Store,
    Surroundings, Traffic,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::GlobalArgs;
use crate::clock::{Clock, Stamp};
use crate::failure::{CommandError, Result};
use crate::hints;
use crate::password;
use crate::paths::{tidy, tidy_place};
use crate::select::Listing;
use crate::signals::Interrupt;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// How often the programs of AWS try a request.
const ATTEMPTS_VARIABLE: &str = "AWS_MAX_ATTEMPTS";

/// What to do where a remote should have a store: `init` would make another one.
pub(crate) const NO_REMOTE_STORE: &str = "`icecore push` makes it there, of the store at hand; `icecore remote list` shows the remotes that have a name";

/// The surroundings of a command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) cwd: PathBuf,
    /// When it began.
    pub(crate) now: Timestamp,
    clock: Clock,
    pub(crate) zone: TimeZone,
    pub(crate) interrupt: Interrupt,
    pub(crate) password_file: Option<PathBuf>,
    /// The password that opened a store: who typed it is not asked again.
    known_password: Mutex<Option<Vec<u8>>>,
    store: Option<String>,
    remote: Option<String>,
    config: Option<PathBuf>,
    /// For what may be lost.
    cache: Option<PathBuf>,
    /// With all places that are opened.
    pub(crate) traffic: Arc<Traffic>,
}

/// An open store.
pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    pub(crate) place: Place,
    /// Where it lies, or what is kept of it here: nothing is captured from there or restored to there.
    dir: PathBuf,
    /// The password that opened it, if one was needed.
    pub(crate) password: Option<Vec<u8>>,
}

impl Context {
    pub(crate) fn new(global: &GlobalArgs, interrupt: Interrupt) -> Result<Self> {
        let cwd = std::env::current_dir().map_err(CommandError::io("cannot find the current directory"))?;
        let clock = Clock::of_environment();
        Ok(Self {
            cwd,
            now: clock.time(),
            clock,
            zone: TimeZone::system(),
            interrupt,
            password_file: global.password_file.clone(),
            known_password: Mutex::default(),
            cache: cache_dir(),
            traffic: Arc::default(),
            config: global.config.clone(),
            store: global.store.clone().filter(|place| !place.is_empty()),
            remote: global.remote.clone(),
        })
    }

    /// What time it is by now, for what takes long.
    pub(crate) fn time(&self) -> Timestamp {
        self.clock.time()
    }

    /// What lines of a log begin with.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { clock: self.clock.clone(), zone: self.zone.clone() }
    }

    /// The time now as it is stored.
    pub(crate) fn now_text(&self) -> String {
        icecore::format_time(self.now)
    }

    /// A time as it is added to the name of what is kept for good.
    pub(crate) fn time_suffix(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("_%Y%m%d_%H%M%S").to_string()
    }

    /// The name of this machine.
    pub(crate) fn host(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// Where `init` makes a store: the place that is named by an option or by `icecore.toml`, or `.icecore` here.
    pub(crate) fn new_store_place(&self) -> Result<Place> {
        if self.remote.is_some() {
            return self.meant_place();
        }
        let project = self.project()?;
        let configured = project.as_ref().is_some_and(|project| project.config.store.is_some());
        if self.store.is_some() || configured {
            return Ok(tidy_place(icecore::find_store(self.store.as_deref(), project.as_ref(), &self.cwd)?));
        }
        Ok(Place::Directory(self.cwd.join(icecore::STORE_DIR)))
    }

    /// The store that is worked on: the remote that was named, or else the usual one.
    pub(crate) fn meant_place(&self) -> Result<Place> {
        match &self.remote {
            Some(remote) => self.remote_place(remote),
            None => self.own_place(),
        }
    }

    /// The store that was named, or that is found.
    fn own_place(&self) -> Result<Place> {
        // A directory that is named needs no file, and no file that is right.
        let is_path = self.store.as_ref().is_some_and(|place| !icecore::is_url(place));
        let project = if is_path { None } else { self.project()? };
        Ok(tidy_place(icecore::find_store(self.store.as_deref(), project.as_ref(), &self.cwd)?))
    }

    /// All remotes that have a name here.
    pub(crate) fn remotes(&self) -> Result<Remotes> {
        let own = self.own_place().ok();
        Ok(Remotes::read(self.project()?.as_ref(), own.as_ref().and_then(Place::as_directory))?)
    }

    /// What brings back what is damaged in the store here, if it has remotes.
    pub(crate) fn help_from_elsewhere(&self) -> Option<String> {
        if self.is_remote_named() {
            return None;
        }
        // Whoever has none that can be read is told so when they are needed.
        let remotes = self.remotes().ok()?;
        hints::elsewhere(&remotes.iter().map(|(name, _)| name).collect::<Vec<_>>())
    }

    /// The place of a remote, by its name or by a URL.
    pub(crate) fn remote_place(&self, text: &str) -> Result<Place> {
        Ok(self.remotes()?.place(text, &self.cwd)?)
    }

    /// The option that named the store, and what it said.
    pub(crate) fn store_option(&self) -> Option<(&'static str, &str)> {
        let remote = self.remote.as_deref().map(|remote| ("--remote", remote));
        remote.or(self.store.as_deref().map(|store| ("--store", store)))
    }

    /// The configuration that was named, if it was.
    pub(crate) fn config_option(&self) -> Option<&str> {
        self.config.as_deref()?.to_str()
    }

    /// The file with the store's password, if it was named.
    pub(crate) fn password_option(&self) -> Option<&str> {
        self.password_file.as_deref()?.to_str()
    }

    /// Whether the store that is worked on is named by --remote.
    pub(crate) fn is_remote_named(&self) -> bool {
        self.remote.is_some()
    }

    /// What opening a store needs besides its place.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let attempts = std::env::var(ATTEMPTS_VARIABLE).ok().and_then(|text| text.trim().parse().ok());
        Surroundings {
            cache: self.cache.clone(),
            interrupt: Arc::clone(&self.interrupt),
            attempts,
            limits: Limits::default(),
            traffic: Arc::clone(&self.traffic),
        }
    }

    /// What `icecore.toml` says, if there is one.
    pub(crate) fn project(&self) -> Result<Option<Project>> {
        Ok(match &self.config {
            Some(path) => Some(Project::read(&tidy(&self.cwd.join(path)))?),
            None => Project::find(&self.cwd)?,
        })
    }

    /// The same, where nothing can be done without it.
    pub(crate) fn project_or_fail(&self) -> Result<Project> {
        self.project()?.ok_or_else(|| {
            CommandError::new(ExitStatus::NotFound, format!("there is no {CONFIG_FILE} here or above"))
                .hint("write one: docs/services.md shows how; URLs and paths work without it")
        })
    }

    /// The options that lead another process from here to the same store and file.
    pub(crate) fn same_place(&self) -> Vec<OsString> {
        let text = |option: &str, value: &Option<String>| {
            value.iter().flat_map(|value| [option.into(), value.into()]).collect::<Vec<OsString>>()
        };
        let path = |option: &str, value: &Option<PathBuf>| {
            value.iter().flat_map(|value| [option.into(), value.into()]).collect::<Vec<OsString>>()
        };
        let paths = [path("--config", &self.config), path("--password-file", &self.password_file)];
        [text("--store", &self.store), text("--remote", &self.remote)]
            .into_iter()
            .chain(paths)
            .flatten()
            .collect()
    }

    /// What surrounds the command.
    pub(crate) fn environment(&self) -> Environment<'_> {
        Environment {
            cwd: &self.cwd,
            variable: &|name| std::env::var_os(name),
            user: &|| whoami::username().ok(),
        }
    }

    /// What a SOURCE argument means, and the name it has as a service.
    pub(crate) fn source(&self, text: &Path) -> Result<(Source, Option<String>)> {
        let project = self.project()?;
        if let (Some(name), Some(project)) = (text.to_str(), &project)
            && let Some(source) = project.source(name, &self.environment())?
        {
            return Ok((source, Some(name.to_owned())));
        }
        let source = self.place_in(project.as_ref(), text).map_err(|error| match error {
            Error::NoSource { name, near: None } => {
                let near = project.as_ref().and_then(|project| project.service_near(&name));
                Error::NoSource { near: near.map(str::to_owned), name }
            }
            error => error,
        });
        Ok((source?, None))
    }

    /// Whether a URL that a snapshot has is of a source on a server, however it is reached.
    pub(crate) fn is_at(&self, origin: &str, source: &Source) -> bool {
        let place = |source: &Source| {
            Database::of(source).map_or_else(|| source.place(), |database| database.to_string())
        };
        let is_it = |it: Source| it.engine() == source.engine() && place(&it) == place(source);
        icecore::is_url(origin) && Source::parse(Path::new(origin), &self.environment()).is_ok_and(is_it)
    }

    /// What a URL or a path means. The password of a service is that of a URL, too, for the same user of the same server.
    pub(crate) fn place(&self, text: &Path) -> Result<Source> {
        Ok(self.place_in(self.project()?.as_ref(), text)?)
    }

    fn place_in(&self, project: Option<&Project>, text: &Path) -> icecore::Result<Source> {
        let source = Source::parse(text, &self.environment())?;
        match project {
            Some(project) if !Source::shows_password(text) => {
                project.with_password(source, &self.environment())
            }
            _ => Ok(source),
        }
    }

    /// Opens the store that is meant.
    pub(crate) fn open(&self) -> Result<Opened> {
        let opened = self.open_at(self.meant_place()?);
        match self.remote {
            Some(_) => opened.map_err(|error| error.if_not_found(NO_REMOTE_STORE)),
            None => opened,
        }
    }

    /// The same, if that needs neither a person nor a server.
    pub(crate) fn open_unasked(&self) -> Option<Arc<Store>> {
        let place = self.meant_place().ok().filter(|place| place.as_directory().is_some())?;
        let ask = || password::given(self.password_file.as_deref()).ok().flatten();
        icecore::open(&place, &self.surroundings(), &mut { ask }).ok()
    }

    /// Opens the same store at another place, where it must be. It needs no password.
    pub(crate) fn open_same(store: &Store, place: &Place, around: &Surroundings) -> Result<Arc<Store>> {
        let opened = icecore::open_as(store, place, around);
        opened.map_err(|error| CommandError::from(error).if_not_found(NO_REMOTE_STORE))
    }

    /// Opens the store at a place.
    pub(crate) fn open_at(&self, place: Place) -> Result<Opened> {
        let around = self.surroundings();
        let mut password = None;
        let mut failure = None;
        let opened = icecore::open(&place, &around, &mut || {
            let known = self.known_password().take();
            let asked =
                known.map_or_else(|| password::existing(self.password_file.as_deref()), |it| Ok(Some(it)));
            password = asked.unwrap_or_else(|error| {
                failure = Some(error);
                None
            });
            password.clone()
        });
        match (opened, failure) {
            (_, Some(failure)) => Err(failure),
            (opened, None) => {
                let store = opened?;
                if password.is_some() {
                    self.known_password().clone_from(&password);
                }
                let dir = match place.as_directory() {
                    Some(dir) => dir.to_owned(),
                    None => icecore::cache_of(&place, &around)?,
                };
                Ok(Opened { store, place, dir, password })
            }
        }
    }

    /// A snapshot as a question names it: whose, which, and of when.
    pub(crate) fn described(&self, snapshot: &Snapshot) -> String {
        let info = snapshot.info();
        format!(
            "{} {} of {}",
            printable(&info.source),
            snapshot.id.brief(),
            self.local_time(&info.created_at)
        )
    }

    fn known_password(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.known_password.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stored time, as people here write it.
    pub(crate) fn local_time(&self, stored: &str) -> String {
        match stored.parse::<Timestamp>() {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
            Err(_) => stored.to_owned(),
        }
    }
}

/// Where programs of this user keep what may be lost, as the XDG base directory specification has it.
fn cache_dir() -> Option<PathBuf> {
    let from = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
    base.map(|base| base.join("icecore"))
}

impl Opened {
    /// Where the store is, whatever links lead there.
    pub(crate) fn real_dir(&self) -> PathBuf {
        self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone())
    }

    /// All snapshots; tells of records that cannot be read.
    pub(crate) fn listing(&self, ui: &mut Ui) -> Result<Listing> {
        Listing::of(&self.store, ui)
    }
}
