//! What is known of a snapshot by trying, as it is shown.

use icecore::{Evidence, Snapshot};
use serde_json::{Value, json};

use crate::context::Context;
use crate::units::{Bytes, counted};

/// The word for it in a table: the most that is known, be it that it is not right.
pub(crate) fn word(snapshot: &Snapshot) -> &'static str {
    let labels = &snapshot.labels;
    if labels.faulty().next().is_some() {
        return "FAILED";
    }
    // Who restored it has read it, too. What needs no engine was read, and that was all.
    match labels.restored().filter(|restored| restored.is_ok()) {
        Some(restored) if restored.engine.is_some() => "restored",
        Some(_) => "read",
        None if labels.verified().is_some() => "verified",
        None => "",
    }
}

/// When it was, and whether it was well.
pub(crate) fn brief(evidence: Option<&Evidence>) -> Value {
    evidence.map_or(Value::Null, |evidence| json!({ "at": evidence.at, "ok": evidence.is_ok() }))
}

/// All of it.
pub(crate) fn whole(evidence: Option<&Evidence>) -> Value {
    let Some(evidence) = evidence else { return Value::Null };
    json!({
        "at": evidence.at,
        "ok": evidence.is_ok(),
        "host": evidence.host,
        "tool_version": evidence.tool_version,
        "engine": evidence.engine,
        "chunks": evidence.chunks,
        "bytes": evidence.bytes,
        "tables": evidence.tables,
        "rows": evidence.rows,
        "checks": evidence.checks,
        "unproved": evidence.unproved,
        "fault": evidence.fault,
    })
}

/// When it was, where, and what came of it.
pub(crate) fn line(context: &Context, evidence: &Evidence) -> String {
    format!("{} on {}: {}", context.local_time(&evidence.at), evidence.host, outcome(evidence))
}

/// What came of it.
pub(crate) fn outcome(evidence: &Evidence) -> String {
    let seen = [
        evidence.engine.as_ref().map(|engine| format!("in {engine}")),
        evidence.tables.map(|tables| counted(tables, "table")),
        evidence.rows.map(|rows| counted(rows, "row")),
        Some(format!("{} read", Bytes(evidence.bytes))),
    ];
    let checks = evidence.checks.iter().map(|check| format!("{} {}", check.name, check.count));
    let checks = checks.collect::<Vec<_>>().join(", ");
    let seen = seen.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let checks = if checks.is_empty() { checks } else { format!("; checked: {checks}") };
    match &evidence.fault {
        Some(fault) => format!("FAILED: {fault}"),
        None => format!("{seen}{checks}"),
    }
}
