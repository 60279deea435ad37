//! What SQLite may take long over ends when the user interrupts.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{panic, thread};

use rusqlite::InterruptHandle;

use crate::RestoreError;

/// How soon work ends that nobody wants done any more.
const STOP_STEP: Duration = Duration::from_millis(50);

/// Does something with connections, of which these are the handles, for the database at `path`. What is done all the same stays done.
pub(super) fn interruptible<T: Send, E: Send>(
    path: &Path,
    interrupts: &[InterruptHandle],
    is_cancelled: &dyn Fn() -> bool,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<Result<T, E>, RestoreError> {
    let (answered, answer) = mpsc::channel();
    thread::scope(|scope| {
        let working = thread::Builder::new().name("sqlite".to_owned()).spawn_scoped(scope, move || {
            // Nobody listens only if nobody waits any more.
            let _ = answered.send(work());
        });
        let working = working.map_err(RestoreError::write("cannot start to work on", path))?;
        loop {
            match answer.recv_timeout(STOP_STEP) {
                Ok(Err(_)) if is_cancelled() => return Err(RestoreError::Cancelled),
                Ok(answer) => return Ok(answer),
                // Time and again: what had not begun yet was not interrupted.
                Err(RecvTimeoutError::Timeout) if is_cancelled() => {
                    interrupts.iter().for_each(InterruptHandle::interrupt);
                }
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match working.join() {
            Err(panic) => panic::resume_unwind(panic),
            Ok(()) => Err(RestoreError::Cancelled),
        }
    })
}
