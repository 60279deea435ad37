//! How a server is found and let in, and connections that are cut.

use std::time::{Duration, Instant};

use icecore_testkit::postgres::PostgresServer;

use super::databases;
use crate::support::{Said, TestEnv};

#[test]
fn passwords_reach_the_server_and_nobody_else() {
    let env = TestEnv::new();
    let server = PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let url = server.tcp_url("shop");
    let said = env.fails(14, &["create", &url]);
    assert!(said.contains("by PGPASSWORD or ~/.pgpass"), "{said}");
    let mut command = env.command(&["create", &url]);
    let said = Said::of(command.env("PGPASSWORD", "wrong")).fails(14);
    assert!(
        said.contains("is it the right role, and the right password?") && !said.contains("wrong"),
        "{said}"
    );
    env.write("secret", format!("{}\nnot this\n", server.password()));
    let variants = [
        ("password_env = 'SHOP_PASSWORD'", true),
        ("password_file = 'secret'", true),
        ("password_command = ['cat', 'secret']", true),
        ("password_command = ['false']", false),
        ("password_env = 'NOT_SET'", false),
        ("password_file = 'not there'", false),
    ];
    for (line, works) in variants {
        env.write("icecore.toml", format!("[services.shop]\nurl = '{url}'\n{line}\n"));
        let mut command = env.command(&["-v", "create", "shop"]);
        let said = Said::of(command.env("SHOP_PASSWORD", server.password()));
        assert_eq!(said.status, if works { 0 } else { 2 }, "{line}: {}", said.stderr);
        assert!(
            !said.stderr.contains(server.password()) && !said.stderr.contains("not this"),
            "{}",
            said.stderr
        );
    }
    for path in env.files(".icecore") {
        let bytes = std::fs::read(path).unwrap();
        assert!(!bytes.windows(server.password().len()).any(|some| some == server.password().as_bytes()));
    }
    let shown = env.ok(&["show", "shop"]);
    assert!(!shown.contains(server.password()), "{shown}");
}

#[test]
fn config_check_tells_what_each_service_means() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    env.fails(10, &["config", "check"]);
    env.write("data.db", b"");
    let config = format!(
        "[services.shop]\nurl = '{}'\n[services.gone]\nurl = 'postgres://me@127.0.0.1:1/x'\n[services.data]\npath = 'data.db'\n
        [services.odd]\nengine = 'oracle'\n",
        server.url("postgres")
    );
    env.write("icecore.toml", config);
    let said = env.run(&["config", "check"]);
    assert_eq!(said.status, 3);
    let text = said.text();
    assert!(text.contains("answers, version 15") && text.contains("data.db"), "{text}");
    assert!(
        said.stderr.contains("does the server run") && said.stderr.contains("no engine \"oracle\""),
        "{}",
        said.stderr
    );
    env.ok(&["config", "check", "shop", "data"]);
    env.fails(10, &["config", "check", "nothing"]);
    env.write("elsewhere.toml", "[services.a]\npath = '.'\n");
    let checked = env.json(&["--config", "elsewhere.toml", "config", "check"]);
    assert_eq!(checked["services"][0]["name"], "a");
}

/// Passes everything on, until names change: that it sends, and cuts the connection before the answer.
fn cutting_proxy(port: u16) -> u16 {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut up, mut down) =
                ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
            std::thread::spawn(move || {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(len @ 1..) = up.0.read(&mut bytes) {
                    let is_last = bytes[..len].windows(9).any(|some| some == b"RENAME TO");
                    if is_last {
                        let _ = up.0.shutdown(Shutdown::Both);
                    }
                    if up.1.write_all(&bytes[..len]).is_err() || is_last {
                        // Long enough for the server to hear of it, and to do it.
                        std::thread::sleep(Duration::from_millis(500));
                        break;
                    }
                }
                let _ = up.1.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut down.0, &mut down.1);
                let _ = down.1.shutdown(Shutdown::Both);
            });
        }
    });
    own
}

/// A server that says `first`, and nothing more.
fn silent_server(first: &'static [u8]) -> u16 {
    use std::io::Write as _;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let clients = listener.incoming().map_while(Result::ok);
        // They stay open.
        let _open: Vec<_> = clients.inspect(|mut client| client.write_all(first).unwrap()).collect();
    });
    port
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let started = Instant::now();
    std::thread::scope(|scope| {
        // Nothing at all, or not a word of TLS once it was agreed on.
        for (first, how) in [(&b""[..], "disable"), (b"", "prefer"), (b"S", "prefer"), (b"S", "require")] {
            scope.spawn(move || {
                let env = TestEnv::new();
                let url = format!("postgres://me@127.0.0.1:{}/shop?sslmode={how}", silent_server(first));
                let said = env.fails(14, &["create", &url]);
                assert!(said.contains("nothing answers; is it PostgreSQL that listens there?"), "{said}");
            });
        }
    });
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_swap_whose_answer_is_lost_is_not_taken_for_a_failure() {
    let server = PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT 'captured' AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "UPDATE t SET a = 'live'");
    let url = format!("postgres://postgres@127.0.0.1:{}/shop", cutting_proxy(server.port()));
    let mut command = env.command(&["restore", "shop", "--to", &url, "--yes"]);
    Said::of(command.env("PGPASSWORD", server.password())).ok();
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "captured");
    assert_eq!(server.sql("shop__ice_old", "SELECT a FROM t"), "live");
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}
