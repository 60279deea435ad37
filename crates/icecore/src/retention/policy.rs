//! All that is to be kept.

use std::fmt;

use serde::Deserialize;

use super::{PolicyFault, Rule};

/// What is to be kept: what any of its rules keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// Keeps everything.
    pub fn all() -> Self {
        Self { rules: vec![Rule::All] }
    }

    /// These rules; `None` if there are none, which would keep nothing.
    pub fn of(rules: Vec<Rule>) -> Option<Self> {
        (!rules.is_empty()).then_some(Self { rules })
    }

    /// Understands `7d all, 30d daily, 1y weekly, then monthly`.
    pub fn parse(text: &str) -> Result<Self, PolicyFault> {
        let rules = pieces(text).into_iter().map(Rule::parse).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// What it is made of.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The same, that also keeps what has these tags.
    #[must_use]
    pub fn and_tags(mut self, tags: &[String]) -> Self {
        self.rules.extend(tags.iter().cloned().map(Rule::Tag));
        self
    }
}

/// What stands between commas, but not those in quotes.
fn pieces(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
    .collect()
}

impl TryFrom<String> for Policy {
    type Error = PolicyFault;

    fn try_from(text: String) -> Result<Self, PolicyFault> {
        Self::parse(&text)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.rules.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{rule}")?;
        }
        Ok(())
    }
}
