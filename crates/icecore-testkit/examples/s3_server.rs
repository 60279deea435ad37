//! A server for S3 to measure with: `s3_server --dir /var/tmp --bucket bench` prints what the environment of its clients says, and serves until its
//! standard input ends.

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Parser;
use icecore_testkit::s3::S3Server;

/// Serve S3 on a free port of 127.0.0.1 until standard input ends
#[derive(Debug, Parser)]
struct Args {
    /// Where the objects are kept meanwhile
    #[arg(long)]
    dir: PathBuf,
    /// A bucket to make
    #[arg(long)]
    bucket: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let server = S3Server::start_in(&args.dir);
    server.create_bucket(&args.bucket);
    let mut out = io::stdout().lock();
    writeln!(out, "AWS_ENDPOINT_URL={}", server.endpoint())?;
    for (name, value) in server.environment() {
        writeln!(out, "{name}={value}")?;
    }
    out.flush()?;
    drop(out);
    let mut stdin = io::stdin().lock();
    while stdin.read(&mut [0; 4096])? > 0 {}
    Ok(())
}
