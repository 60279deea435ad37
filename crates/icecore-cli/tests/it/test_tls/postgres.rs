//! A PostgreSQL server that insists on TLS, or has none.

use std::fs;
use std::path::Path;

use icecore_testkit::certificates::{Authority, Identity};
use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use crate::support::{Said, TestEnv, assert_same};

/// Who comes over TCP must come by TLS, for base backups too.
const BY_TLS_ONLY: &str = "local all all trust\nlocal replication all trust\n\
    hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl replication all 127.0.0.1/32 scram-sha-256\n";

/// A server with a database that has everything, and that lets in who these lines say.
fn server(authority: &Authority, identity: &Identity, lets_in: &str) -> PostgresServer {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", EVERYTHING);
    let settings = [("ssl_cert_file", &identity.cert), ("ssl_key_file", &identity.key)];
    for (setting, path) in settings.into_iter().chain([("ssl_ca_file", &authority.cert())]) {
        server.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
    }
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    lets_in_only(&server, lets_in);
    server
}

fn lets_in_only(server: &PostgresServer, lines: &str) {
    fs::write(server.data_dir().join("pg_hba.conf"), lines).unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()");
    // The next session may begin before the postmaster has read its files.
    std::thread::sleep(std::time::Duration::from_millis(200));
}

/// The database as `host` knows the server, with this behind it.
fn url(server: &PostgresServer, host: &str, database: &str, query: &str) -> String {
    format!("postgres://postgres@{host}:{}/{database}?{query}", server.port())
}

fn run(env: &TestEnv, server: &PostgresServer, arguments: &[&str]) -> Said {
    Said::of(env.command(arguments).env("PGPASSWORD", server.password()))
}

fn trusting(path: &Path, mode: &str) -> String {
    format!("sslmode={mode}&sslrootcert={}", path.display())
}

#[test]
fn everything_goes_by_tls_where_the_server_wants_it() {
    let authority = Authority::new();
    let server = server(&authority, &authority.server("DNS:localhost,IP:127.0.0.1"), BY_TLS_ONLY);
    let env = TestEnv::new();
    let captured = server.dump("shop", &[]);
    let queries = [String::new(), "sslmode=require".to_owned(), trusting(&authority.cert(), "verify-ca")];
    for query in &queries {
        run(&env, &server, &["create", &url(&server, "127.0.0.1", "shop", query)]).ok();
    }
    let strict = trusting(&authority.cert(), "verify-full") + "&channel_binding=require";
    run(&env, &server, &["create", &url(&server, "localhost", "shop", &strict)]).ok();
    for host in ["localhost", "127.0.0.1"] {
        let copy = url(&server, host, "copy", &strict);
        run(&env, &server, &["restore", "shop", "--to", &copy, "--yes"]).ok();
        assert_same(&captured, &server.dump("copy", &[]));
        // A check is a program of its own, which finds the server too.
        let check = "!psql -qtc 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()' | grep t";
        run(&env, &server, &["restore", "shop", "--to", &copy, "--yes", "--check", check]).ok();
    }
    // To where it came from, as it came; and back.
    run(&env, &server, &["restore", "shop", "--yes"]).ok();
    run(&env, &server, &["rollback", &url(&server, "localhost", "shop", &strict), "--yes"]).ok();
    let table = ["restore", "shop", "--table", "fruit", "--yes"];
    server.sql("shop", "CREATE TABLE fruit AS SELECT 'apple' AS name");
    run(&env, &server, &["create", &url(&server, "localhost", "shop", &strict)]).ok();
    run(&env, &server, &table).ok();
    run(&env, &server, &["create", &url(&server, "127.0.0.1", "shop", &strict), "--physical"]).ok();
}

#[test]
fn who_the_server_is_decides_as_psql_would() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = server(&authority, &authority.server("DNS:db.example"), BY_TLS_ONLY);
    let env = TestEnv::new();
    let create = |query: &str| run(&env, &server, &["create", &url(&server, "127.0.0.1", "shop", query)]);
    let ours = authority.cert();
    // Whoever it is; or whom the authority knows, whatever it is called.
    create("sslmode=require").ok();
    create(&trusting(&ours, "verify-ca")).ok();
    create(&trusting(&ours, "require")).ok();
    let said = create(&trusting(&ours, "verify-full")).fails(14);
    assert!(said.contains("is for db.example, not for 127.0.0.1"), "{said}");
    assert!(said.contains("sslmode=verify-ca") && said.contains(&server.port().to_string()), "{said}");
    for mode in ["require", "verify-ca", "verify-full"] {
        let said = create(&trusting(&stranger.cert(), mode)).fails(14);
        assert!(said.contains("signed by nobody who is trusted") && said.contains("sslrootcert"), "{said}");
    }
    let said = create("sslmode=verify-full&sslrootcert=system").fails(14);
    assert!(said.contains("signed by nobody") || said.contains("ca-certificates"), "{said}");
    let said = create("sslmode=verify-full").fails(14);
    assert!(said.contains("sslrootcert=system"), "{said}");
    let said = create("sslmode=verify-ca&sslrootcert=/nothing").fails(14);
    assert!(said.contains("/nothing"), "{said}");
    let said = create("sslmode=disable").fails(14);
    assert!(said.contains("no encryption") && said.contains("sslmode=require"), "{said}");
    // What lies where psql looks for it is heeded.
    fs::create_dir(env.path(".postgresql")).unwrap();
    fs::copy(stranger.cert(), env.path(".postgresql/root.crt")).unwrap();
    assert!(create("sslmode=require").fails(14).contains("signed by nobody"));
    fs::copy(&ours, env.path(".postgresql/root.crt")).unwrap();
    create("sslmode=verify-ca").ok();
}

#[test]
fn tls_that_is_asked_for_is_not_left_out() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let create = |query: &str| run(&env, &server, &["create", &url(&server, "127.0.0.1", "postgres", query)]);
    let said = create("sslmode=require").fails(14);
    assert!(said.contains("it speaks no TLS") && said.contains("sslmode=prefer"), "{said}");
    create("sslmode=prefer").ok();
    let said = Said::of(env.command(&["create", &server.tcp_url("postgres")]).env("PGSSLMODE", "require"));
    assert!(said.fails(14).contains("speaks no TLS"));
    let said = Said::of(env.command(&["create", &server.tcp_url("postgres")]).env("PGSSLMODE", "always"));
    let said = said.fails(2);
    assert!(said.contains("PGSSLMODE cannot be \"always\"") && said.contains("verify-full"), "{said}");
    // No socket speaks TLS, and nobody reads it.
    Said::of(env.command(&["create", &server.url("postgres")]).env("PGSSLMODE", "verify-full")).ok();
}

#[test]
fn a_server_that_signed_its_certificate_itself_is_known_by_it() {
    let authority = Authority::new();
    let own = authority.self_signed_server("IP:127.0.0.1");
    let server = server(&authority, &own, BY_TLS_ONLY);
    let env = TestEnv::new();
    let create = |query: &str| run(&env, &server, &["create", &url(&server, "127.0.0.1", "shop", query)]);
    create(&trusting(&own.cert, "verify-full")).ok();
    let said = create(&trusting(&authority.cert(), "verify-ca")).fails(14);
    assert!(said.contains("sslrootcert"), "{said}");
    // Not any longer than it is valid.
    authority.expire(&own);
    server.sql("postgres", "SELECT pg_reload_conf()");
    std::thread::sleep(std::time::Duration::from_millis(200));
    let said = create(&trusting(&own.cert, "verify-full")).fails(14);
    assert!(said.contains("has expired"), "{said}");
    create("sslmode=require").ok();
}

#[test]
fn tls_that_is_only_preferred_may_be_left_out() {
    let authority = Authority::new();
    let never = "local all all trust\nhostnossl all all 127.0.0.1/32 scram-sha-256\n";
    let server = server(&authority, &authority.server("DNS:db.example"), never);
    let env = TestEnv::new();
    run(&env, &server, &["create", &url(&server, "127.0.0.1", "shop", "sslmode=prefer")]).ok();
    run(&env, &server, &["create", &url(&server, "127.0.0.1", "shop", "sslmode=require")]).fails(14);
}

#[test]
fn a_certificate_of_our_own_lets_us_in_and_where_it_lies_is_in_no_snapshot() {
    let authority = Authority::new();
    let by_certificate = "local all all trust\nhostssl all all 127.0.0.1/32 cert\n";
    let server = server(&authority, &authority.server("IP:127.0.0.1"), by_certificate);
    let Identity { cert, key } = authority.client("postgres");
    let env = TestEnv::bare();
    env.write("ca.pem", fs::read(authority.cert()).unwrap());
    let port = server.port();
    env.write(
        "icecore.toml",
        format!(
            "[services.shop]\nengine = 'postgres'\nhost = '127.0.0.1'\nport = {port}\nuser = 'postgres'\ndatabase = 'shop'\n\
             tls = 'verify-full'\ntls_ca = 'ca.pem'\ntls_cert = {cert:?}\ntls_key = {key:?}\n"
        ),
    );
    env.ok(&["init"]);
    env.ok(&["create", "shop"]);
    let info = env.json(&["show", "shop"]);
    let origin = info["origin"].as_str().unwrap();
    assert!(origin.contains("sslmode=verify-full") && origin.contains("ca.pem"), "{origin}");
    assert!(!origin.contains("client"), "{origin}");
    assert_eq!(
        env.ok(&["psql", "shop", "--", "-Atc", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]),
        "t\n"
    );
    let without = url(&server, "127.0.0.1", "shop", &trusting(&authority.cert(), "verify-full"));
    let said = env.fails(14, &["create", &without]);
    assert!(said.contains("certificate"), "{said}");
    let with = format!("{without}&sslcert={}&sslkey={}", cert.display(), key.display());
    env.ok(&["create", &with]);
    let said = env.fails(14, &["create", &format!("{without}&sslcert={}&sslkey=/nothing", cert.display())]);
    assert!(said.contains("sslkey cannot be read from /nothing"), "{said}");
}
