//! `icecore init`

use icecore::InitOptions;
use icecore_format::KdfCost;
use serde_json::json;

use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::password;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{parse_percent, parse_size};

/// Make a store
///
/// It lies where --store or icecore.toml says, or else in .icecore in the current directory, where all commands find it.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
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
    #[arg(long, hide = true, value_name = "SIZE", value_parser = parse_size)]
    pack_size: Option<u64>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &InitArgs) -> Result<ExitStatus> {
    let dir = context.new_store_dir()?;
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
    let store = icecore::init(&dir, &options)?;
    let id = store.config().store_id.to_string();
    if ui.json {
        ui.document(&json!({
            "store": dir.to_string_lossy(),
            "id": id,
            "encrypted": args.encrypt,
            "parity": options.parity,
            "deltas": options.deltas,
        }))?;
    } else if ui.quiet {
        ui.line(dir.display())?;
    } else {
        let what = if args.encrypt { "an encrypted store" } else { "a store" };
        let parity = match options.parity {
            0 => String::new(),
            percent => format!(", with {percent} % parity"),
        };
        ui.line(format_args!("Made {what} in {}{parity}", dir.display()))?;
        if args.encrypt {
            ui.status("Without its password nothing in it can be read again: keep it in a second place.");
        }
        ui.hint("`icecore create SOURCE` takes the first snapshot");
    }
    Ok(ExitStatus::Success)
}
