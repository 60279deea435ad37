//! Where passwords come from: a file, the environment, a person; never the command line.

use std::io::{self, IsTerminal};
use std::path::Path;

use icecore::{io_message, read_secret};

use crate::failure::{CommandError, Result};
use crate::signals::Prompt;
use crate::status::ExitStatus;

/// The variable that holds a password itself.
pub(crate) const PASSWORD_VARIABLE: &str = "ICECORE_PASSWORD";

/// The password that opens the store; `None` if there is nobody to ask.
pub(crate) fn existing(file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    if let Some(password) = given(file)? {
        return Ok(Some(password));
    }
    if can_prompt() { prompt("Password of the store: ").map(Some) } else { Ok(None) }
}

/// A password for a new store, asked for twice if a person types it.
pub(crate) fn first(file: Option<&Path>) -> Result<Vec<u8>> {
    match given(file)? {
        Some(password) => Ok(password),
        None => twice("--password-file FILE"),
    }
}

/// A password that joins or replaces another: from `file` or from a person.
pub(crate) fn another(file: Option<&Path>) -> Result<Vec<u8>> {
    match file {
        Some(path) => read(path),
        None => twice("--new-password-file FILE"),
    }
}

/// Whether a password is at hand without asking.
pub(crate) fn is_given(file: Option<&Path>) -> bool {
    file.is_some() || std::env::var_os(PASSWORD_VARIABLE).is_some_and(|password| !password.is_empty())
}

/// The password that is at hand without asking.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    if let Some(path) = file {
        return read(path).map(Some);
    }
    match std::env::var_os(PASSWORD_VARIABLE) {
        Some(password) if !password.is_empty() => Ok(Some(password.into_encoded_bytes())),
        _ => Ok(None),
    }
}

/// The file's content without its last line end.
fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |error| {
        let message = format!("cannot read the password file {}: {}", path.display(), io_message(&error));
        CommandError::new(ExitStatus::Password, message)
    };
    let mut password = read_secret(path).map_err(cannot)?;
    if password.last() == Some(&b'\n') {
        password.pop();
        if password.last() == Some(&b'\r') {
            password.pop();
        }
    }
    if password.is_empty() {
        let message = format!("the password file {} is empty", path.display());
        return Err(CommandError::new(ExitStatus::Password, message));
    }
    Ok(password)
}

fn can_prompt() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn twice(option: &str) -> Result<Vec<u8>> {
    if !can_prompt() {
        let message = "a new password is needed, and there is no terminal to ask for it";
        return Err(CommandError::new(ExitStatus::Password, message).hint(format!("give it with {option}")));
    }
    let password = prompt("New password: ")?;
    if password.is_empty() {
        return Err(CommandError::new(ExitStatus::Password, "an empty password protects nothing"));
    }
    if prompt("Once more: ")? != password {
        return Err(CommandError::new(ExitStatus::Password, "the two passwords differ; nothing was changed"));
    }
    Ok(password)
}

fn prompt(question: &str) -> Result<Vec<u8>> {
    let _prompt = Prompt::begin();
    let typed =
        rpassword::prompt_password(question).map_err(CommandError::io("cannot ask for the password"))?;
    Ok(typed.into_bytes())
}
