//! Coding a run of chunks as one body, and back.

use std::cell::RefCell;

use icecore_format::{Body, BodyCipher, ChunkId, Codec, DecodeError, TocChunk};
use zstd::bulk::{Compressor, Decompressor};

/// A body ready for a pack.
#[derive(Debug)]
pub(crate) struct EncodedBody {
    /// Its entry in the table of contents.
    pub(crate) entry: Body,
    /// Its bytes, sealed if the store is.
    pub(crate) stored: Vec<u8>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses and seals `plain`, which is the bytes of `chunks` one after the other. `number` is the body's own under its salt.
pub(crate) fn encode_body(
    plain: &[u8],
    chunks: Vec<(ChunkId, u32)>,
    level: i32,
    cipher: &BodyCipher,
    number: u64,
) -> EncodedBody {
    let compressed = compress(plain, level).filter(|compressed| compressed.len() < plain.len());
    let (codec, coded) = match compressed {
        Some(compressed) => (Codec::Zstd, compressed),
        None => (Codec::Raw, plain.to_vec()),
    };
    let stored = cipher.seal_body(number, coded);
    let len = |len: usize| u32::try_from(len).expect("bodies are bounded");
    let entry = Body {
        stored_len: len(stored.len()),
        plain_len: len(plain.len()),
        codec,
        bases: Vec::new(),
        chunks: chunks.into_iter().map(|(id, len)| TocChunk { id, len }).collect(),
    };
    EncodedBody { entry, stored }
}

/// Opens and decompresses a body to exactly the length its entry says.
pub(crate) fn decode_body(
    entry: &Body,
    stored: Vec<u8>,
    cipher: &BodyCipher,
    number: u64,
) -> Result<Vec<u8>, DecodeError> {
    let coded = cipher.open_body(number, stored)?;
    let plain_len = usize::try_from(entry.plain_len).map_err(|_| DecodeError::Damaged)?;
    let plain = match entry.codec {
        Codec::Raw => coded,
        Codec::Zstd => decompress(&coded, plain_len).ok_or(DecodeError::Damaged)?,
    };
    if plain.len() == plain_len { Ok(plain) } else { Err(DecodeError::Damaged) }
}

/// `None` if zstd refuses, which it does for no input we know: the body is then stored as it is.
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
