//! RDB files as Redis itself writes and loads them.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::TestEnv;

const NOBODY: u32 = 65_534;

/// A server of our own, behind a socket in its own folder, which lives as long as this does.
struct Redis {
    folder: tempfile::TempDir,
    server: Option<Child>,
}

impl Redis {
    /// A server with the data of `rdb`.
    fn start(rdb: Option<&[u8]>) -> Self {
        let mut redis = Self { folder: tempfile::tempdir().unwrap(), server: None };
        if let Some(rdb) = rdb {
            fs::write(redis.dump(), rdb).unwrap();
        }
        redis.launch();
        redis
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    fn socket(&self) -> PathBuf {
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
        command.args(["--port", "0", "--save", "", "--enable-debug-command", "yes"]);
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

    fn ask(&self, arguments: &[&str]) -> String {
        let answer = self.try_ask(arguments);
        assert!(!answer.contains("ERR"), "{arguments:?}: {answer}");
        answer
    }

    /// All data in a number.
    fn digest(&self) -> String {
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

fn filled() -> Redis {
    let redis = Redis::start(None);
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
    assert!(said.stderr.contains("its keys are stored in order"), "{}", said.stderr);
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
