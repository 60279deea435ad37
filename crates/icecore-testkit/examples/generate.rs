//! Writes a generated dump to a file: `generate --size 300MB --night moved:0.01 --output night1.sql`.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use icecore_testkit::{Change, Dialect, DumpSpec, Night, write_dump};

/// Write a dump of a made-up shop, the same bytes for the same arguments
#[derive(Debug, Parser)]
struct Args {
    #[arg(long, value_enum, default_value = "postgres")]
    dialect: DialectName,
    /// About how large, like 300MB
    #[arg(long, value_parser = parse_size, default_value = "300MB")]
    size: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What happened since the first dump, like moved:0.01; the other kinds are inplace, inserted and deleted
    #[arg(long = "night", value_parser = parse_night)]
    nights: Vec<Night>,
    /// Where to write to; standard output if it is missing
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DialectName {
    Postgres,
    Mariadb,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let dialect = match args.dialect {
        DialectName::Postgres => Dialect::Postgres,
        DialectName::Mariadb => Dialect::MariaDb,
    };
    let spec = DumpSpec { seed: args.seed, bytes: args.size, dialect, nights: args.nights };
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => Box::new(io::stdout().lock()),
    };
    write_dump(&spec, &mut *out)?;
    Ok(())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        other => return Err(format!("unknown unit {other}; B, kB, MB and GB are known")),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{digits:?}: {error}"))?;
    number.checked_mul(unit).ok_or_else(|| format!("{text} is too large"))
}

fn parse_night(text: &str) -> Result<Night, String> {
    let (how, changed) = text.split_once(':').ok_or("a night looks like inplace:0.01")?;
    let how = match how {
        "inplace" => Change::InPlace,
        "moved" => Change::Moved,
        "inserted" => Change::Inserted,
        "deleted" => Change::Deleted,
        other => {
            return Err(format!("unknown change {other}; inplace, moved, inserted and deleted are known"));
        }
    };
    let changed: f64 = changed.parse().map_err(|error| format!("{changed:?}: {error}"))?;
    if !(0.0..=1.0).contains(&changed) {
        return Err(format!("{changed} is no share between 0 and 1"));
    }
    Ok(Night { changed, how })
}
