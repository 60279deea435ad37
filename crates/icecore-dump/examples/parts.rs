//! Lists the parts of a dump or a tarball, and says how fast it was scanned.
#![expect(clippy::print_stdout, reason = "a program to look at dumps with")]

use std::time::Instant;
use std::{env, fs, io};

use icecore_dump::{Mark, Scanner, recognise, warn_about};

const BUFFER_LEN: usize = 1 << 20;

fn main() -> io::Result<()> {
    for path in env::args_os().skip(1) {
        let bytes = fs::read(&path)?;
        let head = bytes.get(..64 << 10).unwrap_or(&bytes);
        println!("{}: {:?} {}", path.display(), recognise(head), warn_about(head).unwrap_or_default());
        let Some(format) = recognise(head) else { continue };

        let start = Instant::now();
        let mut scanner = Scanner::new(format);
        let mut marks = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let input = rest.get(..BUFFER_LEN).unwrap_or(rest);
            let settled = scanner.scan(input, input.len() == rest.len(), &mut marks);
            rest = rest.get(settled..).unwrap_or_default();
        }
        let seconds = start.elapsed().as_secs_f64();

        let mut begun = 0;
        for mark in &marks {
            match mark {
                Mark::Begin { at, name, kind, .. } => {
                    begun = *at;
                    print!("{kind:?}\t{}", String::from_utf8_lossy(name));
                }
                Mark::End { at, rows } => println!("\t{}\t{rows:?}", at - begun),
            }
        }
        println!("{:?}", scanner.finish());
        let megabytes = bytes.len() / 1_000_000;
        println!("{megabytes} MB in {seconds:.3} s");
    }
    Ok(())
}
