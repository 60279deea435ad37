//! `repair --from` and `verify REMOTE`, with a shared directory.

use std::fs;
use std::path::{Path, PathBuf};

use icecore_format::{
    Codec, Digest, PACK_HEADER_LEN, PACK_TRAILER_LEN, PackHeader, PackId, PackToc, PackTrailer, StoreKey,
    names,
};

use super::{content, two_machines};
use crate::support::TestEnv;

/// Zeros in the bodies of a pack.
fn rot(pack: &PathBuf) {
    let mut bytes = fs::read(pack).unwrap();
    let bodies = 64..bytes.len() / 2;
    bytes[bodies].fill(0);
    fs::write(pack, bytes).unwrap();
}

#[test]
fn what_rots_here_comes_from_a_remote_and_what_rots_there_from_here() {
    let (one, _other, shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    one.ok(&["push", "team"]);
    let here = one.files(".icecore/packs");
    rot(&here[0]);
    one.fails(13, &["verify"]);
    let said = one.run(&["repair", "--dry-run", "--from", "team"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert!(
        said.text().starts_with("fetch pack ") && said.text().contains("Would fetch up to "),
        "{}",
        said.text()
    );
    one.fails(13, &["verify"]);
    let said = one.ok(&["repair", "--from", "team"]);
    assert!(said.starts_with("Fetched 1 pack from "), "{said}");
    one.ok(&["verify"]);
    assert!(!one.path(".icecore/damaged").exists());
    // A pack that is gone, by the URL.
    fs::remove_file(&here[0]).unwrap();
    one.fails(13, &["verify"]);
    one.ok(&["repair", "--from", &url]);
    one.ok(&["restore", "data", "--to", "back"]);
    assert_eq!(one.read("back"), content(1));
    // The other way round.
    let name = here[0].strip_prefix(one.path(".icecore")).unwrap().to_owned();
    rot(&shared.path().join("store").join(name));
    one.fails(13, &["verify", "team"]);
    one.ok(&["verify"]);
    let own = format!("file://{}", one.path(".icecore").canonicalize().unwrap().display());
    one.ok(&["repair", "--remote", "team", "--from", &own]);
    assert!(one.ok(&["verify", "team"]).starts_with("All is well"));
}

#[test]
fn a_remote_that_is_damaged_as_well_gives_nothing_and_is_told_of() {
    let (one, _other, shared, url) = two_machines();
    one.ok(&["push", &url]);
    let pack = one.files(".icecore/packs").remove(0);
    let there = shared.path().join("store").join(pack.strip_prefix(one.path(".icecore")).unwrap());
    rot(&pack);
    rot(&there);
    let said = one.fails(3, &["repair", "--from", &url]);
    assert!(said.contains("could not be had from"), "{said}");
    one.fails(13, &["restore", "data", "--to", "back"]);
}

#[test]
fn only_the_same_store_elsewhere_gives_copies() {
    let (one, other, shared, url) = two_machines();
    let theirs = other.json(&["init", "--json"]);
    other.run_with_input(&["create", "-", "--name", "x"], b"x").ok();
    other.ok(&["push", &url]);
    let said = one.fails(15, &["repair", "--from", &url]);
    assert!(said.contains(theirs["id"].as_str().unwrap()), "{said}");
    assert!(one.fails(2, &["repair", "--from", "./.icecore"]).contains("the store itself"));
    assert!(one.fails(10, &["repair", "--from", "tema"]).contains("remote"));
    let nowhere = format!("file://{}/nowhere", shared.path().display());
    assert!(one.fails(10, &["repair", "--from", &nowhere]).contains("no icecore store"));
    assert!(!shared.path().join("nowhere").exists());
}

#[test]
fn a_remote_is_verified_by_its_name_or_url() {
    let (one, _other, shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    assert!(one.fails(10, &["verify", "team"]).contains("no icecore store"));
    one.ok(&["push", "team"]);
    let pack = shared
        .path()
        .join("store")
        .join(one.files(".icecore/packs")[0].strip_prefix(one.path(".icecore")).unwrap());
    rot(&pack);
    one.ok(&["verify"]);
    for remote in ["team", &url] {
        one.fails(13, &["verify", remote]);
    }
    // Without a store here.
    let bare = TestEnv::bare();
    bare.fails(13, &["verify", &url]);
    bare.write("icecore.toml", format!("[remotes.team]\nurl = \"{url}\"\n"));
    bare.fails(13, &["verify", "team"]);
    // A name that means two things means none.
    one.write("team", content(5));
    one.ok(&["create", "team"]);
    let said = one.fails(2, &["verify", "team"]);
    assert!(said.contains("team~0") && said.contains("--remote team"), "{said}");
    one.ok(&["verify", "team~0"]);
    one.fails(13, &["verify", "--remote", "team"]);
    assert!(one.fails(10, &["verify", "data", "tema"]).contains("tema"));
}

#[test]
fn what_verify_takes_for_no_snapshot_may_have_been_meant_for_a_remote() {
    let (one, _other, _shared, url) = two_machines();
    let none = "`icecore list` shows the snapshots there are\n";
    assert!(one.fails(10, &["verify", "teem"]).ends_with(&format!("hint: {none}")));
    one.ok(&["remote", "add", "team", &url]);
    let said = one.fails(10, &["verify", "teem"]);
    let expected = format!("hint: did you mean the remote team? `icecore verify team` verifies it; {none}");
    assert!(said.contains("there is no snapshot \"teem\"") && said.ends_with(&expected), "{said}");
    assert!(one.fails(10, &["verify", "elsewhere"]).contains("`icecore remote list` the remotes"));
    // A path could be that of a store, and there is a way to say so.
    one.ok(&["push", "./dst"]);
    let said = one.fails(10, &["verify", "./dst"]);
    assert!(
        said.contains("hint: `icecore verify --remote ./dst` verifies a store that lies there; "),
        "{said}"
    );
    assert!(one.ok(&["verify", "--remote", "./dst"]).starts_with("All is well"));
    for text in ["file:./dst", "s3:backups/team"] {
        let said = one.fails(10, &["verify", text]);
        assert!(said.contains("hint: a store elsewhere is s3://BUCKET/PREFIX, file:///PATH or"), "{said}");
    }
    // Nor need there be a store here.
    let bare = TestEnv::bare();
    bare.write("icecore.toml", format!("[remotes.team]\nurl = \"{url}\"\n"));
    assert!(bare.fails(10, &["verify", "teem"]).contains("hint: did you mean the remote team?"));
    assert!(bare.fails(10, &["verify", "./dst"]).contains("hint: `icecore verify --remote ./dst`"));
}

/// Puts a pack in the place of the only one of a store, in which all is right but that its chunks are not what the table says. Returns its path.
fn forge(store: &Path) -> PathBuf {
    let pack = files_below(&store.join("packs")).remove(0);
    let bytes = fs::read(&pack).unwrap();
    let header = PackHeader::decode(&bytes[..PACK_HEADER_LEN]).unwrap();
    let trailer = PackTrailer::decode(&bytes[bytes.len() - PACK_TRAILER_LEN..], bytes.len() as u64).unwrap();
    let table = usize::try_from(trailer.toc_offset).unwrap();
    let table = bytes[table..table + trailer.toc_len as usize].to_vec();
    let mut toc = PackToc::decode(&header, &trailer, table, &StoreKey::Plain).unwrap();
    let mut forged = bytes[..PACK_HEADER_LEN].to_vec();
    for body in &mut toc.bodies {
        (body.codec, body.stored_len) = (Codec::Raw, body.plain_len);
        forged.extend(std::iter::repeat_n(b'!', body.plain_len as usize));
    }
    let end = toc.encode(&header, forged.len() as u64, &StoreKey::Plain);
    forged.extend(end);
    let path = store.join(names::pack(&PackId(Digest::of(&forged))));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, forged).unwrap();
    fs::remove_file(pack).unwrap();
    path
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Whoever may write to the place of a store that is not encrypted can put a pack there that is what its name says, and holds other bytes than it
/// claims. Nobody takes it from there, and nobody ever takes what it holds for what it should be.
#[test]
fn a_forged_pack_is_neither_pulled_nor_restored() {
    let (one, other, shared, url) = two_machines();
    one.ok(&["push", &url]);
    let pack = forge(&shared.path().join("store"));
    let pack = pack.file_name().unwrap().to_str().unwrap();
    other.ok(&["init", "--from", &url]);
    let said = other.fails(13, &["pull", "origin"]);
    assert!(said.contains(&format!("in pack {pack} is damaged")), "{said}");
    assert_eq!(other.count(), 0);
    assert!(other.files(".icecore/packs").is_empty());
    other.ok(&["verify"]);
    let there = |arguments: &[&str]| other.run(&[arguments, &["--remote", "origin"]].concat());
    let said = there(&["restore", "data", "--to", "back"]).fails(13);
    assert!(said.contains(&format!("in pack {pack} is damaged")), "{said}");
    assert!(!other.path("back").exists());
    let said = there(&["restore", "data", "--to", "-"]);
    assert!(said.status == 13 && said.stdout.is_empty(), "{}", said.stderr);
    let said = there(&["restore", "data", "--to", "-", "--allow-damaged"]);
    assert!(said.status == 3 && said.stdout.iter().all(|byte| *byte == 0), "{}", said.stderr);
    let said = there(&["verify"]);
    assert!(said.status == 13 && said.text().contains(pack), "{}", said.text());
    // Nor does a repair take it, and what is stored again heals what was lost.
    fs::remove_file(&one.files(".icecore/packs")[0]).unwrap();
    one.fails(3, &["repair", "--from", &url]);
    assert!(one.files(".icecore/packs").is_empty());
    one.fails(13, &["restore", "data", "--to", "back"]);
    one.ok(&["create", "data"]);
    assert!(one.back("data~1") == content(1));
    one.ok(&["verify"]);
    // Where it lies, a repair gets rid of it; what has come to be whole comes back.
    there(&["repair"]).fails(3);
    one.ok(&["push", &url]);
    other.ok(&["pull", "origin"]);
    assert!(other.back("data") == content(1));
}

#[test]
fn what_a_repair_would_fetch_is_not_told_as_lost() {
    let (one, _other, shared, url) = two_machines();
    one.write("more", content(7));
    one.ok(&["create", "more"]);
    one.ok(&["push", &url]);
    let packs = one.files(".icecore/packs");
    packs.iter().for_each(rot);
    let outlook = |arguments: &[&str]| {
        let said = one.run(&[&["repair", "--dry-run"], arguments].concat());
        assert_eq!(said.status, 3, "{}", said.stderr);
        let text = said.text();
        ["would be whole again", "is not whole"].map(|words| text.matches(words).count())
    };
    assert_eq!(outlook(&[]), [0, 2]);
    assert_eq!(outlook(&["--from", &url]), [2, 0]);
    // One of the packs is gone, and is not there either.
    fs::remove_file(&packs[0]).unwrap();
    fs::remove_file(shared.path().join("store").join(packs[0].strip_prefix(one.path(".icecore")).unwrap()))
        .unwrap();
    assert_eq!(outlook(&["--from", &url]), [1, 1]);
    let said = one.fails(3, &["repair", "--from", &url]);
    assert!(said.contains("could not be had from"), "{said}");
    let healed = one.run(&["verify", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&healed.stdout).unwrap();
    let findings = findings["findings"].as_array().unwrap();
    let harmed = |finding: &serde_json::Value| finding["snapshots"].as_array().unwrap().len();
    assert!(findings.iter().all(|finding| harmed(finding) == 1), "{findings:?}");
    // Each chunk once, and not one line for each.
    let said = one.run(&["verify"]);
    assert_eq!(said.status, 13);
    assert!(findings.len() > 3 && said.text().lines().count() == 3, "{}", said.text());
    let more = format!(" and {} more: no pack holds it\n", findings.len() - 3);
    assert!(said.text().starts_with("chunk ") && said.text().contains(&more), "{}", said.text());
}

#[test]
fn what_is_damaged_is_told_with_the_remote_that_may_have_it() {
    let (one, _other, _shared, url) = two_machines();
    one.ok(&["push", &url]);
    rot(&one.files(".icecore/packs")[0]);
    let help = "; `icecore repair --from team` fetches good copies from there\n";
    let commands = [&["verify"][..], &["restore", "data", "--to", "back"], &["verify", "data"]];
    for command in commands {
        assert!(!one.fails(13, command).contains("--from"));
    }
    one.ok(&["remote", "add", "team", &url]);
    for command in commands {
        let said = one.fails(13, command);
        assert!(said.ends_with(help), "{said}");
    }
    one.ok(&["remote", "add", "vault", "./vault"]);
    let said = one.fails(13, &["verify"]);
    assert!(
        said.contains("`icecore repair --from team`, or another one of `icecore remote list`,"),
        "{said}"
    );
    // What is damaged there does not come from there.
    one.ok(&["remote", "remove", "vault"]);
    assert!(!one.fails(13, &["verify", "--remote", "./.icecore"]).contains("--from"));
    let said = one.run(&["repair"]);
    assert!(said.status == 3 && said.stderr.ends_with(help), "{}", said.stderr);
    // It is still told when nobody has looked into the packs, and it works.
    assert!(one.fails(13, &["verify"]).ends_with(help));
    one.ok(&["repair", "--from", "team"]);
    one.ok(&["verify"]);
}
