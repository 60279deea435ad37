use super::encoder::Encoder;
use super::value::Kind;

/// Encodes rows that come in pieces of this length. Returns what was not understood too.
fn encode(columns: &[Kind], rows: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = Encoder::new(columns.to_vec());
    let mut out = Vec::new();
    let mut pieces = rows.chunks(piece);
    let understood = pieces.by_ref().all(|piece| encoder.encode(piece, &mut out));
    let mut rest = encoder.into_rest();
    assert!(understood || !rest.is_empty());
    rest.extend(pieces.flatten());
    (out, rest)
}

fn value(kind: Kind, text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    kind.append(text.as_bytes(), &mut out).map(|()| out)
}

#[test]
fn rows_are_the_same_however_they_come_in() {
    let columns = [Kind::Int4, Kind::Text, Kind::Bool];
    let rows = b"1\tone\tt\n-2\t\\N\tf\n3\ta\\\\b\\tc\\n\t\\N\n4\t\tt\n";
    let mut expected = vec![0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 3, b'o', b'n', b'e', 0, 0, 0, 1, 1];
    expected.extend([0, 3, 0, 0, 0, 4, 255, 255, 255, 254, 255, 255, 255, 255, 0, 0, 0, 1, 0]);
    expected.extend([0, 3, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 6]);
    expected.extend(b"a\\b\tc\n");
    expected.extend([255, 255, 255, 255]);
    expected.extend([0, 3, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    for piece in 1..=rows.len() {
        assert_eq!(encode(&columns, rows, piece), (expected.clone(), Vec::new()), "{piece}");
    }
}

#[test]
fn from_what_is_not_understood_on_everything_goes_as_text() {
    for odd in ["x", "2147483648", "1\t2", "", "+1", "1\\q", "1\r", "\\", "--1", "-", "١"] {
        let rows = format!("7\n{odd}\n8\n");
        for piece in 1..=rows.len() {
            let (out, rest) = encode(&[Kind::Int4], rows.as_bytes(), piece);
            assert_eq!(out, [0, 1, 0, 0, 0, 4, 0, 0, 0, 7], "{odd:?}");
            assert_eq!(String::from_utf8(rest).unwrap(), format!("{odd}\n8\n"));
        }
    }
    // A line that does not end may be none.
    assert_eq!(encode(&[Kind::Int4], b"7\n8", 2), (vec![0, 1, 0, 0, 0, 4, 0, 0, 0, 7], b"8".to_vec()));
}

#[test]
fn a_row_of_any_length_is_not_waited_for() {
    let piece = [b'x'; 64 << 10];
    let mut encoder = Encoder::new(vec![Kind::Text]);
    let mut out = Vec::new();
    assert!(encoder.encode(b"short\n", &mut out));
    let taken = (1..1000).find(|_| !encoder.encode(&piece, &mut out)).unwrap();
    assert_eq!(out, [&[0, 1, 0, 0, 0, 5][..], b"short"].concat());
    assert_eq!(encoder.into_rest().len(), taken * piece.len());
    assert!(taken * piece.len() <= (1 << 20) + piece.len(), "{taken}");
}

#[test]
fn values_are_what_the_server_sends() {
    let check =
        |kind: Kind, text: &str, bytes: &[u8]| assert_eq!(value(kind, text).unwrap(), bytes, "{text}");
    check(Kind::Int2, "-32768", &[0x80, 0]);
    check(Kind::Int8, "-9223372036854775808", &i64::MIN.to_be_bytes());
    check(Kind::Int8, "9223372036854775807", &i64::MAX.to_be_bytes());
    check(Kind::Oid, "4294967295", &[255; 4]);
    check(Kind::Float8, "1e-05", &1e-5_f64.to_be_bytes());
    check(Kind::Float8, "-0", &(-0.0_f64).to_be_bytes());
    check(Kind::Float4, "-Infinity", &f32::NEG_INFINITY.to_be_bytes());
    check(Kind::Jsonb, "{}", b"\x01{}");
    check(Kind::Bytea, "\\x00ff10", &[0, 255, 16]);
    check(Kind::Bytea, "\\x", &[]);
    check(Kind::Date, "2000-01-01", &0_i32.to_be_bytes());
    check(Kind::Date, "1999-12-31", &(-1_i32).to_be_bytes());
    check(Kind::Date, "2024-02-29", &8825_i32.to_be_bytes());
    check(Kind::Date, "0001-01-01", &(-730_119_i32).to_be_bytes());
    check(Kind::Date, "-infinity", &i32::MIN.to_be_bytes());
    check(Kind::Time, "23:59:59.5", &86_399_500_000_i64.to_be_bytes());
    check(Kind::Timestamp, "2000-01-02 00:00:00.000001", &86_400_000_001_i64.to_be_bytes());
    check(Kind::Timestamp, "infinity", &i64::MAX.to_be_bytes());
    check(Kind::TimestampTz, "2000-01-01 01:00:00+01", &0_i64.to_be_bytes());
    check(Kind::TimestampTz, "1999-12-31 20:30:00-03:30", &0_i64.to_be_bytes());
    check(Kind::TimestampTz, "2000-01-01 00:19:32+00:19:32", &0_i64.to_be_bytes());
    check(Kind::TimestampTz, "-infinity", &i64::MIN.to_be_bytes());
    check(Kind::Numeric, "0", &[0, 0, 0, 0, 0, 0, 0, 0]);
    check(Kind::Numeric, "0.00", &[0, 0, 0, 0, 0, 0, 0, 2]);
    check(Kind::Numeric, "-12345.6", &[0, 3, 0, 1, 0x40, 0, 0, 1, 0, 1, 9, 41, 23, 112]);
    check(Kind::Numeric, "100000000", &[0, 1, 0, 2, 0, 0, 0, 0, 0, 1]);
    check(Kind::Numeric, "0.00001", &[0, 1, 255, 254, 0, 0, 0, 5, 3, 232]);
    check(Kind::Numeric, "NaN", &[0, 0, 0, 0, 0xC0, 0, 0, 0]);
}

#[test]
fn what_no_server_writes_is_left_to_the_server() {
    let check = |kind: Kind, texts: &[&str]| {
        for text in texts {
            assert_eq!(value(kind, text), None, "{text}");
        }
    };
    check(Kind::Bool, &["true", "T", "1", "", "tt"]);
    check(Kind::Int2, &["32768", "1.0", " 1", "0x1"]);
    check(Kind::Int8, &["9223372036854775808", "99999999999999999999999999"]);
    check(Kind::Oid, &["-1", "4294967296"]);
    check(Kind::Float8, &["1e400", "1e-400", "4e-320", "inf", "nan", "", "1e", "infinity"]);
    check(Kind::Float4, &["1e39", "1e-46", "1e-40"]);
    check(Kind::Bytea, &["abc", "\\x0", "\\xgg", "\\xAB", ""]);
    check(Kind::Uuid, &["", "0", "00000000000000000000000000000000", "00000000-0000-0000-0000-00000000000g"]);
    check(Kind::Uuid, &["00000000-0000-0000-0000-000000000000-", "0000000-00000-0000-0000-000000000000"]);
    check(
        Kind::Date,
        &["2023-02-29", "0000-01-01", "20000-01-01", "2000-13-01", "2000-1-1", "0044-03-15 BC"],
    );
    check(Kind::Time, &["24:00:00", "12:60:00", "12:00:60", "12:00", "12:00:00.", "12:00:00.1234567"]);
    check(Kind::Timestamp, &["2000-01-01", "2000-01-01T00:00:00", "2000-01-01 00:00:00+01", "now"]);
    check(Kind::TimestampTz, &["2000-01-01 00:00:00", "2000-01-01 00:00:00 CET", "2000-01-01 00:00:00+16"]);
    check(Kind::Numeric, &["", "-", ".5", "1.", "1e5", "1.2.3", "Infinity", "0x10", "1_000"]);
}
