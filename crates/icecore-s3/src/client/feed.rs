//! Bytes on their way to a connection.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use icecore_storage::{Moving, RateLimit};
use tokio::sync::mpsc;

use super::watch::{Watch, pay};

/// The pieces in which bytes go to a connection.
pub(super) const PIECE_LEN: usize = 128 << 10;
/// How many of them wait.
const PIECES_AHEAD: usize = 2;

/// Hands bytes to a connection, piece by piece.
pub(super) struct Feed {
    /// None if the body has them already.
    sender: Option<mpsc::Sender<Bytes>>,
}

impl Feed {
    /// A body of these bytes, and what hands them to it.
    pub(super) fn of(bytes: &[u8]) -> (ByteStream, Self) {
        if bytes.len() <= PIECE_LEN {
            return (ByteStream::from(Bytes::copy_from_slice(bytes)), Self { sender: None });
        }
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let pieces = Pieces { receiver, rest: bytes.len() as u64 };
        (ByteStream::new(SdkBody::from_body_1_x(pieces)), Self { sender: Some(sender) })
    }

    /// Does so until the request is answered, which may be before the last piece.
    pub(super) async fn during<T>(
        self,
        bytes: &[u8],
        watch: &Watch,
        limit: Option<&RateLimit>,
        moving: &Moving<'_>,
        request: impl Future<Output = T>,
    ) -> T {
        if self.sender.is_none() {
            pay(limit, bytes.len(), watch).await;
        }
        let feed = async {
            if let Some(sender) = self.sender {
                for piece in bytes.chunks(PIECE_LEN) {
                    pay(limit, piece.len(), watch).await;
                    if sender.send(Bytes::copy_from_slice(piece)).await.is_err() {
                        break;
                    }
                    moving.add(piece.len());
                    watch.touch();
                }
            }
            // The body has ended; what is left is to wait for the answer.
            pending::<Infallible>().await
        };
        let mut feed = pin!(feed);
        let mut request = pin!(request);
        poll_fn(|context| {
            // It never ends by itself.
            let _ = feed.as_mut().poll(context);
            request.as_mut().poll(context)
        })
        .await
    }
}

/// A body that comes from a [`Feed`].
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    rest: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.receiver.poll_recv(context).map(|piece| {
            let piece = piece?;
            self.rest = self.rest.saturating_sub(piece.len() as u64);
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest)
    }
}
