//! Which rows a night touched, and where they lie afterwards.
//!
//! Nothing is remembered per row: whether a night touched a row is a hash of (seed, table, night, row)
//! compared with the night's share, so that the whole history of any row can be asked at any time.
//! Rows are emitted in segments: what nobody moved, then what came to the end in each night.

use super::rng::{Rng, mix};
use super::table::Table;
use super::{Change, Dialect, Night};

/// A row as it is after all nights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowState {
    pub(super) id: u64,
    /// The night that wrote the row's present version; 0 if none did.
    pub(super) version: u64,
}

/// The nights of one table.
#[derive(Debug)]
pub(super) struct History {
    seed: u64,
    nights: Vec<TableNight>,
    rows_at_first: u64,
}

#[derive(Debug, Clone, Copy)]
struct TableNight {
    how: Change,
    /// A row is touched if its hash is below.
    threshold: u64,
    /// Ids that were there before the night, and after it.
    last_id_before: u64,
    last_id_after: u64,
}

impl History {
    pub(super) fn new(
        seed: u64,
        table: Table,
        rows_at_first: u64,
        nights: &[Night],
        dialect: Dialect,
    ) -> Self {
        let seed = Rng::of(&[seed, table as u64, 0x006e_6967_6874]).next();
        let mut last_id = rows_at_first;
        let nights = nights
            .iter()
            .map(|night| {
                let last_id_before = last_id;
                let share = night.changed.clamp(0.0, 1.0);
                if night.how == Change::Inserted {
                    last_id += rounded(share * to_float(last_id_before));
                }
                // InnoDB keeps rows in the order of their primary key, whatever happens to them.
                let how = match (dialect, night.how) {
                    (Dialect::MariaDb, Change::Moved) => Change::InPlace,
                    (_, how) => how,
                };
                TableNight {
                    how,
                    threshold: rounded(share * to_float(u64::MAX)),
                    last_id_before,
                    last_id_after: last_id,
                }
            })
            .collect();
        Self { seed, nights, rows_at_first }
    }

    /// The highest id that was ever given out.
    pub(super) fn last_id(&self) -> u64 {
        self.nights.last().map_or(self.rows_at_first, |night| night.last_id_after)
    }

    /// All rows that there still are, in the order in which they lie in the table.
    pub(super) fn rows(&self) -> impl Iterator<Item = RowState> + '_ {
        let unmoved = (1..=self.rows_at_first).filter_map(|id| self.fate(id, 0, 0));
        let later = self.nights.iter().enumerate().flat_map(move |(index, night)| {
            let ids = match night.how {
                Change::Moved => 1..night.last_id_before + 1,
                Change::Inserted => night.last_id_before + 1..night.last_id_after + 1,
                Change::InPlace | Change::Deleted => 0..0,
            };
            ids.filter_map(move |id| self.arrival(id, index))
        });
        unmoved.chain(later)
    }

    /// The row, if this night brought it to the end of the table and it still lies there.
    fn arrival(&self, id: u64, index: usize) -> Option<RowState> {
        let night = &self.nights[index];
        match night.how {
            Change::Moved if !self.touches(index, id) => None,
            // Deleted before the night moved it, or not: only the past can tell.
            Change::Moved if self.deleted_before(id, index) => None,
            Change::Moved => self.fate(id, index + 1, version_of(index)),
            Change::Inserted | Change::InPlace | Change::Deleted => self.fate(id, index + 1, 0),
        }
    }

    /// What the nights from `since` on made of a row: nothing, if it was moved or deleted.
    fn fate(&self, id: u64, since: usize, version: u64) -> Option<RowState> {
        let mut row = RowState { id, version };
        for (index, night) in self.nights.iter().enumerate().skip(since) {
            if night.how == Change::Inserted || !self.touches(index, id) {
                continue;
            }
            match night.how {
                Change::Moved | Change::Deleted => return None,
                Change::InPlace | Change::Inserted => row.version = version_of(index),
            }
        }
        Some(row)
    }

    fn deleted_before(&self, id: u64, index: usize) -> bool {
        self.nights[..index].iter().enumerate().any(|(i, night)| {
            night.how == Change::Deleted && id <= night.last_id_before && self.touches(i, id)
        })
    }

    fn touches(&self, index: usize, id: u64) -> bool {
        mix(self.seed ^ mix(id) ^ version_of(index).wrapping_mul(0xd6e8_feb8_6659_fd93))
            < self.nights[index].threshold
    }
}

/// Night 0 of the list writes version 1.
fn version_of(index: usize) -> u64 {
    index as u64 + 1
}

#[expect(clippy::cast_precision_loss, reason = "shares are not exact")]
fn to_float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares lie between 0 and 1")]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}
