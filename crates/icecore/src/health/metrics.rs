//! The same for Prometheus, in its text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use jiff::Timestamp;

use super::judge::{Good, Health, State, StoreHealth};
use crate::nightly::Record;

/// What a gauge is about, and its value.
type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

/// All gauges, with a line of help each. What is not known has no sample.
pub fn metrics(health: &StoreHealth) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, samples: Vec<Sample<'_>>| {
        if samples.is_empty() {
            return;
        }
        text.push_str(&format!("# HELP icecore_{name} {help}\n# TYPE icecore_{name} gauge\n"));
        for (labels, value) in samples {
            text.push_str(&format!("icecore_{name}{} {value}\n", in_braces(&labels)));
        }
    };
    let services = |of: &dyn Fn(&Health) -> Option<f64>| -> Vec<Sample<'_>> {
        let samples = health.services.iter();
        samples.filter_map(|it| Some((vec![("service", it.service.as_str())], of(it)?))).collect()
    };
    let newest = |of: fn(&Good) -> f64| services(&|it: &Health| it.newest.as_ref().map(of));
    gauge(
        "service_good",
        "Whether the service does as it should: 1, or 0 if it is late, a step failed, or it has no good snapshot.",
        services(&|it| Some(flag(it.state == State::Good))),
    );
    gauge(
        "service_late",
        "Whether the newest good snapshot is older than the schedule allows.",
        services(&|it| it.schedule.as_ref().map(|_| flag(it.late_since.is_some()))),
    );
    gauge(
        "snapshot_timestamp_seconds",
        "When the newest good snapshot was taken.",
        newest(|it| seconds(it.taken)),
    );
    gauge(
        "snapshot_logical_bytes",
        "Plain bytes of the newest good snapshot.",
        newest(|it| it.logical_bytes as f64),
    );
    gauge(
        "snapshot_shrunk",
        "Whether that is much less than it was: 1, or 0.",
        services(&|it| it.newest.as_ref().map(|_| flag(it.shrunk.is_some()))),
    );
    gauge(
        "snapshot_stored_bytes",
        "Bytes that the newest good snapshot added to the store.",
        newest(|it| it.stored_bytes as f64),
    );
    gauge(
        "next_run_timestamp_seconds",
        "When the next run is to begin.",
        services(&|it| it.next_run.map(seconds)),
    );
    gauge(
        "last_run_timestamp_seconds",
        "When the last run on this machine began.",
        services(&|it| it.last_run.as_ref().map(|run| seconds(run.begun))),
    );
    gauge(
        "verified_timestamp_seconds",
        "When a snapshot was last read back.",
        services(&|it| it.verified.map(|(at, _)| seconds(at))),
    );
    gauge("verified_good", "Whether it was right.", services(&|it| it.verified.map(|(_, good)| flag(good))));
    gauge(
        "restored_timestamp_seconds",
        "When a snapshot was last restored for a test.",
        services(&|it| it.restored.map(|(at, _)| seconds(at))),
    );
    gauge(
        "restored_good",
        "Whether that went well.",
        services(&|it| it.restored.map(|(_, good)| flag(good))),
    );
    let of_runs = health.services.iter().filter_map(|it| it.last_run.as_ref()).flat_map(|run| &run.steps);
    let steps: Vec<&Record> = of_runs.chain(&health.steps).collect();
    gauge(
        "step_failed",
        "Whether a step of the last run failed, or saw something that is not as it should be.",
        steps.iter().map(|it| (labels_of(it), flag(it.is_bad()))).collect(),
    );
    gauge(
        "step_timestamp_seconds",
        "When it was over.",
        steps.iter().map(|it| (labels_of(it), seconds(it.at))).collect(),
    );
    let whole = |value: f64| vec![(Vec::new(), value)];
    gauge(
        "store_good",
        "Whether what is done for the whole store went well the last time: 1, or 0.",
        whole(flag(health.is_store_good())),
    );
    gauge(
        "store_bytes",
        "Bytes of packs, their parity, and manifests.",
        whole(health.stats.stored_bytes as f64),
    );
    gauge("store_snapshots", "Snapshots in the store.", whole(health.stats.snapshots as f64));
    gauge(
        "store_added_bytes_7d",
        "Bytes that the snapshots of the last seven days added.",
        whole(health.growth.week as f64),
    );
    gauge(
        "store_added_bytes_30d",
        "Bytes that the snapshots of the last thirty days added.",
        whole(health.growth.month as f64),
    );
    gauge("examined_timestamp_seconds", "When all of this was looked at.", whole(seconds(health.at)));
    text
}

fn labels_of(record: &Record) -> Vec<(&str, &str)> {
    let task = &record.task;
    let service = task.service.as_deref().map(|service| ("service", service));
    let remote = task.remote.as_deref().map(|remote| ("remote", remote));
    service.into_iter().chain([("step", task.step.as_str())]).chain(remote).collect()
}

fn in_braces(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64
}
