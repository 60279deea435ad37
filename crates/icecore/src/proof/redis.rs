//! Redis: a server of our own becomes a replica of the snapshot.

use icecore_engine::redis::scratch;
use icecore_engine::scratch::Examined;

use super::database::{first_word, or_death};
use super::failure::Failure;
use super::{Found, Job};
use crate::restore::{plan_redis, restore_redis};

const ITS_OWN: &str = "it need not run: proofs start a server of their own, which ends with them";

impl Job<'_> {
    pub(super) fn restore_redis(&self) -> Result<Found, Failure> {
        let installed = scratch::Installed::find().map_err(Failure::without_server(ITS_OWN))?;
        let is_cancelled = || self.is_cancelled();
        let folder = scratch::folder().map_err(Failure::before)?;
        let mut server =
            scratch::Server::start(&installed, folder, &is_cancelled).map_err(Failure::before)?;
        let plan =
            plan_redis(self.store, self.snapshot, &server.endpoint(), true).map_err(Failure::during)?;
        if !plan.blockers.is_empty() {
            return Err(Failure::Impossible { why: plan.blockers.join("; "), hint: None });
        }
        let restored = restore_redis(self.store, self.snapshot, &plan, self.watch).map_err(Failure::during);
        let restored = restored.map_err(|failure| or_death(failure, server.death()))?;
        let mut examined = Examined { rows: restored.keys, ..Examined::default() };
        match restored.captured {
            // As a replica it gives up no key because its time has come.
            Some(captured) if captured != restored.keys => {
                examined.fault =
                    Some(format!("the server has {} keys, and {captured} were captured", restored.keys));
            }
            Some(captured) => examined.checks.push(("keys", captured)),
            None => examined.unproved.push("how many keys there should be is not known".to_owned()),
        }
        examined.unproved.push("values were loaded, and not looked at".to_owned());
        let engine = Some(format!("Redis {}", first_word(&plan.version)));
        Ok(Found { engine, examined, has_tables: false, has_rows: true })
    }
}
