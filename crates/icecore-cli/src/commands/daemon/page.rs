//! What Prometheus fetches: one page over HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long one client may take: the next one waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// No longer request is read.
const REQUEST_LEN_MAX: usize = 8 << 10;
/// Lines of a request that are understood.
const HEADERS_MAX: usize = 64;

/// The page, as it was last put there. Clones are the same page.
#[derive(Debug, Clone, Default)]
pub(super) struct Page(Arc<Mutex<String>>);

impl Page {
    /// Puts a text there.
    pub(super) fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Serves it at `/metrics` from now on, to one client after the other. Returns where.
    pub(super) fn serve(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let page = self.clone();
        let serve = move || {
            for client in listener.incoming() {
                match client {
                    // One that goes away, or says nothing, has no answer.
                    Ok(client) => page.answer(client).unwrap_or_default(),
                    // No more files, say: trying at once would only burn time.
                    Err(_) => thread::sleep(PATIENCE),
                }
            }
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        Ok(address)
    }

    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        client.set_write_timeout(Some(PATIENCE))?;
        let request = read_request(&mut client, deadline)?;
        let wants_head = request.as_ref().is_some_and(|(method, _)| method == "HEAD");
        let (status, body) = match request {
            Some((method, _)) if method != "GET" && method != "HEAD" => {
                ("405 Method Not Allowed", "only GET is answered\n".to_owned())
            }
            Some((_, path)) if path == "/metrics" => {
                ("200 OK", self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
            }
            Some(_) => ("404 Not Found", "what there is, is at /metrics\n".to_owned()),
            None => ("400 Bad Request", "that was not understood\n".to_owned()),
        };
        let len = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
        );
        client.write_all(head.as_bytes())?;
        // Whoever asks for the head alone would take the body for the next answer.
        if wants_head { Ok(()) } else { client.write_all(body.as_bytes()) }
    }
}

/// The method and the path that are asked for; `None` if that is not HTTP, or too long.
fn read_request(client: &mut TcpStream, deadline: Instant) -> io::Result<Option<(String, String)>> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while request.len() < REQUEST_LEN_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        let n = client.read(&mut piece)?;
        request.extend_from_slice(piece.get(..n).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(&request) {
            Ok(httparse::Status::Complete(_)) => {
                let path = parsed.path.unwrap_or_default();
                let path = path.split('?').next().unwrap_or_default();
                return Ok(parsed.method.map(|method| (method.to_owned(), path.to_owned())));
            }
            Ok(httparse::Status::Partial) if n > 0 => (),
            _ => return Ok(None),
        }
    }
    Ok(None)
}
