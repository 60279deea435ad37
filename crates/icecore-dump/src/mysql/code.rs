//! What is stored as code: views, triggers, routines and events.

use std::iter::Peekable;

use super::token::{Kind, Token, Tokens};

/// What a piece of code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeKind {
    /// What others call.
    Function,
    /// What others call.
    Procedure,
    /// What others call, in MariaDB's Oracle mode.
    Package,
    /// And what it does.
    PackageBody,
    /// A query with a name.
    View,
    /// What happens with each row of a table.
    Trigger,
    /// What happens by the clock.
    Event,
}

impl CodeKind {
    /// All of them, in the order in which they can be created.
    pub const ALL: [Self; 7] = [
        Self::Function,
        Self::Procedure,
        Self::Package,
        Self::PackageBody,
        Self::View,
        Self::Trigger,
        Self::Event,
    ];

    /// As SQL says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::Package => "PACKAGE",
            Self::PackageBody => "PACKAGE BODY",
            Self::View => "VIEW",
            Self::Trigger => "TRIGGER",
            Self::Event => "EVENT",
        }
    }
}

/// A statement that creates code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What it creates.
    pub kind: CodeKind,
    /// What that is called.
    pub name: String,
    /// The table of a trigger.
    pub table: Option<String>,
    /// With whose rights it runs: `shop@localhost`, or a role.
    pub definer: Option<String>,
    /// The statement, for a server that reads no comments in it but those in a body.
    pub statement: Vec<u8>,
    /// Whether all character sets read alike what it says before its body.
    pub is_ascii: bool,
    /// Where it says the definer.
    clause: Option<(usize, usize)>,
}

/// Whether what is called so has a body of any text.
pub(super) fn has_body(word: &[u8]) -> bool {
    [&b"TRIGGER"[..], b"PROCEDURE", b"FUNCTION", b"EVENT", b"PACKAGE"]
        .iter()
        .any(|it| word.eq_ignore_ascii_case(it))
}

impl Code {
    /// Understands a statement without comments; `None` if it creates no code, or in another way than dumps do.
    pub fn parse(statement: &[u8]) -> Option<Self> {
        let mut tokens = Tokens::of(statement).peekable();
        tokens.next().filter(|token| token.is("CREATE"))?;
        let (mut definer, mut clause) = (None, None);
        let kind = loop {
            let token = tokens.next()?;
            if token.is("DEFINER") && tokens.next_if(|token| token.is_sign(b'=')).is_some() {
                if clause.is_some() {
                    return None;
                }
                let (who, end) = user(&mut tokens)?;
                (definer, clause) = (Some(who), Some((token.at, end)));
            } else if token.is("ALGORITHM") {
                tokens.next().filter(|token| token.is_sign(b'='))?;
                tokens.next()?;
            } else if token.is("VIEW") {
                break CodeKind::View;
            } else if token.is("PACKAGE") {
                match tokens.next_if(|token| token.is("BODY")) {
                    Some(_) => break CodeKind::PackageBody,
                    None => break CodeKind::Package,
                }
            } else if let Some(kind) = CodeKind::ALL.into_iter().find(|kind| token.is(kind.as_str())) {
                break kind;
            } else if !["OR", "REPLACE", "SQL", "SECURITY", "DEFINER", "INVOKER", "AGGREGATE"]
                .iter()
                .any(|it| token.is(it))
            {
                return None;
            }
        };
        let mut qualifiers = Vec::new();
        // A trigger is told as it was typed, and its database with it, which is that of its table.
        let mut named = |tokens: &mut Peekable<Tokens<'_>>| {
            let token = tokens.next()?;
            if kind == CodeKind::Trigger && tokens.next_if(|token| token.is_sign(b'.')).is_some() {
                let own = tokens.next()?;
                qualifiers.push((token.at, own.at));
                return own.name();
            }
            token.name()
        };
        let name = named(&mut tokens)?;
        let next = tokens.next()?;
        let table = match kind {
            // What comes from a library is no code of a database.
            CodeKind::Function | CodeKind::Procedure if !next.is_sign(b'(') => return None,
            // In another database, or nothing that a dump says.
            CodeKind::View if !(next.is("AS") || next.is_sign(b'(')) => return None,
            CodeKind::Event if !next.is("ON") => return None,
            CodeKind::Trigger => {
                tokens.next()?;
                tokens.next().filter(|token| token.is("ON"))?;
                let table = named(&mut tokens)?;
                tokens.next().filter(|token| token.is("FOR"))?;
                Some(table)
            }
            _ if next.is_sign(b'.') => return None,
            _ => None,
        };
        let head = match kind {
            CodeKind::Event => statement.get(..happens(statement))?,
            _ => statement.get(..tokens.peek().map_or(statement.len(), |token| token.at))?,
        };
        // Whether a backslash stands for itself depends on the mode; no program that dumps writes one there.
        if Tokens::of(head).any(|token| token.kind == Kind::Text && token.text.contains(&b'\\')) {
            return None;
        }
        let is_ascii = head.is_ascii();
        let mut statement = statement.to_vec();
        for (start, end) in qualifiers.into_iter().rev() {
            statement.drain(start..end);
        }
        Some(Self { kind, name, table, definer, statement, is_ascii, clause })
    }

    /// Without a definer: whoever creates it is it.
    pub fn without_definer(mut self) -> Self {
        if let Some((start, end)) = self.clause.take() {
            self.statement.drain(start..end);
            self.definer = None;
        }
        self
    }

    /// The statement for an event that does not happen yet; others as they are.
    pub fn disabled(&self) -> Vec<u8> {
        match self.kind {
            CodeKind::Event => self.with_state(b"DISABLE"),
            _ => self.statement.clone(),
        }
    }

    /// The statement for an event that happens where another one does.
    pub fn happening_as(&self, other: &Self) -> Vec<u8> {
        let (start, end) = other.state();
        let state = other.statement.get(start..end).unwrap_or_default();
        self.with_state(if state.is_empty() { b"ENABLE" } else { state })
    }

    fn with_state(&self, state: &[u8]) -> Vec<u8> {
        let (start, end) = self.state();
        let state = if start == end { [b" ", state].concat() } else { state.to_vec() };
        let mut statement = self.statement.clone();
        statement.splice(start..end, state);
        statement
    }

    /// Where an event says whether it happens; where it would, if it does not say so.
    fn state(&self) -> (usize, usize) {
        let head = self.statement.get(..happens(&self.statement)).unwrap_or_default();
        let head: Vec<Token<'_>> = Tokens::of(head).collect();
        let state = head.iter().rev().find(|token| token.is("ENABLE") || token.is("DISABLE"));
        let end = head.last().map_or(0, Token::end);
        (state.map_or(end, |state| state.at), end)
    }
}

/// Where an event says what it is for, or what happens: all before is when.
fn happens(statement: &[u8]) -> usize {
    let mut depth = 0_u32;
    for token in Tokens::of(statement) {
        match token.kind {
            Kind::Sign(b'(') => depth += 1,
            Kind::Sign(b')') => depth = depth.saturating_sub(1),
            Kind::Word if depth == 0 && (token.is("DO") || token.is("COMMENT")) => return token.at,
            _ => (),
        }
    }
    statement.len()
}

/// `name@host`, in any quotes, or the name of a role.
fn user<'a>(tokens: &mut Peekable<Tokens<'a>>) -> Option<(String, usize)> {
    let plain = |token: &Token<'_>| match token.kind {
        Kind::Text => {
            let inner = token.text.get(1..token.text.len() - 1)?;
            Some(String::from_utf8_lossy(inner).into_owned())
        }
        _ => token.name(),
    };
    let first = tokens.next()?;
    let name = plain(&first)?;
    match tokens.next_if(|token| token.is_sign(b'@')) {
        Some(_) => {
            let host = tokens.next()?;
            Some((format!("{name}@{}", plain(&host)?), host.end()))
        }
        None => Some((name, first.end())),
    }
}
