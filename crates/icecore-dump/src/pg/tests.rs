use crate::tests::{list, scan, tables};
use crate::{Completeness, Format};

const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict aBc\n\n-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)\n-- Dumped by pg_dump version 15.18\n\nSET standard_conforming_strings = on;\n\n";
const TAIL: &str = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict aBc\n\n";

fn data(name: &str, rows: &str) -> String {
    format!(
        "--\n-- Data for Name: {name}; Type: TABLE DATA; Schema: public; Owner: -\n--\n\nCOPY public.{name} (a, b) FROM stdin;\n{rows}\\.\n\n\n"
    )
}

fn part<'a>(text: &'a str, name: &str) -> &'a str {
    let (marks, _) = scan(Format::PgDump, text.as_bytes());
    let line = list(&marks).into_iter().find(|line| line.starts_with(name)).unwrap();
    let range = line.split(' ').find(|word| word.contains("..")).unwrap();
    let (begin, end) = range.split_once("..").unwrap();
    &text[begin.parse().unwrap()..end.parse().unwrap()]
}

#[test]
fn tables_begin_with_their_comments() {
    let text = [
        HEAD,
        "CREATE TABLE public.t (a int, b text);\n\n\n",
        &data("t", "1\tx\n2\t\\N\n"),
        &data("\"Weird \"\"Name\"\"\"", ""),
        "--\n-- Name: t_id_seq; Type: SEQUENCE SET\n--\n\nSELECT pg_catalog.setval('public.t_id_seq', 2, true);\n\n\n",
        &data("u", "1\t--\n"),
        "--\n-- Name: t_pkey\n--\n\nALTER TABLE ONLY public.t ADD PRIMARY KEY (a);\n\n\n",
        TAIL,
    ]
    .concat();
    let (marks, outcome) = scan(Format::PgDump, text.as_bytes());
    let names: Vec<_> = list(&marks).iter().map(|line| line.split("..").next().unwrap().to_owned()).collect();
    let names: Vec<_> = names.iter().map(|name| name.rsplit_once(' ').unwrap().0).collect();
    let expected = [
        "pre-data Schema",
        "public.t Table",
        "public.Weird \"Name\" Table",
        "post-data Schema",
        "public.u Table",
        "post-data (2) Schema",
    ];
    assert_eq!(names, expected);
    let rows: Vec<_> = tables(&marks).into_iter().map(|(_, rows)| rows).collect();
    assert_eq!(rows, [Some(2), Some(0), Some(1)]);
    assert_eq!(part(&text, "public.t "), data("t", "1\tx\n2\t\\N\n"));
    assert!(part(&text, "post-data (2)").starts_with("--\n-- Name: t_pkey"));
    assert_eq!(outcome.completeness, Completeness::Complete);
    assert_eq!(outcome.engine, Some("postgres"));
    assert_eq!(outcome.engine_version.as_deref(), Some("15.18 (Debian 15.18-0+deb12u1)"));
}

#[test]
fn every_shorter_dump_is_cut() {
    let text = [HEAD, "SELECT 1;\n\n\n", &data("t", "-- PostgreSQL database dump complete\n"), TAIL].concat();
    let marker = text.rfind(" complete").unwrap() + " complete".len();
    let begin = HEAD.find(" dump\n").unwrap() + " dump".len();
    for len in begin..marker {
        let (_, outcome) = scan(Format::PgDump, &text.as_bytes()[..len]);
        assert!(matches!(outcome.completeness, Completeness::Cut { .. }), "{len}: {outcome:?}");
    }
    assert_eq!(scan(Format::PgDump, &text.as_bytes()[..marker]).1.completeness, Completeness::Complete);
}

#[test]
fn a_second_dump_in_the_stream_must_be_complete_too() {
    let text = [HEAD, TAIL, HEAD].concat();
    let (_, outcome) = scan(Format::PgDump, text.as_bytes());
    assert!(matches!(outcome.completeness, Completeness::Cut { .. }), "{outcome:?}");
}

#[test]
fn copies_and_markers_within_strings_are_text() {
    let body = "CREATE FUNCTION f() AS $_$\nCOPY t FROM stdin;\n-- PostgreSQL database dump complete\n$_$;\nCOMMENT ON TABLE t IS 'it''s\nCOPY t FROM stdin;\n';\n";
    let (marks, outcome) = scan(Format::PgDump, [HEAD, body].concat().as_bytes());
    assert_eq!(list(&marks).len(), 1);
    assert!(matches!(outcome.completeness, Completeness::Cut { .. }), "{outcome:?}");
}

#[test]
fn inserts_are_tables_and_their_tuples_rows() {
    let text = [
        HEAD,
        "INSERT INTO public.t VALUES (1, 'it''s\n(\n');\nINSERT INTO public.t VALUES (2, '\\');\n",
        "INSERT INTO public.u (a, b) VALUES\n\t(1, 'x'),\n\t(2, f((1)));\nINSERT INTO public.u DEFAULT VALUES;\n",
        "SELECT 1;\n",
        TAIL,
    ]
    .concat();
    let (marks, outcome) = scan(Format::PgDump, text.as_bytes());
    assert_eq!(tables(&marks), [("public.t".to_owned(), Some(2)), ("public.u".to_owned(), Some(3))]);
    assert_eq!(outcome.completeness, Completeness::Complete);
}

#[test]
fn a_copy_with_very_many_columns_is_one() {
    let columns = vec!["a_column_with_a_long_name"; 2000].join(", ");
    let text = [HEAD, &format!("COPY public.t ({columns}) FROM stdin;\n1\n2\n\\.\n"), TAIL].concat();
    let (marks, outcome) = scan(Format::PgDump, text.as_bytes());
    assert_eq!(tables(&marks), [("public.t".to_owned(), Some(2))]);
    assert_eq!(outcome.completeness, Completeness::Complete);
}

#[test]
fn a_cluster_prefixes_names_with_databases() {
    let database = |name: &str| {
        format!(
            "--\n-- Database \"{name}\" dump\n--\n\n\\connect {name}\n\n{HEAD}{}{TAIL}",
            data("t", "1\t2\n")
        )
    };
    let head = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE r;\n\n";
    let tail = "--\n-- PostgreSQL database cluster dump complete\n--\n\n";
    let text = [head, &database("a"), &database("b"), tail].concat();
    let (marks, outcome) = scan(Format::PgDumpAll, text.as_bytes());
    let names: Vec<_> = list(&marks).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["globals", "a/pre-data", "a/public.t", "b/pre-data", "b/public.t"]);
    assert_eq!(outcome.completeness, Completeness::Complete);
    let cut = scan(Format::PgDumpAll, &text.as_bytes()[..text.len() - tail.len()]).1;
    assert!(matches!(cut.completeness, Completeness::Cut { .. }), "{cut:?}");
}
