//! Packs as files: building one, coding bodies, reading tables and bodies back.

mod body;
mod builder;
mod cache;
mod reader;

pub(crate) use body::{EncodedBody, decode_body, encode_body};
pub(crate) use builder::{PackBuilder, SealedPack};
pub(crate) use reader::{OpenPack, PackReader};
