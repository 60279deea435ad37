//! What others follow a database by: subscriptions come back disabled, replication slots when the database is in its place.

use super::super::endpoint::Endpoint;
use super::super::facts::{Facts, Slot, Subscription};
use super::super::session::{Session, Trouble, ident, literal, text};

/// What is told before, and what stands in the way if it is to come back.
pub(super) struct Outlook {
    pub(super) notices: Vec<String>,
    pub(super) blockers: Vec<String>,
}

/// Looks at what the snapshot has of it.
pub(super) fn look(server: &mut Session, facts: &Facts, is_wanted: bool) -> Result<Outlook, Trouble> {
    let (slots, subscriptions) = (&facts.replication.slots, &facts.replication.subscriptions);
    let mut outlook = Outlook { notices: Vec::new(), blockers: Vec::new() };
    let names = |names: Vec<&str>| names.join(", ");
    let slot_names = names(slots.iter().map(|slot| slot.name.as_str()).collect());
    let subscription_names = names(subscriptions.iter().map(|it| it.name.as_str()).collect());
    if !is_wanted {
        if !slots.is_empty() {
            outlook
                .notices
                .push(format!("replication slots are not made again: {slot_names}; --with-cdc does"));
        }
        if !subscriptions.is_empty() {
            outlook
                .notices
                .push(format!("subscriptions are not made again: {subscription_names}; --with-cdc does"));
        }
        return Ok(outlook);
    }
    if !slots.is_empty() {
        outlook.notices.push(format!(
            "replication slots begin where the server is now, so whoever reads them must take everything once more: {slot_names}"
        ));
        let level = server.value("SHOW wal_level")?;
        if level != "logical" {
            outlook
                .blockers
                .push(format!("replication slots need wal_level = logical, and it is {level}: {slot_names}"));
        }
    }
    for Subscription { name, connection, .. } in subscriptions {
        outlook.notices.push(match connection.is_empty() {
            true => format!("the subscription {name} is not made again: who captured it might not see how it connects"),
            false => format!(
                "the subscription {name} comes back disabled, without a password and without a slot: ALTER SUBSCRIPTION {} CONNECTION, SET (slot_name = ...), ENABLE",
                ident(name)
            ),
        });
    }
    Ok(outlook)
}

/// Makes subscriptions in the new database. They connect to nobody, and hold no slot elsewhere.
pub(super) fn subscribe(session: &mut Session, facts: &Facts) -> Result<(), Trouble> {
    let known = facts.replication.subscriptions.iter().filter(|it| !it.connection.is_empty());
    known.into_iter().try_for_each(|Subscription { name, connection, publications, .. }| {
        session.run(&format!(
            "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {publications} WITH (connect = false, slot_name = NONE)",
            ident(name),
            literal(connection)
        ))
    })
}

/// Makes the slots of a database that is in its place. A slot's name is the server's: the one that the database put aside has gives it up.
/// Returns what could not be done.
pub(super) fn make_slots(endpoint: &Endpoint, facts: &Facts, kept: Option<&str>) -> Vec<String> {
    let made = Session::open(endpoint).map(|mut session| {
        facts.replication.slots.iter().filter_map(|slot| make_slot(&mut session, slot, kept).err()).collect()
    });
    made.unwrap_or_else(|unreached| vec![format!("replication slots were not made: {unreached}")])
}

fn make_slot(session: &mut Session, slot: &Slot, kept: Option<&str>) -> Result<(), String> {
    let name = &slot.name;
    let failed = |trouble: Trouble| format!("the replication slot {name} was not made: {}", trouble.what);
    let there = session
        .rows(&format!(
            "SELECT database, active FROM pg_replication_slots WHERE slot_name = {}",
            literal(name)
        ))
        .map_err(failed)?;
    if let Some(row) = there.first() {
        let (database, active) = (text(row, 0), text(row, 1) == "t");
        if kept != Some(database.as_str()) || active {
            return Err(format!("the replication slot {name} was not made: {database} has one of that name"));
        }
        session.rows(&format!("SELECT pg_drop_replication_slot({})", literal(name))).map_err(failed)?;
    }
    let two_phase = if session.major() >= 14 { format!(", {}", slot.two_phase) } else { String::new() };
    let failover = if session.major() >= 17 { format!(", {}", slot.failover) } else { String::new() };
    let made = format!(
        "SELECT pg_create_logical_replication_slot({}, {}, false{two_phase}{failover})",
        literal(name),
        literal(&slot.plugin)
    );
    session.rows(&made).map(drop).map_err(failed)
}
