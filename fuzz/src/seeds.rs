//! Inputs to begin with: a valid one of everything, and those that a hostile mind thinks of first.

mod dumps;
mod objects;
mod packs;
mod texts;

/// An input with a name, for a target.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The target's name.
    pub target: &'static str,
    /// The file's name in the target's folder of the corpus.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { target, name: name.to_owned(), bytes: bytes.into() }
    }
}

/// All seeds, the same ones every time.
pub fn seeds() -> Vec<Seed> {
    [objects::seeds(), packs::seeds(), dumps::seeds(), texts::seeds()].concat()
}
