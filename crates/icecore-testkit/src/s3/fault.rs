//! What goes wrong with requests, and what was requested.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Request;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Call {
    /// Any of them; nothing that was requested is of this kind.
    Any,
    /// `GetObject`.
    Get,
    /// `HeadObject`.
    Head,
    /// `PutObject`.
    Put,
    /// `DeleteObject`.
    Delete,
    /// `ListObjectsV2`.
    List,
    /// `DeleteObjects`.
    DeleteMany,
    /// `CreateMultipartUpload`.
    BeginUpload,
    /// `UploadPart`.
    PutPart,
    /// `CompleteMultipartUpload`.
    CompleteUpload,
    /// `AbortMultipartUpload`.
    AbortUpload,
    /// `ListMultipartUploads`.
    ListUploads,
    /// `ListParts`.
    ListParts,
    /// Something else.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is closed instead of an answer; the request takes no effect.
    CutBefore,
    /// The same after so many bytes of the request's body.
    CutRequest(usize),
    /// The request takes effect; the connection is closed instead of an answer.
    DropAnswer,
    /// The request takes effect; the connection is closed after so many bytes of the answer's body.
    CutAnswer(usize),
    /// The request takes effect; the answer's body ends after so many bytes, as if that were all.
    Truncate(usize),
    /// The request takes effect; one bit of the answer's body is another, at this byte.
    Flip(usize),
    /// The request waits so long before it takes effect.
    Delay(Duration),
    /// There never is an answer; the request takes no effect.
    Stall,
    /// The request takes effect, but there never is an answer.
    StallAnswer,
    /// The answer is an error with this status and code; the request takes no effect.
    Answer(u16, &'static str),
    /// The same, although the request took effect.
    AnswerAfter(u16, &'static str),
    /// The answer is that of some other server on the way: this status and text, and nothing that S3 says.
    Page(u16, &'static str),
    /// The answer's body has no end, and does not say how long it is.
    Endless,
    /// The answer sends the client to this region.
    OtherRegion(&'static str),
}

/// Something that goes wrong with the requests to come.
#[derive(Debug, Clone, Copy)]
pub struct S3Fault {
    call: S3Call,
    key: &'static str,
    whole: bool,
    after: usize,
    times: usize,
    trouble: Trouble,
}

impl S3Fault {
    /// Hits the next request of this kind.
    pub fn new(call: S3Call, trouble: Trouble) -> Self {
        Self { call, key: "", whole: false, after: 0, times: 1, trouble }
    }

    /// Only requests about keys that contain this.
    #[must_use]
    pub fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// Only requests for objects from their beginning to their end.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Lets so many of them pass before.
    #[must_use]
    pub fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    /// Hits so many of them.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Hits all of them from then on.
    #[must_use]
    pub fn for_good(self) -> Self {
        self.times(usize::MAX)
    }
}

/// What was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Request {
    /// What kind of request it was.
    pub call: S3Call,
    /// The key that it was about, or the prefix of a listing.
    pub key: String,
    /// What it said of how it wants to be served, without who made it.
    pub headers: Vec<(String, String)>,
}

impl S3Request {
    /// What a header says, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let (method, uri) = (request.method(), request.uri());
        let path = uri.path().trim_start_matches('/');
        let (_bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = uri.query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
        };
        let has = |name: &str| value(name).is_some();
        let call = match (method.as_str(), key.is_empty()) {
            ("GET", true) if has("uploads") => S3Call::ListUploads,
            ("GET", true) if has("list-type") => S3Call::List,
            ("GET", false) if has("uploadId") => S3Call::ListParts,
            ("GET", false) => S3Call::Get,
            ("HEAD", false) => S3Call::Head,
            ("PUT", false) if has("partNumber") => S3Call::PutPart,
            ("PUT", false) => S3Call::Put,
            ("DELETE", false) if has("uploadId") => S3Call::AbortUpload,
            ("DELETE", false) => S3Call::Delete,
            ("POST", true) if has("delete") => S3Call::DeleteMany,
            ("POST", false) if has("uploads") => S3Call::BeginUpload,
            ("POST", false) if has("uploadId") => S3Call::CompleteUpload,
            _ => S3Call::Other,
        };
        let prefix = value("prefix").unwrap_or_default().replace("%2F", "/");
        let is_secret = |name: &str| ["authorization", "x-amz-security-token"].contains(&name);
        let headers = request.headers().iter().filter(|(name, _)| !is_secret(name.as_str()));
        let headers = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        let headers = headers.collect();
        Self { call, key: if key.is_empty() { prefix } else { key.to_owned() }, headers }
    }
}

/// Faults to come, and what came.
#[derive(Debug, Default)]
pub(super) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<S3Fault>,
    requests: Vec<S3Request>,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, fault: S3Fault) {
        self.state().faults.push(fault);
    }

    pub(super) fn clear(&self) -> usize {
        self.state().faults.drain(..).map(|fault| fault.times).fold(0, usize::saturating_add)
    }

    pub(super) fn take_requests(&self) -> Vec<S3Request> {
        std::mem::take(&mut self.state().requests)
    }

    /// Writes a request down, and says what goes wrong with it: the first fault that fits it.
    pub(super) fn meet(&self, request: S3Request) -> Option<Trouble> {
        let mut state = self.state();
        let fits = |fault: &S3Fault| {
            [S3Call::Any, request.call].contains(&fault.call)
                && request.key.contains(fault.key)
                && !(fault.whole && request.header("range").is_some())
        };
        let at = state.faults.iter().position(fits);
        state.requests.push(request);
        let fault = state.faults.get_mut(at?)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let trouble = fault.trouble;
        fault.times -= 1;
        if fault.times == 0 {
            state.faults.remove(at?);
        }
        Some(trouble)
    }
}
