//! The pipeline between the sequencer and the packer: what a new run is coded on.

use std::cell::RefCell;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use icecore_chunk::Matcher;

use super::{CodedRun, Lane, NewRun};
use crate::Result;
use crate::absent::Absent;
use crate::delta::{Choices, Chooser};
use crate::pack::encode_plain;
use crate::store::Store;

thread_local! {
    static MATCHER: RefCell<Matcher> = RefCell::default();
}

/// Chooses bases in the order of the content, and has the runs coded on the pool.
pub(super) fn code_runs(
    store: &Arc<Store>,
    absent: &Absent,
    deltas: bool,
    runs: &Receiver<Receiver<NewRun>>,
    out: &Sender<Receiver<CodedRun>>,
) -> Result<()> {
    // What follows what, one does not learn from the other.
    let (mut content, mut catalog) = (Chooser::new(store, absent), Chooser::new(store, absent));
    for run in runs {
        // The pool dropped it: it is shutting down with us.
        let Ok(run) = run.recv() else { return Ok(()) };
        let chooser = match run.lane {
            Lane::Content => &mut content,
            Lane::Catalog => &mut catalog,
        };
        let deltas = deltas && !absent.wants(&run.run);
        let choices = if deltas { chooser.choose(&run.run)? } else { Choices::new() };
        let (done, coded) = bounded(1);
        // If the packer is gone, it knows why.
        if out.send(coded).is_err() {
            return Ok(());
        }
        let (hands, store) = (store.machine.hands(), Arc::clone(store));
        hands.spawn(move || drop(done.send(code(&store, run, &choices, deltas))));
    }
    Ok(())
}

fn code(store: &Store, new: NewRun, choices: &Choices, deltas: bool) -> CodedRun {
    let NewRun { lane, run, plain } = new;
    match lane {
        Lane::Catalog if deltas => {
            // The newest: nodes are small, and few.
            let candidates = choices.last().map(Vec::as_slice).unwrap_or_default();
            let (run, bases) = store.on_bases(run, candidates);
            CodedRun::Listed { run, plain, bases }
        }
        _ => match MATCHER.with_borrow_mut(|matcher| store.code(&run, &plain, choices, matcher)) {
            Some((run, difference)) => CodedRun::Delta(run, difference),
            None => CodedRun::Plain(encode_plain(run, &plain, store.config.zstd_level)),
        },
    }
}
