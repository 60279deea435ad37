//! A MariaDB server that insists on TLS, or has none.

use std::path::Path;

use icecore_testkit::certificates::{Authority, Identity};
use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::free_port;

use crate::support::{Said, TestEnv, assert_same};
use crate::test_mysql::filled;

const PASSWORD: &str = "a secret: 100%";

/// A server with a database that has everything, and its port.
fn server(options: &[String]) -> (MariaDbServer, u16) {
    let port = free_port();
    let listens = ["--skip-networking=0", "--bind-address=127.0.0.1", "--max-allowed-packet=1G"];
    let options = options.iter().map(String::as_str).chain(listens);
    let port_option = format!("--port={port}");
    let server = MariaDbServer::start_with(&options.chain([port_option.as_str()]).collect::<Vec<_>>());
    filled(&server);
    server.sql(
        "",
        format!("CREATE USER clerk IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO clerk WITH GRANT OPTION"),
    );
    (server, port)
}

fn by_tls_only(identity: &Identity) -> (MariaDbServer, u16) {
    let Identity { cert, key } = identity;
    server(&[
        format!("--ssl-cert={}", cert.display()),
        format!("--ssl-key={}", key.display()),
        "--require-secure-transport=ON".to_owned(),
    ])
}

fn url(host: &str, port: u16, database: &str, query: &str) -> String {
    format!("mysql://clerk@{host}:{port}/{database}?{query}")
}

fn run(env: &TestEnv, arguments: &[&str]) -> Said {
    Said::of(env.command(arguments).env("MYSQL_PWD", PASSWORD))
}

fn trusting(path: &Path, mode: &str) -> String {
    format!("ssl-mode={mode}&ssl-ca={}", path.display())
}

#[test]
fn everything_goes_by_tls_where_the_server_wants_it() {
    let authority = Authority::new();
    let (server, port) = by_tls_only(&authority.server("DNS:localhost,IP:127.0.0.1"));
    // More than a packet holds, and than fits into what waits for the network.
    server.sql("shop", "CREATE TABLE large (a INT PRIMARY KEY, b LONGBLOB); INSERT INTO large VALUES (1, REPEAT('0123456789abcdef', 750000))");
    let captured = server.dump("shop");
    let env = TestEnv::new();
    let strict = trusting(&authority.cert(), "VERIFY_IDENTITY");
    let queries = ["", "ssl-mode=REQUIRED", &trusting(&authority.cert(), "VERIFY_CA"), &strict];
    for query in queries {
        run(&env, &["create", &url("127.0.0.1", port, "shop", query)]).ok();
        let copy = url("localhost", port, "copy", query);
        run(&env, &["restore", "shop", "--to", &copy, "--yes"]).ok();
        assert_same(&captured, &server.dump("copy"));
    }
    // To where it came from, as it came; and back.
    let restored = run(&env, &["restore", "shop", "--yes"]);
    restored.ok();
    run(&env, &["rollback", &url("127.0.0.1", port, "shop", &strict), "--yes"]).ok();
    env.write(
        "icecore.toml",
        format!(
            "[services.shop]\nengine = 'mariadb'\nhost = 'localhost'\nport = {port}\nuser = 'clerk'\ndatabase = 'shop'\n\
             tls = 'verify-full'\ntls_ca = {:?}\n",
            authority.cert()
        ),
    );
    let version = ["mysql", "shop", "--", "-NBe", "SHOW STATUS LIKE 'Ssl_version'"];
    assert!(run(&env, &version).ok().contains("TLSv1"));
    run(&env, &["create", "shop"]).ok();
}

#[test]
fn who_the_server_is_decides() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (_server, port) = by_tls_only(&authority.server("DNS:db.example"));
    let env = TestEnv::new();
    let create = |query: &str| run(&env, &["create", &url("127.0.0.1", port, "shop", query)]);
    let restore = |query: &str| {
        run(&env, &["restore", "shop", "--to", &url("127.0.0.1", port, "copy", query), "--yes"])
    };
    let ours = authority.cert();
    create("ssl-mode=REQUIRED").ok();
    restore("ssl-mode=REQUIRED").ok();
    restore(&trusting(&ours, "VERIFY_CA")).ok();
    for refused in [&create, &restore] as [&dyn Fn(&str) -> Said; 2] {
        let fails = |query: &str| {
            let said = refused(query);
            assert!(said.status == 14 || said.status == 1, "{said:?}");
            said.stderr
        };
        let said = fails(&trusting(&ours, "VERIFY_IDENTITY"));
        assert!(said.contains("is for db.example, not for 127.0.0.1"), "{said}");
        assert!(said.contains("ssl-mode=VERIFY_CA") && said.contains(&port.to_string()), "{said}");
        for mode in ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"] {
            let said = fails(&trusting(&stranger.cert(), mode));
            assert!(said.contains("signed by nobody who is trusted") && said.contains("ssl-ca"), "{said}");
        }
        assert!(fails("ssl-mode=VERIFY_CA&ssl-ca=/nothing").contains("/nothing"));
        assert!(fails("ssl-mode=DISABLED").contains("Access denied"));
    }
    let said = restore("ssl-mode=DISABLED").stderr;
    assert!(said.contains("ssl-mode=REQUIRED"), "{said}");
    // What an option file asks for holds for our own connections too.
    let file = env.write(".my.cnf", format!("[client]\nssl-ca={}\nssl-verify-server-cert\n", ours.display()));
    assert!(restore("").stderr.contains("not for 127.0.0.1"));
    std::fs::remove_file(file).unwrap();
    restore("").ok();
}

#[test]
fn tls_that_is_asked_for_is_not_left_out() {
    let (_server, port) = server(&["--skip-ssl".to_owned()]);
    let env = TestEnv::new();
    run(&env, &["create", &url("127.0.0.1", port, "shop", "")]).ok();
    for mode in ["REQUIRED", "VERIFY_CA"] {
        let query = format!("ssl-mode={mode}");
        let said = run(&env, &["create", &url("127.0.0.1", port, "shop", &query)]).stderr;
        assert!(said.contains("it speaks no TLS") && said.contains("ssl-mode=PREFERRED"), "{said}");
        let copy = url("127.0.0.1", port, "copy", &query);
        let said = run(&env, &["restore", "shop", "--to", &copy, "--yes"]).stderr;
        assert!(said.contains("it speaks no TLS"), "{said}");
    }
    run(&env, &["restore", "shop", "--to", &url("127.0.0.1", port, "copy", "ssl-mode=PREFERRED"), "--yes"])
        .ok();
}

#[test]
fn the_password_of_a_service_goes_no_way_that_is_less_private() {
    let (_server, port) = server(&["--skip-ssl".to_owned()]);
    let env = TestEnv::new();
    env.write("password", PASSWORD);
    let service = |more: &str| {
        let url = url("127.0.0.1", port, "shop", "");
        env.write(
            "icecore.toml",
            format!("[services.shop]\nurl = '{url}'\npassword_file = 'password'\n{more}"),
        );
    };
    let copy = url("127.0.0.1", port, "copy", "");
    service("");
    env.ok(&["create", &copy]);
    service("tls = 'require'\n");
    let said = env.run(&["create", &copy]);
    assert!(said.status != 0 && said.stderr.contains("it speaks no TLS"), "{}", said.stderr);
    // Who says himself that it need not be private gets his way.
    env.ok(&["create", &url("127.0.0.1", port, "copy", "ssl-mode=DISABLED")]);
}
