//! Names that are nearly right: what was meant is told.

use crate::support::TestEnv;

#[test]
fn a_service_that_was_meant_is_told_by_every_command_that_takes_one() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        "[services.shop]\nurl = 'postgres://me@127.0.0.1:1/shop'\n[services.cache]\npath = 'x'\n",
    );
    for arguments in [&["create", "shpo"][..], &["rollback", "shpo"], &["psql", "shpo"], &["mysql", "shpo"]] {
        let said = env.fails(10, arguments);
        let expected =
            "error: there is no file, directory or service \"shpo\"; did you mean \"shop\"?\nhint: ";
        assert!(said.starts_with(expected), "{said}");
    }
    let said = env.fails(10, &["config", "check", "Shop"]);
    assert!(said.contains("has no service \"Shop\"; did you mean \"shop\"?"), "{said}");
    let said = env.fails(10, &["create", "ledger"]);
    assert!(said.contains("service \"ledger\"\n"), "{said}");
}

#[test]
fn a_scheme_that_was_meant_is_told() {
    let env = TestEnv::new();
    for (url, near) in [
        ("postgress://me:secret@db/shop", "postgres://"),
        ("mysq://db/shop", "mysql://"),
        ("mraiadb://db/shop", "mariadb://"),
        ("reddis://db", "redis://"),
        ("postgres:/db/shop", "postgres://"),
        ("sqllite:shop.db", "sqlite:"),
    ] {
        for command in ["create", "rollback"] {
            let said = env.fails(10, &[command, url]);
            let expected =
                format!("is no URL of a kind that is known here; did you mean \"{near}\"?\nhint: ");
            assert!(said.contains(&expected) && !said.contains("secret"), "{said}");
        }
    }
    env.write("icecore.toml", "[services.a]\nurl = 'postgress://db/a'\n[services.b]\nengine = 'postgre'\n");
    let said = env.fails(2, &["create", "a"]);
    assert!(said.contains("its url is of no kind that is known here; did you mean postgres://?"), "{said}");
    let said = env.fails(2, &["create", "b"]);
    assert!(said.contains("sqlite, files; did you mean \"postgres\"?"), "{said}");
    env.write("icecore.toml", "[services.a]\nurl = 'uploads'\n");
    let said = env.fails(2, &["create", "a"]);
    assert!(said.contains("a directory or a file is its path"), "{said}");
}

#[test]
fn a_snapshot_and_a_tag_that_were_meant_are_told() {
    let env = TestEnv::new();
    env.write("shop", "one");
    env.ok(&["create", "shop", "--tag", "before-migration"]);
    for arguments in [
        &["restore", "shpo"][..],
        &["show", "shpo~1"],
        &["delete", "shpo@now"],
        &["list", "shpo"],
        &["verify", "shpo"],
    ] {
        let said = env.fails(10, arguments);
        assert!(said.contains(": the store has shop; did you mean \"shop\"?\nhint: "), "{said}");
    }
    let near = "; did you mean \"before-migration\"?";
    let mistyped = "before-migratoin";
    for arguments in [
        &["restore", "shop@before-migratoin"][..],
        &["restore", "shop", "--tag", mistyped],
        &["restore", "--tag", mistyped],
        &["tag", "remove", "shop", mistyped],
    ] {
        let said = env.fails(10, arguments);
        assert!(said.contains(near), "{said}");
    }
    let said = env.run(&["list", "--tag", mistyped]);
    assert_eq!(said.stderr, format!("Nothing fits of what the store has: 1 snapshot{near}\n"));
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let env = TestEnv::new();
    let path = env.path("no.toml");
    let said = env.fails(10, &["--config", "no.toml", "list"]);
    let expected = format!(
        "error: there is no configuration {}\nhint: --config and ICECORE_CONFIG name a file",
        path.display()
    );
    assert!(said.starts_with(&expected), "{said}");
    env.fails(10, &["--config", "no.toml", "psql", "shop"]);
    let said = env.fails(1, &["--config", ".", "list"]);
    assert!(said.contains(": is a directory\n"), "{said}");
}
