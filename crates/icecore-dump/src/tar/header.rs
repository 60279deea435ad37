//! One header block of a tarball.

/// Tarballs are made of blocks of this size.
pub(crate) const BLOCK: usize = 512;

/// The fields of a header that say where things are, for a header whose checksum is right.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) size: u64,
    pub(crate) is_ustar: bool,
    /// A sparse file whose map does not fit into the header.
    pub(crate) sparse_map_goes_on: bool,
}

/// A header together with what the extensions before it said.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    /// How many bytes of content follow.
    pub(crate) size: u64,
    pub(crate) sparse_map_goes_on: bool,
}

impl Header {
    pub(crate) fn parse(block: &[u8; BLOCK]) -> Option<Self> {
        let field = |from: usize, len: usize| block.get(from..from + len);
        if number(field(148, 8)?)? != checksum(block) {
            return None;
        }
        let kind = *block.get(156)?;
        let magic = field(257, 8)?;
        let is_gnu = magic == b"ustar  \0";
        let is_posix = magic.starts_with(b"ustar\0");
        let prefix = if is_posix { text(field(345, 155)?) } else { b"" };
        let name = text(field(0, 100)?);
        let name = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
        Some(Self {
            name,
            kind,
            size: number(field(124, 12)?)?,
            is_ustar: is_gnu || is_posix,
            sparse_map_goes_on: kind == b'S' && *block.get(482)? != 0,
        })
    }

    /// Links, devices and directories have no content, whatever their size says.
    pub(crate) fn has_content(&self) -> bool {
        !matches!(self.kind, b'1'..=b'6')
    }
}

/// Whether another block of the sparse map follows this one.
pub(crate) fn sparse_block_goes_on(block: &[u8; BLOCK]) -> bool {
    block.get(504).is_some_and(|flag| *flag != 0)
}

pub(crate) fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// A field up to its NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or with the first bit set in base 256. Hostile numbers end at the largest.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if *first == 0x80 {
        return Some(rest.iter().fold(0, |sum: u64, byte| {
            if sum >> 56 == 0 { (sum << 8) | u64::from(*byte) } else { u64::MAX }
        }));
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0, |sum: u64, byte| match byte {
        b'0'..=b'7' => Some(sum.saturating_mul(8).saturating_add(u64::from(byte - b'0'))),
        _ => None,
    })
}

/// The sum of all bytes, those of the checksum itself counted as blanks.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let bytes = block.iter().enumerate();
    bytes.map(|(i, byte)| if (148..156).contains(&i) { 32 } else { u64::from(*byte) }).sum()
}
