//! Deletions and tags.

use icecore_format::Label;

use super::{Operation, every_crash_point, nothing_more};
use crate::support::noise;

#[test]
fn every_crash_point_of_a_deletion() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let id = expected.write(store, &[("a", &noise(1, 50_000))]);
            for tag in ["one", "two"] {
                store.add_label(&id, &Label::Tag(tag.into())).expect("tag");
                // They go with the snapshot.
                expected.open_tags.insert((id, tag.into()));
            }
            expected.write(store, &[("a", &noise(2, 25_000))]);
        }),
        work: |site, expected| {
            let store = site.open()?;
            let Some(victim) = expected
                .first(&store)?
                .filter(|snapshot| expected.snapshots[&snapshot.id] == noise(1, 50_000))
            else {
                return Ok(());
            };
            expected.doomed.insert(victim.id);
            store.delete_snapshot(&victim)?;
            expected.snapshots.remove(&victim.id);
            Ok(())
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_adding_and_removing_tags() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let id = expected.write(store, &[("a", &noise(1, 30_000))]);
            for tag in ["kept", "old"] {
                store.add_label(&id, &Label::Tag(tag.into())).expect("tag");
                expected.tags.insert((id, tag.into()));
            }
        }),
        work: |site, expected| {
            let store = site.open()?;
            let id = expected.first(&store)?.expect("it is there").id;
            let (old, new) = ((id, "old".to_owned()), (id, "new".to_owned()));
            expected.open_tags.insert(new.clone());
            store.add_label(&id, &Label::Tag(new.1.clone()))?;
            expected.open_tags.remove(&new);
            expected.tags.insert(new);
            expected.open_tags.insert(old.clone());
            store.remove_label(&id, &Label::Tag(old.1.clone()))?;
            expected.open_tags.remove(&old);
            expected.tags.remove(&old);
            Ok(())
        },
        done: nothing_more,
    });
}
