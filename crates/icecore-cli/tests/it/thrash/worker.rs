//! Somebody who does one thing after another, whatever others do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::arena::{Arena, Ran};
use super::content::{content_of, content_of_bytes};
use super::dice::Dice;
use super::memory::{Chosen, Fate};
use super::source::Source;

/// How many commands in a hundred are to be killed; some are faster than that.
const DOOMED_PERCENT: usize = 55;
/// Snapshots of a worker's own above which it deletes more than it creates.
const MANY: usize = 12;
const TAGS: [&str; 3] = ["release", "nightly", "before migration"];

type Outcome = Result<(), String>;

struct Worker<'a> {
    arena: &'a Arena,
    number: usize,
    dice: Dice,
    sources: Vec<Source>,
    own: Vec<String>,
    folder: PathBuf,
    /// How long each command took the last time that it came to its end.
    usual: BTreeMap<&'static str, Duration>,
}

/// Works until the deadline, or until something is wrong.
pub(crate) fn work(arena: &Arena, number: usize, deadline: Instant) -> Outcome {
    let mut dice = Dice::new(arena.seed.wrapping_mul(1000).wrapping_add(number as u64));
    let folder = arena.folder.join(format!("worker-{number}"));
    fs::create_dir_all(&folder).unwrap();
    let sources = Source::all(&folder, number, &mut dice);
    let own = sources.iter().map(|source| source.name.clone()).collect();
    let mut worker = Worker { arena, number, dice, sources, own, folder, usual: BTreeMap::new() };
    while Instant::now() < deadline && !arena.is_stopped() {
        let started = Instant::now();
        worker.step()?;
        if arena.is_gentle {
            std::thread::sleep(started.elapsed().min(Duration::from_secs(1)));
        }
    }
    Ok(())
}

impl Worker<'_> {
    fn step(&mut self) -> Outcome {
        let own = self.arena.memory().count(&self.own);
        let (creates, deletes) = if own < MANY { (30, 8) } else { (8, 30) };
        let act = self.dice.weighted::<fn(&mut Self) -> Outcome>(&[
            (creates, Self::create),
            (deletes, Self::delete),
            (16, Self::restore),
            (8, Self::list),
            (6, Self::show),
            (9, Self::verify),
            (9, Self::collect),
            (6, Self::tag),
            (2, Self::stats),
            (2, Self::repair),
            (2, Self::forget_the_index),
        ]);
        act(self)
    }

    /// Runs a command, which may have to die at any moment of the time that it takes.
    fn run(&mut self, name: &'static str, time: &str, arguments: &[&str]) -> Result<Ran, String> {
        let usual = self.usual.get(name).copied().unwrap_or(Duration::from_millis(100));
        let doom = usual.mul_f64(self.dice.below(1300) as f64 / 1000.0);
        let doom = self.dice.percent(DOOMED_PERCENT).then_some(doom);
        let started = Instant::now();
        let mut all = vec![name];
        all.extend(arguments);
        let ran = self.arena.run(self.number, time, doom, &all)?;
        if !ran.was_killed() {
            self.usual.insert(name, started.elapsed());
        }
        Ok(ran)
    }

    fn create(&mut self) -> Outcome {
        let at = self.dice.below(self.sources.len());
        let tag = self.dice.percent(30).then(|| TAGS[self.dice.below(TAGS.len())]);
        let source = &mut self.sources[at];
        source.change(&mut self.dice);
        let mut arguments = tag.map_or(Vec::new(), |tag| vec!["--tag".to_owned(), tag.to_owned()]);
        arguments.extend(source.arguments());
        let time = self.arena.time();
        self.arena.memory().begin(&time, &source.name, source.content(), source.is_directory());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let ran = self.run("create", &time, &arguments)?.expect(&[0, 11])?;
        let mut memory = self.arena.memory();
        match ran.status {
            0 => memory.created(&time, ran.json()["id"].as_str().unwrap()),
            11 if ran.stderr.contains("fenced") => memory.set_fate(&time, Fate::Gone),
            -9 => memory.set_fate(&time, Fate::Unsure),
            _ => return Err(ran.wrong("busy, but not fenced")),
        }
        if let Some(tag) = tag {
            memory.set_tag(&time, tag, (ran.status == 0).then_some(true));
        }
        Ok(())
    }

    fn delete(&mut self) -> Outcome {
        let Some(Chosen { time, id, .. }) = self.arena.memory().choose(&mut self.dice, Some(&self.own))
        else {
            return Ok(());
        };
        self.arena.memory().set_fate(&time, Fate::Leaving);
        let now = self.arena.time();
        let ran = self.run("delete", &now, &[&id, "--yes"])?.expect(&[0])?;
        let fate = if ran.was_killed() { Fate::Unsure } else { Fate::Gone };
        self.arena.memory().set_fate(&time, fate);
        Ok(())
    }

    /// The command, if it ended well, was killed, or did not find what somebody else has deleted.
    fn expect_of(&self, chosen: &Chosen, ran: Ran) -> Result<Ran, String> {
        let fate = self.arena.memory().fate(&chosen.time);
        match ran.status {
            10 if fate != Fate::There => Ok(ran),
            10 => Err(ran.wrong("the snapshot should be there")),
            _ => ran.expect(&[0]),
        }
    }

    /// To a place of its own: a new one, one that is replaced, one that is rewritten, or standard output.
    fn restore(&mut self) -> Outcome {
        let Some(chosen) = self.arena.memory().choose(&mut self.dice, None) else { return Ok(()) };
        let content = self.arena.memory().content(&chosen.time);
        let place = self.folder.join(if chosen.is_directory { "restored tree" } else { "restored file" });
        let to = place.to_str().unwrap().to_owned();
        let old = content_of(&place);
        let now = self.arena.time();
        let way = self.dice.below(if chosen.is_directory { 3 } else { 5 });
        let ran = match way {
            0 | 1 => self.run("restore", &now, &[&chosen.id, "--to", &to, "--yes"])?,
            2 if !old.is_empty() => {
                self.run("restore", &now, &[&chosen.id, "--to", &to, "--yes", "--in-place"])?
            }
            2 | 3 => {
                remove(&place);
                self.run("restore", &now, &[&chosen.id, "--to", &to])?
            }
            _ => self.run("restore", &now, &[&chosen.id, "--to", "-"])?,
        };
        let ran = self.expect_of(&chosen, ran)?;
        let is = if way == 4 { content_of_bytes(&ran.stdout) } else { content_of(&place) };
        if ran.status == 0 && is != content {
            return Err(ran.wrong(&format!("restored {is:?} instead of {content:?}")));
        }
        if ran.status != 0 && way < 2 && is != old && is != content {
            return Err(ran.wrong(&format!("left {is:?}, neither {old:?} nor {content:?}")));
        }
        if ran.was_killed() {
            // With what it had begun beside.
            for entry in fs::read_dir(&self.folder).unwrap() {
                let path = entry.unwrap().path();
                if !self.own.iter().any(|name| path.ends_with(name)) {
                    remove(&path);
                }
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Outcome {
        let before = self.arena.memory().fates();
        let now = self.arena.time();
        let ran = self.run("list", &now, &[])?.expect(&[0])?;
        if ran.was_killed() {
            return Ok(());
        }
        self.arena.memory().compare(&before, &ran.json()).map_err(|error| ran.wrong(&error))
    }

    fn show(&mut self) -> Outcome {
        let Some(chosen) = self.arena.memory().choose(&mut self.dice, None) else { return Ok(()) };
        let now = self.arena.time();
        let ran = self.run("show", &now, &[&chosen.id])?;
        self.expect_of(&chosen, ran).map(drop)
    }

    fn verify(&mut self) -> Outcome {
        let chosen = self.arena.memory().choose(&mut self.dice, None);
        let now = self.arena.time();
        let ran = match (self.dice.below(4), chosen) {
            (0, _) => self.run("verify", &now, &[])?,
            (1, Some(chosen)) => {
                let ran = self.run("verify", &now, &[&chosen.id])?;
                self.expect_of(&chosen, ran)?;
                return Ok(());
            }
            (2, _) => self.run("verify", &now, &["--structure"])?,
            _ => self.run("verify", &now, &["--sample", "20%"])?,
        };
        ran.expect(&[0]).map(drop)
    }

    fn collect(&mut self) -> Outcome {
        let now = self.arena.time();
        let ran = match self.dice.below(6) {
            0 => self.run("gc", &now, &["--dry-run"])?.expect(&[0])?,
            1 => self.run("gc", &now, &["--fence-after", "0s"])?,
            2 => self.run("gc", &now, &["--flatten", "2"])?,
            _ => self.run("gc", &now, &[])?,
        };
        ran.expect(&[0, 11]).map(drop)
    }

    fn tag(&mut self) -> Outcome {
        let Some(Chosen { time, id, .. }) = self.arena.memory().choose(&mut self.dice, Some(&self.own))
        else {
            return Ok(());
        };
        let tag = TAGS[self.dice.below(TAGS.len())];
        let had = self.arena.memory().has_tag(&time, tag);
        let add = had != Some(true) || self.dice.percent(20);
        let now = self.arena.time();
        let ran = self.run("tag", &now, &[if add { "add" } else { "remove" }, &id, tag])?.expect(&[0])?;
        let has = (!ran.was_killed()).then_some(add);
        self.arena.memory().set_tag(&time, tag, has);
        Ok(())
    }

    fn stats(&mut self) -> Outcome {
        let now = self.arena.time();
        self.run("stats", &now, &[])?.expect(&[0]).map(drop)
    }

    fn repair(&mut self) -> Outcome {
        let now = self.arena.time();
        let ran = match self.dice.below(3) {
            0 => self.run("repair", &now, &["--dry-run"])?.expect(&[0])?,
            _ => self.run("repair", &now, &[])?,
        };
        ran.expect(&[0, 11]).map(drop)
    }

    /// By hand, while others use it.
    #[expect(clippy::unnecessary_wraps, reason = "one of the things that a worker does")]
    fn forget_the_index(&mut self) -> Outcome {
        let _ = fs::remove_file(self.arena.store.join("index.redb"));
        Ok(())
    }
}

fn remove(path: &std::path::Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}
