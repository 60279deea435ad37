//! What `s3s_fs` leaves out of S3: that a condition and its put are one step, that a put with a wrong checksum leaves nothing, that a missing
//! bucket is no missing object, a list of unfinished uploads, and words for uploads and parts that are not there.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETagCondition,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, MultipartUpload,
    PutObjectInput, PutObjectOutput, Range, StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::RwLock;

/// What a server does with conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Manners {
    /// Keeps them.
    Keep,
    /// Says yes, and overwrites.
    Ignore,
    /// Looks first and writes a moment later, so that of two at once both may win.
    Race,
    /// Refuses requests that have them.
    Refuse,
}

/// All buckets of a server.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    shared: Arc<Shared>,
}

/// A bucket and a key.
type Place = (String, String);

#[derive(Debug)]
struct Shared {
    files: FileSystem,
    folder: PathBuf,
    manners: AtomicU8,
    /// Of each object that was asked for.
    locks: Mutex<HashMap<Place, Arc<RwLock<()>>>>,
    uploads: Mutex<BTreeMap<String, Upload>>,
}

#[derive(Debug, Clone)]
struct Upload {
    bucket: String,
    key: String,
    begun: SystemTime,
}

/// How long a careless server needs from looking to writing.
const RACE_WINDOW: Duration = Duration::from_millis(50);

impl Bucket {
    pub(super) fn new(files: FileSystem, folder: &Path) -> Self {
        let shared = Shared {
            files,
            folder: folder.to_owned(),
            manners: AtomicU8::new(Manners::Keep as u8),
            locks: Mutex::default(),
            uploads: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn behave(&self, manners: Manners) {
        self.shared.manners.store(manners as u8, Ordering::SeqCst);
    }

    pub(super) fn age_uploads(&self, by: Duration) {
        for upload in self.uploads().values_mut() {
            upload.begun -= by;
        }
    }

    pub(super) fn unfinished_uploads(&self) -> usize {
        self.uploads().len()
    }

    fn uploads(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.shared.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, manners: Manners) -> bool {
        self.shared.manners.load(Ordering::SeqCst) == manners as u8
    }

    fn lock(&self, bucket: &str, key: &str) -> Arc<RwLock<()>> {
        let mut locks = self.shared.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry((bucket.to_owned(), key.to_owned())).or_default())
    }

    fn path(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let folder = self.shared.folder.join(bucket);
        if !folder.is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(folder.join(key))
    }

    fn existing(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = self.path(bucket, key)?;
        if path.is_file() { Ok(path) } else { Err(s3_error!(NoSuchKey)) }
    }

    /// What the conditions of a put become before it takes effect.
    fn conditions(
        &self,
        path: &Path,
        absent: Option<ETagCondition>,
        same: Option<ETagCondition>,
    ) -> S3Result<(Option<ETagCondition>, Option<ETagCondition>)> {
        let is_conditional = absent.is_some() || same.is_some();
        if is_conditional && self.is(Manners::Refuse) {
            return Err(s3_error!(NotImplemented));
        }
        if self.is(Manners::Ignore) {
            return Ok((None, None));
        }
        if same.is_some() && !path.is_file() {
            return Err(s3_error!(NoSuchKey));
        }
        Ok((absent, same))
    }

    /// For a careless server: the conditions as they were found, and then a moment.
    async fn race(&self, path: &Path, absent: &mut Option<ETagCondition>) -> S3Result<()> {
        if self.is(Manners::Race) && absent.take().is_some() {
            if path.is_file() {
                return Err(s3_error!(PreconditionFailed));
            }
            tokio::time::sleep(RACE_WINDOW).await;
        }
        Ok(())
    }

    fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let is_known = |upload: &Upload| upload.bucket == bucket && upload.key == key;
        match self.uploads().get(id).is_some_and(is_known) {
            true => Ok(()),
            false => Err(s3_error!(NoSuchUpload)),
        }
    }
}

/// Reads a body to its end, for what is damaged on its way must not take effect.
async fn whole(body: Option<StreamingBlob>, md5: Option<&str>, len: Option<i64>) -> S3Result<Bytes> {
    let Some(body) = body else { return Err(s3_error!(IncompleteBody)) };
    let bytes = Body::from(body).collect().await.map_err(|_| s3_error!(IncompleteBody))?.to_bytes();
    if len.is_some_and(|len| usize::try_from(len) != Ok(bytes.len())) {
        return Err(s3_error!(IncompleteBody));
    }
    let Some(md5) = md5 else { return Err(s3_error!(InvalidRequest, "the tests want a Content-MD5")) };
    let mut hasher = Md5::new();
    hasher.update(&bytes);
    match aws_smithy_types::base64::encode(hasher.finalize()) == md5 {
        true => Ok(bytes),
        false => Err(s3_error!(BadDigest)),
    }
}

/// A part of a file, or all of it.
fn read(path: &Path, range: Option<Range>) -> S3Result<Bytes> {
    let missing = |_| s3_error!(NoSuchKey);
    let file = File::open(path).map_err(missing)?;
    let len = file.metadata().map_err(missing)?.len();
    let wanted = range.map_or(Ok(0..len), |range| range.check(len))?;
    let mut bytes = vec![0; usize::try_from(wanted.end - wanted.start).unwrap_or_default()];
    file.read_exact_at(&mut bytes, wanted.start).map_err(missing)?;
    Ok(Bytes::from(bytes))
}

fn blob(bytes: Bytes) -> StreamingBlob {
    StreamingBlob::from(Body::from(bytes))
}

#[async_trait::async_trait]
impl S3 for Bucket {
    async fn list_buckets(
        &self,
        req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.shared.files.list_buckets(req).await
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.shared.files.head_bucket(req).await
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.shared.files.list_objects_v2(req).await
    }

    async fn get_object(&self, mut req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let lock = self.lock(&bucket, &key);
        let _shared = lock.read().await;
        let path = self.existing(&bucket, &key)?;
        let condition = req.input.if_match.take();
        let range = req.input.range;
        let mut answer = self.shared.files.get_object(req).await?;
        if let (Some(ETagCondition::ETag(wanted)), Some(found)) = (&condition, &answer.output.e_tag)
            && !found.strong_cmp(wanted)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        // In one piece: the files come in pieces of 4 KiB, which would be what a measurement measures.
        let bytes = tokio::task::spawn_blocking(move || read(&path, range)).await;
        let bytes = bytes.map_err(|error| s3_error!(error, InternalError))??;
        answer.output.body = Some(blob(bytes));
        Ok(answer)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let lock = self.lock(&req.input.bucket, &req.input.key);
        let _shared = lock.read().await;
        self.existing(&req.input.bucket, &req.input.key)?;
        self.shared.files.head_object(req).await
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut req.input;
        let bytes = whole(input.body.take(), input.content_md5.as_deref(), input.content_length).await?;
        let path = self.path(&input.bucket, &input.key)?;
        self.race(&path, &mut input.if_none_match).await?;
        let lock = self.lock(&input.bucket, &input.key);
        let _alone = lock.write().await;
        (input.if_none_match, input.if_match) =
            self.conditions(&path, input.if_none_match.take(), input.if_match.take())?;
        input.body = Some(blob(bytes));
        // All there are of these; the bucket of a real provider knows more.
        input.storage_class = None;
        self.shared.files.put_object(req).await
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let lock = self.lock(&req.input.bucket, &req.input.key);
        let _alone = lock.write().await;
        self.shared.files.delete_object(req).await
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.path(&req.input.bucket, "")?;
        if !req.headers.contains_key("content-md5") {
            return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5"));
        }
        self.shared.files.delete_objects(req).await
    }

    async fn create_multipart_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        self.path(&bucket, &key)?;
        req.input.storage_class = None;
        let answer = self.shared.files.create_multipart_upload(req).await?;
        let id = answer.output.upload_id.clone().unwrap_or_default();
        self.uploads().insert(id, Upload { bucket, key, begun: SystemTime::now() });
        Ok(answer)
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = &mut req.input;
        let bytes = whole(input.body.take(), input.content_md5.as_deref(), input.content_length).await?;
        self.upload(&input.bucket, &input.key, &input.upload_id)?;
        input.body = Some(blob(bytes));
        self.shared.files.upload_part(req).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.upload(&req.input.bucket, &req.input.key, &req.input.upload_id)?;
        self.shared.files.list_parts(req).await
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = &mut req.input;
        let id = input.upload_id.clone();
        let path = self.path(&input.bucket, &input.key)?;
        let lock = self.lock(&input.bucket, &input.key);
        let _alone = lock.write().await;
        self.upload(&input.bucket, &input.key, &id)?;
        (input.if_none_match, input.if_match) =
            self.conditions(&path, input.if_none_match.take(), input.if_match.take())?;
        let parts = input.multipart_upload.iter().flat_map(|upload| upload.parts.iter().flatten());
        for number in parts.filter_map(|part| part.part_number) {
            if !self.shared.folder.join(format!(".upload_id-{id}.part-{number}")).is_file() {
                return Err(s3_error!(InvalidPart));
            }
        }
        let answer = self.shared.files.complete_multipart_upload(req).await?;
        self.uploads().remove(&id);
        Ok(answer)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.upload(&req.input.bucket, &req.input.key, &req.input.upload_id)?;
        self.uploads().remove(&req.input.upload_id);
        self.shared.files.abort_multipart_upload(req).await
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        let bucket = input.bucket;
        self.path(&bucket, "")?;
        let prefix = input.prefix.unwrap_or_default();
        let all = self.uploads().clone();
        let ours =
            all.into_iter().filter(|(_, upload)| upload.bucket == bucket && upload.key.starts_with(&prefix));
        let uploads = ours.map(|(id, upload)| MultipartUpload {
            upload_id: Some(id),
            key: Some(upload.key),
            initiated: Some(Timestamp::from(upload.begun)),
            ..MultipartUpload::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            is_truncated: Some(false),
            uploads: Some(uploads.collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}
