//! The SDK's client, and the runtime that drives it. Nothing is asynchronous but this module.
//!
//! Each method makes one request, once, and blocks. The caller's thread waits for the answer, and looks every 100 ms whether the user wants to
//! stop and whether anything has moved; two threads of the runtime serve the connections. Bytes to be sent stay where they are: they go to
//! the connection in small pieces. What is received is gathered once.

mod feed;
mod watch;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier, ServerSideEncryption, StorageClass,
};
use bytes::BytesMut;
use icecore_storage::{Limits, Traffic};
use md5::{Digest as _, Md5};
use tokio::runtime::Runtime;

use self::feed::{Feed, PIECE_LEN};
use self::watch::{Watch, pay};
use crate::cause::Cause;
use crate::failure::{chain, of_sdk};
use crate::location::S3Location;
use crate::options::{self, Encryption, Endpoint, S3Options};
use crate::setup;
use crate::spare::Spare;

/// How long may be spent on leaving nothing behind.
const CLEANUP_MAX: Duration = Duration::from_secs(10);
/// The same once the user wants to stop: less than he is made to wait at most.
const HASTY_CLEANUP_MAX: Duration = Duration::from_secs(2);
/// How much room is made for an object before its bytes arrive, whatever the server says of its length.
const ROOM_MAX: u64 = 64 << 20;
/// No object is longer: packs, which are the longest, end soon after 32 MiB.
const WHOLE_LEN_MAX: u64 = 1 << 30;
const HALF_A_PAGE: &str = "the server lists objects without their keys or lengths";
/// What is not listed would be taken for deleted.
const HALF_A_LIST: &str =
    "the server lists a part of the objects, and does not say how to ask for the others";
const NO_LENGTH: &str = "the server does not say how long the object is";
/// Where a put says which one it is: its maker finds out by it whether it took effect.
const MARK: &str = "icecore-put";

/// A bucket, and how it is spoken to.
pub(crate) struct Client {
    /// Taken only when the client is dropped.
    runtime: Option<Runtime>,
    s3: aws_sdk_s3::Client,
    bucket: String,
    /// The store's place, as it is told.
    place: String,
    endpoint: Option<Endpoint>,
    storage_class: Option<StorageClass>,
    encryption: Option<ServerSideEncryption>,
    kms_key: Option<String>,
    silence_max: Duration,
    limits: Limits,
    /// For objects that are read whole.
    pub(crate) spare: Arc<Spare>,
    interrupt: Arc<AtomicBool>,
    traffic: Arc<Traffic>,
    /// The server has said something that it would say only to us.
    is_heard: AtomicBool,
}

/// When a put may take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    /// In any case.
    Always,
    /// If there is no such object.
    Absent,
    /// If the object still has this tag.
    Tag(&'a str),
}

/// What has arrived of an object so far, and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(crate) bytes: BytesMut,
    pub(crate) tag: Option<String>,
    /// Its whole length.
    pub(crate) len: u64,
}

/// What is known of an object without its bytes.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) len: u64,
    pub(crate) tag: Option<String>,
    /// The put that made it.
    pub(crate) mark: Option<String>,
}

/// Keys with their lengths, and where the next page begins.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(String, u64)>,
    pub(crate) next: Option<String>,
}

/// An upload in parts that was neither completed nor given up.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) key: String,
    pub(crate) id: String,
    /// How long ago it was begun, by the server's clock; `None` if the server does not say.
    pub(crate) age: Option<Duration>,
}

/// Where the next page of unfinished uploads begins.
pub(crate) type UploadMarker = (Option<String>, Option<String>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Whatever still waits, for a name to be resolved perhaps, is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// Finds out where and who we are; asks the bucket nothing.
    pub(crate) fn new(location: &S3Location, options: &S3Options) -> Result<Self, Cause> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|error| Cause::Unusable(format!("cannot start threads: {error}")))?;
        let trust = setup::trust_store(options)?;
        let watch = Watch::new(options.silence_max, Some(Arc::clone(&options.interrupt)));
        let shared =
            runtime.block_on(watch.over(async { Ok(setup::loader(options, trust).load().await) }, || ()))?;
        let endpoint = setup::endpoint(options, &shared)?;
        let s3 = setup::client(options, &shared, endpoint.as_ref())?;
        let (encryption, kms_key) = match &options.encryption {
            None => (None, None),
            Some(Encryption::Aes256) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms { key }) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        };
        Ok(Self {
            runtime: Some(runtime),
            s3,
            bucket: location.bucket().to_owned(),
            place: location.to_string(),
            endpoint,
            storage_class: options.storage_class.as_ref().map(|class| StorageClass::from(class.as_str())),
            encryption,
            kms_key,
            silence_max: options.silence_max,
            limits: options.limits.clone(),
            spare: Arc::default(),
            interrupt: Arc::clone(&options.interrupt),
            traffic: Arc::clone(&options.traffic),
            is_heard: AtomicBool::new(false),
        })
    }

    /// The server, if it is not that of AWS.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// The flag that the user's wish to stop sets.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::SeqCst)
    }

    /// Appends to `partial` what it lacks of the object, or of `range` in it. What has arrived when the request fails stays there.
    pub(crate) fn get(
        &self,
        key: &str,
        range: Option<&Range<u64>>,
        partial: &mut Partial,
    ) -> Result<(), Cause> {
        let have = partial.bytes.len() as u64;
        let from = range.map_or(0, |range| range.start) + have;
        let wanted = match range {
            Some(range) => Some(format!("bytes={from}-{}", range.end - 1)),
            None if have > 0 => Some(format!("bytes={from}-")),
            None => None,
        };
        let end = range.map(|range| range.end);
        let watch = self.watch();
        let moving = self.traffic.request();
        moving.add(partial.bytes.len());
        let request = self
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_range(wanted.clone())
            // The rest of what has begun to arrive, not of what has taken its place since.
            .set_if_match(partial.tag.clone().filter(|_| have > 0));
        let answer = self.run(&watch, async {
            let answer = request.send().await.map_err(|error| of_sdk(&error))?;
            self.traffic.answer(&self.place);
            partial.tag = answer.e_tag;
            let body_len = answer.content_length.and_then(|len| u64::try_from(len).ok());
            let body_len = body_len.ok_or_else(|| Cause::Unusable(NO_LENGTH.to_owned()))?;
            let body_len_max = end.map_or(WHOLE_LEN_MAX.saturating_sub(have), |end| end - from);
            if body_len > body_len_max {
                let found =
                    format!("the server sends {body_len} bytes where {body_len_max} are expected at most");
                return Err(Cause::Unusable(found));
            }
            partial.len = match (&wanted, &answer.content_range) {
                (None, _) => body_len,
                (Some(_), Some(range)) => {
                    whole_len(range, from).ok_or_else(|| other_range(wanted.as_ref(), range))?
                }
                (Some(_), None) => return Err(other_range(wanted.as_ref(), "all of it")),
            };
            let room = usize::try_from(body_len.min(ROOM_MAX)).unwrap_or_default();
            if range.is_none() && have == 0 {
                partial.bytes = self.spare.take(room);
            }
            partial.bytes.reserve(room);
            let mut body = answer.body;
            loop {
                match body.try_next().await {
                    Ok(Some(piece)) => {
                        partial.bytes.extend_from_slice(&piece);
                        // Those of a connection may be long.
                        for piece in piece.chunks(PIECE_LEN) {
                            pay(self.limits.download.as_deref(), piece.len(), &watch).await;
                            moving.add(piece.len());
                        }
                    }
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(Cause::Broken(chain(&error))),
                }
                watch.touch();
            }
        });
        if have > 0 && matches!(answer, Err(Cause::Precondition | Cause::OutOfRange)) {
            *partial = Partial::default();
            return Err(Cause::Broken("the object was replaced while it was read".to_owned()));
        }
        answer
    }

    /// What is known of the object.
    pub(crate) fn head(&self, key: &str) -> Result<Head, Cause> {
        let request = self.s3.head_object().bucket(&self.bucket).key(key);
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        Ok(Head {
            len: u64::try_from(answer.content_length.unwrap_or_default()).unwrap_or_default(),
            tag: answer.e_tag,
            mark: answer.metadata.and_then(|mut metadata| metadata.remove(MARK)),
        })
    }

    /// Puts the object whole. The answer is its tag.
    pub(crate) fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: Condition<'_>,
        mark: Option<&str>,
    ) -> Result<Option<String>, Cause> {
        let (body, feed) = Feed::of(bytes);
        let request = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .content_md5(md5(bytes))
            .set_if_none_match(condition.absent())
            .set_if_match(condition.tag())
            .set_metadata(mark.map(|mark| [(MARK.to_owned(), mark.to_owned())].into()))
            .set_storage_class(self.class_for(bytes.len()))
            .set_server_side_encryption(self.encryption.clone())
            .set_ssekms_key_id(self.kms_key.clone())
            .body(body);
        let watch = self.watch();
        let answer = self.run(
            &watch,
            feed.during(bytes, &watch, self.limits.upload.as_deref(), &self.traffic.request(), async {
                request.send().await.map_err(|error| of_sdk(&error))
            }),
        )?;
        Ok(answer.e_tag)
    }

    /// A page of the objects whose keys start with `prefix`.
    pub(crate) fn list(&self, prefix: &str, from: Option<&str>, max: Option<i32>) -> Result<Page, Cause> {
        let request = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_max_keys(max)
            .set_continuation_token(from.map(str::to_owned));
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        let objects = answer.contents.unwrap_or_default().into_iter().map(|object| {
            let len = object.size.and_then(|len| u64::try_from(len).ok());
            object.key.zip(len).ok_or_else(|| Cause::Unusable(HALF_A_PAGE.to_owned()))
        });
        let objects = objects.collect::<Result<_, _>>()?;
        let more = answer.is_truncated.unwrap_or_default();
        let next = answer.next_continuation_token.filter(|_| more);
        if more && next.is_none() {
            return Err(Cause::Unusable(HALF_A_LIST.to_owned()));
        }
        Ok(Page { objects, next })
    }

    /// Removes the object, if it is there.
    pub(crate) fn delete(&self, key: &str) -> Result<(), Cause> {
        self.delete_watched(key, &self.watch())
    }

    /// The same even if the user wants to stop; not for long.
    pub(crate) fn delete_in_passing(&self, key: &str) -> Result<(), Cause> {
        self.delete_watched(key, &self.cleanup_watch())
    }

    fn delete_watched(&self, key: &str, watch: &Watch) -> Result<(), Cause> {
        let request = self.s3.delete_object().bucket(&self.bucket).key(key);
        self.run(watch, async { request.send().await.map_err(|error| of_sdk(&error)) }).map(drop)
    }

    /// Removes up to a thousand objects, as far as they are there. Those that stayed come with why.
    pub(crate) fn delete_many(&self, keys: &[String]) -> Result<Vec<(String, Cause)>, Cause> {
        let ids = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|error| Cause::Unusable(error.to_string()))?;
        let delete = Delete::builder().set_objects(Some(ids)).quiet(true).build();
        let delete = delete.map_err(|error| Cause::Unusable(error.to_string()))?;
        let request = self.s3.delete_objects().bucket(&self.bucket).delete(delete).customize();
        // The SDK sends a checksum that only recent servers know; the others insist on this one.
        let request = request.mutate_request(|request| {
            if let Some(md5) = request.body().bytes().map(md5) {
                request.headers_mut().insert("content-md5", md5);
            }
        });
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        let errors = answer.errors.unwrap_or_default().into_iter();
        let errors = errors.filter_map(|error| {
            let code = error.code.unwrap_or_default();
            // In this list there are no statuses.
            let status = if code == "AccessDenied" { 403 } else { 500 };
            let cause = Cause::of_answer(status, &code, &error.message.unwrap_or_default(), None);
            Some((error.key?, cause))
        });
        Ok(errors.filter(|(_, cause)| *cause != Cause::NotFound).collect())
    }

    /// Begins an upload in parts, and returns its id.
    pub(crate) fn begin_upload(&self, key: &str, len: usize, mark: &str) -> Result<String, Cause> {
        let request = self
            .s3
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .metadata(MARK, mark)
            .set_storage_class(self.class_for(len))
            .set_server_side_encryption(self.encryption.clone())
            .set_ssekms_key_id(self.kms_key.clone());
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        answer.upload_id.ok_or_else(|| Cause::Broken("the upload got no id".to_owned()))
    }

    /// Sends a part, whose number begins at 1, and returns its tag.
    pub(crate) fn put_part(&self, key: &str, id: &str, number: i32, bytes: &[u8]) -> Result<String, Cause> {
        let (body, feed) = Feed::of(bytes);
        let request = self
            .s3
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .content_md5(md5(bytes))
            .body(body);
        let watch = self.watch();
        let answer = self.run(
            &watch,
            feed.during(bytes, &watch, self.limits.upload.as_deref(), &self.traffic.request(), async {
                request.send().await.map_err(|error| of_sdk(&error))
            }),
        )?;
        answer.e_tag.ok_or_else(|| Cause::Broken("the part got no tag".to_owned()))
    }

    /// Makes an object of the parts, whose tags these are.
    pub(crate) fn complete_upload(
        &self,
        key: &str,
        id: &str,
        tags: &[String],
        condition: Condition<'_>,
    ) -> Result<Option<String>, Cause> {
        let parts = (1..)
            .zip(tags)
            .map(|(number, tag)| CompletedPart::builder().part_number(number).e_tag(tag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = self
            .s3
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(parts)
            .set_if_none_match(condition.absent())
            .set_if_match(condition.tag());
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        Ok(answer.e_tag)
    }

    /// Gives an upload up, even if the user wants to stop; not for long.
    pub(crate) fn abort_upload(&self, key: &str, id: &str) -> Result<(), Cause> {
        let request = self.s3.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        self.run(&self.cleanup_watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })
            .map(drop)
    }

    /// A page of the unfinished uploads of objects whose keys start with `prefix`.
    pub(crate) fn uploads(
        &self,
        prefix: &str,
        from: UploadMarker,
    ) -> Result<(Vec<Unfinished>, Option<UploadMarker>), Cause> {
        let date = AnswerDate::default();
        let request = self
            .s3
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_key_marker(from.0)
            .set_upload_id_marker(from.1)
            .customize()
            .interceptor(date.clone());
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        let now = date.get();
        let uploads = answer.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
            let age = now.zip(upload.initiated).map(|(now, begun)| now.saturating_sub(begun.secs()));
            let age = age.map(|secs| Duration::from_secs(u64::try_from(secs).unwrap_or_default()));
            Some(Unfinished { key: upload.key?, id: upload.upload_id?, age })
        });
        let more = answer.is_truncated.unwrap_or_default();
        let next = (answer.next_key_marker, answer.next_upload_id_marker);
        Ok((uploads.collect(), more.then_some(next)))
    }

    /// How many bytes of an upload have arrived, as far as one request tells.
    pub(crate) fn upload_len(&self, key: &str, id: &str) -> Result<u64, Cause> {
        let request = self.s3.list_parts().bucket(&self.bucket).key(key).upload_id(id);
        let answer =
            self.run(&self.watch(), async { request.send().await.map_err(|error| of_sdk(&error)) })?;
        let parts = answer.parts.unwrap_or_default().into_iter();
        Ok(parts.filter_map(|part| u64::try_from(part.size?).ok()).sum())
    }

    fn class_for(&self, len: usize) -> Option<StorageClass> {
        self.storage_class.clone().filter(|_| len >= options::StorageClass::LEN_MIN)
    }

    fn watch(&self) -> Watch {
        Watch::new(self.silence_max, Some(Arc::clone(&self.interrupt)))
    }

    fn cleanup_watch(&self) -> Watch {
        Watch::new(if self.is_interrupted() { HASTY_CLEANUP_MAX } else { CLEANUP_MAX }, None)
    }

    fn run<T>(&self, watch: &Watch, request: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        let runtime = self.runtime.as_ref().ok_or(Cause::Interrupted)?;
        let answer = runtime.block_on(watch.over(request, || self.traffic.no_answer(&self.place)));
        match &answer {
            Err(cause) if cause.is_transient() => self.traffic.no_answer(&self.place),
            // To be refused is an answer, too.
            _ => {
                self.traffic.answer(&self.place);
                self.is_heard.store(true, Ordering::Relaxed);
            }
        }
        answer.map_err(|cause| self.with_server(cause))
    }

    /// Who it was that could not be reached, or be trusted.
    fn with_server(&self, cause: Cause) -> Cause {
        let region = || self.s3.config().region().map_or("", |region| region.as_ref());
        let server =
            || self.endpoint.as_ref().map_or_else(|| format!("AWS in {}", region()), ToString::to_string);
        let is_open = self.endpoint.as_ref().is_some_and(|endpoint| !endpoint.is_private());
        match cause {
            // Some say nothing at all to those who come without TLS.
            Cause::Broken(why) if is_open && !self.is_heard.load(Ordering::Relaxed) => {
                Cause::Broken(format!("{why}, as by a server that wants https://"))
            }
            Cause::NoTls(_) => Cause::NoTls(server()),
            Cause::Unreachable(why) => Cause::Unreachable(format!("{}: {why}", server())),
            Cause::Untrusted(why) => Cause::Untrusted(format!("{}: {why}", server())),
            cause => cause,
        }
    }
}

impl Condition<'_> {
    fn absent(self) -> Option<String> {
        (self == Self::Absent).then(|| "*".to_owned())
    }

    fn tag(self) -> Option<String> {
        match self {
            Self::Tag(tag) => Some(tag.to_owned()),
            Self::Always | Self::Absent => None,
        }
    }
}

/// Keeps when the server answered.
#[derive(Debug, Clone, Default)]
struct AnswerDate(Arc<Mutex<Option<String>>>);

impl AnswerDate {
    /// In seconds since 1970.
    fn get(&self) -> Option<i64> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        DateTime::from_str(&text, DateTimeFormat::HttpDate).ok().map(|date| date.secs())
    }
}

impl Intercept for AnswerDate {
    fn name(&self) -> &'static str {
        "AnswerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

fn md5(bytes: &[u8]) -> String {
    aws_smithy_types::base64::encode(Md5::digest(bytes))
}

/// The whole object's length, if this `Content-Range` begins at `from`.
fn whole_len(range: &str, from: u64) -> Option<u64> {
    let (first, rest) = range.strip_prefix("bytes ")?.split_once('-')?;
    let (_, whole) = rest.split_once('/')?;
    (first.parse() == Ok(from)).then(|| whole.parse().ok())?
}

fn other_range(wanted: Option<&String>, found: &str) -> Cause {
    Cause::Unusable(format!("the server sends {found} when asked for {}", wanted.map_or("", String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_believed_only_where_it_begins_as_asked() {
        assert_eq!(whole_len("bytes 10-19/100", 10), Some(100));
        assert_eq!(whole_len("bytes 0-19/100", 10), None);
        for text in ["", "bytes */100", "bytes 10-19/*", "10-19/100"] {
            assert_eq!(whole_len(text, 10), None, "{text}");
        }
    }

    #[test]
    fn requests_can_be_made_from_any_thread() {
        fn check<T: Send + Sync>() {}
        check::<Client>();
    }
}
