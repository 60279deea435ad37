//! All pieces in order: from the runs in the file and the one in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use icecore_dump::rdb::Place;

use super::output::Output;
use super::run::{Rank, Run};
use super::spill::{Spill, Stored, Window};
use crate::CaptureError;

/// What all windows on the file may hold.
const WINDOWS_LEN: usize = 8 << 20;
const WINDOW_LEN_MIN: usize = 4 << 10;
const WINDOW_LEN_MAX: usize = 256 << 10;

/// Where pieces come from, in order.
enum Source<'a> {
    Memory { run: &'a Run, next: usize },
    Sorted { window: Window<'a>, len: usize },
    Single { piece: Option<(&'a Rank, Window<'a>)>, window: Option<Window<'a>> },
}

impl Source<'_> {
    /// Sets the rank of the next piece; false at the end.
    fn next(&mut self, rank: &mut Rank) -> io::Result<bool> {
        match self {
            Self::Memory { run, next } => {
                let Some(piece) = run.pieces.get(*next) else { return Ok(false) };
                let lying = run.piece(piece);
                (rank.place, rank.number) = (lying.place, lying.number);
                for (to, from) in [(&mut rank.key, lying.key), (&mut rank.element, lying.element())] {
                    to.clear();
                    to.extend_from_slice(from);
                }
                *next += 1;
                Ok(true)
            }
            Self::Sorted { window, len } => {
                let next = window.next(rank)?;
                *len = next.unwrap_or_default();
                Ok(next.is_some())
            }
            Self::Single { piece, window } => {
                let Some((of_piece, lies)) = piece.take() else { return Ok(false) };
                rank.clone_from(of_piece);
                *window = Some(lies);
                Ok(true)
            }
        }
    }

    /// The bytes of the piece that `next` told of.
    fn give(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Result<(), CaptureError>,
    ) -> Result<io::Result<()>, CaptureError> {
        match self {
            Self::Memory { run, next } => {
                if let Some(piece) = run.pieces.get(*next - 1) {
                    write(run.piece(piece).bytes)?;
                }
                Ok(Ok(()))
            }
            Self::Sorted { window, len } => window.give(*len as u64, write),
            Self::Single { window, .. } => {
                window.take().map_or(Ok(Ok(())), |mut window| window.give(u64::MAX, write))
            }
        }
    }
}

/// Gives everything to `out` in order. The inner error is that of the file.
pub(super) fn merge(
    spill: &Spill,
    run: &mut Run,
    out: &mut Output<'_>,
) -> Result<io::Result<()>, CaptureError> {
    run.sort();
    let capacity = (WINDOWS_LEN / spill.runs.len().max(1)).clamp(WINDOW_LEN_MIN, WINDOW_LEN_MAX);
    let stored = spill.runs.iter().map(|stored| match stored {
        Stored::Sorted(extent) => Source::Sorted { window: spill.window(extent, capacity), len: 0 },
        Stored::Single(rank, extent) => {
            Source::Single { piece: Some((rank, spill.window(extent, capacity))), window: None }
        }
    });
    let mut sources: Vec<Source<'_>> = stored.chain([Source::Memory { run, next: 0 }]).collect();
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (number, source) in sources.iter_mut().enumerate() {
        let mut rank = Rank { place: Place::Head, key: Vec::new(), number: 0, element: Vec::new() };
        match source.next(&mut rank) {
            // Of the same rank, what came first goes first.
            Ok(true) => heads.push(Reverse((rank, number))),
            Ok(false) => (),
            Err(error) => return Ok(Err(error)),
        }
    }
    while let Some(Reverse((mut rank, number))) = heads.pop() {
        let Some(source) = sources.get_mut(number) else { continue };
        out.begin(&rank)?;
        if let Err(error) = source.give(|bytes| out.write(bytes))? {
            return Ok(Err(error));
        }
        match source.next(&mut rank) {
            Ok(true) => heads.push(Reverse((rank, number))),
            Ok(false) => (),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}
