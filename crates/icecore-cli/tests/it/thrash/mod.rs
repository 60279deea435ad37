//! A store that many processes use at once, while some of them are killed.

mod arena;
mod content;
mod dice;
mod memory;
mod slot;
mod source;
mod worker;

pub(crate) use arena::Arena;
pub(crate) use content::{Content, content_of};
pub(crate) use worker::work;
