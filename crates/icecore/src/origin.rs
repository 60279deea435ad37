//! Where snapshots say that they came from.

use std::collections::BTreeMap;
use std::path::Path;

use icecore_engine::{mysql, postgres, redis};
use icecore_store::Snapshot;

use crate::is_url;

/// Where an origin is, for people: a database and its server, or a path. However two origins are written, whoever connects and by whatever
/// TLS, they are of one place if this is the same.
pub fn place_of(origin: &str) -> String {
    // An origin says everything; who connects is not part of the place.
    let nobody = postgres::Defaults { user: Some(String::new()), ..postgres::Defaults::default() };
    if let Some(Ok(spelled)) = postgres::Spelled::parse(origin)
        && let Ok(endpoint) = spelled.or(&nobody)
    {
        return endpoint.to_string();
    }
    if let Some(Ok(endpoint)) = mysql::Endpoint::parse(origin) {
        return endpoint.to_string();
    }
    match redis::Endpoint::parse(origin) {
        Some(Ok(endpoint)) => endpoint.address.to_string(),
        _ => origin.to_owned(),
    }
}

/// What a thing was called where it came from: a database, or a file or folder. `None` if its origin does not say it.
pub(crate) fn own_name(origin: &str) -> Option<String> {
    if !is_url(origin) {
        return Some(Path::new(origin).file_name()?.to_str()?.to_owned());
    }
    let postgres = postgres::Spelled::parse(origin).and_then(|spelled| spelled.ok()?.database);
    postgres.or_else(|| Some(mysql::Endpoint::parse(origin)?.ok()?.database)).filter(|name| !name.is_empty())
}

/// The places of the snapshots of each series, where one has come from more than one.
pub fn places_of_series<'s>(
    snapshots: impl IntoIterator<Item = &'s Snapshot>,
) -> BTreeMap<&'s str, Vec<String>> {
    let mut series: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for snapshot in snapshots {
        let info = snapshot.info();
        if let Some(origin) = info.origin.as_deref() {
            let places = series.entry(&info.source).or_default();
            places.entry(origin).or_insert_with(|| place_of(origin));
        }
    }
    let distinct = |places: BTreeMap<&str, String>| {
        let mut places: Vec<String> = places.into_values().collect();
        places.sort_unstable();
        places.dedup();
        places
    };
    let series = series.into_iter().map(|(name, places)| (name, distinct(places)));
    series.filter(|(_, places)| places.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, Source};

    #[test]
    fn an_origin_says_what_a_thing_was_called_there() {
        for (origin, name) in [
            ("postgres://me@db.example:5433/shop-1?sslmode=require", Some("shop-1")),
            ("postgres://me@/shop?host=/tmp/%2Etmp%5Fx&port=5444", Some("shop")),
            ("mysql://me@/shop?socket=/run/mysqld.sock", Some("shop")),
            ("/srv/data/shop.db", Some("shop.db")),
            ("/srv/data", Some("data")),
            ("/", None),
            ("redis://cache.example:6379", None),
        ] {
            assert_eq!(own_name(origin).as_deref(), name, "{origin}");
        }
    }

    /// URLs once had `%2E`, `%5F` and `%2D` where they have the characters themselves now, and snapshots keep them.
    #[test]
    fn origins_of_older_builds_are_of_the_same_places() {
        let environment = Environment { cwd: Path::new("/"), variable: &|_| None, user: &|| None };
        for (older, newer, place) in [
            (
                "postgres://my%5Fself@db%2Eexample:5433/shop%2Dcopy%5F1",
                "postgres://other@db.example:5433/shop-copy_1?sslmode=require",
                "shop-copy_1 on db.example:5433",
            ),
            (
                "postgres://me@/shop?host=/tmp/%2Etmp%5Fx&port=5444",
                "postgres://me@/shop?host=/tmp/.tmp_x&port=5444",
                "shop on /tmp/.tmp_x:5444",
            ),
            (
                "mysql://me@/shop?socket=/run/my%5Fsqld/mysqld%2Esock",
                "mariadb://me@/shop?socket=/run/my_sqld/mysqld.sock",
                "shop on /run/my_sqld/mysqld.sock",
            ),
            (
                "mysql://db%2Eexample:3307/shop%5F1",
                "mysql://me@db.example:3307/shop_1",
                "shop_1 on db.example:3307",
            ),
            ("redis+unix:///run/redis%2Esock", "redis+unix:///run/redis.sock?user=me", "/run/redis.sock"),
            ("redis://db%2Eexample:6379", "redis://me@db.example", "db.example:6379"),
        ] {
            assert_eq!((place_of(older).as_str(), place_of(newer).as_str()), (place, place));
            let source = |url: &str| Source::parse(Path::new(url), &environment).unwrap();
            assert!(source(older).place().starts_with(place), "{older}");
        }
        assert_eq!(place_of("/srv/shop%2E.db"), "/srv/shop%2E.db");
        assert_eq!(place_of("oracle://h/shop"), "oracle://h/shop");
    }
}
