//! Who we are, if nobody says it: found as other programs find it. Each case is a process of its own, for it has an environment of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::{env, fs, thread};

use icecore_s3::{Cause, S3Options, S3Storage};
use icecore_storage::Storage as _;

use crate::support::{Place, options, sentence};

const ENDPOINT: &str = "ICECORE_TEST_ENDPOINT";
const PROFILE: &str = "ICECORE_TEST_PROFILE";

/// What the process does whose environment it is about.
#[test]
#[ignore = "runs in the other tests' processes"]
fn child() {
    let endpoint = env::var(ENDPOINT).ok().map(|url| url.parse().unwrap());
    let options = S3Options { endpoint, region: None, profile: env::var(PROFILE).ok(), ..options() };
    let listed =
        S3Storage::open("s3://bucket".parse().unwrap(), options).and_then(|storage| storage.list(""));
    match listed {
        Ok(objects) => println!("found: {}", objects.len()),
        Err(error) => {
            println!("failed: {} | {:?}", sentence(&error), Cause::of(&error).and_then(Cause::hint));
        }
    }
}

fn run(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "chain::child", "--ignored", "--nocapture"]).env_clear();
    let home = tempfile::tempdir().unwrap();
    command.env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| {
        let at = line.find("found: ").or_else(|| line.find("failed: "))?;
        line.get(at..)
    });
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn keys_come_from_the_environment() {
    let place = Place::new();
    let (access, secret) = (place.server.access_key(), place.server.secret_key());
    let endpoint = place.server.endpoint();
    let keys = [("AWS_ACCESS_KEY_ID", access), ("AWS_SECRET_ACCESS_KEY", secret)];
    assert_eq!(run(&[keys[0], keys[1], (ENDPOINT, &endpoint)]), "found: 0");
    // And the endpoint, too.
    assert_eq!(
        run(&[keys[0], keys[1], ("AWS_ENDPOINT_URL", &endpoint), ("AWS_REGION", "us-east-1")]),
        "found: 0"
    );
}

#[test]
fn keys_come_from_a_profile() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let script = format!(
        r#"{{"Version": 1, "AccessKeyId": "{}", "SecretAccessKey": "{}"}}"#,
        place.server.access_key(),
        place.server.secret_key()
    );
    let answer = folder.path().join("answer");
    fs::write(&answer, script).unwrap();
    let text = format!(
        "[default]\naws_access_key_id = AKIDNOBODY\naws_secret_access_key = hunter2\n\
         [backups]\naws_access_key_id = {}\naws_secret_access_key = {}\n\
         [asked]\ncredential_process = /bin/cat {}\n",
        place.server.access_key(),
        place.server.secret_key(),
        answer.display()
    );
    fs::write(&file, text).unwrap();
    let endpoint = place.server.endpoint();
    let in_file = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    for profile in ["backups", "asked"] {
        assert_eq!(run(&[in_file, (ENDPOINT, &endpoint), (PROFILE, profile)]), "found: 0");
    }
    // Who is named goes before who is found.
    let found = [("AWS_ACCESS_KEY_ID", "AKIDNOBODY"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let named = run(&[found[0], found[1], in_file, (ENDPOINT, &endpoint), (PROFILE, "backups")]);
    assert_eq!(named, "found: 0");
    let other = run(&[in_file, (ENDPOINT, &endpoint)]);
    assert!(other.starts_with("failed: cannot list s3://bucket/: "), "{other}");
    let missing = run(&[in_file, (ENDPOINT, &endpoint), (PROFILE, "mistyped")]);
    assert!(missing.contains("there are no credentials: ") && missing.contains("mistyped"), "{missing}");
    assert!(!missing.contains("hunter2"), "{missing}");
}

#[test]
fn keys_come_from_the_service_of_a_container() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let answer = format!(
        r#"{{"AccessKeyId":"{}","SecretAccessKey":"{}","Token":"t","Expiration":"2100-01-01T00:00:00Z"}}"#,
        place.server.access_key(),
        place.server.secret_key()
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            write!(stream, "{head}content-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        }
    });
    let endpoint = place.server.endpoint();
    assert_eq!(run(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), (ENDPOINT, &endpoint)]), "found: 0");
}

#[test]
fn without_keys_a_person_is_told_where_to_put_them() {
    let place = Place::new();
    let text = run(&[(ENDPOINT, &place.server.endpoint())]);
    assert!(text.contains("cannot list s3://bucket/: there are no credentials: "), "{text}");
    assert!(text.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{text}");
    let (said, _) = text.split_once(" | ").unwrap();
    assert!(
        said.ends_with(
            "neither the environment nor a profile has any, nor does the machine or the container give some"
        ),
        "{said}"
    );
}

#[test]
fn credentials_that_cannot_be_had_are_told_in_one_sentence() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let text = "[profile half]\naws_access_key_id = AKIA\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = nope\n\
         [profile fails]\ncredential_process = /bin/false\n\
         [profile sso]\nsso_start_url = https://x.example/start\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = x\n";
    fs::write(&file, text).unwrap();
    let endpoint = place.server.endpoint();
    for (profile, says, hints) in [
        ("half", "aws_secret_access_key", "AWS_PROFILE"),
        ("role", "could not find source profile nope", "AWS_PROFILE"),
        ("fails", "exited with code exit status: 1", "AWS_PROFILE"),
        ("sso", "/sso/cache/", "`aws sso login`"),
    ] {
        for variable in ["AWS_PROFILE", PROFILE] {
            let text = run(&[
                ("AWS_CONFIG_FILE", file.to_str().unwrap()),
                (variable, profile),
                (ENDPOINT, &endpoint),
            ]);
            let (said, hint) = text.split_once(" | ").unwrap();
            assert!(said.contains(": there are no credentials: ") && said.contains(says), "{text}");
            assert!(said.len() < 300 && !said.contains("provider was not"), "{text}");
            assert!(hint.contains(hints), "{text}");
        }
    }
}

#[test]
fn without_a_region_a_person_is_told_to_name_it() {
    let text = run(&[("AWS_ACCESS_KEY_ID", "AKIDNOBODY"), ("AWS_SECRET_ACCESS_KEY", "hunter2")]);
    assert!(text.contains("cannot open s3://bucket: no region is known: "), "{text}");
}
