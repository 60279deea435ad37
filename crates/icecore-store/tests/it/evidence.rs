//! What is known of a snapshot by trying.

use icecore_format::{Check, EVIDENCE_TEXT_MAX, Evidence, EvidenceKind, names};

use crate::support::{BOTH, Fixture, find, gc_options, noise, write};

/// A proof at some minute.
pub(crate) fn evidence(kind: EvidenceKind, minute: u8) -> Evidence {
    Evidence {
        kind,
        at: format!("2026-11-20T10:{minute:02}:00.000000Z"),
        host: "db3".into(),
        tool_version: "0.1.0".into(),
        engine: None,
        chunks: 7,
        bytes: 3000,
        tables: None,
        rows: None,
        checks: vec![Check { name: "chunks".into(), count: 7 }],
        unproved: Vec::new(),
        fault: None,
    }
}

#[test]
fn the_last_attempt_of_each_kind_is_kept_and_says_whether_it_was_well() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let id = write(&fixture.store, "shop", &[("a", &noise(1, 3000))]).id;
        let failed =
            Evidence { fault: Some("rows are missing".into()), ..evidence(EvidenceKind::Restored, 1) };
        fixture.store.record_evidence(&id, failed.clone()).unwrap();
        fixture.store.record_evidence(&id, evidence(EvidenceKind::Verified, 2)).unwrap();
        let labels = find(&fixture.store, id).labels;
        assert_eq!(labels.restored(), Some(&failed));
        assert!(labels.verified().unwrap().is_ok() && !failed.is_ok());

        fixture.store.record_evidence(&id, evidence(EvidenceKind::Restored, 3)).unwrap();
        let labels = find(&fixture.store, id).labels;
        assert_eq!(labels.restored(), Some(&evidence(EvidenceKind::Restored, 3)));
        let mut expected = ["restored", "verified"].map(|kind| names::label(&id, kind)).to_vec();
        assert_eq!(fixture.names("labels/"), expected);

        fixture.store.delete_snapshot(&find(&fixture.store, id)).unwrap();
        fixture.store.gc(&gc_options(), &icecore_store::Silent).unwrap();
        expected.clear();
        assert_eq!(fixture.names("labels/"), expected);
    }
}

#[test]
fn evidence_that_says_more_than_is_read_back_is_cut() {
    let fixture = Fixture::memory(crate::support::Crypto::Plain);
    let id = write(&fixture.store, "shop", &[("a", &noise(1, 3000))]).id;
    let long =
        Evidence { fault: Some("é".repeat(EVIDENCE_TEXT_MAX)), ..evidence(EvidenceKind::Verified, 1) };
    fixture.store.record_evidence(&id, long).unwrap();
    let labels = find(&fixture.store, id).labels;
    assert_eq!(labels.verified().unwrap().fault.as_ref().unwrap().len(), EVIDENCE_TEXT_MAX);
}
