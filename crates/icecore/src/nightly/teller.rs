//! Telling others what a night has come to.

use std::cell::OnceCell;

use icecore_store::{Monitor, Silent};
use jiff::Timestamp;

use super::caller::{Callee, Caller};
use super::notice::Notice;
use crate::config::{WebUrl, WebhookWhen};
use crate::{Environment, Error, Project, Result};

/// How often somebody is called who does not answer.
const ATTEMPTS: u32 = 2;
/// The media type of what people read.
const TEXT: &str = "text/plain; charset=utf-8";
/// That of what programs read.
const JSON: &str = "application/json";

/// One who tells a webhook, and whoever waits for a ping.
pub(super) struct Teller<'a> {
    project: &'a Project,
    environment: Environment<'a>,
    /// Made when somebody is to be called.
    caller: OnceCell<Caller>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(project: &'a Project, environment: Environment<'a>) -> Self {
        Self { project, environment, caller: OnceCell::new() }
    }

    /// Where the steps of a service are told, or those of the store, by whoever waits for them.
    pub(super) fn ping(&self, service: Option<&str>) -> Option<&'a WebUrl> {
        let config = &self.project.config;
        match service {
            Some(service) => config.services.get(service)?.ping.as_ref(),
            None => config.nightly.ping.as_ref(),
        }
    }

    /// Whoever waits is told that it begins. If that does not arrive, the end will tell: nobody waits twice for one who was silent before.
    pub(super) fn announce(&self, ping: Option<&WebUrl>, monitor: &dyn Monitor) {
        let Some(url) = ping.map(|url| url.below("start")) else { return };
        if !self.caller().is_silent(&url) {
            let callee = Callee { what: "ping", url: &url, attempts: 1 };
            self.caller().post(callee, TEXT, "", monitor).unwrap_or_default();
        }
    }

    /// The webhook is told what it has come to by `now`.
    ///
    /// # Errors
    /// If that is not known to have arrived.
    pub(super) fn post(&self, notice: &Notice, now: Timestamp, monitor: &dyn Monitor) -> Result<()> {
        if self.project.config.nightly.webhook_when == WebhookWhen::Failed && notice.is_good() {
            return Ok(());
        }
        let Some(url) = self.project.webhook()? else { return Ok(()) };
        let callee = Callee { what: "webhook", url: &url, attempts: ATTEMPTS };
        self.caller().post(callee, JSON, &notice.document(now).to_string(), monitor)
    }

    /// Whoever waits is told what it has come to.
    ///
    /// # Errors
    /// If that is not known to have arrived.
    pub(super) fn answer(&self, ping: Option<&WebUrl>, notice: &Notice, monitor: &dyn Monitor) -> Result<()> {
        let Some(ping) = ping else { return Ok(()) };
        let url = if notice.is_good() { ping.clone() } else { ping.below("fail") };
        let callee = Callee { what: "ping", url: &url, attempts: ATTEMPTS };
        self.caller().post(callee, TEXT, &notice.text(), monitor)
    }

    fn caller(&self) -> &Caller {
        self.caller.get_or_init(|| Caller::new(&self.environment))
    }
}

/// Tells others that nothing could be done for these services, or for all there are, and why: the store is away, say. Returns who was not reached.
pub fn tell_of_failure(
    project: &Project,
    environment: Environment<'_>,
    (host, now): (&str, Timestamp),
    services: &[String],
    why: &str,
) -> Vec<Error> {
    let teller = Teller::new(project, environment);
    let mut errors = Vec::new();
    let known = project.config.services.keys();
    for service in known.filter(|name| services.is_empty() || services.contains(name)) {
        let mut notice = Notice::new(host, Some(service));
        notice.warn(why.to_owned());
        errors.extend(teller.post(&notice, now, &Silent).err());
        errors.extend(teller.answer(teller.ping(Some(service)), &notice, &Silent).err());
    }
    errors
}
