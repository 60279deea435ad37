//! What icecore does, as functions: where engines and the store meet.
//!
//! [`find_store`] and [`open`] lead to a store; [`create`] captures a [`Source`] into it; [`select`] finds the snapshot that a person
//! means; [`restore`] gives it back. The program around it parses arguments, shows progress and prints. This crate prints nothing, reads
//! no environment variable of ours, and takes the time as a value.
#![warn(missing_docs)]

mod archive;
mod config;
mod create;
mod environment;
mod error;
mod health;
mod nearest;
mod nightly;
mod open;
mod origin;
mod place;
mod probe;
mod proof;
mod prune;
mod quantity;
mod remote;
mod restore;
mod retention;
mod run;
mod schedule;
mod secret;
mod select;
mod sentence;
mod service;
mod sink;
mod small_file;
mod source;
mod time;

pub use archive::{
    Brought, Carried, CarriedStore, ExportOptions, Exported, ImportOptions, Imported, Packing, export,
    export_store, import, import_store, is_store_file, open_store_file,
};
pub use config::{
    CONFIG_FILE, Config, ConfigFault, NightlySettings, Project, Retention, WebUrl, WebhookWhen,
};
pub use create::{CreateOptions, Created, PHYSICAL_SUFFIX, create, is_of_a_part};
pub use environment::Environment;
pub use error::{Error, Result};
pub use health::{Good, Growth, Health, Shrunk, State, StoreHealth, examine, is_yet_to_come, metrics};
pub use icecore_format::{Evidence, EvidenceKind, SnapshotId};
pub use icecore_s3::{Cause as S3Cause, Condition, Probe};
pub use icecore_storage::{Limits, RateLimit, Traffic, without_secret};
pub use icecore_store::{
    BrokenSnapshot, Counter, Depths, GcOptions, GcPlan, GcReport, InitOptions, Monitor, RepairOptions,
    RepairPlan, RepairReport, Sent, Silent, Snapshot, SnapshotReader, Stats, Store, StoreError, Transfer,
    TransferOptions, TransferPlan, Unlock, VerifyExtent, VerifyReport,
};
pub use nearest::{did_you_mean, nearest};
pub use nightly::{
    Entries, Grade, Journal, Night, Outcome, Record, Run, Step, StepReport, Task, Watcher, nightly,
    tell_of_failure,
};
pub use open::{
    Surroundings, cache_of, check_conditions, empty_same, init, is_store, open, open_as, open_same,
    probe_place,
};
pub use origin::{place_of, places_of_series};
pub use place::{Place, STORE_DIR, find_store};
pub use probe::{Probed, probe};
pub use proof::{Proof, ProofOptions, Verified, Witness, prove, verify_and_record};
pub use prune::{Judged, PruneOptions, PrunePlan, Pruned, SeriesPlan, plan_prune, prune};
pub use quantity::{Length, Size, parse_duration, parse_size};
pub use remote::{Named, REMOTES_FILE, Remote, Remotes, add_remote, is_plain_path, is_url, remove_remote};
pub use restore::{
    Database, DatabasePlan, Destination, ExistingDatabase, RestoreOptions, Restored, RestoredFile,
    RestoredKeys, SqliteOptions, TablePlan, is_base_backup, plan_database, plan_redis, plan_sqlite,
    plan_sqlite_table, plan_table, restore, restore_database, restore_redis, restore_sqlite,
    restore_sqlite_table, restore_table, rollback_sqlite_table,
};
pub use retention::{
    AgesFrom, Candidate, Period, Policies, Policy, PolicyFault, Reason, Rule, Verdict, Window, decide,
};
pub use run::{
    AFTER_RUN_TAG, BEFORE_RUN_TAG, Changes, PartChange, PartSize, PartVerdict, RunPlan, RunStep, StepCommand,
    compare_snapshots,
};
pub use schedule::{
    Agenda, Appointment, Calendar, Mark, Schedule, ScheduleFault, Timer, Unit, jitter, with_lines,
};
pub use secret::read_secret;
pub use select::{SAFETY_SUFFIX, SAFETY_TAG, Selector, is_safety, resolve, select, tags_of};
pub use sentence::{io_message, sentence};
pub use service::Service;
pub use source::Source;
pub use time::{format_time, now, parse_time_point};
