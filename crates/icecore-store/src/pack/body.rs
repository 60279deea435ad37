//! Coding runs of chunks as bodies, and back.

use std::cell::RefCell;

use icecore_format::{Body, Codec, DecodeError, Difference, Residue, Run};
use zstd::bulk::{Compressor, Decompressor};

/// The zstd level of residues: there are few bytes of them, and they are what a night costs.
const RESIDUE_LEVEL: i32 = 9;

/// A body that a pack can take.
#[derive(Debug)]
pub(crate) struct EncodedBody {
    /// Its entry in the table of contents; the stored length is that of `coded`.
    pub(crate) entry: Body,
    /// Its frame, not sealed.
    pub(crate) coded: Vec<u8>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses `plain`, which is the bytes of the run's chunks one after the other.
pub(crate) fn encode_plain(run: Run, plain: &[u8], level: i32) -> EncodedBody {
    let compressed = compress(plain, level).filter(|compressed| compressed.len() < plain.len());
    let (codec, coded) = match compressed {
        Some(compressed) => (Codec::Zstd, compressed),
        None => (Codec::Raw, plain.to_vec()),
    };
    let entry = Body { stored_len: len(coded.len()), plain_len: len(plain.len()), codec, runs: vec![run] };
    EncodedBody { entry, coded }
}

/// Codes what runs are besides what is in their bases.
///
/// # Panics
/// If zstd refuses to compress, which it does for no input.
pub(crate) fn encode_deltas(runs: Vec<Run>, differences: &[Difference]) -> EncodedBody {
    let residue = Residue::encode(differences);
    let coded = compress(&residue, RESIDUE_LEVEL).expect("zstd compresses anything");
    let entry =
        Body { stored_len: len(coded.len()), plain_len: len(residue.len()), codec: Codec::Delta, runs };
    EncodedBody { entry, coded }
}

/// Decompresses a body's frame to exactly the length its entry says.
pub(crate) fn decode_frame(entry: &Body, coded: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    let plain_len = usize::try_from(entry.plain_len).map_err(|_| DecodeError::Damaged)?;
    let plain = match entry.codec {
        Codec::Raw => coded,
        Codec::Zstd | Codec::Delta => decompress(&coded, plain_len).ok_or(DecodeError::Damaged)?,
    };
    if plain.len() == plain_len { Ok(plain) } else { Err(DecodeError::Damaged) }
}

fn len(len: usize) -> u32 {
    u32::try_from(len).expect("bodies are bounded")
}

/// `None` if zstd refuses, which it does for no input we know: a run is then stored as it is.
fn compress(plain: &[u8], level: i32) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(found, _)| *found != level) {
            *slot = Some((level, Compressor::new(level).ok()?));
        }
        slot.as_mut()?.1.compress(plain).ok()
    })
}

fn decompress(coded: &[u8], plain_len: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new().ok()?);
        }
        slot.as_mut()?.decompress(coded, plain_len).ok()
    })
}
