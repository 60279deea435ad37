//! The damage matrix: every kind of object x every kind of damage x every command.
//!
//! Whatever is damaged, a command gives the right result, or says with status 13 what is damaged, or heals it. It never stays silent,
//! panics, hangs, or gives a wrong byte; snapshots that the damage does not touch go on restoring; and `repair` and a new snapshot
//! make everything whole again that can be.

mod cell;
mod kinds;
mod template;

use self::cell::Cell;
use self::kinds::{DAMAGES, Damage, OBJECTS, Object};
use self::template::{bystander, night, victim};
use crate::support::{PG_DUMP, noise};

/// Every cell with one command. Some dozens of processes at a time would only wait for each other, so the cells come one by one.
/// Opening an encrypted store takes its time, so only what is read in another way there is tried again.
fn for_each_cell(check: impl Fn(&Cell)) {
    for object in OBJECTS {
        for damage in DAMAGES {
            if object != Object::Key {
                check(&Cell::new(object, damage, false));
            }
            let differs = matches!(
                object,
                Object::PackBody | Object::PackTable | Object::DeltaBody | Object::Manifest | Object::Label
            );
            if object == Object::Key || (differs && matches!(damage, Damage::Flip | Damage::Swap)) {
                check(&Cell::new(object, damage, true));
            }
        }
    }
}

#[test]
fn restoring_from_a_damaged_store_gives_the_right_bytes_or_says_what_is_damaged() {
    for_each_cell(|cell| {
        let whole = cell.restore("victim", &victim());
        // What is only a record, or a cache, harms no snapshot.
        let harmless = !cell.object.is_pack() && cell.object != Object::Manifest;
        assert!(whole || !harmless, "{} keeps the victim from being restored", cell.what());
        let whole = cell.restore("night", &night());
        assert!(whole || !harmless, "{} keeps the night from being restored", cell.what());
        cell.check_bystanders("at once");
        let said = cell.run(&["list"]);
        cell.is_fine(&said, &[]);
        assert!(said.text().contains("bystander") || cell.object == Object::Manifest, "{}", cell.what());
    });
}

#[test]
fn what_can_be_read_of_a_damaged_snapshot_is_given_back() {
    for_each_cell(|cell| {
        if !cell.object.is_pack() {
            return;
        }
        for (source, whole) in [("victim", victim()), ("night", night())] {
            let said = cell.run(&["restore", source, "--to", "-", "--allow-damaged"]);
            match said.status {
                0 => assert!(said.stdout == whole, "{}", cell.what()),
                3 => {
                    assert_eq!(said.stdout.len(), whole.len(), "{}", cell.what());
                    let right = said.stdout.iter().zip(&whole).filter(|(a, b)| a == b).count();
                    let wrong = said.stdout.iter().zip(&whole).filter(|(a, b)| a != b && **a != 0).count();
                    assert_eq!(wrong, 0, "{}: bytes that are neither right nor zero", cell.what());
                    // All deltas of a night may lie in one pack; and where they are coded together, one base that is lost loses
                    // them all. Whether they are is up to the key in an encrypted store, as it says where content is cut.
                    let may_lose_all = cell.object.is_delta() || (source == "night" && cell.is_encrypted());
                    let enough = right > whole.len() / 4 || may_lose_all;
                    assert!(enough, "{}: only {right} bytes of {source} were saved", cell.what());
                    assert!(said.stderr.contains("could not be read"), "{}: {}", cell.what(), said.stderr);
                }
                status => panic!("{}: {status} {}", cell.what(), said.stderr),
            }
        }
    });
}

#[test]
fn creating_in_a_damaged_store_stores_what_restores_or_says_what_is_damaged() {
    for_each_cell(|cell| {
        let fresh = noise(9, 200_000);
        cell.env.write("fresh", &fresh);
        let said = cell.run(&["create", "fresh"]);
        if cell.is_fine(&said, &[]) {
            assert!(cell.restore("fresh", &fresh), "{}: what was just stored does not restore", cell.what());
        } else {
            assert!(cell.object == Object::Condemned, "{}: {}", cell.what(), said.stderr);
        }
        // What cannot be read counts as absent, so the victim's own bytes make it whole, where it shows without reading all.
        let shows = cell.object.is_pack()
            && matches!(cell.damage, Damage::Truncate | Damage::Delete | Damage::Append);
        if shows {
            cell.run(&["create", "victim", "--name", "again"]).ok();
            assert!(cell.restore("again", &victim()), "{}", cell.what());
            assert!(cell.restore("victim", &victim()), "{}: not healed by what came again", cell.what());
            cell.run(&["create", "night", "--name", "again"]).ok();
            assert!(cell.restore("night", &night()), "{}: not healed by what came again", cell.what());
        }
        cell.check_bystanders("after a create");
    });
}

#[test]
fn verifying_a_damaged_store_names_what_is_damaged() {
    for_each_cell(|cell| {
        let said = cell.run(&["verify", "--json"]);
        let sound = cell.is_fine(&said, &[]);
        if !sound {
            let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            let findings = report["findings"].as_array().unwrap();
            assert!(!findings.is_empty() && report["ok"] == false, "{}: {report}", cell.what());
            for finding in findings {
                assert!(!finding["object"].as_str().unwrap().is_empty(), "{}: {report}", cell.what());
            }
            let loses_data = cell.object.is_pack() && cell.damage != Damage::Append;
            for (source, bytes) in [("victim", victim()), ("night", night())] {
                let named = said.text().contains(&format!(r#""source":"{source}""#));
                assert!(
                    named || !loses_data || cell.restore(source, &bytes),
                    "{}: {source} is not named: {report}",
                    cell.what()
                );
            }
            let accused = cell.object.is_delta() && said.text().contains(r#""source":"victim""#);
            assert!(!accused, "{}: wrongly accused: {report}", cell.what());
            let bystander = said.text().contains(r#""source":"bystander""#);
            assert!(!bystander || cell.damage == Damage::Swap, "{}: wrongly accused: {report}", cell.what());
            assert!(
                !said.text().contains(r#""source":"dump""#),
                "{}: wrongly accused: {report}",
                cell.what()
            );
        }
        // An index is made anew, a configuration and a key come from their copies; an older epoch and a record that is gone look like
        // any other.
        let unnoticed = matches!(cell.object, Object::Index | Object::Config | Object::Key)
            || (cell.damage == Damage::Delete
                && matches!(
                    cell.object,
                    Object::Manifest | Object::Label | Object::Claim | Object::Condemned
                ))
            || (cell.damage == Damage::Stale && cell.object == Object::Epoch);
        assert_eq!(sound, unnoticed, "{}: {}", cell.what(), said.text());
        cell.check_bystanders("after a verify");
    });
}

#[test]
fn collecting_in_a_damaged_store_deletes_nothing_that_is_needed() {
    for_each_cell(|cell| {
        let gone = noise(8, 100_000);
        cell.env.write("gone", &gone);
        if cell.run(&["create", "gone"]).status == 0 {
            cell.run(&["delete", "gone", "--yes"]).ok();
        }
        let before = [cell.restore("victim", &victim()), cell.restore("night", &night())];
        let said = cell.run(&["gc"]);
        // With status 3 it did its work, and tells of what it saw.
        cell.is_fine(&said, &[3]);
        if cell.object.is_pack() && cell.damage == Damage::Delete {
            assert!(said.status != 0 && said.stderr.contains("no pack"), "{}: {}", cell.what(), said.stderr);
        }
        // What is a record of other collections, or has a copy, does not stop this one.
        let may_stop = cell.object.is_pack() || cell.object == Object::Manifest;
        assert!(said.status != 13 || may_stop, "{}: {}", cell.what(), said.stderr);
        let after = [cell.restore("victim", &victim()), cell.restore("night", &night())];
        assert_eq!(after, before, "{}: {}", cell.what(), said.stderr);
        cell.check_bystanders("after a collection");
    });
}

#[test]
fn a_repair_and_a_new_snapshot_make_everything_whole() {
    for_each_cell(|cell| {
        let plan = cell.run(&["repair", "--dry-run"]);
        cell.is_fine(&plan, &[3]);
        let said = cell.run(&["repair"]);
        cell.is_fine(&said, &[3]);
        if cell.object == Object::Manifest && cell.damage != Damage::Delete {
            assert!(
                said.status == 3 && said.stderr.contains("this snapshot is lost"),
                "{}: {}",
                cell.what(),
                said.stderr
            );
        }
        cell.check_bystanders("after a repair");
        for (source, bytes) in [
            ("victim", victim()),
            ("night", night()),
            ("bystander", bystander()),
            ("dump", PG_DUMP.as_bytes().to_vec()),
        ] {
            cell.run(&["create", source, "--name", "again"]).ok();
            assert!(cell.restore("again", &bytes), "{}", cell.what());
        }
        let verified = cell.run(&["verify"]);
        assert_eq!(verified.status, 0, "{}: {}", cell.what(), verified.text());
        if cell.object != Object::Manifest {
            assert!(
                cell.restore("victim", &victim()),
                "{}: the old snapshot is not whole again",
                cell.what()
            );
            assert!(cell.restore("night", &night()), "{}: the night is not whole again", cell.what());
            assert!(cell.restore("bystander", &bystander()), "{}", cell.what());
        }
        cell.run(&["gc"]).ok();
        cell.check_bystanders("at the end");
        let again = cell.run(&["repair", "--dry-run"]);
        assert_eq!((again.status, again.text().as_str()), (0, "Nothing is damaged\n"), "{}", cell.what());
    });
}
