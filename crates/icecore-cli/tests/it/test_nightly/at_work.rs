//! Runs that are under way, and what others make of them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::steps;
use crate::running::{Running, wait_until};
use crate::support::TestEnv;

#[test]
fn a_run_that_has_only_just_begun_does_not_hang_whenever_the_last_one_was() {
    let env = TestEnv::new();
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = "[services.notes]\npath = 'notes'\n";
    env.write("notes", "notes");
    env.write("icecore.toml", service);
    env.at("2026-11-01T02:30:00Z", &["nightly"]).ok();
    // Whoever waits for its ping takes his time.
    env.write("icecore.toml", format!("{service}ping = 'http://{}/notes'\n", slow.local_addr().unwrap()));
    let mut command = env.command(&["nightly"]);
    let running = Running::start(command.env("ICECORE_NOW", "2026-11-04T02:30:00Z"));
    let (mut socket, _) = slow.accept().unwrap();
    let said = env.at("2026-11-04T02:30:00Z", &["nightly", "notes", "--json"]);
    assert_eq!(said.status, 0, "{}{}", said.text(), said.stderr);
    assert_eq!(steps(&said)[0], "notes create skipped");
    assert!(said.text().contains("another run of it is still at work"), "{}", said.text());
    // It is known of it since when it goes on.
    let status = env.at("2026-11-04T02:40:00Z", &["status", "--json"]).json();
    assert_eq!(status["services"][0]["last_run"]["begun"], "2026-11-04T02:30:00.000000Z");
    let answer = |socket: &mut std::net::TcpStream| {
        assert!(socket.read(&mut [0; 4096]).unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    };
    answer(&mut socket);
    drop(socket);
    answer(&mut slow.accept().unwrap().0);
    running.said().ok();
}

#[test]
fn a_long_run_holds_up_only_what_is_run_on_this_machine() {
    let env = TestEnv::new();
    env.write("gate", "");
    env.write("shop", "shop");
    env.write("notes", "notes");
    let wait = "touch begun; while test -e gate; do sleep 0.05; done";
    let services =
        "[services.notes]\npath = 'notes'\nschedule = '15 2 * * *'\n[services.shop]\npath = 'shop'\n";
    let hook = format!("[nightly]\nbefore = ['sh', '-c', '{wait}']\n");
    let told = |is_known_here: bool| {
        env.write("icecore.toml", services);
        if is_known_here {
            env.at("2026-11-01T02:15:00Z", &["nightly", "notes"]).ok();
        }
        env.write("gate", "");
        env.write("icecore.toml", format!("{hook}{services}"));
        let mut command = env.command(&["nightly", "shop"]);
        let running = Running::start(command.env("ICECORE_NOW", "2026-11-02T02:00:00Z"));
        wait_until(|| env.path("begun").exists());
        let said = env.at("2026-11-02T03:30:00Z", &["status", "shop"]).stderr;
        fs::remove_file(env.path("gate")).unwrap();
        running.said().ok();
        fs::remove_file(env.path("begun")).unwrap();
        said.contains("its run has gone on since 2026-11-02 02:00, and notes should have begun by now\n")
    };
    // What has never run here is kept by another machine, perhaps.
    assert!(!told(false));
    assert!(told(true));
}

#[test]
fn what_is_not_collected_again_so_soon_is_told_and_remains_due() {
    let env = TestEnv::new();
    env.write("notes", "notes");
    env.write("icecore.toml", "[nightly]\nverify = '1MB'\n[services.notes]\npath = 'notes'\n");
    let of_store = |time: &str| {
        let said = env.at(time, &["nightly", "notes", "--json"]);
        assert_eq!(said.status, 0, "{}", said.text());
        let steps = steps(&said).into_iter().filter(|step| step.starts_with('-'));
        (steps.collect::<Vec<_>>(), said.text().contains("it went well a short time ago"))
    };
    let done = (vec!["- gc done".to_owned(), "- sample done".to_owned()], false);
    let skipped = (vec!["- gc skipped".to_owned(), "- sample skipped".to_owned()], true);
    assert_eq!(of_store("2026-11-01T02:00:00Z"), done);
    // However often that is, it is no collection.
    for hour in ["08", "14", "20"] {
        assert_eq!(of_store(&format!("2026-11-01T{hour}:00:00Z")), skipped, "{hour}");
    }
    assert_eq!(of_store("2026-11-01T23:00:00Z"), done);
    assert!(env.at("2026-11-02T01:00:00Z", &["nightly", "notes"]).ok().contains("  gc      skipped: "));
    assert_eq!(env.at("2026-11-02T02:00:00Z", &["nightly", "notes", "-q"]).ok(), "");
}
