//! `icecore init`

use std::path::Path;

use icecore::{InitOptions, Place, Remote, Unlock};
use icecore_format::KdfCost;
use serde_json::json;

use crate::commands::import;
use crate::commands::remote::findings;
use crate::context::{Context, NO_REMOTE_STORE};
use crate::failure::{CommandError, Result};
use crate::password;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::parse_percent;

/// What a remote is called that a store was joined from.
pub(crate) const ORIGIN: &str = "origin";

/// Make a store
///
/// It lies where --store or icecore.toml says, or else in .icecore in the current directory, where all commands find it.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Join the store that is at a remote, a URL, or in a file of `export --format store`: the same store, here, to push from and to pull to
    #[arg(long, value_name = "REMOTE", conflicts_with_all = ["encrypt", "parity", "no_delta", "pack_size"])]
    from: Option<String>,
    /// Encrypt what is stored; asks for a password
    #[arg(long)]
    encrypt: bool,
    /// Keep parity beside the data, so that `repair` can heal bit rot: 5% heals damage in about one block of twenty
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    parity: Option<u8>,
    /// Never store data by how it differs from what is there: as `create --no-delta`, for all
    #[arg(long)]
    no_delta: bool,
    /// How large packs become
    #[arg(long, hide = true, value_name = "SIZE", value_parser = icecore::parse_size)]
    pack_size: Option<u64>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &InitArgs) -> Result<ExitStatus> {
    let place = context.new_store_place()?;
    if let Some(from) = &args.from
        && context.cwd.join(from).is_file()
    {
        return join_file(ui, context, &place, &context.cwd.join(from));
    }
    if let Some(from) = &args.from {
        return join(ui, context, &place, from);
    }
    let mut options = InitOptions::new(context.now_text());
    if let Some(size) = args.pack_size {
        options.pack_len =
            u32::try_from(size).map_err(|_| CommandError::usage("packs cannot be that large"))?;
    }
    options.parity = args.parity.unwrap_or(0);
    options.deltas = !args.no_delta;
    if !args.encrypt && password::is_given(context.password_file.as_deref()) {
        // Whoever gives a password expects to be protected by it.
        return Err(CommandError::usage(
            "a password is given, but not --encrypt: the store would be a plain one",
        )
        .hint("add --encrypt, or take away --password-file, ICECORE_PASSWORD_FILE and ICECORE_PASSWORD"));
    }
    if args.encrypt {
        options.password = Some((password::first(context.password_file.as_deref())?, KdfCost::DEFAULT));
    }
    let store = icecore::init(&place, &context.surroundings(), &options)?;
    let id = store.config().store_id.to_string();
    if ui.json {
        ui.document(&json!({
            "store": place.to_string(),
            "id": id,
            "encrypted": args.encrypt,
            "parity": options.parity,
            "deltas": options.deltas,
        }))?;
    } else if ui.quiet {
        ui.line(&place)?;
    } else {
        let what = if args.encrypt { "an encrypted store" } else { "a store" };
        let parity = match options.parity {
            0 => String::new(),
            percent => format!(", with {percent} % parity"),
        };
        ui.line(format_args!("Made {what} in {place}{parity}"))?;
        if args.encrypt {
            ui.status("Without its password nothing in it can be read again: keep it in a second place.");
        }
        ui.hint("`icecore create SOURCE` takes the first snapshot");
    }
    warn_of_place(ui, context, &place);
    Ok(ExitStatus::Success)
}

/// What the place does not let us do is better known before it matters.
fn warn_of_place(ui: &mut Ui, context: &Context, place: &Place) {
    // The store is made, and whoever cannot look learns it when it matters.
    if let Ok(Some(probe)) = icecore::probe_place(place, &context.surroundings()) {
        findings(&probe).iter().for_each(|finding| ui.warn(finding));
    }
}

/// Makes a place here of a store that somebody brought in a file, with all snapshots in it.
fn join_file(ui: &mut Ui, context: &Context, place: &Place, file: &Path) -> Result<ExitStatus> {
    let mut failure = None;
    let mut ask = || {
        password::existing(context.password_file.as_deref()).unwrap_or_else(|error| {
            failure = Some(error);
            None
        })
    };
    let carried = icecore::open_store_file(file, Unlock::Ask(&mut ask), None);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let carried = carried?;
    let store = icecore::open_same(&carried.store, place, &context.surroundings())?;
    let status = import::bring(ui, context, &store, &carried, &place.to_string())?;
    warn_of_place(ui, context, place);
    Ok(status)
}

/// Makes an empty place here of a store that is elsewhere already.
fn join(ui: &mut Ui, context: &Context, place: &Place, from: &str) -> Result<ExitStatus> {
    let remote_place = context.remote_place(from)?;
    let remote = context.open_at(remote_place.clone());
    let remote = remote.map_err(|error| error.if_not_found(NO_REMOTE_STORE))?;
    let store = icecore::open_same(&remote.store, place, &context.surroundings())?;
    // One that is known by a name needs no other.
    let remotes = context.remotes()?;
    let known = remotes.name_of(from);
    let mut added = None;
    if let (Some(dir), None, None) = (place.as_directory(), known, remotes.name_of(ORIGIN)) {
        let url = if icecore::is_url(from) { from.to_owned() } else { remote_place.to_string() };
        icecore::add_remote(dir, ORIGIN, &Remote::at(url))?;
        added = Some(ORIGIN);
    }
    let id = store.config().store_id.to_string();
    if ui.json {
        let config = store.config();
        ui.document(&json!({
            "store": place.to_string(),
            "id": id,
            "encrypted": config.crypto.is_some(),
            "parity": config.parity,
            "deltas": config.deltas,
            "from": remote_place.to_string(),
            "remote": added,
        }))?;
    } else if ui.quiet {
        ui.line(place)?;
    } else {
        ui.line(format_args!("Made a place in {place} for the store at {remote_place}"))?;
        let name = added.or(known).unwrap_or(from);
        ui.hint(format_args!("`icecore pull {name}` brings the newest snapshot of each source, `icecore list --remote {name}` shows all"));
    }
    warn_of_place(ui, context, place);
    Ok(ExitStatus::Success)
}
