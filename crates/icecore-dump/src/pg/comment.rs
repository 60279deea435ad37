//! The comments and commands in a dump that carry meaning.

use crate::ident::quoted;

/// What a comment line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comment<'a> {
    DatabaseHeader,
    DatabaseComplete,
    ClusterHeader,
    ClusterComplete,
    /// The server that was dumped.
    Version(&'a [u8]),
    /// In a cluster's dump, the database that follows.
    Database(&'a [u8]),
    Other,
}

impl<'a> Comment<'a> {
    /// Reads a line without its end.
    pub(crate) fn parse(line: &'a [u8]) -> Self {
        match line {
            b"-- PostgreSQL database dump" => return Self::DatabaseHeader,
            b"-- PostgreSQL database dump complete" => return Self::DatabaseComplete,
            b"-- PostgreSQL database cluster dump" => return Self::ClusterHeader,
            b"-- PostgreSQL database cluster dump complete" => return Self::ClusterComplete,
            _ => (),
        }
        if let Some(version) = line.strip_prefix(b"-- Dumped from database version ") {
            return Self::Version(version.get(..200).unwrap_or(version));
        }
        let name = line.strip_prefix(b"-- Database \"").and_then(|rest| rest.strip_suffix(b"\" dump"));
        name.filter(|name| name.len() <= 1024).map_or(Self::Other, Self::Database)
    }
}

/// The database in what follows `\connect`: `shop`, `"Shop"`, or `-reuse-previous=on "dbname='the shop'"`.
pub(crate) fn connected_to(arguments: &[u8]) -> Option<Vec<u8>> {
    let name = match arguments.strip_prefix(b"-reuse-previous=on ") {
        None if arguments.starts_with(b"\"") => quoted(arguments, b'"')?.0,
        None => arguments.split(u8::is_ascii_whitespace).next()?.to_vec(),
        Some(rest) => {
            let conninfo = quoted(rest, b'"')?.0;
            let value = conninfo.strip_prefix(b"dbname=")?;
            match value.strip_prefix(b"'") {
                None => value.to_vec(),
                Some(value) => unescaped(value),
            }
        }
    };
    (!name.is_empty() && name.len() <= 1024).then_some(name)
}

/// A connection string's value up to its quote, without backslashes.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => break,
            b'\\' => name.extend(bytes.next()),
            _ => name.push(*byte),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_named_in_every_way_psql_knows() {
        let check =
            |text: &str, name: &str| assert_eq!(connected_to(text.as_bytes()).unwrap(), name.as_bytes());
        check("shop", "shop");
        check("\"The \"\"Shop\"\"\"", "The \"Shop\"");
        check("-reuse-previous=on \"dbname='it\\'s a shop'\"", "it's a shop");
        check("-reuse-previous=on \"dbname=shop\"", "shop");
    }
}
