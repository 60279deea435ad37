use proptest::prelude::*;

use super::*;

const POSTGRES: Dialect = Dialect::Postgres { escapes: false };

fn tuples(dialect: Dialect, text: &[u8]) -> Option<u64> {
    let mut statement = Statement::new(dialect);
    let (n, ended) = statement.run(text);
    (ended && n == text.len()).then(|| statement.tuples())
}

#[test]
fn tuples_are_counted_whatever_the_strings_hold() {
    let check =
        |text: &str, count| assert_eq!(tuples(Dialect::Mysql, text.as_bytes()), Some(count), "{text}");
    check("VALUES (1,'a'),(2,'b');", 2);
    check("VALUES (1,'),('),(2,'it''s (');", 2);
    check("VALUES ('\\'),('),('\\\\'),(NULL);", 3);
    check("VALUES (_binary '\\'\n;),(',0x00FF),\n(-1,--(1));\n(2));", 2);
    check("VALUES (ST_GeomFromText('POINT(1 1)'),(1+2)),('x');", 2);
    check("VALUES (1,/*!50705 0x00 */'x'),(2,/* ; ) */3);", 2);
    check("VALUES # it's (\n(1),(\"it's\");", 2);
    check("VALUES (`a`,'`'),('\"');", 2);
}

#[test]
fn postgres_strings_end_where_the_dialect_says() {
    assert_eq!(tuples(POSTGRES, b"VALUES ('\\'),('x');"), Some(2));
    assert_eq!(tuples(POSTGRES, b"VALUES (E'it''s \\'),('),('x');"), Some(2));
    assert_eq!(tuples(Dialect::Postgres { escapes: true }, b"VALUES ('\\'),(');"), Some(1));
    assert_eq!(tuples(POSTGRES, b"VALUES (1 -- it's ;\n, 2 /* ' */);"), Some(1));
}

/// Counts one byte at a time, as plainly as possible; `text` is the inside of an `INSERT` without comments.
fn naive(text: &[u8]) -> u64 {
    let (mut quoted, mut depth, mut tuples, mut escaped) = (false, 0, 0, false);
    for byte in text {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'\'' => quoted = false,
                _ => (),
            }
            continue;
        }
        match byte {
            b'\'' => quoted = true,
            b'(' => {
                tuples += u64::from(depth == 0);
                depth += 1;
            }
            b')' => depth -= 1,
            _ => (),
        }
    }
    tuples
}

/// A string as mysqldump would write it, full of what could mislead a reader.
fn nasty_string() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"),("[..]),
        Just(&b"''"[..]),
        Just(&b"\\'"[..]),
        Just(&b"\\\\"[..]),
        Just(&b"\\0"[..]),
        Just(&b"-- "[..]),
        Just(&b"/*"[..]),
        Just(&b"*/"[..]),
        Just(&b"\n-- Dump completed\n"[..]),
        Just(&b";\n"[..]),
        Just(&b"\"`#!"[..]),
        Just(&b"\xff\x00plain words"[..]),
        Just(&b"a string of quite some length, longer than a block of sixty-four bytes is"[..]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| {
        let mut string = b"'".to_vec();
        string.extend(pieces.concat());
        string.push(b'\'');
        string
    })
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        nasty_string(),
        nasty_string().prop_map(|string| [&b"_binary "[..], &string].concat()),
        any::<i32>().prop_map(|number| number.to_string().into_bytes()),
        Just(b"NULL".to_vec()),
        Just(b"0x275C28".to_vec()),
        Just(b"f((1),2)".to_vec()),
    ]
}

pub(crate) fn insert_values() -> impl Strategy<Value = (u64, Vec<u8>)> {
    let tuple = prop::collection::vec(value(), 1..8).prop_map(|values| values.join(&b','));
    (prop::collection::vec(tuple, 1..20), any::<bool>()).prop_map(|(tuples, lines)| {
        let between: &[u8] = if lines { b"),\n(" } else { b"),(" };
        let count = len64(tuples.len());
        (count, [&b"("[..], &tuples.join(between), b")"].concat())
    })
}

proptest! {
    #[test]
    fn the_count_is_that_of_a_naive_reader((count, values) in insert_values(), pieces in prop::collection::vec(1_usize..200, 1..20)) {
        let text = [&b"INSERT INTO `t` VALUES "[..], &values, b";"].concat();
        prop_assert_eq!(naive(&text), count);
        prop_assert_eq!(tuples(Dialect::Mysql, &text), Some(count));

        let mut statement = Statement::new(Dialect::Mysql);
        let mut rest = &text[..];
        for len in pieces.iter().cycle() {
            let (piece, after) = rest.split_at((*len).min(rest.len()));
            let (n, ended) = statement.run(piece);
            prop_assert_eq!(n, piece.len());
            rest = after;
            if ended {
                break;
            }
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(statement.tuples(), count);
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same_state(bytes in prop::collection::vec(prop::sample::select(&b"'\"`\\()-/*!M#\n;eE a"[..]), 0..400), len in 1_usize..70, mysql: bool) {
        let dialect = if mysql { Dialect::Mysql } else { POSTGRES };
        let mut whole = Statement::new(dialect);
        let (n, ended) = whole.run(&bytes);
        let mut pieces = Statement::new(dialect);
        let mut done = 0;
        for piece in bytes.chunks(len) {
            let (n, ended) = pieces.run(piece);
            done += n;
            if ended {
                break;
            }
        }
        prop_assert_eq!(done, n);
        prop_assert!(ended || n == bytes.len());
        prop_assert_eq!(whole.state, pieces.state);
        prop_assert_eq!((whole.depth, whole.tuples, whole.read), (pieces.depth, pieces.tuples, pieces.read));
    }
}
