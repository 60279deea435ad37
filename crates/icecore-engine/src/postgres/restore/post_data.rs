//! What builds on rows: indexes and constraints on several connections, the rest in its order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use icecore_dump::script::{self, Entry};

use super::super::endpoint::Endpoint;
use super::Content;
use super::load::{check_cancelled, open, run};
use crate::RestoreError;

/// What can be built in any order, and at the same time, as long as what is in the row before is there.
const TOGETHER: [&[&str]; 3] = [&["INDEX", "CONSTRAINT"], &["INDEX ATTACH"], &["FK CONSTRAINT"]];
/// Of these, each changes what the others lock too: one connection.
const ALONE: &str = "INDEX ATTACH";
/// `SQLSTATE` of a deadlock, which two foreign keys between two tables may come to.
const DEADLOCK: &str = "deadlock detected";

/// Runs the definitions that come after the rows.
pub(super) fn build(
    endpoint: &Endpoint,
    content: &dyn Content,
    scripts: &[Vec<u8>],
    connections: usize,
) -> Result<(), RestoreError> {
    let entries: Vec<Entry<'_>> = scripts.iter().flat_map(|script| script::entries(script)).collect();
    for kinds in TOGETHER {
        let of_kind: Vec<&Entry<'_>> =
            entries.iter().filter(|entry| kinds.contains(&entry.kind.as_str())).collect();
        let connections = if kinds.contains(&ALONE) { 1 } else { connections };
        let again = together(endpoint, content, &of_kind, connections)?;
        together(endpoint, content, &again, 1)?;
    }
    let mut session = open(endpoint)?;
    for entry in
        entries.iter().filter(|entry| !TOGETHER.iter().any(|kinds| kinds.contains(&entry.kind.as_str())))
    {
        check_cancelled(content)?;
        run(&mut session, entry)?;
    }
    Ok(())
}

/// Runs entries on several connections. Returns those that got into each other's way.
fn together<'e>(
    endpoint: &Endpoint,
    content: &dyn Content,
    entries: &[&'e Entry<'e>],
    connections: usize,
) -> Result<Vec<&'e Entry<'e>>, RestoreError> {
    let queue = Mutex::new(entries.iter());
    let again = Mutex::new(Vec::new());
    let first_error = Mutex::new(None);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..connections.min(entries.len()) {
            scope.spawn(|| {
                let work = || -> Result<(), RestoreError> {
                    let mut session = open(endpoint)?;
                    while let Some(entry) = queue.lock().ok().and_then(|mut queue| queue.next().copied()) {
                        if failed.load(Ordering::Relaxed) {
                            return Ok(());
                        }
                        check_cancelled(content)?;
                        let settings = entry.settings.join(&b' ');
                        session.run(&String::from_utf8_lossy(&settings))?;
                        match run(&mut session, entry) {
                            Err(RestoreError::Server(why)) if connections > 1 && why.contains(DEADLOCK) => {
                                if let Ok(mut again) = again.lock() {
                                    again.push(entry);
                                }
                            }
                            done => done?,
                        }
                    }
                    Ok(())
                };
                if let Err(error) = work() {
                    failed.store(true, Ordering::Relaxed);
                    if let Ok(mut first) = first_error.lock() {
                        first.get_or_insert(error);
                    }
                }
            });
        }
    });
    match first_error.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(again.into_inner().unwrap_or_default()),
    }
}
