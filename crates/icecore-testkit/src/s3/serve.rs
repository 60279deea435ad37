//! Connections, and what goes wrong on them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use s3s::Body;
use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

use super::fault::{Faults, S3Request, Trouble};
use crate::certificates::Identity;

/// How long a part of an answer has for leaving.
const FLUSH_TIME: Duration = Duration::from_millis(20);

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn tls(identity: &Identity) -> TlsAcceptor {
    let certs = CertificateDer::pem_file_iter(&identity.cert).expect("the certificate is there");
    let certs: Vec<_> = certs.collect::<Result<_, _>>().expect("the certificate is one");
    let key = PrivateKeyDer::from_pem_file(&identity.key).expect("the key is there");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("the provider knows them");
    let config = config.with_no_client_auth().with_single_cert(certs, key).expect("the key fits");
    TlsAcceptor::from(Arc::new(config))
}

pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S3Service,
    faults: Arc<Faults>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, service, faults) = (tls.clone(), service.clone(), Arc::clone(&faults));
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, service.clone(), Arc::clone(&faults)));
            // Connections that end in an error are what this server is for.
            match tls {
                None => drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
                    }
                }
            }
        });
    }
}

/// An error closes the connection.
async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    faults: Arc<Faults>,
) -> Result<Response<Body>, Failure> {
    let request = request.map(Body::from);
    let trouble = faults.meet(S3Request::of(&request));
    let is_a_page = matches!(trouble, Some(Trouble::Page(..)));
    let mut answer = match trouble {
        None => service.call(request).await?,
        Some(trouble) => meet(trouble, request, service).await?,
    };
    if !is_a_page {
        answer.headers_mut().insert("x-amz-request-id", HeaderValue::from_static("4442587FB7D0A2F9"));
    }
    Ok(answer)
}

async fn meet(
    trouble: Trouble,
    request: Request<Body>,
    service: S3Service,
) -> Result<Response<Body>, Failure> {
    match trouble {
        Trouble::Page(status, text) => {
            let is_head = request.method() == "HEAD";
            request.into_body().collect().await?;
            let body = if is_head { Body::empty() } else { Body::from(text.to_owned()) };
            Ok(Response::builder().status(status).header(CONTENT_TYPE, "text/plain").body(body)?)
        }
        Trouble::CutBefore => cut(),
        Trouble::CutRequest(len) => {
            let mut body = request.into_body();
            let mut read = 0;
            while read < len {
                let Some(frame) = body.frame().await else { break };
                read += frame?.data_ref().map_or(0, Bytes::len);
            }
            cut()
        }
        Trouble::DropAnswer => {
            whole(service.call(request).await?).await?;
            cut()
        }
        Trouble::CutAnswer(len) => {
            let (parts, body) = whole(service.call(request).await?).await?;
            let all = body.len() as u64;
            let first = Some(body.slice(..len.min(body.len())));
            let body = Cut { first, moment: Box::pin(tokio::time::sleep(FLUSH_TIME)), len: all };
            let mut answer = Response::from_parts(parts, Body::http_body(body));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(all));
            Ok(answer)
        }
        Trouble::Truncate(len) => {
            let (parts, body) = whole(service.call(request).await?).await?;
            let body = body.slice(..len.min(body.len()));
            let mut answer = Response::from_parts(parts, Body::empty());
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            *answer.body_mut() = Body::from(body);
            Ok(answer)
        }
        Trouble::Flip(at) => {
            let (parts, body) = whole(service.call(request).await?).await?;
            let mut body = body.to_vec();
            body.get_mut(at).into_iter().for_each(|byte| *byte ^= 4);
            let mut answer = Response::from_parts(parts, Body::empty());
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            *answer.body_mut() = Body::from(Bytes::from(body));
            Ok(answer)
        }
        Trouble::Delay(time) => {
            tokio::time::sleep(time).await;
            Ok(service.call(request).await?)
        }
        Trouble::Stall => std::future::pending().await,
        Trouble::StallAnswer => {
            whole(service.call(request).await?).await?;
            std::future::pending().await
        }
        Trouble::Answer(status, code) => {
            // Read to its end, as servers do that would go on with the connection.
            let is_head = request.method() == "HEAD";
            request.into_body().collect().await?;
            error(status, code, is_head)
        }
        Trouble::AnswerAfter(status, code) => {
            let is_head = request.method() == "HEAD";
            whole(service.call(request).await?).await?;
            error(status, code, is_head)
        }
        Trouble::Endless => Ok(Response::new(Body::http_body(Endless))),
        Trouble::OtherRegion(region) => {
            let is_head = request.method() == "HEAD";
            request.into_body().collect().await?;
            let mut answer = error(301, "PermanentRedirect", is_head)?;
            answer.headers_mut().insert("x-amz-bucket-region", HeaderValue::from_static(region));
            Ok(answer)
        }
    }
}

fn cut() -> Result<Response<Body>, Failure> {
    Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
}

/// The answer after everything that makes it has been done.
async fn whole(answer: Response<Body>) -> Result<(hyper::http::response::Parts, Bytes), Failure> {
    let (parts, body) = answer.into_parts();
    Ok((parts, body.collect().await?.to_bytes()))
}

fn error(status: u16, code: &str, is_head: bool) -> Result<Response<Body>, Failure> {
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>injected</Message></Error>"#
    );
    let body = if is_head { Body::empty() } else { Body::from(text) };
    Ok(Response::builder().status(status).header(CONTENT_TYPE, "application/xml").body(body)?)
}

/// A body that says it is longer than it becomes.
struct Cut {
    first: Option<Bytes>,
    /// What has not left by the time of an error never leaves.
    moment: Pin<Box<Sleep>>,
    len: u64,
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => {
                self.moment.as_mut().poll(context).map(|()| Some(Err(io::ErrorKind::ConnectionReset.into())))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}

/// A body that goes on for as long as somebody reads it.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 4096])))))
    }
}
