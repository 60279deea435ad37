//! What people type, and names.

use super::Seed;

const SELECTORS: [&str; 20] = [
    "latest",
    "latest~2",
    "latest~99999999999999999999",
    "#1",
    "#0",
    "#18446744073709551615",
    "shop",
    "shop~1",
    "shop~1~2",
    "a@b",
    "shop@v1",
    "shop@2026-11-20",
    "shop@yesterday",
    "0000",
    "00",
    "@",
    "~",
    "~1",
    "",
    "caf\u{e9}",
];
const TIMES: [&str; 22] = [
    "2026-11-20",
    "2026-11-20T10:00",
    "2026-11-20 10:00:30",
    "2026-11-20T10:00:00+02:00",
    "2 hours ago",
    "3 days ago",
    "99999999999 years ago",
    "9999-12-31",
    "-009999-01-01",
    "9999-12-30T22:00:00.999999999Z",
    "-009999-01-02T01:59:59Z",
    "2026-03-29T02:30",
    "2026-10-25T02:30",
    "2026-02-30",
    "P1Y2M3DT4H5M6S",
    "-PT9223372036854775807S",
    "-9223372036854775808ns",
    "",
    "T",
    "1 h\u{e9}",
    "+19998 years",
    "2026-11-20T10:00[Europe/Berlin]",
];
const SOURCES: [&str; 13] = [
    "-",
    "sqlite:a/b.db",
    "sqlite:///a/b.db",
    "sqlite:",
    "postgres://me:secret@db/shop",
    "oracle://me:secret@db",
    "://",
    "a@b://c",
    "redis://",
    ".",
    "..",
    "/",
    "a\0b",
];
const UNITS: [&str; 16] = [
    "10GiB",
    "500 MB",
    "1.5G",
    "4096",
    "-1",
    "1e999",
    "inf",
    "NaN",
    "9e18",
    "9007199254740993",
    "10%",
    "0.1",
    "100.0000001%",
    "24h",
    "18446744073709551615 d",
    "1\u{a0}s",
];
const SETTINGS: [&str; 5] = [
    "store = \"backups\"\n",
    "store = 1\n",
    "[store]\nx = [[[[[[[[1]]]]]]]]\n",
    "store = \"\\ud800\"",
    "a.b.c.d.e.f = {}\n",
];
const POLICIES: [&str; 9] = [
    "7d all, 30d daily, 1y weekly, then monthly",
    "last 3, 24 hourly, 14 daily",
    "all",
    "1y6mo2w1d12h yearly",
    "9999y all, 9999mo daily",
    "tag \"a, \"\"b\"\"\", tag a b",
    "30m daily",
    "99999999999d all,,",
    "then\u{a0}monthly",
];
const PART_NAMES: [&str; 13] =
    ["", "a", "a/b", "/a", "a/", "a//b", "../a", "a/..", "a/./b", ".", "..a", "a\0b", "caf\u{e9}"];

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    seeds.extend(numbered("selector", &SELECTORS));
    seeds.extend(numbered("time_point", &TIMES.map(|time| format!("{time}\0"))));
    seeds.extend(numbered("source", &SOURCES));
    seeds.extend(numbered("policy", &POLICIES.map(|policy| format!("{policy}\0"))));
    for target in ["size", "share", "duration"] {
        seeds.extend(numbered(target, &UNITS));
    }
    seeds.extend(numbered("settings", &SETTINGS));
    seeds.extend(numbered("part_name", &PART_NAMES));
    seeds.push(Seed::new("settings", "nested-deeply", format!("a = {}", "[".repeat(10_000))));
    seeds.push(Seed::new("settings", "keys-nested-deeply", format!("{}a = 1", "a.".repeat(5_000))));
    seeds.push(Seed::new("selector", "long", "~".repeat(5000)));
    seeds.push(Seed::new("part_name", "long", "a/".repeat(3000)));
    seeds.extend(object_names());
    seeds
}

fn numbered(target: &'static str, texts: &[impl AsRef<str>]) -> Vec<Seed> {
    (1..)
        .zip(texts)
        .map(|(number, text): (u32, _)| Seed::new(target, &format!("{number:02}"), text.as_ref()))
        .collect()
}

fn object_names() -> Vec<Seed> {
    let (lower, upper) = ("ab".repeat(32), "AB".repeat(32));
    let seed = |name, text: String| Seed::new("names", name, text);
    vec![
        seed("digest", lower.clone()),
        seed("pack", format!("packs/ab/{lower}")),
        seed("pack-in-the-wrong-folder", format!("packs/cd/{lower}")),
        seed("pack-in-capitals", format!("packs/AB/{upper}")),
        seed("pack-too-short", "packs/\u{e9}/\u{e9}".to_owned()),
        seed("label", format!("labels/{lower}/note")),
        seed("label-in-capitals", format!("labels/{upper}/note")),
        seed("label-with-folders", format!("labels/{lower}/a/b")),
        seed("condemned", "condemned/00000000000000000001".to_owned()),
        seed("condemned-last", format!("condemned/{}", u64::MAX)),
        seed("condemned-without-padding", "condemned/1".to_owned()),
        seed("condemned-with-a-sign", "condemned/+0000000000000000001".to_owned()),
    ]
}
