//! Packs: headers, trailers, tables, and all of it together.

use icecore_format::{
    BODY_LEN_MAX, CHUNK_LEN_MAX, Codec, DEPTH_MAX, DecodeError, PACK_HEADER_LEN, PACK_TRAILER_LEN,
    PackHeader, PackToc, PackTrailer, Residue, StoreKey,
};

use crate::envelope;
use crate::input::split_tail;

pub(crate) fn header(input: &[u8]) {
    if let Ok(header) = PackHeader::decode(input) {
        assert_eq!(header.encode(), input);
    }
}

/// The last eight bytes say how long the pack is.
pub(crate) fn trailer(input: &[u8]) {
    let (trailer, pack_len) = split_tail(input);
    let pack_len = u64::from_le_bytes(pack_len);
    if let Ok(trailer) = PackTrailer::decode(trailer, pack_len) {
        let table_end = trailer.toc_offset.checked_add(u64::from(trailer.toc_len));
        assert!(trailer.toc_offset >= PACK_HEADER_LEN as u64);
        assert_eq!(table_end.and_then(|end| end.checked_add(PACK_TRAILER_LEN as u64)), Some(pack_len));
    }
}

/// The input is the table; the last eight bytes say where it lies. The trailer is made for it.
pub(crate) fn table(input: &[u8]) {
    let (stored, toc_offset) = split_tail(input);
    let toc_offset = u64::from_le_bytes(toc_offset);
    let header = PackHeader::new(false, [9; 32], 4);
    let trailer = envelope::trailer(&header, toc_offset, stored);
    let pack_len = toc_offset.saturating_add((stored.len() + PACK_TRAILER_LEN) as u64);
    let Ok(trailer) = PackTrailer::decode(&trailer, pack_len) else { return };
    if let Ok(toc) = PackToc::decode(&header, &trailer, stored.to_vec(), &StoreKey::Plain) {
        check(&toc, &header, toc_offset, stored);
    }
}

/// The input is a whole pack, whose checksum is put right if it is wrong.
pub(crate) fn whole(input: &[u8]) {
    let (Some((head, _)), Some((front, last))) =
        (input.split_first_chunk::<PACK_HEADER_LEN>(), input.split_last_chunk::<PACK_TRAILER_LEN>())
    else {
        return;
    };
    let (Ok(header), Ok(trailer)) = (PackHeader::decode(head), PackTrailer::decode(last, input.len() as u64))
    else {
        return;
    };
    let start = usize::try_from(trailer.toc_offset).expect("within the pack");
    let stored = front.get(start..).expect("within the pack");
    let decode = |trailer: &PackTrailer| PackToc::decode(&header, trailer, stored.to_vec(), &StoreKey::Plain);
    let found = decode(&trailer).or_else(|error| {
        let right = envelope::trailer(&header, trailer.toc_offset, stored);
        let right = PackTrailer::decode(&right, input.len() as u64)?;
        if error == DecodeError::Damaged { decode(&right) } else { Err(error) }
    });
    if let Ok(toc) = found {
        check(&toc, &header, trailer.toc_offset, stored);
    }
}

/// A table speaks of exactly the bytes between header and table, and of lengths that a reader dares to allocate.
fn check(toc: &PackToc, header: &PackHeader, toc_offset: u64, stored: &[u8]) {
    let mut end = PACK_HEADER_LEN as u64;
    for body in &toc.bodies {
        end += u64::from(body.stored_len);
        assert!(body.plain_len <= BODY_LEN_MAX && !body.runs.is_empty());
        for run in &body.runs {
            let sum: u64 = run.chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
            assert_eq!(sum, u64::from(run.plain_len()));
            assert!(sum <= u64::from(BODY_LEN_MAX) && run.depth <= DEPTH_MAX && !run.chunks.is_empty());
            assert!(run.chunks.iter().all(|chunk| (1..=CHUNK_LEN_MAX).contains(&chunk.len)));
            assert_eq!(run.depth > 0, body.codec == Codec::Delta);
            assert_eq!(run.depth > 0, !run.bases.is_empty() || run.is_listed);
            assert!(body.codec == Codec::Delta || run.plain_len() == body.plain_len);
        }
    }
    assert_eq!(end, toc_offset, "bodies fill the pack up to its table");
    let again = toc.encode(header, toc_offset, &StoreKey::Plain);
    assert_eq!(again, [stored, &envelope::trailer(header, toc_offset, stored)].concat());
}

/// The bytes that residues refer to.
const BASE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const RUN_LENS: [u32; 2] = [40, 25];

/// The input is a residue of two runs, of 40 and of 25 bytes.
pub(crate) fn residue(input: &[u8]) {
    let Ok(residue) = Residue::decode(input.to_vec(), &RUN_LENS) else { return };
    for (run, len) in RUN_LENS.iter().enumerate() {
        if let Some(bytes) = residue.apply(run, BASE, *len as usize) {
            assert_eq!(bytes.len(), *len as usize);
        }
        assert_eq!(residue.apply(run, BASE, *len as usize + 1), None, "no other length will do");
    }
    assert_eq!(residue.apply(RUN_LENS.len(), BASE, 0), None);
}
