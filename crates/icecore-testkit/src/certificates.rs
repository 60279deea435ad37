//! Certificates for one test: an authority's, and what it signs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

/// An authority that nobody knows, and a folder of what it has signed, which lives as long as this does.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

/// A certificate and the key to it, in files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key, which only its owner may read.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// If OpenSSL is not installed, as all methods do when something is wrong.
    pub fn new() -> Self {
        let folder = TempDir::new_in("/tmp").expect("room for certificates");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let authority = Self { folder };
        authority.sign("authority", &["-subj", "/CN=an authority for tests", "-days", "2"]);
        authority
    }

    /// The file with its own certificate.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// For a server that is called so: `DNS:db.example,IP:127.0.0.1`. Servers that root starts as nobody may read the key.
    pub fn server(&self, names: &str) -> Identity {
        let names = format!("subjectAltName={names}");
        for_servers(self.issue("server", &["-subj", "/CN=a server", "-addext", &names, "-days", "1"]))
    }

    /// For a server that has signed its certificate itself.
    pub fn self_signed_server(&self, names: &str) -> Identity {
        let names = format!("subjectAltName={names}");
        for_servers(self.sign("self", &["-subj", "/CN=a server", "-addext", &names, "-days", "1"]))
    }

    /// Makes a certificate that was self-signed one that was valid until yesterday.
    pub fn expire(&self, Identity { cert, key }: &Identity) {
        let expired = self.folder.path().join("expired.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-days", "-1", "-in"]).arg(cert).arg("-key").arg(key).arg("-out").arg(&expired);
        run(&mut openssl);
        fs::rename(expired, cert).expect("it is ours");
    }

    /// For a user of this name.
    pub fn client(&self, user: &str) -> Identity {
        self.issue("client", &["-subj", &format!("/CN={user}"), "-days", "1"])
    }

    fn issue(&self, name: &str, options: &[&str]) -> Identity {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let (cert, key) = (file("authority.pem"), file("authority.key"));
        let by = ["-CA", &cert, "-CAkey", &key, "-addext", "basicConstraints=critical,CA:FALSE"];
        self.sign(name, &[options, &by].concat())
    }

    fn sign(&self, name: &str, options: &[&str]) -> Identity {
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        let identity = Identity { cert: file("pem"), key: file("key") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(options).arg("-out").arg(&identity.cert).arg("-keyout").arg(&identity.key);
        run(&mut openssl);
        identity
    }
}

fn for_servers(identity: Identity) -> Identity {
    if geteuid().is_root() {
        chown(&identity.key, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    identity
}

fn run(openssl: &mut Command) {
    let output = openssl.output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
