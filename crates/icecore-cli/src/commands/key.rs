//! `icecore key`

use std::path::PathBuf;

use icecore::StoreError;
use icecore_format::{KdfCost, KeyFile};
use serde_json::{Value, json};

use crate::args::parse_line;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::password;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::printable;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum KeyCommand {
    /// Let another password open the store
    Add(AddArgs),
    /// List the keys, one per password
    List(ListArgs),
    /// Take a key away, so that its password opens the store no longer
    ///
    /// Whoever opened the store before may have kept the secret that the passwords protect: make a new store if that matters.
    Remove(RemoveArgs),
    /// Change the password you use
    Passwd(PasswdArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// What the key is for, or whose it is
    #[arg(long, default_value = "added", value_parser = parse_line)]
    label: String,
    /// Read the new password from a file
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The key's id, as `key list` shows it
    #[arg(value_name = "KEY")]
    id: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PasswdArgs {
    /// Read the new password from a file
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, command: &KeyCommand) -> Result<ExitStatus> {
    let opened = context.open()?;
    // Before anybody is asked for a password that could not be used.
    let keys = opened.store.keys()?;
    match command {
        KeyCommand::Add(args) => add(ui, context, &opened, args)?,
        KeyCommand::List(_) => list(ui, context, &keys)?,
        KeyCommand::Remove(args) => remove(ui, context, &opened, &keys, args)?,
        KeyCommand::Passwd(args) => change(ui, context, &opened, args)?,
    }
    Ok(ExitStatus::Success)
}

fn add(ui: &mut Ui, context: &Context, opened: &Opened, args: &AddArgs) -> Result<()> {
    let password = password::another(args.new_password_file.as_deref())?;
    refuse_known(opened, &password)?;
    let key = opened.store.add_key(&password, &args.label, &context.now_text(), KdfCost::DEFAULT)?;
    told(ui, &key, "Added")
}

fn change(ui: &mut Ui, context: &Context, opened: &Opened, args: &PasswdArgs) -> Result<()> {
    let old = opened.password.as_deref().ok_or(StoreError::NotEncrypted)?;
    let old = opened.store.key_of(old)?;
    let password = password::another(args.new_password_file.as_deref())?;
    refuse_known(opened, &password)?;
    // The new one first: whatever happens between, one of them opens the store.
    let key = opened.store.add_key(&password, &old.label, &context.now_text(), KdfCost::DEFAULT)?;
    opened.store.remove_key(&old.id)?;
    told(ui, &key, "Changed the password: it opens")
}

/// One password, one key: who takes a key away must be sure that its password opens the store no longer.
fn refuse_known(opened: &Opened, password: &[u8]) -> Result<()> {
    match opened.store.key_of(password) {
        Ok(key) => {
            let message = format!(
                "this password opens the store already, with key {} ({})",
                key.id,
                printable(&key.label)
            );
            Err(CommandError::new(ExitStatus::Failed, message).hint("choose another; nothing was changed"))
        }
        Err(StoreError::WrongPassword { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn remove(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    keys: &[KeyFile],
    args: &RemoveArgs,
) -> Result<()> {
    if let Some(key) = keys.iter().find(|key| key.id == args.id && keys.len() > 1) {
        let what =
            format!("key {} ({}) of {}", key.id, printable(&key.label), context.local_time(&key.created_at));
        ui.confirm(
            &format!("Remove {what}? Its password will not open the store any more."),
            &format!("removing {what} needs a confirmation; nothing was removed"),
        )?;
    }
    opened.store.remove_key(&args.id)?;
    if ui.json {
        ui.document(&json!({ "removed": args.id }))?;
    } else if !ui.quiet {
        ui.line(format_args!("Removed key {}", args.id))?;
    }
    Ok(())
}

fn told(ui: &mut Ui, key: &KeyFile, what: &str) -> Result<()> {
    match (ui.json, ui.quiet) {
        (true, _) => ui.document(&entry(key)),
        (false, true) => ui.line(&key.id),
        (false, false) => ui.line(format_args!("{what} key {} ({})", key.id, printable(&key.label))),
    }
}

fn list(ui: &mut Ui, context: &Context, keys: &[KeyFile]) -> Result<()> {
    if ui.json {
        return ui.document(&json!({ "keys": keys.iter().map(entry).collect::<Vec<_>>() }));
    }
    let row =
        |key: &KeyFile| vec![key.id.clone(), printable(&key.label), context.local_time(&key.created_at)];
    let head = [("KEY", Column::Left), ("LABEL", Column::Left), ("CREATED", Column::Left)];
    ui.table(&head, keys.iter().map(row).collect())
}

fn entry(key: &KeyFile) -> Value {
    json!({ "id": key.id, "label": key.label, "created_at": key.created_at })
}
