//! Plans of several steps: a file of TOML.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::fault::{PlanFault, line_of};
use crate::small_file::read_text;
use crate::{Error, Result};

/// The longest name of a step: it becomes a tag, which stands in tables.
const NAME_LEN_MAX: usize = 200;

/// Steps, to be taken one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    /// At least one, of which no two have the same name.
    pub steps: Vec<RunStep>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// What it is called, and the snapshot before it is tagged with.
    pub name: String,
    /// What it runs.
    pub command: StepCommand,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepCommand {
    /// A line for `sh -c`.
    Shell(String),
    /// A program and its arguments, as they are.
    Words(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    #[serde(default)]
    step: Vec<StepEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepEntry {
    name: Spanned<String>,
    command: Spanned<StepCommand>,
}

impl RunPlan {
    /// Reads a plan.
    pub fn read(path: &Path) -> Result<Self> {
        let unusable = |source| Error::RunPlan { path: PathBuf::from(path), source };
        let text = read_text(path).map_err(|error| unusable(Box::new(error)))?;
        Self::parse(&text).map_err(|fault| unusable(Box::new(fault)))
    }

    fn parse(text: &str) -> std::result::Result<Self, PlanFault> {
        let file: PlanFile = toml::from_str(text).map_err(|error| PlanFault::of(text, &error))?;
        if file.step.is_empty() {
            return Err(PlanFault::new(1, "there is no [[step]] in it, and nothing to do"));
        }
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut steps = Vec::new();
        for StepEntry { name, command } in file.step {
            let line = line_of(text, name.span().start);
            let name = name.into_inner();
            if let Some(what) = odd_name(&name) {
                return Err(PlanFault::new(line, what));
            }
            if let Some(first) = lines.insert(name.clone(), line) {
                return Err(PlanFault::new(line, format!("line {first} has a step {name:?} already")));
            }
            let line = line_of(text, command.span().start);
            let command = command.into_inner();
            if let Some(what) = command.fault() {
                return Err(PlanFault::new(line, what));
            }
            steps.push(RunStep { name, command });
        }
        Ok(Self { steps })
    }
}

/// What is wrong with a name that cannot be a tag.
fn odd_name(name: &str) -> Option<String> {
    match name {
        _ if name.trim().is_empty() => Some("the step has an empty name".to_owned()),
        _ if name.chars().any(char::is_control) => Some("the step's name has control characters".to_owned()),
        _ if name.chars().count() > NAME_LEN_MAX => {
            Some(format!("the step's name is longer than {NAME_LEN_MAX} characters"))
        }
        _ => None,
    }
}

impl StepCommand {
    fn fault(&self) -> Option<&'static str> {
        let is_empty = match self {
            Self::Shell(line) => line.trim().is_empty(),
            Self::Words(words) => words.first().is_none_or(String::is_empty),
        };
        let has_zero = match self {
            Self::Shell(line) => line.contains('\0'),
            Self::Words(words) => words.iter().any(|word| word.contains('\0')),
        };
        match (is_empty, has_zero) {
            (true, _) => Some("the command is empty"),
            (false, true) => Some("the command has a zero byte in it"),
            (false, false) => None,
        }
    }
}

impl<'de> Deserialize<'de> for StepCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StepCommand;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> std::result::Result<StepCommand, E> {
                Ok(StepCommand::Shell(line.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<StepCommand, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(StepCommand::Words(words))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_line_for_the_shell_or_a_list_of_words() {
        let text = "[[step]]\nname = 'a'\ncommand = 'make | tee log'\n[[step]]\nname = 'b'\ncommand = ['ls', '-l']\n";
        let steps = RunPlan::parse(text).unwrap().steps;
        let commands: Vec<_> = steps.into_iter().map(|step| (step.name, step.command)).collect();
        let words = StepCommand::Words(vec!["ls".to_owned(), "-l".to_owned()]);
        let line = StepCommand::Shell("make | tee log".to_owned());
        assert_eq!(commands, [("a".to_owned(), line), ("b".to_owned(), words)]);
    }

    #[test]
    fn every_fault_has_its_line() {
        let check = |text: &str, said: &str| {
            let fault = RunPlan::parse(text).unwrap_err().to_string();
            assert!(fault.contains(said), "{text}: {fault}");
            for jargon in ["struct", "field", "sequence", "variant", "expected", "TOML"] {
                assert!(!fault.contains(jargon), "{text}: {fault}");
            }
        };
        let step = "[[step]]\nname = 'a'\ncommand = 'true'\n";
        check("", "line 1: there is no [[step]] in it");
        check("step = []\n", "line 1: there is no [[step]] in it");
        check(
            "[step]\nname = 'a'\ncommand = 'true'\n",
            "line 1: a step is written [[step]], in double brackets",
        );
        check(
            "[[steps]]\nname = 'a'\n",
            "line 1: \"steps\" means nothing here; a plan is a list of [[step]]",
        );
        check(
            "[[step]]\nname = 'a'\ncomand = 'x'\n",
            "line 3: a step has no key \"comand\"; known are name, command",
        );
        check("[[step]]\nname = 'a'\n", "line 1: command is missing here");
        check("[[step]]\ncommand = 'true'\n", "line 1: name is missing here");
        check("[[step]]\nname = 5\ncommand = 'true'\n", "line 2: name must be a text in quotes");
        check(
            "[[step]]\nname = 'a'\ncommand = 5\n",
            "line 3: command must be a text in quotes, or a list of texts",
        );
        check(
            "[[step]]\nname = 'a'\ncommand = ['a', 5]\n",
            "line 3: command must be a text in quotes, or a list",
        );
        check("[[step]]\nname = 'a'\ncommand = ''\n", "line 3: the command is empty");
        check("[[step]]\nname = 'a'\ncommand = []\n", "line 3: the command is empty");
        check("[[step]]\nname = 'a'\ncommand = ['', 'x']\n", "line 3: the command is empty");
        check("[[step]]\nname = 'a'\ncommand = \"a\\u0000b\"\n", "line 3: the command has a zero byte in it");
        check("[[step]]\nname = ' '\ncommand = 'true'\n", "line 2: the step has an empty name");
        check(
            "[[step]]\nname = \"a\\nb\"\ncommand = 'true'\n",
            "line 2: the step's name has control characters",
        );
        check(&format!("{step}\n{step}"), "line 6: line 2 has a step \"a\" already");
        check("[[step]]\nname = 'a\n", "line 2: ");
        check("step = 5\n", "line 1: a step is written [[step]]");
        check("[[step]]\nname = 'a'\nname = 'b'\n", "line 3: what this line says was said above already");
    }
}
