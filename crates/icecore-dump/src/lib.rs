//! Understanding dumps.
