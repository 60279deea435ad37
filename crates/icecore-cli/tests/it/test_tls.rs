//! Servers that are reached by TLS, with certificates of our own.

mod mysql;
mod postgres;
mod redis;
