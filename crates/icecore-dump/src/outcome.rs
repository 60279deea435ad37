//! What is known of a dump once it has passed.

/// Whether a stream holds all that its writer meant to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The end marker is there.
    Complete,
    /// The stream ends before its end marker.
    Cut {
        /// What was missing, in words: `the line "-- PostgreSQL database dump complete"`.
        expected: &'static str,
    },
    /// The format has no end marker, or it was switched off.
    Unknown,
}

/// What a whole stream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is all there.
    pub completeness: Completeness,
    /// `postgres`, `mysql` or `mariadb` for dumps.
    pub engine: Option<&'static str>,
    /// The server's version as the dump's header says it: `15.18 (Debian 15.18-0+deb12u1)`, `10.11.6-MariaDB`.
    pub engine_version: Option<String>,
    /// The database, where the dump names exactly one.
    pub database: Option<String>,
}
