//! What a script may tell a session.

use std::iter::Peekable;

use super::script::Action;
use super::token::{Kind, Token, Tokens};

/// What a session may be told: settings that change how statements are read, and nothing else.
const SETTINGS: [&str; 13] = [
    "NAMES",
    "CHARACTER_SET_CLIENT",
    "CHARACTER_SET_RESULTS",
    "COLLATION_CONNECTION",
    "TIME_ZONE",
    "SQL_MODE",
    "SQL_NOTES",
    "NOTE_VERBOSITY",
    "UNIQUE_CHECKS",
    "FOREIGN_KEY_CHECKS",
    "SQL_QUOTE_SHOW_CREATE",
    "CHECK_CONSTRAINT_CHECKS",
    "SYSTEM_VERSIONING_INSERT_HISTORY",
];
/// What is the server's business, or ours.
const NOT_OURS: [&str; 5] =
    ["GTID_PURGED", "SQL_LOG_BIN", "AUTOCOMMIT", "STATEMENT_TIMEOUT", "INNODB_STATS_AUTO_RECALC"];

/// Assignments of constants and variables to what may be set, of this session alone.
///
/// They are read by the server in a mode and a character set that are not known here: without backslashes and other letters than those of ASCII, all
/// modes read the same.
pub(super) fn set(plain: &[u8]) -> Option<Action> {
    if !plain.is_ascii() || plain.contains(&b'\\') {
        return None;
    }
    let mut tokens = Tokens::of(plain).peekable();
    tokens.next().filter(|token| token.is("SET"))?;
    loop {
        if says(target(&mut tokens)?, &NOT_OURS) {
            return Some(Action::Skip);
        }
        // There is a value, which is no function and no query.
        tokens.peek()?;
        loop {
            match tokens.next().map(|token| token.kind) {
                None => return Some(Action::Set(plain.to_vec())),
                Some(Kind::Sign(b',')) => break,
                Some(Kind::Sign(b'(' | b';')) => return None,
                Some(_) => (),
            }
        }
    }
}

fn says(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}

/// What gets a value, with all that comes before the value.
fn target<'a>(tokens: &mut Peekable<Tokens<'a>>) -> Option<&'a [u8]> {
    let mut sign = |wanted| tokens.next_if(|token: &Token<'_>| token.is_sign(wanted)).is_some();
    let is_variable = sign(b'@');
    let is_user = is_variable && !sign(b'@');
    let mut name = tokens.next().filter(|token| matches!(token.kind, Kind::Word | Kind::Name))?;
    let mut is_session = true;
    if !is_user && ["SESSION", "LOCAL", "GLOBAL", "PERSIST", "PERSIST_ONLY"].iter().any(|it| name.is(it)) {
        is_session = name.is("SESSION") || name.is("LOCAL");
        tokens.next_if(|token| is_variable && token.is_sign(b'.'));
        name = tokens.next()?;
    }
    // Names are set with no sign between.
    if name.is("NAMES") {
        return (is_session && !is_variable).then_some(name.text);
    }
    tokens.next_if(|token| token.is_sign(b':'));
    tokens.next().filter(|token| token.is_sign(b'='))?;
    let is_ours = is_user || is_session && name.kind == Kind::Word && says(name.text, &SETTINGS);
    let is_skipped = !is_user && name.kind == Kind::Word && says(name.text, &NOT_OURS);
    (is_ours || is_skipped).then_some(if is_user { b"@" } else { name.text })
}
