//! A Redis server that listens by TLS.

use std::path::Path;

use icecore_testkit::certificates::{Authority, Identity};
use icecore_testkit::postgres::free_port;

use crate::support::TestEnv;
use crate::test_redis::{Redis, filled};

/// A server with some data, and the port where it speaks TLS.
fn server(authority: &Authority, identity: &Identity) -> (Redis, u16) {
    let (redis, port) = (filled(), free_port());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let settings = [
        ("tls-cert-file", text(&identity.cert)),
        ("tls-key-file", text(&identity.key)),
        ("tls-ca-cert-file", text(&authority.cert())),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-port", port.to_string()),
    ];
    let settings = settings.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    redis.ask(&["CONFIG", "SET"].into_iter().chain(settings).collect::<Vec<_>>());
    (redis, port)
}

#[test]
fn all_data_come_by_tls_and_go_back() {
    let authority = Authority::new();
    let (redis, port) = server(&authority, &authority.server("DNS:localhost,IP:127.0.0.1"));
    let captured = redis.digest();
    let env = TestEnv::new();
    let by_name = format!("rediss://localhost:{port}?cacert={}", authority.cert().display());
    let by_number = format!("rediss://127.0.0.1:{port}?verifyPeer=CA&cacert={}", authority.cert().display());
    for url in [&by_name, &by_number, &format!("rediss://127.0.0.1:{port}?verifyPeer=NONE")] {
        env.ok(&["create", url, "--name", "cache"]);
        redis.ask(&["FLUSHALL"]);
        redis.ask(&["SET", "later", "1"]);
        let later = redis.digest();
        let restored = env.run(&["restore", "cache", "--yes"]);
        assert!(restored.stderr.contains("without TLS"), "{}", restored.stderr);
        restored.ok();
        assert_eq!(redis.digest(), captured, "{url}");
        env.ok(&["rollback", url, "--yes"]);
        assert_eq!(redis.digest(), later, "{url}");
        env.ok(&["restore", "cache", "--yes"]);
    }
    let service = format!(
        "[services.cache]\nengine = 'redis'\nhost = 'localhost'\nport = {port}\ntls_ca = {:?}\n",
        authority.cert()
    );
    env.write("icecore.toml", &service);
    env.ok(&["create", "cache"]);
    assert_eq!(env.ok(&["redis-cli", "cache", "--", "PING"]).trim(), "PONG");
    redis.ask(&["CONFIG", "SET", "tls-replication", "yes"]);
    let said = env.fails(15, &["restore", "cache", "--yes"]);
    assert!(said.contains("tls-replication no"), "{said}");
    assert_eq!(redis.digest(), captured);
    env.write("icecore.toml", service + "tls = 'prefer'\n");
    assert!(env.fails(2, &["create", "cache"]).contains("preferred"));
}

#[test]
fn who_the_server_is_decides() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (redis, port) = server(&authority, &authority.server("DNS:db.example"));
    let env = TestEnv::new();
    let url = |query: String| format!("rediss://127.0.0.1:{port}{query}");
    let fails = |query: String| env.fails(14, &["create", &url(query)]);
    let said = fails(format!("?cacert={}", authority.cert().display()));
    assert!(
        said.contains("is for db.example, not for 127.0.0.1") && said.contains("verifyPeer=CA"),
        "{said}"
    );
    let said = fails(format!("?verifyPeer=CA&cacert={}", stranger.cert().display()));
    assert!(said.contains("signed by nobody who is trusted") && said.contains("cacert"), "{said}");
    let said = fails(String::new());
    assert!(said.contains("signed by nobody") || said.contains("ca-certificates"), "{said}");
    // Where the other side of TLS does not speak it.
    let said = env.fails(14, &["create", &format!("redis://127.0.0.1:{port}")]);
    assert!(said.contains("rediss://"), "{said}");
    let plain = free_port();
    redis.ask(&["CONFIG", "SET", "port", &plain.to_string()]);
    let said = env.fails(14, &["create", &format!("rediss://127.0.0.1:{plain}")]);
    assert!(said.contains("is TLS spoken at this port?"), "{said}");
    // A server that wants a certificate of ours.
    redis.ask(&["CONFIG", "SET", "tls-auth-clients", "yes"]);
    let trusted = format!("?verifyPeer=CA&cacert={}", authority.cert().display());
    let said = fails(trusted.clone());
    assert!(said.contains("certificate, by cert"), "{said}");
    let Identity { cert, key } = authority.client("backup");
    env.ok(&["create", &url(format!("{trusted}&cert={}&key={}", cert.display(), key.display()))]);
}
