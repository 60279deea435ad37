//! Who hears of a night over HTTP.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use icecore_testkit::certificates::Identity;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What was posted: where to, and what.
pub(crate) type Posts = Arc<Mutex<Vec<(String, String)>>>;

/// A web server that lives as long as the test. Answers with what `status` says of a path and of how often it was asked for.
pub(crate) fn listen(tls: Option<&Identity>, status: fn(&str, usize) -> u16) -> (u16, Posts) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let posts = Posts::default();
    let tls = tls.map(|identity| {
        let chain = CertificateDer::pem_file_iter(&identity.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap())
    });
    let heard = Arc::clone(&posts);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            match &tls {
                None => answer(socket, &heard, status),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    answer(StreamOwned::new(connection, socket), &heard, status);
                }
            }
        }
    });
    (port, posts)
}

/// A web server that does not let anybody through: it closes, or says this first. Returns how often it was called, too.
pub(crate) fn refuse(says: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, calls) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let called = Arc::clone(&calls);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            called.fetch_add(1, Ordering::SeqCst);
            let mut reader = BufReader::new(socket);
            let mut request = String::new();
            while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
            reader.get_mut().write_all(says.as_bytes()).unwrap();
        }
    });
    (port, calls)
}

fn answer(stream: impl Read + Write, posts: &Posts, status: fn(&str, usize) -> u16) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    // A handshake that failed is none of our business: the other side tells.
    while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
    let Some(path) = request.strip_prefix("POST ").and_then(|rest| rest.split(' ').next()) else { return };
    let header = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned);
    let length = request.lines().find_map(header).unwrap_or_default().parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut posts = posts.lock().unwrap();
    let times = posts.iter().filter(|(known, _)| known == path).count();
    posts.push((path.to_owned(), String::from_utf8(body).unwrap()));
    let answer =
        format!("HTTP/1.1 {} Well\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status(path, times));
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
    reader.get_mut().flush().unwrap();
}

/// What was posted since somebody asked.
pub(crate) fn drain(posts: &Posts) -> Vec<(String, String)> {
    posts.lock().unwrap().drain(..).collect()
}

/// Where to.
pub(crate) fn paths(posts: &Posts) -> Vec<String> {
    drain(posts).into_iter().map(|(path, _)| path).collect()
}
