//! Telling others what a night has come to.

use std::cell::OnceCell;
use std::fs;

use super::caller::{Callee, Caller};
use super::notice::Notice;
use crate::config::{WebUrl, WebhookWhen};
use crate::{Error, Project, Result};

/// How often somebody is called who does not answer.
const ATTEMPTS: u32 = 2;
/// The media type of what people read.
const TEXT: &str = "text/plain; charset=utf-8";
/// That of what programs read.
const JSON: &str = "application/json";

/// One who tells a webhook, and whoever waits for a ping.
pub(super) struct Teller<'a> {
    project: &'a Project,
    /// Made when somebody is to be called.
    caller: OnceCell<Caller>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(project: &'a Project) -> Self {
        Self { project, caller: OnceCell::new() }
    }

    /// Where the steps of a service are told, or those of the store, by whoever waits for them.
    pub(super) fn ping(&self, service: Option<&str>) -> Option<&'a WebUrl> {
        let config = &self.project.config;
        match service {
            Some(service) => config.services.get(service)?.ping.as_ref(),
            None => config.nightly.ping.as_ref(),
        }
    }

    /// Whoever waits is told that it begins. If that does not arrive, the end will tell.
    pub(super) fn announce(&self, ping: Option<&WebUrl>) {
        let Some(url) = ping.map(|url| url.below("start")) else { return };
        self.call(Callee { what: "ping", url: &url, attempts: 1 }, TEXT, "").unwrap_or_default();
    }

    /// The webhook is told what it has come to.
    ///
    /// # Errors
    /// If that is not known to have arrived.
    pub(super) fn post(&self, notice: &Notice) -> Result<()> {
        if self.project.config.nightly.webhook_when == WebhookWhen::Failed && notice.is_good() {
            return Ok(());
        }
        let Some(url) = self.project.webhook()? else { return Ok(()) };
        let callee = Callee { what: "webhook", url: &url, attempts: ATTEMPTS };
        self.call(callee, JSON, &notice.document().to_string())
    }

    /// Whoever waits is told what it has come to.
    ///
    /// # Errors
    /// If that is not known to have arrived.
    pub(super) fn answer(&self, ping: Option<&WebUrl>, notice: &Notice) -> Result<()> {
        let Some(ping) = ping else { return Ok(()) };
        let url = if notice.is_good() { ping.clone() } else { ping.below("fail") };
        self.call(Callee { what: "ping", url: &url, attempts: ATTEMPTS }, TEXT, &notice.text())
    }

    fn call(&self, callee: Callee<'_>, kind: &str, body: &str) -> Result<()> {
        self.caller.get_or_init(Caller::new).post(callee, kind, body)
    }
}

/// Tells others that nothing could be done for these services, or for all there are, and why: the store is away, say. Returns who was not reached.
pub fn tell_of_failure(project: &Project, host: &str, services: &[String], why: &str) -> Vec<Error> {
    let teller = Teller::new(project);
    let mut errors = Vec::new();
    let known = project.config.services.keys();
    for service in known.filter(|name| services.is_empty() || services.contains(name)) {
        let mut notice = Notice::new(host, Some(service));
        notice.warn(why.to_owned());
        errors.extend(teller.post(&notice).err());
        errors.extend(teller.answer(teller.ping(Some(service)), &notice).err());
    }
    errors
}

impl Project {
    /// Where a program of the user's is told of nights.
    ///
    /// # Errors
    /// If the file cannot be read that says it.
    pub(crate) fn webhook(&self) -> Result<Option<WebUrl>> {
        let settings = &self.config.nightly;
        let Some(file) = &settings.webhook_file else { return Ok(settings.webhook.clone()) };
        let path = self.dir.join(file);
        let read = fs::read_to_string(&path);
        let text = read.map_err(|source| Error::WebhookFile { path: path.clone(), source })?;
        match WebUrl::parse(text.lines().next().unwrap_or_default()) {
            Ok(url) => Ok(Some(url)),
            Err(why) => {
                Err(Error::Unfitting(format!("{} holds no URL in its first line: {why}", path.display())))
            }
        }
    }
}
