//! Machines with networks of their own that share a bucket; one loses its network in the middle of a push.
//!
//! Each machine is a network namespace in which nothing is but its own loopback device, and a relay that hands what comes to one port over to
//! the server, by way of a socket in a directory: those do not care for networks. The relay is this program, run once more ([`relay`]).

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use icecore_testkit::s3::S3Call;
use tempfile::TempDir;

use super::content;
use super::site::{Site, URL};
use crate::running::{Running, wait_until};
use crate::support::{Said, TestEnv, noise};

/// Where a relay in a namespace finds the way out.
const SOCKET: &str = "ICECORE_TEST_WAY_OUT";
/// Where it listens: nobody else is there.
const PORT: u16 = 9000;

/// What a machine is connected by.
struct Network {
    /// The relay, in the namespace.
    relay: Option<Child>,
    /// Without namespaces: whether the relay lets nothing through.
    is_down: Arc<AtomicBool>,
    port: u16,
    _dir: TempDir,
}

impl Network {
    fn new(site: &Site) -> Self {
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        let server = site.server.endpoint().strip_prefix("http://").unwrap().to_owned();
        let is_down = Arc::new(AtomicBool::new(false));
        if has_namespaces() {
            let socket = dir.path().join("out");
            let way_out = UnixListener::bind(&socket).unwrap();
            thread::spawn(move || {
                for inside in way_out.incoming().map_while(io::Result::ok) {
                    join(inside, TcpStream::connect(&server).unwrap(), &Arc::default());
                }
            });
            let relay = Some(start_relay(&socket));
            let network = Self { relay, is_down, port: PORT, _dir: dir };
            wait_until(|| network.inside(Path::new("true")).output().is_ok_and(|it| it.status.success()));
            wait_until(|| network.is_listening());
            return network;
        }
        // Not what this test is for: whoever runs it has to know.
        let warning = "\nWARNING: no network namespaces are to be had here (`unshare -rn` fails): the machines have separate homes only\n";
        io::stderr().write_all(warning.as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let down = Arc::clone(&is_down);
        thread::spawn(move || {
            for inside in listener.incoming().map_while(io::Result::ok) {
                if !down.load(Ordering::SeqCst) {
                    join(inside, TcpStream::connect(&server).unwrap(), &down);
                }
            }
        });
        Self { relay: None, is_down, port, _dir: dir }
    }

    /// A program in this network.
    fn inside(&self, program: &Path) -> Command {
        let Some(relay) = &self.relay else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &relay.id().to_string(),
            "--user",
            "--preserve-credentials",
            "--net",
            "--",
        ]);
        command.arg(program);
        command
    }

    fn is_listening(&self) -> bool {
        let sockets = self.inside(Path::new("cat")).arg("/proc/self/net/tcp").output().unwrap();
        String::from_utf8(sockets.stdout).unwrap().contains(&format!(":{PORT:04X} 00000000:0000 0A"))
    }

    /// Takes the network away, or gives it back.
    fn set(&self, state: &str) {
        self.is_down.store(state == "down", Ordering::SeqCst);
        if self.relay.is_some() {
            let done = self.inside(Path::new("ip")).args(["link", "set", "lo", state]).status();
            assert!(done.unwrap().success());
        }
    }

    /// The program on a machine in this network; it is patient.
    fn command(&self, site: &Site, env: &TestEnv, arguments: &[&str]) -> Command {
        let plain = site.command(env, arguments);
        let mut command = self.inside(Path::new(plain.get_program()));
        command.args(plain.get_args()).current_dir(plain.get_current_dir().unwrap());
        command.env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("AWS_MAX_ATTEMPTS", "30");
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port));
        command
    }

    fn ok(&self, site: &Site, env: &TestEnv, arguments: &[&str]) -> String {
        Said::of(&mut self.command(site, env, arguments)).ok()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(relay) = &mut self.relay {
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }
}

fn has_namespaces() -> bool {
    let try_out = Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
    try_out.is_ok_and(|it| it.status.success())
}

fn start_relay(socket: &Path) -> Child {
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", r#"ip link set lo up && exec "$0" "$@""#]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "test_remote::networks::relay", "--ignored"]);
    command.env(SOCKET, socket).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "it is a part of the other test, which runs it in a network of its own"]
fn relay() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let listener = TcpListener::bind(("127.0.0.1", PORT)).unwrap();
    for inside in listener.incoming().map_while(io::Result::ok) {
        let Ok(outside) = UnixStream::connect(&socket) else { continue };
        join(inside, outside, &Arc::default());
    }
}

/// A connection, of either kind.
trait Line: io::Read + io::Write + Send + Sized + 'static {
    fn twin(&self) -> Self;
    fn hang_up(&self);
}

impl Line for TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn hang_up(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Line for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn hang_up(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Hands over what comes from either side, until one hangs up, or nothing may pass.
fn join(one: impl Line, other: impl Line, is_down: &Arc<AtomicBool>) {
    let (there, back) = ((one.twin(), other.twin()), (other, one));
    let [down, also_down] = [(); 2].map(|()| Arc::clone(is_down));
    thread::spawn(move || hand_over(there.0, there.1, &down));
    thread::spawn(move || hand_over(back.0, back.1, &also_down));
}

fn hand_over(mut from: impl Line, mut to: impl Line, is_down: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if is_down.load(Ordering::SeqCst) || to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    to.hang_up();
}

#[test]
fn a_machine_that_loses_its_network_goes_on_when_it_is_back_and_another_one_never_waits() {
    let site = Site::new();
    let (one, other) = (site.machine(1), TestEnv::bare());
    let [first, second] = [(); 2].map(|()| Network::new(&site));
    // More packs than go at once, and some seconds for them, so that there is a middle.
    one.write("large", noise(7, 30_000_000));
    one.ok(&["create", "large"]);
    let push = &mut first.command(&site, &one, &["push", URL, "--limit-upload", "6MB"]);
    let mut push = Running::start(push);
    wait_until(|| site.objects("packs").len() >= 3);
    let finished = site.objects("packs");
    site.server.take_requests();
    // By then it knows of these that they have arrived.
    thread::sleep(Duration::from_secs(1));
    first.set("down");
    let mut list = first.command(&site, &one, &["list", "--remote", URL]);
    let said = Said::of(list.env("AWS_MAX_ATTEMPTS", "1"));
    assert_eq!(said.status, 1, "it has a network: {}{}", said.text(), said.stderr);
    // What is shared is open to the other one, though the first has a claim there and cannot be asked.
    second.ok(&site, &other, &["init", "--from", URL]);
    other.write("theirs", content(5));
    other.ok(&["create", "theirs"]);
    second.ok(&site, &other, &["push", "origin"]);
    second.ok(&site, &other, &["pull", "origin"]);
    let there = second.ok(&site, &other, &["list", "--remote", "origin"]);
    assert!(there.contains("theirs") && !there.contains("large"), "{there}");
    assert!(push.is_running(), "it has not waited for its network");
    first.set("up");
    let said = push.said();
    assert_eq!(said.status, 0, "{}", said.stderr);
    let moved = site.packs_moved(S3Call::Put);
    let again: Vec<_> = moved.iter().filter(|name| finished.contains(*name)).collect();
    assert!(again.is_empty(), "{again:?} went over twice");
    assert!(site.objects("claims").is_empty(), "a claim is left");
    second.ok(&site, &other, &["pull", "origin"]);
    for env in [&one, &other] {
        site.check_both(env, 1);
    }
    assert!(other.back("large") == noise(7, 30_000_000) && other.back("theirs") == content(5));
}
