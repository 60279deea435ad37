//! What builds on rows: indexes and constraints on several connections, the rest in its order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use icecore_dump::script::{self, Entry};

use super::super::connections;
use super::super::endpoint::Endpoint;
use super::load::{failed_entry, open, run, try_run};
use crate::RestoreError;
use crate::database::{Content, check_cancelled};
use crate::pool;

/// What can be built in any order, and at the same time, as long as what is in the row before is there; and what that is called.
const TOGETHER: [(&[&str], &str); 3] = [
    (&["INDEX", "CONSTRAINT"], "building indexes"),
    (&["INDEX ATTACH"], "attaching indexes"),
    (&["FK CONSTRAINT"], "checking foreign keys"),
];
/// Everything else.
const OTHERS: &str = "making what builds on rows";
/// Of these, each changes what the others lock too: one connection.
const ALONE: &str = "INDEX ATTACH";
/// `SQLSTATE`s of what may go better later, alone: a deadlock, as two foreign keys between two tables may come to; what is to be built upon is
/// not there yet, as a view that needs a key.
const LATER: [&str; 4] = ["40P01", "42P01", "42883", "42704"];

/// Runs the definitions that come after the rows.
pub(super) fn build(
    endpoint: &Endpoint,
    content: &dyn Content,
    scripts: &[Vec<u8>],
) -> Result<(), RestoreError> {
    let entries: Vec<Entry<'_>> = scripts.iter().flat_map(|script| script::entries(script)).collect();
    let mut late: Vec<&[u8]> = Vec::new();
    for (kinds, what) in TOGETHER {
        let of_kind: Vec<&Entry<'_>> = entries.iter().filter(|entry| is_of(entry, kinds)).collect();
        let connections = if kinds.contains(&ALONE) { 1 } else { connections() };
        late.extend(together(endpoint, content, &of_kind, connections, what)?);
    }
    let mut session = open(endpoint)?;
    let is_left = |entry: &&Entry<'_>| {
        let was_built = TOGETHER.iter().any(|(kinds, _)| is_of(entry, kinds));
        !was_built || late.iter().any(|text| std::ptr::eq(*text, entry.text))
    };
    let left: Vec<&Entry<'_>> = entries.iter().filter(is_left).collect();
    for (done, entry) in left.iter().enumerate() {
        content.stage(OTHERS, done, left.len());
        check_cancelled(content)?;
        run(&mut session, entry)?;
    }
    Ok(())
}

fn is_of(entry: &Entry<'_>, kinds: &[&str]) -> bool {
    kinds.contains(&entry.kind.as_str())
}

/// Runs entries on several connections. Returns the texts of those that must wait.
fn together<'e>(
    endpoint: &Endpoint,
    content: &dyn Content,
    entries: &[&Entry<'e>],
    connections: usize,
    what: &'static str,
) -> Result<Vec<&'e [u8]>, RestoreError> {
    let late = Mutex::new(Vec::new());
    let done = AtomicUsize::new(0);
    content.stage(what, 0, entries.len());
    pool::for_each(
        || Ok(open(endpoint)?),
        content,
        connections,
        entries,
        |session, entry| {
            session.run(&String::from_utf8_lossy(&entry.settings.join(&b' ')))?;
            let ran = try_run(session, entry)?;
            content.stage(what, done.fetch_add(1, Ordering::Relaxed) + 1, entries.len());
            match ran {
                Err(trouble) if trouble.code.as_deref().is_some_and(|it| LATER.contains(&it)) => {
                    late.lock().unwrap_or_else(PoisonError::into_inner).push(entry.text);
                    Ok(())
                }
                ran => ran.map_err(|trouble| failed_entry(entry, &trouble)),
            }
        },
    )?;
    Ok(late.into_inner().unwrap_or_else(PoisonError::into_inner))
}
