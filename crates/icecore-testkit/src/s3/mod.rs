//! A server for S3 that a test has for itself, and everything that can go wrong on the way to it.
//!
//! The protocol and its signatures are those of [`s3s`], the objects are files that [`s3s_fs`] keeps ([`S3Server::folder`]). What `s3s_fs` leaves out
//! of S3, [`bucket`] adds. Each request passes a queue of [`S3Fault`]s and is written down ([`S3Server::take_requests`]).
//!
//! ```no_run
//! # use icecore_testkit::s3::{S3Call, S3Fault, S3Server, Trouble};
//! let server = S3Server::start();
//! server.create_bucket("backups");
//! // The second put takes effect, but nobody hears of it.
//! server.inject(S3Fault::new(S3Call::Put, Trouble::DropAnswer).after(1));
//! // Clients find it at `server.endpoint()`, with what `server.environment()` says.
//! ```

mod bucket;
mod fault;
mod serve;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use s3s::auth::{S3Auth, SecretKey};
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::certificates::Identity;

pub use bucket::Manners;
pub use fault::{S3Call, S3Fault, S3Request, Trouble};

use bucket::Bucket;
use fault::Faults;

/// What clients say they are.
const ACCESS_KEY: &str = "AKIDICECORETESTKIT00";
/// What proves it. It has characters that URLs escape.
const SECRET_KEY: &str = "a secret/of+the=testkit";

/// A server that lives as long as this does, on 127.0.0.1, with its objects in a folder of its own. Buckets are named in the path.
#[derive(Debug)]
pub struct S3Server {
    folder: TempDir,
    address: SocketAddr,
    is_private: bool,
    bucket: Bucket,
    faults: Arc<Faults>,
    runtime: Option<Runtime>,
}

/// Whom it knows.
struct OneUser;

#[async_trait::async_trait]
impl S3Auth for OneUser {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == ACCESS_KEY {
            Ok(SecretKey::from(SECRET_KEY))
        } else {
            Err(s3_error!(InvalidAccessKeyId))
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Default for S3Server {
    fn default() -> Self {
        Self::start()
    }
}

impl S3Server {
    /// A server without buckets.
    ///
    /// # Panics
    ///
    /// If it does not start, as all methods do when something is wrong.
    pub fn start() -> Self {
        Self::start_in(Path::new("/tmp"))
    }

    /// The same with its objects in a new folder below `dir`, which goes with the server.
    ///
    /// # Panics
    ///
    /// If nothing can be made there.
    pub fn start_in(dir: &Path) -> Self {
        Self::start_with(dir, None)
    }

    /// The same behind TLS.
    ///
    /// # Panics
    ///
    /// Also if the certificate cannot be used.
    pub fn start_with_tls(identity: &Identity) -> Self {
        Self::start_with(Path::new("/tmp"), Some(identity))
    }

    fn start_with(dir: &Path, identity: Option<&Identity>) -> Self {
        let folder = TempDir::new_in(dir).expect("room for objects");
        let files = FileSystem::new(folder.path()).expect("the folder is there");
        let bucket = Bucket::new(files, folder.path());
        let mut service = S3ServiceBuilder::new(bucket.clone());
        service.set_auth(OneUser);
        let faults = Arc::new(Faults::default());
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let runtime = threads.worker_threads(2).thread_name("s3-server").enable_all().build();
        let runtime = runtime.expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let tls = identity.map(serve::tls);
        runtime.spawn(serve::accept(listener, tls, service.build(), Arc::clone(&faults)));
        Self { folder, address, is_private: identity.is_some(), bucket, faults, runtime: Some(runtime) }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_private { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The access key that it knows.
    pub fn access_key(&self) -> &str {
        ACCESS_KEY
    }

    /// The secret key to it.
    pub fn secret_key(&self) -> &str {
        SECRET_KEY
    }

    /// What the environment of a program says that is a client of this server, all but the endpoint.
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Makes a bucket.
    ///
    /// # Panics
    ///
    /// If there is one of this name.
    pub fn create_bucket(&self, name: &str) {
        fs::create_dir(self.folder(name)).expect("a new bucket");
    }

    /// Where the bucket's objects are, as files that have their keys as paths.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: S3Fault) {
        self.faults.add(fault);
    }

    /// Lets nothing go wrong any more, and returns how often something still would have.
    pub fn heal(&self) -> usize {
        self.faults.clear()
    }

    /// The requests since the last time, in the order in which they came.
    pub fn take_requests(&self) -> Vec<S3Request> {
        self.faults.take_requests()
    }

    /// From now on treats conditions so.
    pub fn behave(&self, manners: Manners) {
        self.bucket.behave(manners);
    }

    /// Makes unfinished uploads that much older.
    pub fn age_uploads(&self, by: Duration) {
        self.bucket.age_uploads(by);
    }

    /// How many uploads in parts are unfinished.
    pub fn unfinished_uploads(&self) -> usize {
        self.bucket.unfinished_uploads()
    }
}
