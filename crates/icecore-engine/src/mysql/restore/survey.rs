//! What a snapshot would have a server do later, found out by reading all of it: what it says of itself may be wrong.

use std::collections::BTreeSet;

use icecore_dump::mysql_script::{Action, CodeKind, Reader, sequences};

use super::script::Script;
use crate::RestoreError;
use crate::database::Content;

/// No database has as many events, users and sequences.
const NAMES_MAX: usize = 100_000;

/// The code of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// With whose rights it runs.
    pub(super) definers: BTreeSet<String>,
    /// Sequences that columns take their defaults from, each with its database.
    pub(super) sequences: BTreeSet<(String, String)>,
    /// By name.
    pub(super) triggers: BTreeSet<String>,
    /// What happens by the clock, by name.
    events: BTreeSet<String>,
}

impl Survey {
    pub(super) fn of(content: &dyn Content, reader: Reader) -> Result<Self, RestoreError> {
        let mut survey = Self::default();
        for part in content.parts() {
            let mut script = Script::open(content, part, reader)?;
            while let Some(action) = script.next()? {
                match action {
                    Action::Create(code) => {
                        survey.definers.extend(code.definer);
                        match code.kind {
                            CodeKind::Event => _ = survey.events.insert(code.name),
                            CodeKind::Trigger => _ = survey.triggers.insert(code.name),
                            _ => (),
                        }
                    }
                    Action::Run { statement, adds_rows: false } => {
                        survey.sequences.extend(sequences(&statement));
                    }
                    _ => continue,
                }
                let names = [
                    survey.sequences.len(),
                    survey.definers.len(),
                    survey.events.len(),
                    survey.triggers.len(),
                ];
                if names.iter().sum::<usize>() > NAMES_MAX {
                    return Err(RestoreError::Refused(
                        "the snapshot has more code than a database can have".to_owned(),
                    ));
                }
            }
        }
        Ok(survey)
    }

    /// Nobody calls an event.
    pub(super) fn notice(&self) -> Option<String> {
        let verb = match self.events.len() {
            0 => return None,
            1 => "1 event, which runs",
            n => &format!("{n} events, which run"),
        };
        Some(format!(
            "the snapshot has {verb} by the clock, with the rights of its definer, once the restore is over"
        ))
    }
}
