//! What snapshots hold: a few blocks again and again, each in a few versions that resemble each other.

use std::fmt;

use crate::support::noise;

/// How many blocks there are, and versions of each: the fewer, the sooner what was deleted comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variety {
    pub(super) blocks: u64,
    pub(super) versions: u64,
}

/// One part: which block, in which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    block: u64,
    version: u64,
}

impl Piece {
    pub(super) fn draw(random: &mut fastrand::Rng, variety: Variety) -> Self {
        Self { block: random.u64(..variety.blocks), version: random.u64(..variety.versions) }
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        let len = 1500 + 900 * self.block;
        let mut bytes = noise(self.block, usize::try_from(len).unwrap());
        if self.version > 0 {
            let mut random = fastrand::Rng::with_seed(self.block << 8 | self.version);
            for _ in 0..3 {
                let at = random.usize(..bytes.len() - 8);
                bytes[at..at + 8].copy_from_slice(&random.u64(..).to_le_bytes());
            }
        }
        bytes
    }
}

/// A snapshot's parts. Written as the name of its source, so that each snapshot says what it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe(pub(super) Vec<Piece>);

impl Recipe {
    pub(super) fn draw(random: &mut fastrand::Rng, variety: Variety) -> Self {
        Self((0..random.usize(1..5)).map(|_| Piece::draw(random, variety)).collect())
    }

    /// The same with another piece somewhere.
    pub(super) fn changed(&self, random: &mut fastrand::Rng, variety: Variety) -> Self {
        let mut pieces = self.0.clone();
        if let Some(piece) = random.choice(&mut pieces) {
            *piece = Piece::draw(random, variety);
        }
        Self(pieces)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|piece| piece.bytes()).collect()
    }

    pub(super) fn parse(source: &str) -> Self {
        let piece = |text: &str| {
            let (block, version) = text.split_once('.').unwrap();
            Piece { block: block.parse().unwrap(), version: version.parse().unwrap() }
        };
        Self(source.split('-').map(piece).collect())
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, piece) in self.0.iter().enumerate() {
            write!(f, "{}{}.{}", if n > 0 { "-" } else { "" }, piece.block, piece.version)?;
        }
        Ok(())
    }
}
