//! RDB files as Redis itself writes and loads them.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use icecore_testkit::postgres::free_port;

use crate::support::{Said, TestEnv};

const NOBODY: u32 = 65_534;

/// A server of our own, behind a socket in its own folder, which lives as long as this does.
pub(crate) struct Redis {
    folder: tempfile::TempDir,
    server: Option<Child>,
    /// Zero for none.
    port: u16,
    /// Whether it loads its append-only file when it starts.
    appends: bool,
}

impl Redis {
    /// A server with the data of `rdb`.
    pub(crate) fn start(rdb: Option<&[u8]>) -> Self {
        Self::start_on(rdb, 0)
    }

    fn start_on(rdb: Option<&[u8]>, port: u16) -> Self {
        let mut redis = Self {
            folder: tempfile::tempdir_in(icecore_testkit::memory()).unwrap(),
            server: None,
            port,
            appends: false,
        };
        if let Some(rdb) = rdb {
            fs::write(redis.dump(), rdb).unwrap();
        }
        redis.launch();
        redis
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn launch(&mut self) {
        let folder = self.folder.path();
        let mut command = Command::new("redis-server");
        if rustix::process::geteuid().is_root() {
            for path in [folder.to_owned(), self.dump()].iter().filter(|path| path.exists()) {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            let nobody = NOBODY.to_string();
            command = Command::new("setpriv");
            command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--", "redis-server"]);
        }
        command.args(["--port", &self.port.to_string(), "--save", "", "--enable-debug-command", "yes"]);
        command.args(["--bind", "127.0.0.1", "--appendonly", if self.appends { "yes" } else { "no" }]);
        command
            .args(["--repl-diskless-sync-delay", "0", "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(folder)
            .current_dir(folder);
        self.server = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let started = Instant::now();
        while self.try_ask(&["PING"]).trim() != "PONG" {
            assert!(started.elapsed() < Duration::from_secs(60), "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn try_ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let answer = self.try_ask(arguments);
        assert!(!answer.contains("ERR"), "{arguments:?}: {answer}");
        answer
    }

    /// A URL of the server behind its socket.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// All data in a number.
    pub(crate) fn digest(&self) -> String {
        self.ask(&["DEBUG", "DIGEST"])
    }

    /// The RDB that the server writes now.
    fn save(&self) -> Vec<u8> {
        assert_eq!(self.ask(&["SAVE"]).trim(), "OK");
        fs::read(self.dump()).unwrap()
    }

    fn restart(&mut self) {
        self.try_ask(&["SHUTDOWN", "NOSAVE"]);
        self.server.take().unwrap().wait().unwrap();
        self.launch();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Something of everything.
const FILL: &str = "
    math.randomseed(1)
    local function noise(len)
        local t = {}
        for i = 1, len do t[i] = string.char(math.random(33, 126)) end
        return table.concat(t)
    end
    for i = 1, 30000 do redis.call('SET', 'user:' .. i .. ':name', noise(30) .. string.rep('x', 30)) end
    for i = 1, 2000 do
        redis.call('SADD', 'large set', noise(20))
        redis.call('HSET', 'large hash', 'field ' .. i, noise(50))
        redis.call('ZADD', 'large scores', math.random(), noise(20))
        redis.call('RPUSH', 'large list', noise(20))
        redis.call('XADD', 'stream', '1-' .. i, 'field', noise(20))
        redis.call('HSET', 'small hash ' .. i, 'a', i, 'b', noise(10))
        redis.call('SADD', 'numbers ' .. i, i, i + 1)
        redis.call('SET', 'counter ' .. i, i)
    end
    redis.call('XGROUP', 'CREATE', 'stream', 'group', '0')
    redis.call('XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', '100', 'STREAMS', 'stream', '>')
    redis.call('SET', 'expires', 'in a year', 'EXAT', '4102444800')
    redis.call('SELECT', 3)
    for i = 1, 1000 do redis.call('SET', 'other ' .. i, noise(100)) end
";

pub(crate) fn filled() -> Redis {
    filled_on(0)
}

fn filled_on(port: u16) -> Redis {
    let redis = Redis::start_on(None, port);
    redis.ask(&["EVAL", FILL, "0"]);
    redis.ask(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"]);
    redis
}

#[test]
fn an_rdb_comes_back_in_order_with_the_same_data() {
    let (env, redis) = (TestEnv::new(), filled());
    let rdb = redis.save();
    env.write("dump.rdb", &rdb);
    let said = env.run(&["create", "dump.rdb"]);
    assert!(said.stderr.contains("are stored in order"), "{}", said.stderr);
    said.ok();
    let shown = env.json(&["show", "latest"]);
    assert_eq!((&shown["engine"], &shown["engine_version"]), (&"redis".into(), &"7.0.15".into()), "{shown}");
    let back = env.back("latest");
    assert!(back != rdb && back.len() == rdb.len());
    let other = Redis::start(Some(&back));
    assert_eq!(other.ask(&["FUNCTION", "LIST"]), redis.ask(&["FUNCTION", "LIST"]));
    assert_eq!(other.ask(&["XINFO", "GROUPS", "stream"]), redis.ask(&["XINFO", "GROUPS", "stream"]));
    assert_eq!(other.digest(), redis.digest());
}

#[test]
fn raw_keeps_the_bytes_of_an_rdb() {
    let (env, redis) = (TestEnv::new(), filled());
    let rdb = redis.save();
    env.write("dump.rdb", &rdb);
    env.ok(&["create", "dump.rdb", "--raw"]);
    assert!(env.back("latest") == rdb);
}

#[test]
fn an_rdb_comes_from_a_running_server_through_a_pipe() {
    let (env, redis) = (TestEnv::new(), filled());
    let socket = redis.socket();
    env.ok(&["create", "--name", "cache", "--", "redis-cli", "-s", socket.to_str().unwrap(), "--rdb", "-"]);
    assert_eq!(env.json(&["show", "cache"])["form"], "rdb");
    assert_eq!(Redis::start(Some(&env.back("cache"))).digest(), redis.digest());
}

/// After a restart the keys lie in another order. A night of changed keys costs what changed nevertheless.
#[test]
fn a_restart_of_redis_is_no_change() {
    let (env, mut redis) = (TestEnv::new(), filled());
    let create = |rdb: &[u8]| {
        env.write("dump.rdb", rdb);
        env.json(&["create", "dump.rdb"])["stored_bytes"].as_u64().unwrap()
    };
    let before = redis.save();
    let first = create(&before);
    redis.restart();
    let after = redis.save();
    let stored = env.back("latest");
    // Where and when it was written is another matter: it stands in front.
    assert!(before[200..] != after[200..] && after.len().abs_diff(before.len()) < 100);
    let restarted = create(&after);
    assert!(restarted * 100 < first, "{restarted} of {first}");
    let again = env.back("latest");
    assert!(
        stored[stored.len() - 1_000_000..stored.len() - 8] == again[again.len() - 1_000_000..again.len() - 8]
    );
    redis.restart();
    let change = "for i = 1, 300 do redis.call('SET', 'user:' .. i * 97 .. ':name', 'changed ' .. i) end";
    redis.ask(&["EVAL", change, "0"]);
    let changed = create(&redis.save());
    assert!(changed * 33 < first, "{changed} of {first}");
    assert_eq!(Redis::start(Some(&env.back("latest"))).digest(), redis.digest());
}

#[test]
fn a_server_is_captured_by_its_url() {
    let env = TestEnv::new();
    // Whoever else takes it meanwhile keeps the server from starting.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let redis = Redis::start_on(None, port);
    redis.ask(&["EVAL", FILL, "0"]);
    env.ok(&["create", &redis.url(), "--name", "cache"]);
    env.ok(&["create", &format!("redis://127.0.0.1:{port}")]);
    let shown = env.json(&["show", &format!("127.0.0.1:{port}")]);
    assert_eq!((&shown["engine"], &shown["form"]), (&"redis".into(), &"rdb".into()), "{shown}");
    // It was asked for one moment, and is not left with a replica.
    assert!(redis.ask(&["INFO", "replication"]).contains("connected_slaves:0"));
    for name in ["cache", &format!("127.0.0.1:{port}")] {
        assert_eq!(Redis::start(Some(&env.back(name))).digest(), redis.digest(), "{name}");
    }
    let rdb = env.ok(&["create", &redis.url(), "--raw", "--name", "as it came"]);
    assert!(rdb.contains("as it came"), "{rdb}");
    assert_eq!(Redis::start(Some(&env.back("as it came"))).digest(), redis.digest());
}

#[test]
fn passwords_of_a_server_come_from_the_environment_and_show_nowhere() {
    let (env, redis) = (TestEnv::new(), Redis::start(None));
    redis.ask(&["SET", "key", "value"]);
    redis.ask(&["ACL", "SETUSER", "backup", "on", ">hush hush", "+sync", "+replconf"]);
    redis.ask(&["ACL", "SETUSER", "other", "on", ">hush hush", "+get", "~*"]);
    redis.ask(&["CONFIG", "SET", "requirepass", "hush hush"]);
    let url = redis.url();
    let create = |url: &str, password: &str| {
        let mut command = env.command(&["create", url, "--name", "cache"]);
        let said = Said::of(command.env("REDISCLI_AUTH", password));
        assert!(!said.stderr.contains("hush"), "{}", said.stderr);
        said
    };
    create(&url, "hush hush").ok();
    create(&format!("{url}?user=backup"), "hush hush").ok();
    let said = create(&url, "").fails(14);
    assert!(said.contains("NOAUTH") && said.contains("REDISCLI_AUTH"), "{said}");
    assert!(create(&url, "wrong").fails(14).contains("WRONGPASS"));
    assert!(create(&format!("{url}?user=backup"), "").fails(14).contains("no password"));
    let said = create(&format!("{url}?user=other"), "hush hush").fails(14);
    assert!(said.contains("NOPERM") && said.contains("+sync"), "{said}");
    assert_eq!(env.count(), 2);
    for file in env.files(".icecore") {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"hush"), "{}", file.display());
    }
}

#[test]
fn a_server_that_is_not_there_or_goes_makes_no_snapshot() {
    let env = TestEnv::new();
    let said = env.fails(14, &["create", "redis+unix:///nowhere/socket"]);
    assert!(said.contains("the Redis server at /nowhere/socket cannot be reached"), "{said}");
    assert!(env.fails(2, &["create", "redis://localhost/3"]).contains("captured together"));
    // A server that announces more than it sends, and one that speaks something else.
    for (answer, why) in [
        (&b"+OK\r\n\n\n$500\r\nREDIS0011"[..], "ends before the end marker of the RDB"),
        (b"+OK\r\n\n", "closed the connection before it sent anything"),
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n", "refuses: Server: x"),
    ] {
        let listener = std::os::unix::net::UnixListener::bind(env.path("socket")).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // What is asked comes in two sentences.
            let mut asked = [0; 256];
            let mut len = 0;
            std::io::Write::write_all(&mut stream, answer).unwrap();
            while !asked[..len].ends_with(b"SYNC\r\n") {
                len += std::io::Read::read(&mut stream, &mut asked[len..]).unwrap();
            }
        });
        let url = format!("redis+unix://{}", env.path("socket").display());
        let said = env.fails(14, &["create", &url]);
        assert!(said.contains(why), "{said}");
        server.join().unwrap();
        fs::remove_file(env.path("socket")).unwrap();
    }
    assert_eq!(env.count(), 0);
}

#[test]
fn redis_cli_is_connected_to_the_service() {
    let redis = Redis::start(None);
    redis.ask(&["SET", "a", "1"]);
    let env = TestEnv::bare();
    env.write("secret", "a password\n");
    redis.ask(&["ACL", "SETUSER", "reader", "on", ">a password", "+@all", "~*"]);
    env.write(
        "icecore.toml",
        format!("[services.cache]\nurl = '{}'\nuser = 'reader'\npassword_file = 'secret'\n", redis.url()),
    );
    assert_eq!(env.ok(&["redis-cli", "--", "ACL", "WHOAMI"]).trim(), "reader");
    assert_eq!(env.ok(&["redis-cli", "cache", "--db", "0", "--", "GET", "a"]).trim(), "1");
    let checked = env.ok(&["config", "check"]);
    assert!(checked.contains("answers, version 7"), "{checked}");
}

#[test]
fn functions_of_a_server_without_keys_are_not_lost() {
    let (env, redis) = (TestEnv::new(), filled_on(0));
    env.ok(&["create", &redis.url(), "--name", "cache"]);
    redis.ask(&["FLUSHALL"]);
    redis.ask(&["FUNCTION", "FLUSH"]);
    redis.ask(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=later\nredis.register_function('g', function() return 2 end)",
    ]);
    let refusal = env.fails(15, &["restore", "cache", "--to", &redis.url()]);
    assert!(refusal.contains("0 keys, 1 library of functions"), "{refusal}");
    env.ok(&["restore", "cache", "--to", &redis.url(), "--yes"]);
    assert!(!redis.ask(&["FUNCTION", "LIST"]).contains("later"));
    env.ok(&["rollback", &redis.url(), "--yes"]);
    assert!(redis.ask(&["FUNCTION", "LIST"]).contains("later"));
    assert_eq!(redis.ask(&["DBSIZE"]).trim(), "0");
}

#[test]
fn a_restore_gives_a_server_its_data_back_and_is_rolled_back() {
    for behind_socket in [true, false] {
        let (env, redis) = (TestEnv::new(), filled_on(if behind_socket { 0 } else { free_port() }));
        let url = if behind_socket { redis.url() } else { format!("redis://127.0.0.1:{}", redis.port) };
        let captured = redis.digest();
        env.ok(&["create", &url, "--name", "cache"]);
        redis.ask(&["FLUSHALL"]);
        redis.ask(&["FUNCTION", "FLUSH"]);
        redis.ask(&["SET", "later", "1"]);
        let later = redis.digest();
        let refusal = env.fails(15, &["restore", "cache"]);
        assert!(refusal.contains("1 key") && refusal.contains("was not touched"), "{refusal}");
        assert_eq!(redis.digest(), later);
        let restored = env.json(&["restore", "cache", "--yes"]);
        assert_eq!(restored["warnings"], serde_json::json!([]));
        assert_eq!(redis.digest(), captured);
        assert!(redis.ask(&["FUNCTION", "LIST"]).contains("lib"));
        assert!(redis.ask(&["ROLE"]).starts_with("master"));
        assert!(redis.ask(&["CONFIG", "GET", "repl-diskless-load"]).contains("disabled"));
        redis.ask(&["SET", "a", "writable"]);
        redis.ask(&["DEL", "a"]);
        env.write("icecore.toml", format!("[services.cache]\nurl = '{url}'\n"));
        env.ok(&["rollback", "--yes"]);
        assert_eq!(redis.digest(), later);
        env.ok(&["rollback", "cache", "--yes"]);
        assert_eq!(redis.digest(), captured);
    }
}

#[test]
fn restored_data_survive_a_restart_with_an_append_only_file_and_without() {
    for appends in ["yes", "no"] {
        let (env, mut redis) = (TestEnv::new(), filled());
        let captured = redis.digest();
        env.ok(&["create", &redis.url(), "--name", "cache"]);
        redis.ask(&["FLUSHALL"]);
        redis.ask(&["SET", "later", "1"]);
        redis.ask(&["CONFIG", "SET", "appendonly", appends]);
        redis.ask(&["CONFIG", "SET", "save", "3600 1"]);
        env.ok(&["restore", "cache", "--yes"]);
        assert_eq!(redis.digest(), captured);
        redis.appends = appends == "yes";
        redis.restart();
        assert_eq!(redis.digest(), captured, "appendonly {appends}");
    }
}

#[test]
fn a_damaged_snapshot_leaves_a_server_what_it_has() {
    let (env, redis) = (TestEnv::new(), filled());
    env.ok(&["create", &redis.url(), "--name", "cache"]);
    redis.ask(&["SET", "later", "1"]);
    let later = redis.digest();
    for pack in env.files(".icecore/packs") {
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(pack, bytes).unwrap();
    }
    let said = env.run(&["restore", "cache", "--yes"]);
    assert!([13, 1].contains(&said.status), "{}", said.stderr);
    assert_eq!(redis.digest(), later);
    assert!(redis.ask(&["ROLE"]).starts_with("master"));
    redis.ask(&["SET", "a", "writable"]);
    // A rollback is to undo what has replaced something.
    if said.status == 13 {
        env.fails(10, &["rollback", &redis.url(), "--yes"]);
    }
}

#[test]
fn what_stands_in_the_way_of_a_restore_is_told_before() {
    let (env, redis, master) = (TestEnv::new(), filled(), filled_on(free_port()));
    env.ok(&["create", &redis.url(), "--name", "cache"]);
    redis.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let said = env.fails(15, &["restore", "cache", "--yes"]);
    assert!(said.contains("it is a replica of 127.0.0.1"), "{said}");
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    env.write("text", "no RDB");
    env.ok(&["create", "text"]);
    let said = env.fails(2, &["restore", "text", "--to", &redis.url()]);
    assert!(said.contains("is no RDB"), "{said}");
    env.fails(2, &["restore", "cache", "--replace", "--yes"]);
}

#[test]
fn redis_cli_asks_the_database_and_as_the_user_that_are_named() {
    let server = Redis::start(None);
    server.ask(&["ACL", "SETUSER", "clerk", "on", ">hush", "~*", "+@all"]);
    server.ask(&["-n", "3", "SET", "key", "three"]);
    let env = TestEnv::bare();
    let url = format!("redis+unix://{}", server.socket().display());
    let asked = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = env.command(&[&["redis-cli", &url], arguments].concat());
        Said::of(command.envs(variables.iter().copied())).ok()
    };
    assert_eq!(asked(&["--db", "3", "--", "GET", "key"], &[]), "three\n");
    let as_clerk = asked(&["--user", "clerk", "--", "ACL", "WHOAMI"], &[("REDISCLI_AUTH", "hush")]);
    assert_eq!(as_clerk, "clerk\n");
}

#[test]
fn a_note_says_whose_keys_are_put_in_order() {
    let server = Redis::start(None);
    server.ask(&["SET", "key", "value"]);
    let env = TestEnv::new();
    let url = format!("redis+unix://{}", server.socket().display());
    let said = env.run(&["create", &url, "--name", "cache"]).stderr;
    assert!(said.contains("note: the keys of the Redis server at /"), "{said}");
    assert!(said.contains(" are stored in order, so that nights can be compared"), "{said}");
}
