use crate::support::{TestEnv, check_keys};

#[test]
fn init_makes_a_store_that_commands_below_find() {
    let env = TestEnv::bare();
    let said = env.ok(&["init"]);
    assert_eq!(said, format!("Made a store in {}\n", env.path(".icecore").display()));
    env.write("a/b/file", "content");
    let mut command = env.command(&["create", "file"]);
    assert!(command.current_dir(env.path("a/b")).output().unwrap().status.success());
    assert_eq!(env.count(), 1);
}

#[test]
fn init_in_json_tells_place_and_identity() {
    let env = TestEnv::bare();
    let made = env.json(&["init", "--store", "kept"]);
    check_keys(&made, &["store", "id", "encrypted", "parity", "deltas"]);
    assert_eq!(made["store"], env.path("kept").to_str().unwrap());
    assert_eq!(made["encrypted"], false);
    assert_eq!(made["parity"], 0);
    assert_eq!(made["deltas"], true);
}

#[test]
fn init_makes_the_store_that_the_file_names() {
    let env = TestEnv::bare();
    env.write("icecore.toml", "store = \"kept\"\n");
    assert_eq!(env.json(&["init"])["store"], env.path("kept").to_str().unwrap());
    assert_eq!(env.count(), 0);
}

#[test]
fn init_refuses_a_second_store_and_a_folder_of_other_things() {
    let env = TestEnv::new();
    let said = env.fails(1, &["init"]);
    assert!(said.contains("there is a store at"), "{said}");
    env.write("things/file", "x");
    let said = env.fails(2, &["init", "--store", "things"]);
    assert!(said.contains("is not empty, and is no store"), "{said}");
    assert_eq!(env.read("things/file"), b"x");
}

#[test]
fn the_store_can_be_named_by_the_environment_and_by_a_file() {
    let env = TestEnv::bare();
    env.write("file", "content");
    env.ok(&["init", "--store", "by-env"]);
    env.ok(&["init", "--store", "by-file"]);
    assert!(
        env.command(&["create", "file"]).env("ICECORE_STORE", "by-env").output().unwrap().status.success()
    );
    env.write("icecore.toml", "store = \"by-file\"\n");
    env.ok(&["create", "file"]);
    env.ok(&["create", "file"]);
    assert_eq!(env.json(&["stats", "--store", "by-env"])["snapshots"], 1);
    assert_eq!(env.json(&["stats", "--store", "by-file"])["snapshots"], 2);
}

/// Whoever reads where something is should not have to work it out.
#[test]
fn places_are_told_without_the_way_that_led_there() {
    let env = TestEnv::bare();
    env.write("below/icecore.toml", "[services.notes]\npath = 'notes.txt'\n");
    env.write("below/notes.txt", "notes");
    let (store, file) = (env.path("store"), env.path("below/icecore.toml"));
    let made = env.ok(&["init", "--store", "below/../store"]);
    assert_eq!(made, format!("Made a store in {}\n", store.display()));
    let again = env.fails(1, &["init", "--store", "below/../store"]);
    assert!(again.contains(store.to_str().unwrap()) && !again.contains(".."), "{again}");
    let checked = env.json(&["config", "check", "--config", "store/../below/icecore.toml"]);
    assert_eq!(checked["config"], file.to_str().unwrap());
    let given = ["--store", "below/../store", "--config", "store/../below/icecore.toml"];
    assert_eq!(env.json(&[&["nightly"], &given[..]].concat())["steps"][0]["service"], "notes");
    let status = env.json(&[&["status"], &given[..]].concat());
    assert_eq!(status["store"]["place"], store.to_str().unwrap());
    env.write("below/icecore.toml", "");
    let said = env.fails(2, &[&["nightly"], &given[..]].concat());
    assert!(said.contains(&format!("there is no service in {}\n", file.display())), "{said}");
}
