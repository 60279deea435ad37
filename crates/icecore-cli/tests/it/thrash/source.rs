//! Things to take snapshots of, which change from round to round.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::content::{Content, content_of};
use super::dice::Dice;
use crate::support::{PG_DUMP, noise};

/// What kind of source it is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    File,
    Command,
    Dump,
    Directory,
}

/// A source, of which nobody but its worker knows.
pub(super) struct Source {
    pub(super) name: String,
    kind: Kind,
    path: PathBuf,
    rows: Vec<u64>,
}

impl Source {
    /// One of each kind, below `folder`.
    pub(super) fn all(folder: &Path, worker: usize, dice: &mut Dice) -> Vec<Self> {
        let kinds = [Kind::File, Kind::Command, Kind::Dump, Kind::Directory];
        let source = |kind| {
            let name = format!("{kind:?}-{worker}").to_lowercase();
            let mut source = Self { path: folder.join(&name), name, kind, rows: Vec::new() };
            source.begin(dice);
            source
        };
        kinds.into_iter().map(source).collect()
    }

    /// What `create` needs to be told.
    pub(super) fn arguments(&self) -> Vec<String> {
        let path = self.path.to_str().unwrap().to_owned();
        let name = ["--name".to_owned(), self.name.clone()];
        let what = match self.kind {
            Kind::Command => vec!["--".to_owned(), "cat".to_owned(), path],
            _ => vec![path],
        };
        name.into_iter().chain(what).collect()
    }

    pub(super) fn content(&self) -> Content {
        content_of(&self.path)
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    fn begin(&mut self, dice: &mut Dice) {
        match self.kind {
            Kind::File | Kind::Command => fs::write(&self.path, fresh(dice)).unwrap(),
            Kind::Dump => {
                self.rows = (0..2000).map(|_| dice.next()).collect();
                self.write_dump();
            }
            Kind::Directory => {
                fs::create_dir_all(self.path.join("deep/deeper")).unwrap();
                for _ in 0..6 {
                    change_tree(&self.path, dice);
                }
            }
        }
    }

    /// A night's changes, sometimes none.
    pub(super) fn change(&mut self, dice: &mut Dice) {
        if dice.percent(15) {
            return;
        }
        match self.kind {
            Kind::File | Kind::Command => change_file(&self.path, dice),
            Kind::Dump => {
                for _ in 0..dice.below(20) {
                    let at = dice.below(self.rows.len());
                    self.rows[at] = dice.next();
                }
                let more = dice.below(100);
                self.rows.extend((0..more).map(|_| dice.next()));
                self.write_dump();
            }
            Kind::Directory => {
                for _ in 0..=dice.below(3) {
                    change_tree(&self.path, dice);
                }
            }
        }
    }

    fn write_dump(&self) {
        let mut rows = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            writeln!(rows, "{number}\t{row:x}{:x}", row.wrapping_mul(*row)).unwrap();
        }
        let dump = PG_DUMP.replace("1\tTurku\n2\tGraz\n3\tLyon\n", &rows);
        assert!(dump.len() > rows.len());
        fs::write(&self.path, dump).unwrap();
    }
}

/// Mostly small, seldom so large that it takes several packs.
fn fresh(dice: &mut Dice) -> Vec<u8> {
    let len = if dice.percent(8) { 4_000_000 } else { 300_000 };
    let len = 1 + dice.below(len);
    noise(dice.next() >> 1, len)
}

fn change_file(path: &Path, dice: &mut Dice) {
    let mut bytes = fs::read(path).unwrap();
    match dice.below(10) {
        0 => bytes = fresh(dice),
        1 => bytes.truncate(1 + dice.below(bytes.len())),
        2 => {
            let more = dice.below(200_000);
            bytes.extend(noise(dice.next() >> 1, more));
        }
        // A little everywhere: only a delta makes that small.
        3..=6 => {
            let step = 500 + dice.below(20_000);
            let seed = dice.next() >> 1;
            bytes.chunks_mut(step).zip(0..).for_each(|(row, number)| row[0] ^= noise(seed ^ number, 1)[0]);
        }
        _ => {
            let at = dice.below(bytes.len());
            let end = (at + 1 + dice.below(20_000)).min(bytes.len());
            bytes[at..end].copy_from_slice(&noise(dice.next() >> 1, end - at));
        }
    }
    fs::write(path, bytes).unwrap();
}

fn change_tree(root: &Path, dice: &mut Dice) {
    let dir = ["", "deep", "deep/deeper"][dice.below(3)];
    let path = root.join(dir).join(format!("file {}", dice.below(6)));
    match dice.below(5) {
        _ if !path.exists() => fs::write(&path, fresh(dice)).unwrap(),
        0 => fs::remove_file(&path).unwrap(),
        1 => {
            let link = path.with_extension("link");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(format!("somewhere {}", dice.below(100)), link).unwrap();
        }
        _ => change_file(&path, dice),
    }
}
