//! The definitions in a dump, entry by entry.
//!
//! `pg_dump` announces each object with a comment: `-- Name: orders_pkey; Type: CONSTRAINT; Schema: public; Owner: me`. What stands between
//! two such comments belongs to the object before, but for the settings at its end, which `pg_dump` changes before it announces an object.

use super::copy::Rows;
use super::lexer::Lexer;

/// Settings that hold from where they stand on.
const SETTINGS: [&[u8]; 2] = [b"SET default_tablespace = ", b"SET default_table_access_method = "];

/// One object of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// As `pg_dump` calls it, such as `orders_pkey`, `COLUMN orders.price` or `orders orders_customer_fkey`; empty for what comes before the
    /// first object.
    pub name: String,
    /// What it is, such as `TABLE` or `FK CONSTRAINT`.
    pub kind: String,
    /// The schema it lies in, or `-`.
    pub schema: String,
    /// Whose it is; empty if it is nobody's.
    pub owner: String,
    /// What must be set before its statements.
    pub settings: Vec<&'a [u8]>,
    /// Its statements, with the comment before them.
    pub text: &'a [u8],
}

impl Entry<'_> {
    /// Whether it says what the database itself is like, as dumps with `--create` do, and not what is in it.
    pub fn is_of_database(&self) -> bool {
        matches!(self.kind.as_str(), "DATABASE" | "DATABASE PROPERTIES")
            || (self.name.starts_with("DATABASE ")
                && matches!(self.kind.as_str(), "ACL" | "COMMENT" | "SECURITY LABEL"))
    }
}

/// All entries of a script of definitions, front to back; their texts make up the whole script.
pub fn entries(script: &[u8]) -> Vec<Entry<'_>> {
    let mut starts = vec![(0, Title::default())];
    let mut lexer = Lexer::default();
    let mut at = 0;
    // Where the line before begins, if it is the empty comment that opens an announcement.
    let mut opened = None;
    let mut settings: Vec<(usize, &[u8])> = Vec::new();
    // In a statement that copies, then in its rows, which are no SQL.
    let (mut in_copy, mut in_rows) = (false, false);
    for line in script.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if in_rows {
            in_rows = text != b"\\.";
            at += line.len();
            continue;
        }
        if lexer.is_plain() {
            in_copy = text.starts_with(b"COPY ");
            if let Some(title) = Title::parse(text) {
                starts.push((opened.unwrap_or(at), title));
            } else if SETTINGS.iter().any(|setting| text.starts_with(setting)) {
                settings.push((at, text));
            }
        }
        opened = (lexer.is_plain() && text == b"--").then_some(at);
        lexer.run(line);
        in_rows = in_copy && lexer.is_plain() && text.ends_with(b" FROM stdin;");
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([script.len()]).collect::<Vec<_>>();
    let mut holding: Vec<&[u8]> = Vec::new();
    let mut settings = settings.into_iter().peekable();
    let mut entries = Vec::new();
    for ((start, title), end) in starts.into_iter().zip(ends) {
        let Title { name, kind, schema, owner } = title;
        let text = script.get(start..end).unwrap_or_default();
        entries.push(Entry { name, kind, schema, owner, settings: holding.clone(), text });
        while let Some((_, setting)) = settings.next_if(|(at, _)| *at < end) {
            let of = |line: &[u8]| line.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
            holding.retain(|held| of(held) != of(setting));
            holding.push(setting);
        }
    }
    entries.retain(|entry| !entry.text.is_empty());
    entries
}

/// Statements without the lines that only psql understands: `\connect shop`, `\restrict ...`.
pub fn without_commands(statements: &[u8]) -> Vec<u8> {
    let mut lexer = Lexer::default();
    let mut kept = Vec::with_capacity(statements.len());
    for line in statements.split_inclusive(|byte| *byte == b'\n') {
        if lexer.is_plain() && line.starts_with(b"\\") {
            continue;
        }
        lexer.run(line);
        kept.extend_from_slice(line);
    }
    kept
}

/// The statement that copies rows in, and how many bytes come before its first row; `None` if it has not ended yet.
pub fn copy_statement(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut lexer = Lexer::default();
    let mut at = 0;
    let mut start = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if lexer.is_plain() && line.starts_with(b"COPY ") {
            start = Some(at);
        }
        let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        lexer.run(text);
        let ends = lexer.is_plain() && text.trim_ascii_end().ends_with(b" FROM stdin;") && !end.is_empty();
        lexer.run(end);
        at += line.len();
        if let (true, Some(start)) = (ends, start) {
            return Some((bytes.get(start..at)?, at));
        }
    }
    None
}

/// Where a statement that copies rows in puts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTarget<'a> {
    /// The table's schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Its columns, in the order of a row's values; empty if the statement names none.
    pub columns: Vec<String>,
    /// All of this as the statement says it: `public.orders (id, "Price")`.
    pub text: &'a str,
}

/// The target of a statement that copies rows in, if it is one as captures write it and does nothing else:
/// `COPY public.orders (id, "Price") FROM stdin;`.
pub fn copy_target(statement: &[u8]) -> Option<CopyTarget<'_>> {
    let said = std::str::from_utf8(statement).ok()?.strip_prefix("COPY ")?;
    let (schema, rest) = identifier(said)?;
    let (table, rest) = identifier(rest.strip_prefix('.')?)?;
    let mut rest = rest.trim_start_matches(' ');
    let mut columns = Vec::new();
    if let Some(mut list) = rest.strip_prefix('(') {
        rest = loop {
            let (column, after) = identifier(list)?;
            columns.push(column);
            match after.strip_prefix(", ") {
                Some(more) => list = more,
                None => break after.strip_prefix(')')?.trim_start_matches(' '),
            }
        };
    }
    let text = said.strip_suffix(rest)?.trim_end_matches(' ');
    (rest.trim_end() == "FROM stdin;").then_some(CopyTarget { schema, table, columns, text })
}

/// A name as `quote_ident` writes it, and what follows.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    loop {
        let (piece, after) = rest.split_once('"')?;
        name += piece;
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// Finds the end of rows: the line `\.`.
#[derive(Debug, Default)]
pub struct CopyRows(Rows);

impl CopyRows {
    /// Reads on: how many of the next bytes are rows, how many are done with, and whether the end has come. The last three bytes may be left
    /// for later.
    pub fn read(&mut self, bytes: &[u8], last: bool) -> (usize, usize, bool) {
        let found = self.0.read(bytes, last);
        let read = bytes.get(..found.len).unwrap_or_default();
        let end = found.ended.then(|| memchr::memrchr(b'\\', read)).flatten();
        (end.unwrap_or(found.len), found.len, found.ended)
    }
}

/// What an announcement says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Title {
    name: String,
    kind: String,
    schema: String,
    owner: String,
}

impl Title {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let rest = line.strip_prefix("-- Name: ").or_else(|| line.strip_prefix("-- Data for Name: "))?;
        // A name may hold anything but the end of a line; what follows it is read from the back.
        let rest = rest.rsplit_once("; Tablespace: ").map_or(rest, |(rest, _)| rest);
        let (rest, owner) = rest.rsplit_once("; Owner: ")?;
        let (rest, schema) = rest.rsplit_once("; Schema: ")?;
        let (name, kind) = rest.rsplit_once("; Type: ")?;
        let [name, kind, schema, owner] = [name, kind, schema, owner].map(str::to_owned);
        Some(Self { name, kind, schema, owner: if owner == "-" { String::new() } else { owner } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
SET statement_timeout = 0;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: me
--

CREATE FUNCTION public.f() AS $$
--
-- Name: x; Type: TABLE; Schema: y; Owner: z
--
SET default_tablespace = never;
$$;


ALTER FUNCTION public.f() OWNER TO me;

SET default_tablespace = fast;

SET default_table_access_method = heap;

--
-- Name: odd; Type: x; Type: INDEX; Schema: public; Owner: me; Tablespace: fast
--

CREATE INDEX a;

COPY \"a
b\" FROM stdin;
it's
--
-- Name: row; Type: TABLE; Schema: -; Owner: -
\\.



SET default_tablespace = '';

--
-- Name: t; Type: ACL; Schema: -; Owner: -
--

GRANT ALL;
";

    #[test]
    fn commands_of_psql_are_left_out_and_texts_that_look_like_them_are_not() {
        let kept = without_commands(b"\\restrict x\nSELECT '\n\\connect y\n';\n\\unrestrict x\n");
        assert_eq!(kept, b"SELECT '\n\\connect y\n';\n");
    }

    #[test]
    fn the_statement_before_rows_may_have_any_name_in_it() {
        let check = |text: &str, statement: &str, rows: &str| {
            let (found, at) = copy_statement(text.as_bytes()).unwrap();
            assert_eq!((std::str::from_utf8(found).unwrap(), &text[at..]), (statement, rows));
        };
        check("--\n-- x\n--\n\nCOPY a (b) FROM stdin;\n1\n\\.\n", "COPY a (b) FROM stdin;\n", "1\n\\.\n");
        let odd = "COPY \"a FROM stdin;\nCOPY b FROM stdin;\n\" (c) FROM stdin;\n";
        check(&format!("{odd}1\n"), odd, "1\n");
        assert_eq!(copy_statement(b"COPY a FROM stdin;"), None);
        assert_eq!(copy_statement(b"INSERT INTO a;\n"), None);
    }

    #[test]
    fn a_statement_that_copies_says_where_to_and_nothing_else() {
        let target = |schema: &str, table: &str, columns: &[&str], text| {
            let columns = columns.iter().map(|column| (*column).to_owned()).collect();
            CopyTarget { schema: schema.to_owned(), table: table.to_owned(), columns, text }
        };
        let check = |statement: &str, expected| {
            assert_eq!(copy_target(statement.as_bytes()), expected, "{statement}");
        };
        let text = "public.orders (id, \"Price, \"\"net\"\"\")";
        let orders = target("public", "orders", &["id", "Price, \"net\""], text);
        check("COPY public.orders (id, \"Price, \"\"net\"\"\") FROM stdin;\n", Some(orders));
        let text = "\"a.b\".\"it's\n; \"\"\"";
        check("COPY \"a.b\".\"it's\n; \"\"\"  FROM stdin;\n", Some(target("a.b", "it's\n; \"", &[], text)));
        for other in [
            "COPY orders (id) FROM stdin;",
            "COPY public.orders (id) FROM stdin; DROP TABLE x; FROM stdin;",
            "COPY public.orders FROM PROGRAM 'evil' -- FROM stdin;",
            "COPY public.orders (id, (SELECT 1)) FROM stdin;",
            "COPY public.orders (id) FROM stdin WITH (x);",
            "COPY (SELECT 1) FROM stdin;",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn objects_are_told_apart_with_the_settings_that_hold() {
        let all = entries(SCRIPT.as_bytes());
        let short: Vec<_> =
            all.iter().map(|e| (e.name.as_str(), e.kind.as_str(), e.owner.as_str())).collect();
        let expected =
            [("", "", ""), ("f()", "FUNCTION", "me"), ("odd; Type: x", "INDEX", "me"), ("t", "ACL", "")];
        assert_eq!(short, expected);
        let whole: Vec<u8> = all.iter().flat_map(|entry| entry.text).copied().collect();
        assert!(whole == SCRIPT.as_bytes());
        let settings = |number: usize| -> Vec<_> {
            all[number].settings.iter().map(|line| std::str::from_utf8(line).unwrap()).collect()
        };
        assert_eq!(settings(1), [""; 0]);
        assert_eq!(
            settings(2),
            ["SET default_tablespace = fast;", "SET default_table_access_method = heap;"]
        );
        assert_eq!(settings(3), ["SET default_table_access_method = heap;", "SET default_tablespace = '';"]);
    }
}
