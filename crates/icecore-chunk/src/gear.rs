//! The gear table: what the rolling hash adds for each byte value.

use fastcdc::v2020::get_gear_with_seed;

/// Two tables of 256 numbers, the second shifted left by one for the scan that takes two bytes a step.
#[derive(Clone)]
pub(crate) struct Gear {
    pub(crate) table: Box<[u64; 256]>,
    pub(crate) shifted: Box<[u64; 256]>,
}

impl Gear {
    /// The published table of the `fastcdc` crate.
    pub(crate) fn published() -> Self {
        let (table, _) = get_gear_with_seed(0);
        Self::from_table(|byte| table.get(byte).copied().unwrap_or_default())
    }

    /// A secret table, so that the lengths of chunks say less about known plain text.
    pub(crate) fn keyed(seed: &[u8; 32]) -> Self {
        let mut stream = blake3::Hasher::new_keyed(seed).finalize_xof();
        let mut next = || {
            let mut number = [0u8; 8];
            stream.fill(&mut number);
            u64::from_le_bytes(number)
        };
        Self::from_table(|_| next())
    }

    fn from_table(mut number: impl FnMut(usize) -> u64) -> Self {
        let mut table = Box::new([0u64; 256]);
        for (byte, entry) in table.iter_mut().enumerate() {
            *entry = number(byte);
        }
        let mut shifted = table.clone();
        shifted.iter_mut().for_each(|entry| *entry <<= 1);
        Self { table, shifted }
    }
}
