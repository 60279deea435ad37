//! Where files would like to be cut: those that are made of pages, between them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::Grain;

/// `BLCKSZ`, but for servers that somebody built with another: there the cuts fall where they may.
const POSTGRES_PAGE: Grain = Grain::Page(8192);
/// What a relation has besides its rows is in files with these added to its number.
const FORKS: [&[u8]; 3] = [b"fsm", b"vm", b"init"];

/// For a file that can be looked into.
pub(super) fn grain_of(name: &[u8], file: &File) -> Grain {
    let mut head = [0; 18];
    if file.read_exact_at(&mut head, 0).is_err() || !head.starts_with(b"SQLite format 3\0") {
        return grain_of_name(name);
    }
    match u32::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => Grain::Page(65536),
        size if size.is_power_of_two() && size >= 512 => Grain::Page(size),
        _ => Grain::Byte,
    }
}

/// For a file of which only the name is known: PostgreSQL's tables and indexes, `base/16384/2619`, `global/1262_vm`, `base/5/16385.1`.
pub(crate) fn grain_of_name(name: &[u8]) -> Grain {
    let mut components = name.rsplit(|byte| *byte == b'/');
    let (Some(leaf), Some(above)) = (components.next(), components.next()) else { return Grain::Byte };
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let (relation, segment) = split(leaf, b'.');
    let (relation, fork) = split(relation, b'_');
    let is_relation =
        is_number(relation) && segment.is_none_or(is_number) && fork.is_none_or(|fork| FORKS.contains(&fork));
    if is_relation && (is_number(above) || above == b"global") { POSTGRES_PAGE } else { Grain::Byte }
}

fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut halves = text.splitn(2, |byte| *byte == at);
    (halves.next().unwrap_or_default(), halves.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_relations_are_known_by_their_names() {
        for name in [
            "base/5/1259",
            "base/16384/16385.12",
            "base/1/2619_fsm",
            "data/global/1262_vm",
            "pg_tblspc/1/P/5/7_init",
        ] {
            assert_eq!(grain_of_name(name.as_bytes()), POSTGRES_PAGE, "{name}");
        }
        for name in [
            "PG_VERSION",
            "global/pg_control",
            "base/5/PG_VERSION",
            "base/5/t3_16385",
            "5",
            "base/5/1259_",
            "base/5/1.",
            "pg_xact/0000x",
        ] {
            assert_eq!(grain_of_name(name.as_bytes()), Grain::Byte, "{name}");
        }
    }
}
