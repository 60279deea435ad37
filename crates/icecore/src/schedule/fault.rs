//! What is wrong with a schedule, in words of ours.

use std::ops::RangeInclusive;

/// What is wrong with a schedule as somebody wrote it: one sentence, with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no schedule: {why}; `30 2 * * *` is every night at 2:30")]
pub struct ScheduleFault {
    text: String,
    why: String,
}

impl ScheduleFault {
    pub(super) fn new(text: &str, why: impl Into<String>) -> Self {
        Self { text: text.to_owned(), why: why.into() }
    }
}

/// The longest step that is understood.
const STEP_MAX: u8 = u8::MAX;

/// One of the five.
struct Field {
    name: &'static str,
    range: RangeInclusive<u16>,
    /// How else it can be said.
    names: &'static str,
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", range: 0..=59, names: "" },
    Field { name: "hour", range: 0..=23, names: "" },
    Field { name: "day of the month", range: 1..=31, names: "" },
    Field { name: "month", range: 1..=12, names: ", or jan to dec" },
    Field { name: "day of the week", range: 0..=7, names: ", or sun to sat" },
];

/// Why a text is none; `is_read` says whether another one would be.
pub(super) fn why(text: &str, is_read: impl Fn(&str) -> bool) -> String {
    let said: Vec<&str> = text.split_whitespace().collect();
    if text.trim_start().starts_with('@') {
        return "the words that are known are @hourly, @daily, @weekly, @monthly and @yearly".to_owned();
    }
    if said.len() != FIELDS.len() {
        return format!("it has {} fields, and not five", said.len());
    }
    for (at, (said, field)) in said.iter().zip(&FIELDS).enumerate() {
        let is_read = |piece: &str| {
            let alone = |other: usize| if other == at { piece } else { "*" };
            !piece.is_empty() && !has_long_step(piece) && is_read(&[0, 1, 2, 3, 4].map(alone).join(" "))
        };
        if let Some(piece) = said.split(',').find(|piece| !is_read(piece)) {
            return field.why(piece);
        }
    }
    "it is not understood".to_owned()
}

/// Whether a comma has nothing beside it.
pub(super) fn has_gap(field: &str) -> bool {
    field.split(',').any(str::is_empty)
}

/// Whether what stands after a `/` is no number, or so large that nobody else would understand it.
pub(super) fn has_long_step(field: &str) -> bool {
    let is_long = |piece: &str| piece.split_once('/').is_some_and(|(_, step)| step.parse::<u8>().is_err());
    field.split(',').any(is_long)
}

impl Field {
    /// What is wrong with what stands between two commas.
    fn why(&self, piece: &str) -> String {
        let name = self.name;
        if piece.is_empty() {
            return format!("a comma in the {name} has nothing beside it");
        }
        let (span, step) = piece.split_once('/').map_or((piece, None), |(span, step)| (span, Some(step)));
        if let Some(step) = step {
            if !step.parse::<u8>().is_ok_and(|step| step > 0) {
                return format!("the {name} needs a number from 1 to {STEP_MAX} after its /, as in */2");
            }
            if span != "*" && !span.contains('-') {
                return format!("the {name} needs * or a range before its /, as in */{step}");
            }
        }
        let number = |text: &str| text.parse().ok().filter(|number: &u16| self.range.contains(number));
        match span.split_once('-').and_then(|(from, to)| Some((number(from)?, number(to)?))) {
            Some((from, to)) if from > to => format!("the {name} {span} ends before it begins"),
            _ => {
                let (first, last) = (self.range.start(), self.range.end());
                format!("{span:?} is no {name}: {first} to {last}{} are", self.names)
            }
        }
    }
}
