//! What a night costs, whatever changed in it, and that it comes back.

use icecore_testkit::{Change, Dialect, DumpSpec, Night, write_dump};

use crate::support::{TestEnv, noise};

fn dump(dialect: Dialect, how: Option<Change>) -> Vec<u8> {
    let nights = how.map(|how| Night { changed: 0.01, how }).into_iter().collect();
    let mut dump = Vec::new();
    write_dump(&DumpSpec { seed: 1, bytes: 4_000_000, dialect, nights }, &mut dump).unwrap();
    dump
}

fn postgres() -> Vec<u8> {
    dump(Dialect::Postgres, None)
}

/// Takes a snapshot of `bytes` as the next one of `source`, which comes back as it was; returns the stored bytes.
fn create(env: &TestEnv, source: &str, bytes: &[u8]) -> u64 {
    env.write("file", bytes);
    let created = env.json(&["create", "file", "--name", source]);
    assert!(env.back(source) == bytes);
    created["stored_bytes"].as_u64().unwrap()
}

/// The second one costs less than so many thousandths of the first.
#[track_caller]
fn check_night(first: u64, second: u64, permille: u64) {
    assert!(second * 1000 < first * permille, "{second} after {first}");
}

#[test]
fn rows_that_change_in_any_way_cost_what_changed() {
    for (dialect, how, permille) in [
        (Dialect::Postgres, Change::InPlace, 10),
        (Dialect::Postgres, Change::Moved, 20),
        (Dialect::Postgres, Change::Inserted, 20),
        (Dialect::Postgres, Change::Deleted, 10),
        (Dialect::MariaDb, Change::InPlace, 10),
        (Dialect::MariaDb, Change::Inserted, 20),
        (Dialect::MariaDb, Change::Deleted, 10),
    ] {
        let env = TestEnv::new();
        let first = create(&env, "shop", &dump(dialect, None));
        let second = create(&env, "shop", &dump(dialect, Some(how)));
        check_night(first, second, permille);
    }
}

#[test]
fn another_database_of_almost_the_same_rows_costs_what_differs() {
    let env = TestEnv::new();
    let first = create(&env, "shop", &postgres());
    let second = create(&env, "shop of the neighbours", &dump(Dialect::Postgres, Some(Change::InPlace)));
    check_night(first, second, 10);
}

#[test]
fn a_renamed_table_costs_its_name() {
    let env = TestEnv::new();
    let text = String::from_utf8(postgres()).unwrap();
    let first = create(&env, "shop", text.as_bytes());
    let renamed =
        text.replace("public.customers", "public.people").replace("public.orders", "public.purchases");
    assert!(renamed != text);
    let second = create(&env, "shop", renamed.as_bytes());
    check_night(first, second, 10);
}

#[test]
fn what_changed_is_found_in_other_parts_and_sources() {
    let env = TestEnv::new();
    let mut tree = [noise(1, 400_000), noise(2, 400_000)];
    for (number, bytes) in tree.iter().enumerate() {
        env.write(&format!("tree/{number}"), bytes);
    }
    let first = env.json(&["create", "tree"])["stored_bytes"].as_u64().unwrap();
    tree.iter_mut().for_each(|bytes| bytes.chunks_mut(5_000).for_each(|row| row[0] ^= 1));
    // The files have changed places, and another directory.
    for (number, bytes) in tree.iter().rev().enumerate() {
        env.write(&format!("other/folder/{number}"), bytes);
    }
    let second = env.json(&["create", "other"])["stored_bytes"].as_u64().unwrap();
    check_night(first, second, 20);
}

#[test]
fn pages_that_change_in_a_data_file_cost_what_changed() {
    let env = TestEnv::new();
    let mut file = noise(1, 4_000_000);
    let first = create(&env, "base", &file);
    // One page of a hundred: its header, and a row.
    for page in file.chunks_mut(8192).step_by(100) {
        page[..8].copy_from_slice(b"\0\0\0\x01somE");
        page[5_000..5_100].fill(7);
    }
    let second = create(&env, "base", &file);
    check_night(first, second, 10);
}

/// Without being put in order.
#[test]
fn values_that_change_inside_an_rdb_cost_what_changed() {
    let key = |n: usize, value: &[u8]| {
        let name = format!("key:{n}");
        let len = [0x40, u8::try_from(value.len()).unwrap()];
        [&[0, u8::try_from(name.len()).unwrap()], name.as_bytes(), &len, value].concat()
    };
    let rdb = |changed: &dyn Fn(usize) -> bool| {
        let value = |n: usize| if changed(n) { noise(n as u64 + 900_000, 60) } else { noise(n as u64, 100) };
        let keys: Vec<_> =
            (0..20_000).flat_map(|n| key(n * 7919 % 20_000, &value(n * 7919 % 20_000))).collect();
        [b"REDIS0011\xfe\0", &keys[..], &[0xff; 1], &[0; 8]].concat()
    };
    let env = TestEnv::new();
    let raw = |bytes: &[u8]| {
        env.write("file", bytes);
        let created = env.json(&["create", "file", "--raw"]);
        assert!(env.back("file") == bytes);
        created["stored_bytes"].as_u64().unwrap()
    };
    let first = raw(&rdb(&|_| false));
    let second = raw(&rdb(&|n| n % 100 == 17));
    check_night(first, second, 20);
}
