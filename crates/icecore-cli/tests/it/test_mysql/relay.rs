//! A server behind somebody who reads what it is told, holds back one answer, and hangs up for good: so a program dies right after a statement.

use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use icecore_engine::mysql::Endpoint;
use icecore_testkit::mariadb::MariaDbServer;
use tempfile::TempDir;

/// Whether a statement is the last one that is carried out.
type IsLast = Box<dyn FnMut(&str) -> bool + Send>;

/// It lives as long as this does.
pub(super) struct Relay {
    folder: TempDir,
    line: Arc<Line>,
}

struct Line {
    server: PathBuf,
    is_last: Mutex<IsLast>,
    /// The last statement was carried out, and nobody was told.
    is_reached: AtomicBool,
    is_over: AtomicBool,
    streams: Mutex<Vec<UnixStream>>,
}

impl Relay {
    pub(super) fn to(server: &MariaDbServer, is_last: impl FnMut(&str) -> bool + Send + 'static) -> Self {
        let folder = TempDir::new_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let line = Arc::new(Line {
            server: server.socket(),
            is_last: Mutex::new(Box::new(is_last)),
            is_reached: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let answering = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming() {
                if answering.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let _ = client.and_then(|client| answering.connect(client));
            }
        });
        Self { folder, line }
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("mariadb://root@/{database}?socket={}", self.folder.path().join("socket").display())
    }

    pub(super) fn endpoint(&self, database: &str) -> Endpoint {
        Endpoint::parse(&self.url(database)).unwrap().unwrap()
    }

    /// Whether the last statement was carried out.
    pub(super) fn is_reached(&self) -> bool {
        self.line.is_reached.load(Ordering::SeqCst)
    }

    pub(super) fn hang_up(&self) {
        self.line.is_over.store(true, Ordering::SeqCst);
        self.break_off();
    }

    /// Hangs up, and answers whoever calls again.
    pub(super) fn break_off(&self) {
        for stream in self.line.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.hang_up();
        // Whoever waits for somebody to call stops to.
        let _ = UnixStream::connect(self.folder.path().join("socket"));
    }
}

impl Line {
    fn connect(self: &Arc<Self>, client: UnixStream) -> io::Result<()> {
        let server = UnixStream::connect(&self.server)?;
        let mut streams = self.streams.lock().unwrap();
        streams.extend([client.try_clone()?, server.try_clone()?]);
        drop(streams);
        let is_last = Arc::new(AtomicBool::new(false));
        let (ways, both) = ((client.try_clone()?, server.try_clone()?), (server, client));
        let (asking, flag) = (Arc::clone(self), Arc::clone(&is_last));
        thread::spawn(move || {
            let server = ways.1.try_clone();
            let _ = asking.ask(ways, &flag);
            // Who has gone is gone for the server too.
            let _ = server.and_then(|server| server.shutdown(Shutdown::Both));
        });
        let answering = Arc::clone(self);
        thread::spawn(move || {
            let _ = answering.answer(both, &is_last);
        });
        Ok(())
    }

    fn ask(&self, (mut client, mut server): (UnixStream, UnixStream), flag: &AtomicBool) -> io::Result<()> {
        loop {
            let mut head = [0; 4];
            client.read_exact(&mut head)?;
            let [a, b, c, sequence] = head;
            let mut packet = Vec::new();
            (&client).take(u64::from(u32::from_le_bytes([a, b, c, 0]))).read_to_end(&mut packet)?;
            if let (0, Some((3, statement))) = (sequence, packet.split_first()) {
                let is_last = self.is_last.lock().unwrap()(&String::from_utf8_lossy(statement));
                flag.store(is_last, Ordering::SeqCst);
            }
            server.write_all(&[&head, packet.as_slice()].concat())?;
        }
    }

    fn answer(
        &self,
        (mut server, mut client): (UnixStream, UnixStream),
        is_last: &AtomicBool,
    ) -> io::Result<()> {
        let mut bytes = [0; 1 << 14];
        loop {
            let len = server.read(&mut bytes)?;
            if len == 0 {
                return client.shutdown(Shutdown::Both);
            }
            if is_last.load(Ordering::SeqCst) {
                self.is_reached.store(true, Ordering::SeqCst);
                return Ok(());
            }
            client.write_all(bytes.get(..len).unwrap_or_default())?;
        }
    }
}
