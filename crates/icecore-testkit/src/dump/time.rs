//! Points in time, in the syntax of the dialect.

use super::Dialect;
use super::row::{push_int, push_padded};

const DAY: u64 = 86_400;

/// Microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(u64);

impl Timestamp {
    /// When the first dump was taken: 2026-01-01.
    pub(super) const FIRST_DUMP: Self = Self(20_454 * DAY * 1_000_000);

    pub(super) fn plus_days(self, days: u64) -> Self {
        self.plus_seconds(days * DAY)
    }

    pub(super) fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0 + seconds * 1_000_000)
    }

    pub(super) fn plus_micros(self, micros: u64) -> Self {
        Self(self.0 + micros)
    }

    pub(super) fn minus_seconds(self, seconds: u64) -> Self {
        Self(self.0 - seconds * 1_000_000)
    }

    /// `2026-01-01 12:00:00`, then what the dialect adds.
    pub(super) fn push(self, bytes: &mut Vec<u8>, dialect: Dialect) {
        self.push_seconds(bytes);
        let micros = self.0 % 1_000_000;
        match dialect {
            Dialect::Postgres => {
                if micros > 0 {
                    bytes.push(b'.');
                    push_padded(bytes, micros, 6);
                    while bytes.last() == Some(&b'0') {
                        bytes.pop();
                    }
                }
                bytes.extend_from_slice(b"+00");
            }
            Dialect::MariaDb => {
                bytes.push(b'.');
                push_padded(bytes, micros, 6);
            }
        }
    }

    pub(super) fn push_seconds(self, bytes: &mut Vec<u8>) {
        let seconds = self.0 / 1_000_000;
        let (year, month, day) = civil(seconds / DAY);
        push_int(bytes, year);
        for (separator, value) in [
            (b'-', month),
            (b'-', day),
            (b' ', seconds / 3600 % 24),
            (b':', seconds / 60 % 60),
            (b':', seconds % 60),
        ] {
            bytes.push(separator);
            push_padded(bytes, value, 2);
        }
    }
}

/// Year, month and day of a day since 1970, by counting years from March on.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}
