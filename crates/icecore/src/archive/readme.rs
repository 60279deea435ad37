//! `README.md` of an archive: what it is, and the commands that bring it back without icecore.

use icecore_engine::mysql::Facts;
use icecore_format::SnapshotInfo;

use super::layout::Layout;
use super::manifest::Head;
use super::{CUTS, MANIFEST, SUMS};
use crate::create::BASE_BACKUP;
use crate::is_url;
use crate::origin::own_name;

/// The text. `archive` is what the file is called, `first` are the first bytes of the content.
pub(super) fn readme(head: &Head, layout: &Layout, archive: &str, first: &[u8]) -> String {
    let info = &head.snapshot;
    let content = String::from_utf8_lossy(layout.name()).into_owned();
    let version = info.engine_version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let origin = info.origin.as_deref().map(|origin| format!(", from {origin}")).unwrap_or_default();
    let mut text = format!(
        "# {}\n\nA snapshot of {} of {} (UTC), taken on {}{origin}: {}{version}, {} bytes.\n",
        line(&info.source),
        line(&info.source),
        line(&info.created_at),
        line(&info.host),
        line(&info.engine),
        head.content_bytes,
    );
    text = line_by_line(&text);
    if let Some(note) = &head.note {
        text.push_str(&format!("\n> {}\n", line(note)));
    }
    if !info.findings.is_empty() {
        text.push_str("\nIt was not taken whole:\n\n");
        info.findings.iter().for_each(|finding| text.push_str(&format!("- {}\n", line(finding))));
    }
    text.push_str("\n## Restore it\n\n");
    text.push_str(&way_back(info, &content, archive, first));
    text.push_str(&format!(
        "\nOr, with icecore, as the snapshot that it was: `icecore import {}`.\n\n## What lies here\n\n",
        quoted(archive)
    ));
    let what = match layout {
        Layout::File(_) => format!("- `{content}`: the content, as it was captured."),
        Layout::Tree(_) => format!("- `{content}`: the files, with their owners, modes, times and links."),
    };
    text.push_str(&what);
    text.push_str(&format!(
        "\n- `{MANIFEST}`: when it was taken of what, its tags, and its parts with their lengths, rows and blake3 hashes.\n- `{CUTS}`: for `icecore import` only: where the content was cut into chunks.\n- `{SUMS}`: blake3 hashes of these files; `b3sum --check {SUMS}` compares them.\n"
    ));
    text
}

/// How the tools of its engine restore it.
fn way_back(info: &SnapshotInfo, content: &str, archive: &str, first: &[u8]) -> String {
    let name = plain(&name_there(info));
    let unpack = format!("tar -xf {}", quoted(archive));
    match (info.form.as_str(), content) {
        ("pg_dump", _) if has_line(first, b"CREATE DATABASE ") => format!(
            "With `psql`: it makes its database itself. Roles that own something or have rights must be there before.\n\n```sh\n{unpack}\npsql -X -q -v ON_ERROR_STOP=1 -d postgres -f dump.sql\n```\n"
        ),
        ("pg_dump" | "pg_schema", _) if has_line(first, b"CREATE ROLE ") => format!(
            "With the tools of PostgreSQL, into a new database. It begins with the roles and tablespaces of its server: `psql` complains of those that are there already, and goes on.\n\n```sh\n{unpack}\ncreatedb -T template0 {name}\npsql -X -q -d {name} -f dump.sql\n```\n"
        ),
        ("pg_dump" | "pg_schema", _) => format!(
            "With the tools of PostgreSQL, into a new database. Roles that own something or have rights must be there before.\n\n```sh\n{unpack}\ncreatedb -T template0 {name}\npsql -X -q -v ON_ERROR_STOP=1 -d {name} -f dump.sql\n```\n"
        ),
        ("pg_table", _) => format!(
            "With `psql`, into a database that does not have the table.\n\n```sh\n{unpack}\npsql -X -q -v ON_ERROR_STOP=1 -d {name} -f dump.sql\n```\n"
        ),
        ("pg_dumpall", _) => format!(
            "With `psql`, into a server that is new.\n\n```sh\n{unpack}\npsql -X -q -d postgres -f dump.sql\n```\n"
        ),
        ("mysqldump", _) => {
            let client = if info.engine == "mysql" { "mysql" } else { "mariadb" };
            let users = "The users that code in it runs as must be there.";
            match has_line(first, b"CREATE DATABASE ") {
                true => format!(
                    "With `{client}`. It makes its databases itself. {users}\n\n```sh\n{unpack}\n{client} < dump.sql\n```\n"
                ),
                false => format!(
                    "With `{client}`, into a new database. {users}\n\n```sh\n{unpack}\n{client} -e 'CREATE DATABASE `{name}`{}'\n{client} {name} < dump.sql\n```\n",
                    texts(first)
                ),
            }
        }
        ("rdb", _) => format!(
            "A server of Redis loads it when it starts. Here one starts in this folder; for one that is there already, stop it, put `dump.rdb` in place of its own, owned by the user that it runs as, and start it. One with `appendonly yes` looks at its append-only file instead: switch that off for the first start.\n\n```sh\n{unpack}\nredis-server --dir . --dbfilename dump.rdb --appendonly no\n```\n"
        ),
        ("sqlite", _) => {
            let forget = format!("rm -f {name}-wal {name}-shm\n");
            // Unpacking is what replaces the old one if that is called as the content is: a log that lay beside it would be played into what is unpacked.
            let (before, after) = match name == content {
                true => (forget, String::new()),
                false => (String::new(), format!("{forget}cp {content} {name}\n")),
            };
            format!(
                "It is the database itself. End the programs that have the old one open: what its `-wal` holds goes with it.\n\n```sh\n{before}{unpack} {content}\nsqlite3 {content} 'PRAGMA integrity_check'\n{after}```\n"
            )
        }
        ("directory", _) => format!(
            "As root owners come back too.\n\n```sh\nmkdir {name}\ntar --numeric-owner --xattrs --xattrs-include='*' -xpf {} -C {name} --strip-components=1 files\n```\n",
            quoted(archive)
        ),
        (BASE_BACKUP, _) => format!(
            "It is a data directory of PostgreSQL: unpack it where the server's is, as the user that the server runs as, and start a server of the same major version. It begins with a recovery. As root, give it to that user before: `chown -R postgres: data`.\n\n```sh\n{} data\npg_ctl -D data -w start\n```\n",
            unpack.replacen("-xf", "-xpf", 1)
        ),
        ("tar", _) => format!("It is a tarball.\n\n```sh\n{unpack}\ntar -xf content.tar\n```\n"),
        (_, "dump.pgdump") => format!(
            "With `pg_restore`, into a new database.\n\n```sh\n{unpack}\ncreatedb -T template0 {name}\npg_restore -d {name} dump.pgdump\n```\n"
        ),
        _ => format!("It is what was captured, byte for byte.\n\n```sh\n{unpack}\n```\n"),
    }
}

/// What it was called where it came from, which is not what its service is called.
fn name_there(info: &SnapshotInfo) -> String {
    let is_of_its_own = match info.form.as_str() {
        "pg_dump" | "pg_schema" | "pg_table" | "mysqldump" => info.origin.as_deref().is_some_and(is_url),
        form => matches!(form, "sqlite" | "directory"),
    };
    let there = info.origin.as_deref().filter(|_| is_of_its_own).and_then(own_name);
    there.unwrap_or_else(|| info.source.clone())
}

/// Whether a dump has a line that begins so before its first table.
fn has_line(first: &[u8], beginning: &[u8]) -> bool {
    let mut lines = first.split(|byte| *byte == b'\n').take_while(|line| !line.starts_with(b"CREATE TABLE "));
    lines.any(|line| line.starts_with(beginning))
}

/// What a database of MySQL needs to be told of its texts, if its script says it.
fn texts(first: &[u8]) -> String {
    let is_plain =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match Facts::find(first) {
        Some(facts) if is_plain(&facts.charset) && is_plain(&facts.collation) => {
            format!(" CHARACTER SET {} COLLATE {}", facts.charset, facts.collation)
        }
        _ => String::new(),
    }
}

/// A name that a shell, a database and a file system take as it is.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    match plain.trim_start_matches(['-', '.']) {
        "" | "files" | "data" => "restored".to_owned(),
        plain => plain.to_owned(),
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    match !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", line(word).replace('\'', "'\\''")),
    }
}

/// Text of a stranger on one line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same of several.
fn line_by_line(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}
