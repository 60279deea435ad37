//! A store in a temporary directory, and a watcher that can interrupt.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore::{
    CreateOptions, Created, Destination, InitOptions, Monitor, RestoreOptions, Restored, Silent, Source,
    Store, create, restore,
};
use jiff::Timestamp;

/// A store, and room beside it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
}

/// Later than any file of a test: change times are trusted.
pub(crate) fn later() -> Timestamp {
    Timestamp::now() + std::time::Duration::from_secs(3600)
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = icecore::Place::Directory(dir.path().join("store"));
        let around = icecore::Surroundings {
            cache: None,
            interrupt: Arc::default(),
            attempts: None,
            limits: icecore::Limits::default(),
            traffic: Arc::default(),
        };
        let store = icecore::init(&place, &around, &InitOptions::new("2026-11-21T00:00:00Z")).unwrap();
        Self { dir, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn create(&self, path: &Path) -> icecore::Result<Created> {
        let options = CreateOptions {
            host: "test".to_owned(),
            store_dir: self.path("store"),
            ..CreateOptions::default()
        };
        create(&self.store, &Source::Path(path.to_owned()), &options, later(), Arc::new(Silent))
    }

    pub(crate) fn restore(
        &self,
        to: &Path,
        adapt: impl FnOnce(&mut RestoreOptions),
    ) -> icecore::Result<Restored> {
        self.restore_watched(to, &Silent, adapt)
    }

    pub(crate) fn restore_watched(
        &self,
        to: &Path,
        monitor: &dyn Monitor,
        adapt: impl FnOnce(&mut RestoreOptions),
    ) -> icecore::Result<Restored> {
        let (snapshots, damaged) = self.store.snapshots().unwrap();
        assert!(damaged.is_empty(), "{damaged:?}");
        let mut options = RestoreOptions {
            to: Destination::Path(to.to_owned()),
            part: None,
            in_place: false,
            allow_damaged: false,
            allow_incomplete: false,
            trusted: true,
            replace: false,
            store_dir: self.path("store"),
        };
        adapt(&mut options);
        restore(&self.store, &snapshots[0], &options, monitor)
    }
}
