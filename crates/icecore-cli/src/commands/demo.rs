//! `icecore demo`

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Millis, counted};

const ROWS: u32 = 40_000;

/// Show the main job on a small database
///
/// Makes a SQLite database and a store in a temporary folder and runs real commands on them: create, change, create again, list, verify, restore,
/// delete, gc. The folder is removed at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Keep the folder
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &DemoArgs) -> Result<ExitStatus> {
    if ui.json {
        return Err(CommandError::usage("the demonstration is for people: it prints no JSON"));
    }
    let started = std::time::Instant::now();
    let folder = tempfile::Builder::new().prefix("icecore-demo-").tempdir();
    let mut folder = folder.map_err(CommandError::io("cannot make a temporary folder"))?;
    folder.disable_cleanup(args.keep);
    let demo = Demo {
        program: std::env::current_exe().map_err(CommandError::io("cannot find this program"))?,
        folder: folder.path().to_owned(),
    };
    demo.play(ui)?;
    ui.line("")?;
    let duration = Millis::since(started);
    match args.keep {
        true => ui.line(format_args!(
            "That was all, in {}. The folder is {}.",
            duration,
            folder.path().display()
        ))?,
        false => ui.line(format_args!("That was all, in {duration}; the folder is removed."))?,
    }
    Ok(ExitStatus::Success)
}

struct Demo {
    program: PathBuf,
    folder: PathBuf,
}

impl Demo {
    fn play(&self, ui: &mut Ui) -> Result<()> {
        let shop = self.folder.join("shop.db");
        Self::say(
            ui,
            &format!(
                "A shop's database with {}, in {}.",
                counted(ROWS.into(), "order"),
                self.folder.display()
            ),
        )?;
        sql("make the database", || make_database(&shop))?;
        let first = sql("read the database", || checksum(&shop))?;

        self.icecore(ui, &["init"])?;
        self.icecore(ui, &["create", "shop.db", "--tag", "before-migration"])?;
        Self::say(ui, "A migration spoils the newest orders, one in a hundred of all.")?;
        sql("change the database", || change_rows(&shop))?;
        let second = sql("read the database", || checksum(&shop))?;
        self.icecore(ui, &["create", "shop.db"])?;
        self.icecore(ui, &["list"])?;
        self.icecore(ui, &["show", "latest"])?;
        self.icecore(ui, &["verify"])?;

        Self::say(ui, "The state before the migration, beside the live database:")?;
        self.icecore(ui, &["restore", "shop.db@before-migration", "--to", "before.db"])?;
        let restored = sql("read the restored database", || checksum(&self.folder.join("before.db")))?;
        Self::prove(ui, "before.db", &restored, &first)?;
        Self::say(ui, "And in its place, which needs a confirmation:")?;
        self.icecore(ui, &["restore", "shop.db~1", "--yes"])?;
        let restored = sql("read the restored database", || checksum(&shop))?;
        Self::prove(ui, "shop.db", &restored, &first)?;
        if first == second {
            return Err(CommandError::new(ExitStatus::Failed, "the demonstration changed nothing"));
        }

        Self::say(ui, "What is not needed any more goes.")?;
        self.icecore(ui, &["delete", "latest", "--yes"])?;
        self.icecore(ui, &["gc"])?;
        self.icecore(ui, &["stats"])
    }

    fn say(ui: &mut Ui, text: &str) -> Result<()> {
        ui.line(format_args!("\n# {text}"))
    }

    /// Shows a command and runs it, its output being what it is.
    fn icecore(&self, ui: &mut Ui, arguments: &[&str]) -> Result<()> {
        let shown =
            arguments.iter().fold("$ icecore".to_owned(), |line, argument| format!("{line} {argument}"));
        let shown = ui.bold(&shown);
        ui.line(format_args!("\n{shown}"))?;
        ui.flush()?;
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder);
        // The user's own settings must not lead elsewhere.
        for (name, _) in std::env::vars_os() {
            if is_ours(&name) {
                command.env_remove(name);
            }
        }
        let status = command.status().map_err(CommandError::io("cannot run this program"))?;
        match status.success() {
            true => Ok(()),
            false => {
                Err(CommandError::new(ExitStatus::Failed, format!("the demonstration stopped: {status}")))
            }
        }
    }

    fn prove(ui: &mut Ui, name: &str, found: &Checksum, expected: &Checksum) -> Result<()> {
        if found != expected {
            let message = format!("{name} has {found:?}, but the first state was {expected:?}");
            return Err(CommandError::new(ExitStatus::Damaged, message));
        }
        let Checksum { orders, cents, unpaid } = found;
        ui.line(format_args!("{name} has the first state: {orders} orders, {cents} cents, {unpaid} unpaid"))
    }
}

fn is_ours(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("ICECORE_")
}

/// What can be told of a state by looking at all of its rows.
#[derive(Debug, PartialEq, Eq)]
struct Checksum {
    orders: i64,
    cents: i64,
    unpaid: i64,
}

fn make_database(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, city TEXT, cents INTEGER, state TEXT, remark TEXT)",
    )?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for id in 0..ROWS {
            // Scattered, but the same every time.
            let draw = id.wrapping_mul(0x9e37_79b9) >> 8;
            let pick = |names: &[&'static str], by: u32| {
                names.iter().cycle().nth((draw / by % 60) as usize).copied()
            };
            let city = pick(&["Lisbon", "Lyon", "Turku", "Graz", "Split", "Ghent"], 1);
            let state = pick(&["paid", "sent", "returned", "unpaid"], 60);
            let remark =
                format!("{:016x} parcel {}", u64::from(draw).wrapping_mul(0xbf58_476d_1ce4_e5b9), draw % 977);
            insert.execute((
                id,
                format!("customer {}", draw % 9973),
                city,
                100 + draw % 90_000,
                state,
                remark,
            ))?;
        }
    }
    transaction.commit()
}

fn change_rows(path: &Path) -> rusqlite::Result<()> {
    Connection::open(path)?.execute(
        "UPDATE orders SET cents = cents + 1, state = 'unpaid' WHERE id >= ?1",
        [ROWS - ROWS / 100],
    )?;
    Ok(())
}

fn checksum(path: &Path) -> rusqlite::Result<Checksum> {
    let connection = Connection::open(path)?;
    connection.query_row("SELECT count(*), sum(cents), sum(state = 'unpaid') FROM orders", (), |row| {
        Ok(Checksum { orders: row.get(0)?, cents: row.get(1)?, unpaid: row.get(2)? })
    })
}

fn sql<T>(what: &str, work: impl FnOnce() -> rusqlite::Result<T>) -> Result<T> {
    work().map_err(|error| CommandError::new(ExitStatus::Failed, format!("cannot {what}: {error}")))
}
