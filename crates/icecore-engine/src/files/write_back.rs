//! Getting written bytes to the disk while more are being written, so that the sync at the end has little left to do.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// How much is written between two syncs.
const STEP: u64 = 8 << 20;

/// Syncs files in the background. Nothing is durable because of it; errors it meets are returned by `finish`, since the
/// kernel tells each only once.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    thread: Option<(SyncSender<File>, JoinHandle<io::Result<()>>)>,
    unsynced: u64,
}

impl WriteBack {
    /// Says that `bytes` were written to `file`.
    pub(super) fn wrote(&mut self, file: &File, bytes: u64) {
        self.unsynced += bytes;
        if self.unsynced < STEP {
            return;
        }
        if self.thread.is_none() {
            let (sender, receiver) = sync_channel(1);
            // Without a thread, the last sync does it all.
            let Ok(thread) = Builder::new().name("write-back".into()).spawn(move || sync_each(&receiver))
            else {
                return;
            };
            self.thread = Some((sender, thread));
        }
        let Some((sender, _)) = &self.thread else { return };
        // A thread that is busy will see these bytes with the next ones.
        if file.try_clone().is_ok_and(|file| sender.try_send(file).is_ok()) {
            self.unsynced = 0;
        }
    }

    /// Waits for the thread.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some((sender, thread)) = self.thread.take() else { return Ok(()) };
        drop(sender);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the write-back thread panicked")))
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn sync_each(files: &Receiver<File>) -> io::Result<()> {
    for file in files {
        file.sync_data()?;
    }
    Ok(())
}
