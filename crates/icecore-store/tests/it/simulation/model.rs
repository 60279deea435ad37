//! What must be there in the end, by what the machines were told.

use std::collections::{BTreeMap, BTreeSet};

/// What has happened at one place. Each snapshot is known by its host: which machine wrote it, and as the how many-th.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// How many things have begun or ended.
    now: u64,
    snapshots: BTreeMap<String, History>,
}

/// What machines have tried to do with one snapshot.
#[derive(Debug, Default)]
struct History {
    arrivals: Vec<Span>,
    deletions: Vec<Span>,
    /// Whether its writer was told that it was fenced.
    was_fenced: bool,
    /// Whether somebody was told that it has a tag.
    is_tagged: bool,
}

/// Something that took some time.
#[derive(Debug)]
struct Span {
    from: u64,
    /// It may still take effect if there is none.
    until: Option<u64>,
    /// Whether somebody was told that it was done.
    is_sure: bool,
}

/// What somebody is doing with a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Doing {
    host: String,
    kind: Kind,
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Arrival,
    Deletion,
}

impl Model {
    /// The moment that comes now.
    pub(super) fn now(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Somebody begins to write or to send a snapshot.
    pub(super) fn begin_arrival(&mut self, host: &str) -> Doing {
        let from = self.now();
        self.begin(host, Kind::Arrival, from)
    }

    /// Somebody begins to delete a snapshot, which it found in a list that it asked for in that moment.
    pub(super) fn begin_deletion(&mut self, host: &str, listed_at: u64) -> Doing {
        self.begin(host, Kind::Deletion, listed_at)
    }

    fn begin(&mut self, host: &str, kind: Kind, from: u64) -> Doing {
        let history = self.snapshots.entry(host.to_owned()).or_default();
        let spans = history.spans(kind);
        spans.push(Span { from, until: None, is_sure: false });
        Doing { host: host.to_owned(), kind, at: spans.len() - 1 }
    }

    /// It is done.
    pub(super) fn succeed(&mut self, doing: &Doing) {
        let now = self.now();
        let span = self.span(doing);
        (span.until, span.is_sure) = (Some(now), true);
    }

    /// Nobody knows whether it is done. It may be done later if it `wanders`.
    pub(super) fn give_up(&mut self, doing: &Doing, wanders: bool) {
        let now = self.now();
        self.span(doing).until = (!wanders).then_some(now);
    }

    /// A writer that is told that it was fenced has published nothing.
    pub(super) fn note_fenced(&mut self, doing: &Doing) {
        self.give_up(doing, false);
        self.snapshots.entry(doing.host.clone()).or_default().was_fenced = true;
    }

    /// Who writes puts one object, once: whoever has found it in a list knows that no other will come.
    pub(super) fn comes_once(&mut self, doing: &Doing) {
        let span = self.span(doing);
        span.until = Some(span.from);
    }

    pub(super) fn note_tag(&mut self, host: &str) {
        self.snapshots.entry(host.to_owned()).or_default().is_tagged = true;
    }

    /// Whether anybody has tried to delete anything.
    pub(super) fn has_deletions(&self) -> bool {
        self.snapshots.values().any(|history| !history.deletions.is_empty())
    }

    /// Whether anybody has tried to delete this.
    pub(super) fn has_deletions_of(&self, host: &str) -> bool {
        self.snapshots.get(host).is_some_and(|history| !history.deletions.is_empty())
    }

    fn span(&mut self, doing: &Doing) -> &mut Span {
        &mut self.snapshots.entry(doing.host.clone()).or_default().spans(doing.kind)[doing.at]
    }

    /// What is wrong with a list of the hosts of all snapshots that are there, and of those that are tagged.
    pub(super) fn compare(&self, listed: &BTreeSet<String>, tagged: &BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        for (host, history) in &self.snapshots {
            let is_there = listed.contains(host);
            if history.must_be_there() && !is_there {
                faults.push(format!("{host} was published and is not there"));
            }
            if history.must_be_gone() && is_there {
                faults.push(format!("{host} was deleted and is there"));
            }
            if history.was_fenced && history.arrivals.len() == 1 && is_there {
                faults.push(format!("{host} was fenced and is there"));
            }
            if history.must_be_tagged() && is_there && !tagged.contains(host) {
                faults.push(format!("{host} has lost its tag"));
            }
        }
        for host in listed.iter().filter(|host| !self.snapshots.contains_key(*host)) {
            faults.push(format!("nobody wrote {host}"));
        }
        faults
    }
}

impl History {
    fn spans(&mut self, kind: Kind) -> &mut Vec<Span> {
        match kind {
            Kind::Arrival => &mut self.arrivals,
            Kind::Deletion => &mut self.deletions,
        }
    }

    /// Whether it has come for sure, and whoever tried to delete it had ended before.
    fn must_be_there(&self) -> bool {
        let stays = |arrival: &Span| self.deletions.iter().all(|deletion| deletion.ended_before(arrival));
        self.arrivals.iter().any(|arrival| arrival.is_sure && stays(arrival))
    }

    /// Whether it was deleted for sure, and whoever wrote or sent it had ended before.
    fn must_be_gone(&self) -> bool {
        let stays_away = |deletion: &Span| self.arrivals.iter().all(|arrival| arrival.ended_before(deletion));
        self.deletions.iter().any(|deletion| deletion.is_sure && stays_away(deletion))
    }

    /// A tag that somebody puts while somebody else deletes the snapshot, and it comes again, may go with it.
    fn must_be_tagged(&self) -> bool {
        self.is_tagged && (self.arrivals.len() < 2 || self.deletions.is_empty())
    }
}

impl Span {
    fn ended_before(&self, other: &Self) -> bool {
        self.until.is_some_and(|until| until < other.from)
    }
}
