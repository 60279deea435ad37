//! Dumps, tarballs, and compressed streams.

use icecore_testkit::{Dialect, DumpSpec, write_dump};

use super::Seed;

pub(super) fn seeds() -> Vec<Seed> {
    let postgres = dump(Dialect::Postgres);
    let mariadb = dump(Dialect::MariaDb);
    let tarball = tarball();
    let cluster = cluster();
    let mut seeds = vec![
        Seed::new("scan_pg_dump", "shop", tailed(&postgres)),
        Seed::new("pg_script", "shop", postgres.as_slice()),
        Seed::new("pg_script", "objects", OBJECTS),
        Seed::new("mysql_script", "shop", tailed(&mariadb)),
        Seed::new("mysql_script", "code", CODE),
        Seed::new("scan_pg_dumpall", "two-databases", tailed(cluster.as_bytes())),
        Seed::new("scan_mysqldump", "shop", tailed(&mariadb)),
        Seed::new("scan_tar", "members", tailed(&tarball)),
        Seed::new("scan_any", "pg_dump", tailed(&postgres)),
        Seed::new("scan_any", "pg_dumpall", tailed(cluster.as_bytes())),
        Seed::new("scan_any", "mysqldump", tailed(&mariadb)),
        Seed::new("scan_any", "tar", tailed(&tarball)),
        Seed::new("scan_any", "archive", b"PGDMP\x01\x0e\x00\xff\x08\x01\x01\x01\x00\x00\x00".as_slice()),
        Seed::new("stream", "pg_dump", choice(&postgres)),
        Seed::new("stream", "tar", choice(&tarball)),
        Seed::new("stream", "text", choice(b"just a text")),
    ];
    for (name, packed) in packings(&mariadb) {
        seeds.push(Seed::new("stream", &format!("mysqldump-{name}"), choice(&packed)));
    }
    for (name, packed) in packings(&vec![0; 2 << 20]) {
        seeds.push(Seed::new("stream", &format!("zeros-{name}"), choice(&packed)));
    }
    seeds.extend(keys());
    seeds.extend(awkward_sql());
    seeds.extend(awkward_tarballs());
    seeds
}

/// Definitions as `pg_dump` announces them, and what only looks like one.
const OBJECTS: &[u8] = b"SET a = 1;\n\n--\n-- Name: f(); Type: FUNCTION; Schema: s; Owner: me\n--\n\nCREATE FUNCTION f() AS $$\n\\.\n-- Name: x; Type: \
y; Schema: -; Owner: -\n$$;\n\nSET default_tablespace = t;\n\n--\n-- Name: i; Type: INDEX; Schema: s; Owner: -; Tablespace: t\n--\n\n\\connect a\n\
COPY \"a\nb\" (c) FROM stdin;\n1\n-- Name: x; Type: y; Schema: -; Owner: -\n\\.\n\nSELECT 1;\n";

/// Code as `mariadb-dump` writes it.
const CODE: &[u8] = b"/*M!999999\\- enable the sandbox mode */ \n/*!40101 SET NAMES utf8mb4 */;\n/*!50001 CREATE ALGORITHM=UNDEFINED */\n\
/*!50013 DEFINER=`a`@`b` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 AS `x` */;\nDELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ \
/*!50003 TRIGGER s.t AFTER INSERT ON s.x FOR EACH ROW BEGIN /* kept */ SET @a = ';;'; END */;;\nCREATE DEFINER=\"a\"@\"b\" PROCEDURE \"p\"() SELECT 1 ;;\n\
/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE COMMENT 'x' DO SELECT 1 */ ;;\n\
DELIMITER ;\nALTER DATABASE `s` CHARACTER SET latin1 COLLATE latin1_bin;\nINSERT INTO `t` (`a`) VALUES (1,'b\\'',0xFF,NULL);\n";

/// What lies between the ends of an RDB.
fn keys() -> Vec<Seed> {
    let seeds: [(&str, &[u8]); 8] = [
        ("strings", b"\xfa\x09redis-ver\x067.0.15\xfe\0\xfb\x02\0\0\x01b\x01x\0\x01a\xc0\x05"),
        ("databases", b"\xfe\x03\0\x01b\x01x\xfe\0\0\x01c\x01x\xfe\x03\0\x01a\x01x"),
        ("tables", b"\x02\x01s\x02\x01b\x01a\x04\x01h\x02\x02f2\x01x\x02f1\x01y\x01\x01l\x02\x01b\x01a"),
        ("times", b"\xfc12345678\xf9\x05\0\x01k\x01v\xfd1234\xf8\x40\x80\0\x01j\x01v"),
        ("scores", b"\x05\x01z\x01\x01m12345678\x03\x01o\x02\x01m\x031.5\x01n\xfe"),
        (
            "stream",
            b"\x15\x01x\x01\x101234567890123456\x02lp\x01\x01\x01\x01\x01\0\0\x01\x01\x01g\x01\x01\x01\x01\
              123456789012345612345678\x01\x01\x01c1234567812345678\x011234567890123456",
        ),
        ("module", b"\xf7\x05\x02\x01\x05\x01x\0\x07\x01m\x05\x02\x01\x0412345678\x031234\0\xf5\x03lua"),
        (
            "lengths",
            b"\0\x01k\xc3\x02\x40\xff12\0\x01l\x80\0\0\0\x02vv\0\x01m\x81\0\0\0\0\0\0\0\x01v\0\x01n\xc21234",
        ),
    ];
    seeds.into_iter().map(|(name, bytes)| Seed::new("rdb", name, bytes)).collect()
}

/// With piece lengths for the second scan.
fn tailed(stream: &[u8]) -> Vec<u8> {
    [stream, &[6, 61, 0, 2]].concat()
}

fn choice(stream: &[u8]) -> Vec<u8> {
    [stream, &[1]].concat()
}

fn dump(dialect: Dialect) -> Vec<u8> {
    let mut dump = Vec::new();
    let spec = DumpSpec { seed: 1, bytes: 3000, dialect, nights: Vec::new() };
    write_dump(&spec, &mut dump).expect("memory takes it");
    dump
}

fn cluster() -> String {
    let database = |name: &str| {
        format!(
            "--\n-- Database \"{name}\" dump\n--\n\n\\connect {name}\n\n--\n-- PostgreSQL database dump\n--\n\n\
             COPY public.t (a) FROM stdin;\n1\n\\N\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n"
        )
    };
    let head = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n\n";
    let foot = "--\n-- PostgreSQL database cluster dump complete\n--\n\n";
    [head, &database("shop"), &database("\"The \"\"Shop\"\"\""), foot].concat()
}

fn packings(plain: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    for writer in [&mut gzip as &mut dyn std::io::Write, &mut bzip2, &mut xz] {
        writer.write_all(plain).expect("memory takes it");
    }
    let zstd = zstd::bulk::compress(plain, 1).expect("zstd takes it");
    let done = "memory takes it";
    vec![
        ("gzip", gzip.finish().expect(done)),
        ("bzip2", bzip2.finish().expect(done)),
        ("xz", xz.finish().expect(done)),
        ("zstd", zstd),
    ]
}

fn awkward_sql() -> Vec<Seed> {
    let pg: [(&str, String); 9] = [
        ("copy-without-end", "COPY t (a) FROM stdin;\n1\n2\n".into()),
        ("copy-ends-with-the-stream", "COPY t (a) FROM stdin;\n1\n\\.".into()),
        ("copy-of-long-columns", format!("COPY t ({}) FROM stdin;\n1\n\\.\n", "c, ".repeat(12_000))),
        (
            "dollars-in-dollars",
            "CREATE FUNCTION f() AS $a$ $b$ $a$a$ $$ $a$;\nCOPY t FROM stdin;\n\\.\n".into(),
        ),
        ("comments-nested-deeply", format!("{}COPY t FROM stdin;\n", "/*".repeat(5000))),
        ("comments-held-back", format!("{}COPY t FROM stdin;\n\\.\n", "-- more\n".repeat(4000))),
        ("insert-with-escapes", "INSERT INTO \"a\".t (a) VALUES (E'\\'(', ')'), ('x;');\n".into()),
        ("insert-of-parentheses", format!("INSERT INTO t VALUES {};\n", "(".repeat(5000))),
        ("names-that-look-numbered", "COPY t FROM stdin;\n\\.\nCOPY \"t (2)\" FROM stdin;\n\\.\n".repeat(20)),
    ];
    let mysql: [(&str, String); 8] = [
        ("routine-without-end", "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT 1; END ;;\n".into()),
        ("delimiters", "DELIMITER ;;\nx ;;\nDELIMITER ;\nINSERT INTO t VALUES (1);\n".into()),
        ("insert-without-end", "INSERT INTO `t` VALUES (1,'x'),(2,'".into()),
        (
            "code-in-comments",
            "/*!50001 CREATE VIEW `v` */;\n/*M!999999\\- enable the sandbox mode */ \n".into(),
        ),
        (
            "quotes-of-all-kinds",
            "INSERT INTO `a``b`.`c` VALUES ('\\'', \"a\"\"\", `x`), (0x27), ('--', '/*');\n".into(),
        ),
        ("hash-comments", "# a\n#\nINSERT INTO t VALUES (1) # ;\n, (2);\n".into()),
        ("words-without-tables", "INSERT INTO\nDROP TABLE\nLOCK TABLES\nUSE\n\\\nREPLACE IGNORE\n".into()),
        ("a-line-of-words", "REPLACE LOW_PRIORITY IGNORE INTO t".repeat(1000)),
    ];
    let pg = pg.into_iter().flat_map(|(name, text)| {
        [("scan_pg_dump", name, text.clone()), ("scan_pg_dumpall", name, format!("\\connect a\n{text}"))]
    });
    let mysql = mysql.into_iter().map(|(name, text)| ("scan_mysqldump", name, text));
    pg.chain(mysql).map(|(target, name, text)| Seed::new(target, name, tailed(text.as_bytes()))).collect()
}

/// A header block with a right checksum.
fn header(name: &str, kind: u8, size: &[u8]) -> Vec<u8> {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| {
        block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    put(0, name.as_bytes());
    put(124, size);
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(148, b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()).for_each(|(to, from)| *to = from);
    block.to_vec()
}

fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, format!("{:011o}\0", content.len()).as_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax(kind: u8, key: &str, value: &str) -> Vec<u8> {
    let record = format!(" {key}={value}\n");
    let len = (record.len()..).find(|len| len.to_string().len() + record.len() == *len).unwrap_or_default();
    member("pax", kind, format!("{len}{record}").as_bytes())
}

fn tarball() -> Vec<u8> {
    [
        member("a", b'0', b"hello"),
        member("dir/", b'5', b""),
        pax(b'x', "path", "a/longer/name"),
        member("b", b'0', &[7; 512]),
        member("long", b'L', b"another/long/name\0"),
        member("c", b'0', b"x"),
        vec![0; 1024],
    ]
    .concat()
}

fn awkward_tarballs() -> Vec<Seed> {
    let huge = [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let size = |value: &str| [pax(b'x', "size", value), member("a", b'0', b"hello")].concat();
    // One long name for all, and as many members as there can be.
    let global = [pax(b'g', "path", &"n".repeat(60_000)), member("a", b'0', b"x").repeat(24)].concat();
    let seeds = [
        ("member-longer-than-all", header("a", b'0', &huge)),
        ("extension-longer-than-all", header("a", b'x', &huge)),
        ("octal-of-sevens", header("a", b'0', b"777777777777")),
        ("size-says-pax", size("18446744073709551615")),
        ("size-too-large", size("18446744073709551616")),
        ("record-longer-than-all", member("pax", b'x', b"99999999999999999999 path=a\n")),
        ("record-of-no-length", member("pax", b'x', b"0 path=a\n0 path=b\n")),
        ("global-name-for-all", global),
        (
            "empty-extensions",
            [member("a", b'x', b""), member("a", b'L', b""), member("a", b'g', b"")].concat().repeat(20),
        ),
        ("sparse-map-without-end", [header("a", b'S', b"0"), vec![1; 2048]].concat()),
        ("cut-in-a-header", member("a", b'0', b"hello").get(..700).unwrap_or_default().to_vec()),
        ("no-end", member("a", b'0', b"hello")),
    ];
    seeds.into_iter().map(|(name, bytes)| Seed::new("scan_tar", name, tailed(&bytes))).collect()
}
