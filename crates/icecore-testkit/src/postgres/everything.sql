-- A database with objects of every kind, and with data. pg_dump is the judge of whether a copy of it is right,
-- so what pg_dump itself does not bring back is not here:
--   * children and adopted tables whose columns stand in another order than their parents', as after ADD COLUMN to a parent:
--     the parents' columns come first in a copy (partitions keep their order);
--   * a language with the system's handlers, which comes back as an extension that does not exist;
--   * a policy for more than one role: pg_dump names the roles in the order of their OIDs, which is another one on another server;
--   * what belongs to all databases, as tablespaces, privileges on parameters, subscriptions, but for the roles that own things here;
--   * security labels, which need a provider, and extensions with configuration tables, which PostgreSQL does not come with.
-- Roles are made if they are missing: a second database on the same server may be filled too, at the same time even.

SET client_min_messages = warning;
SET check_function_bodies = on;

DO $$
DECLARE
    name text;
BEGIN
    LOCK TABLE pg_authid IN EXCLUSIVE MODE;
    FOREACH name IN ARRAY ARRAY['everything "quoted" role', 'everything_owner', 'everything_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
    GRANT everything_reader TO everything_owner;
    COMMENT ON ROLE everything_owner IS 'owns some of everything';
END $$;

-- The database itself.

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database());
    EXECUTE format('ALTER DATABASE %I SET search_path = public, "Odd ""schema''s"" name"', current_database());
    EXECUTE format('ALTER DATABASE %I SET "everything.setting" = ''it''''s a \value\''', current_database());
    EXECUTE format('ALTER ROLE everything_reader IN DATABASE %I SET statement_timeout = ''7min''', current_database());
    EXECUTE format('COMMENT ON DATABASE %I IS ''it''''s of everything; -- and "more"''', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY, CREATE ON DATABASE %I TO everything_owner WITH GRANT OPTION', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO everything_reader', current_database());
    EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 50', current_database());
END $$;

-- Schemas.

CREATE SCHEMA types;
CREATE SCHEMA data;
CREATE SCHEMA logic;
CREATE SCHEMA rights AUTHORIZATION everything_owner;
CREATE SCHEMA extra;
CREATE SCHEMA "Odd ""schema's"" name";
COMMENT ON SCHEMA public IS 'not the standard comment';
COMMENT ON SCHEMA "Odd ""schema's"" name" IS E'a comment\nof lines -- Name: x; Type: TABLE; Schema: y; Owner: z\n\\. $$ \t''quoted''';

-- Extensions, where they are there. Below, what needs them is made only then.

DO $$
DECLARE
    extension text;
BEGIN
    FOREACH extension IN ARRAY ARRAY['hstore', 'pg_trgm', 'btree_gist', 'citext'] LOOP
        IF EXISTS (SELECT FROM pg_available_extensions WHERE name = extension) THEN
            EXECUTE format('CREATE EXTENSION %I WITH SCHEMA extra', extension);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'hstore') THEN
        COMMENT ON EXTENSION hstore IS 'a comment of our own';
    END IF;
END $$;

-- Languages, access methods, conversions, transforms.

-- With handlers of its own: pg_dump takes a language with the system's handlers for an extension.
CREATE FUNCTION logic.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION logic.inline_handler(internal) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION logic.validator(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE everything_language HANDLER logic.handler INLINE logic.inline_handler VALIDATOR logic.validator;
COMMENT ON LANGUAGE everything_language IS 'plpgsql by another name';
REVOKE ALL ON LANGUAGE everything_language FROM PUBLIC;
GRANT USAGE ON LANGUAGE everything_language TO everything_owner;
CREATE ACCESS METHOD everything_heap TYPE TABLE HANDLER heap_tableam_handler;
COMMENT ON ACCESS METHOD everything_heap IS 'the heap by another name';
CREATE ACCESS METHOD everything_gist TYPE INDEX HANDLER gisthandler;
CREATE CONVERSION types.everything_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON CONVERSION types.everything_conversion IS 'to UTF-8';
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
COMMENT ON TRANSFORM FOR int LANGUAGE sql IS 'never called';

-- Types.

CREATE TYPE types.mood AS ENUM ('happy', 'it''s "so" so', 'sad');
ALTER TYPE types.mood ADD VALUE 'größer' BEFORE 'sad';
ALTER TYPE types.mood ADD VALUE 'über alles' AFTER 'sad';
ALTER TYPE types.mood RENAME VALUE 'happy' TO 'Happy, very';
COMMENT ON TYPE types.mood IS 'moods';
CREATE TYPE types.no_mood AS ENUM ();
CREATE TYPE types.shell;
CREATE TYPE types.point3 AS (x float8, y float8, "z ""axis""" numeric(6, 2), note text COLLATE "C");
ALTER TYPE types.point3 ADD ATTRIBUTE gone int;
ALTER TYPE types.point3 DROP ATTRIBUTE gone;
ALTER TYPE types.point3 ADD ATTRIBUTE moods types.mood[];
COMMENT ON COLUMN types.point3.x IS 'an attribute';
COMMENT ON TYPE types.point3 IS 'a composite type';
CREATE TYPE types.nothing AS ();
CREATE DOMAIN types.positive AS int NOT NULL DEFAULT 1 CONSTRAINT "above zero" CHECK (VALUE > 0);
CREATE DOMAIN types.small AS types.positive CHECK (VALUE < 1000);
CREATE DOMAIN types.words AS text[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN types.code AS varchar(8) COLLATE "C" CHECK (VALUE ~ '^[A-Z\\$]+$');
ALTER DOMAIN types.code ADD CONSTRAINT later CHECK (VALUE <> 'LATER') NOT VALID;
COMMENT ON DOMAIN types.positive IS 'a domain';
COMMENT ON CONSTRAINT "above zero" ON DOMAIN types.positive IS 'a constraint of a domain';
CREATE FUNCTION types.float_distance(float8, float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
CREATE TYPE types.float_range AS RANGE (subtype = float8, subtype_diff = types.float_distance, multirange_type_name = types.many_floats);
CREATE TYPE types.text_range AS RANGE (subtype = text, collation = "C");
COMMENT ON TYPE types.float_range IS 'a range type';

CREATE TYPE types.label;
CREATE FUNCTION types.label_in(cstring) RETURNS types.label LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION types.label_out(types.label) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE FUNCTION types.label_recv(internal) RETURNS types.label LANGUAGE internal STABLE STRICT AS 'textrecv';
CREATE FUNCTION types.label_send(types.label) RETURNS bytea LANGUAGE internal STABLE STRICT AS 'textsend';
CREATE TYPE types.label (
    INPUT = types.label_in, OUTPUT = types.label_out, RECEIVE = types.label_recv, SEND = types.label_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended, CATEGORY = 'S', DELIMITER = ';', DEFAULT = 'un''labelled'
);
COMMENT ON TYPE types.label IS 'a base type';
CREATE CAST (types.label AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS types.label) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (types.label AS json) WITH INOUT;
CREATE FUNCTION types.mood_number(types.mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT array_position(enum_range(NULL::types.mood), $1)';
CREATE CAST (types.mood AS int) WITH FUNCTION types.mood_number(types.mood) AS ASSIGNMENT;
COMMENT ON CAST (types.mood AS int) IS 'a cast';

CREATE COLLATION types.plain (provider = libc, locale = 'C');
COMMENT ON COLLATION types.plain IS 'a collation';
DO $$
BEGIN
    CREATE COLLATION types.careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN
    NULL; -- without ICU
END $$;

-- Operators.

CREATE FUNCTION logic.abs_lt(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) < abs($2)';
CREATE FUNCTION logic.abs_le(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) <= abs($2)';
CREATE FUNCTION logic.abs_eq(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) = abs($2)';
CREATE FUNCTION logic.abs_ne(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) <> abs($2)';
CREATE FUNCTION logic.abs_ge(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) >= abs($2)';
CREATE FUNCTION logic.abs_gt(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) > abs($2)';
CREATE FUNCTION logic.abs_order(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp(abs($1), abs($2))';
CREATE OPERATOR logic.<# (FUNCTION = logic.abs_lt, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(logic.>#), NEGATOR = OPERATOR(logic.>=#), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR logic.<=# (FUNCTION = logic.abs_le, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(logic.>=#), NEGATOR = OPERATOR(logic.>#));
CREATE OPERATOR logic.=# (FUNCTION = logic.abs_eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(logic.=#), NEGATOR = OPERATOR(logic.<>#), MERGES);
CREATE OPERATOR logic.<># (FUNCTION = logic.abs_ne, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(logic.<>#), NEGATOR = OPERATOR(logic.=#));
CREATE OPERATOR logic.>=# (FUNCTION = logic.abs_ge, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR logic.># (FUNCTION = logic.abs_gt, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR logic.!# (FUNCTION = numeric_uminus, RIGHTARG = numeric);
COMMENT ON OPERATOR logic.<# (int, int) IS 'an operator';
CREATE OPERATOR FAMILY logic.abs_family USING btree;
COMMENT ON OPERATOR FAMILY logic.abs_family USING btree IS 'an operator family';
CREATE OPERATOR CLASS logic.abs_class FOR TYPE int USING btree FAMILY logic.abs_family AS
    OPERATOR 1 logic.<#, OPERATOR 2 logic.<=#, OPERATOR 3 logic.=#, OPERATOR 4 logic.>=#, OPERATOR 5 logic.>#,
    FUNCTION 1 logic.abs_order(int, int);
COMMENT ON OPERATOR CLASS logic.abs_class USING btree IS 'an operator class';
CREATE FUNCTION logic.abs_order_wide(int, bigint) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint8cmp(abs($1), abs($2))';
ALTER OPERATOR FAMILY logic.abs_family USING btree ADD FUNCTION 1 (int, bigint) logic.abs_order_wide(int, bigint);
CREATE OPERATOR CLASS logic.box_class DEFAULT FOR TYPE box USING everything_gist AS
    OPERATOR 1 <<, OPERATOR 3 &&, OPERATOR 5 >>,
    FUNCTION 1 gist_box_consistent(internal, box, smallint, oid, internal), FUNCTION 2 gist_box_union(internal, internal),
    FUNCTION 5 gist_box_penalty(internal, internal, internal), FUNCTION 6 gist_box_picksplit(internal, internal),
    FUNCTION 7 gist_box_same(box, box, internal);

-- Functions, procedures, aggregates.

CREATE FUNCTION logic.looks_like_a_dump(a int, INOUT b text DEFAULT E'it''s\n\\.', VARIADIC rest text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER LEAKPROOF PARALLEL RESTRICTED COST 12.5
SET search_path = logic, "Odd ""schema's"" name", pg_temp SET work_mem = '3MB' SET datestyle = 'ISO, DMY'
AS $body$
DECLARE
    text text := $$dollars in dollars$$;
BEGIN
--
-- Name: x; Type: TABLE; Schema: y; Owner: z
--

-- COPY a FROM stdin;
    text := '
COPY a FROM stdin;
1	\N
\.
\connect other
\restrict x
$_$;';

    b := b || a || text || array_to_string(rest, E'\t');

--
-- PostgreSQL database dump complete
--
END $body$;
COMMENT ON FUNCTION logic.looks_like_a_dump(int, text, text[]) IS E'a function;\n-- with a comment of lines\n';

CREATE FUNCTION logic.with_carriage_returns() RETURNS text LANGUAGE sql AS E'SELECT ''a\r\nb''\r\n;\r\n';
CREATE FUNCTION logic.overloaded(int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN $1 + 1;
CREATE FUNCTION logic.overloaded(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1 || '$_$'$$;
CREATE FUNCTION logic.series(count int, OUT n int, OUT square bigint) RETURNS SETOF record LANGUAGE sql ROWS 17
BEGIN ATOMIC
    SELECT i, i * i::bigint FROM generate_series(1, count) i;
END;
CREATE FUNCTION logic.as_table(anyelement) RETURNS TABLE (number int, value anyelement) LANGUAGE sql AS 'SELECT 1, $1 UNION ALL SELECT 2, $1';
CREATE FUNCTION logic.row_number() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE STRICT AS 'window_row_number';
CREATE FUNCTION logic.another_language() RETURNS int LANGUAGE everything_language AS 'BEGIN RETURN 7; END';
CREATE FUNCTION logic.with_transform(int) RETURNS int LANGUAGE sql TRANSFORM FOR TYPE int AS 'SELECT $1';
CREATE FUNCTION logic."odd ""function"" $$ näme"("odd arg" int) RETURNS int LANGUAGE sql AS 'SELECT "odd arg"';
CREATE FUNCTION logic.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEW;
END $$;

CREATE PROCEDURE logic.nothing(INOUT a int, b text DEFAULT NULL) LANGUAGE plpgsql AS 'BEGIN a := 1; COMMIT; END';
COMMENT ON PROCEDURE logic.nothing(int, text) IS 'a procedure';

CREATE AGGREGATE logic.product(float8) (
    SFUNC = float8mul, STYPE = float8, INITCOND = '1', COMBINEFUNC = float8mul, PARALLEL = SAFE,
    MSFUNC = float8mul, MINVFUNC = float8div, MSTYPE = float8, MINITCOND = '1'
);
CREATE AGGREGATE logic.least_of(int) (SFUNC = int4smaller, STYPE = int, SORTOP = <);
CREATE AGGREGATE logic.any_share(float8 ORDER BY anyelement) (
    SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA
);
CREATE AGGREGATE logic.my_rank(VARIADIC "any" ORDER BY VARIADIC "any") (
    SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL
);
CREATE AGGREGATE logic.count_all(*) (SFUNC = int8inc, STYPE = int8, INITCOND = 0);
COMMENT ON AGGREGATE logic.product(float8) IS 'an aggregate';

-- Full text search.

CREATE TEXT SEARCH PARSER logic.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE logic.template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY logic.dictionary (TEMPLATE = pg_catalog.simple, STOPWORDS = english, ACCEPT = false);
CREATE TEXT SEARCH DICTIONARY logic.other_dictionary (TEMPLATE = logic.template);
CREATE TEXT SEARCH CONFIGURATION logic.config (PARSER = logic.parser);
ALTER TEXT SEARCH CONFIGURATION logic.config ADD MAPPING FOR asciiword, word WITH logic.dictionary, english_stem;
ALTER TEXT SEARCH CONFIGURATION logic.config ADD MAPPING FOR int WITH logic.other_dictionary;
COMMENT ON TEXT SEARCH PARSER logic.parser IS 'a parser';
COMMENT ON TEXT SEARCH TEMPLATE logic.template IS 'a template';
COMMENT ON TEXT SEARCH DICTIONARY logic.dictionary IS 'a dictionary';
COMMENT ON TEXT SEARCH CONFIGURATION logic.config IS 'a configuration';

-- Sequences.

CREATE SEQUENCE data.never_used START 5;
CREATE SEQUENCE data.down AS smallint INCREMENT -3 MINVALUE -30000 MAXVALUE 17 START 11 CACHE 20 CYCLE;
CREATE SEQUENCE data.far INCREMENT 7;
CREATE SEQUENCE data."odd "" sequence";
CREATE UNLOGGED SEQUENCE data.unlogged_sequence;
DO $$
BEGIN
    PERFORM nextval('data.down') FROM generate_series(1, 5);
    PERFORM setval('data.far', 9223372036854775000, false);
    PERFORM setval('data."odd "" sequence"', 42);
END $$;
COMMENT ON SEQUENCE data.down IS 'a sequence';

-- Tables with all types of values.

CREATE TABLE types.numbers (
    a smallint, b int, c bigint, d numeric, e numeric(10, 2), f numeric(5, -2), g float4, h float8, i oid, j bool
);
INSERT INTO types.numbers VALUES
    (-32768, -2147483648, -9223372036854775808, 'NaN', -12345678.91, -1234567, 'NaN', 'NaN', 0, true),
    (32767, 2147483647, 9223372036854775807, 'Infinity', 0, 0, 'Infinity', '-Infinity', 4294967295, false),
    (0, 0, 0, '-Infinity', 1.1, 150, 0.1::float4 + 0.2::float4, 0.1::float8 + 0.2::float8, 1, NULL),
    (1, 1, 1, 1.10000000000000000000, 1, 1, '-0', '-0', 1, true),
    (2, 2, 2, -123456789012345678901234567890.123456789012345678901234567890, 2, 2, 1.17549435e-38, 2.2250738585072014e-308, 2, false),
    (3, 3, 3, 1e-200, 3, 3, 3.4028235e38, 1.7976931348623157e308, 3, true),
    (4, 4, 4, 1e1000, 4, 4, 1e-45, 5e-324, 4, true),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO types.numbers (a, b, h) SELECT i, i * 1001, sqrt(i) FROM generate_series(5, 300) i;

CREATE TABLE types.texts (id int PRIMARY KEY, a text, b varchar(20), c char(6), d "char", e name, f text COLLATE types.plain, g xml);
INSERT INTO types.texts (id, a) VALUES
    (1, ''), (2, NULL), (3, '\N'), (4, '\\N'), (5, '\.'), (6, E'\n\\.\n'), (7, E'a\tb\nc\rd\be\ff\vg\\h'), (8, E'\x01\x02\x1b\x7f'),
    (9, 'Grüße, 世界 🐘 ' || U&'\00A0\0301\+010FFFF'), (10, '$$ $_$ $body$ '';--" /* */'), (11, ' spaces '), (12, E'\n'), (13, E'\\'), (14, '"'),
    (15, E'--\n-- Name: x; Type: TABLE; Schema: y; Owner: z\n--\n\nCOPY a FROM stdin;\n1\n\\.\n'), (16, '{NULL,"a"}'), (17, 'NULL'), (18, E'\\restrict x');
INSERT INTO types.texts VALUES
    (19, repeat('long ', 40000), 'größer als', 'ab', 'x', 'a name', 'Plain', '<a b="c">d &amp; e</a>'),
    (20, repeat(E'\\\t\n', 1000), '', '', '', '', '', ''),
    (21, 'z', E'\t', E'\t', E'\t', E'\t', E'\t', E'\t');

CREATE TABLE types.bytes (id int, a bytea, b bit(5), c varbit(70), d bit);
INSERT INTO types.bytes VALUES
    (1, '', '00000', '', '1'), (2, '\x00', '11111', '1', '0'), (3, '\x5c4e0a5c2e0a00ff', '10101', repeat('10', 35)::varbit, NULL), (4, NULL, NULL, NULL, '1');
INSERT INTO types.bytes (id, a) SELECT 5, string_agg(set_byte('\x00', 0, i), '' ORDER BY i) FROM generate_series(0, 255) i;
INSERT INTO types.bytes (id, a) SELECT 6, string_agg(decode(md5(i::text), 'hex'), '' ORDER BY i) FROM generate_series(1, 2000) i;

CREATE TABLE types.times (
    id int, a date, b time, c time(2), d timetz, e timestamp, f timestamp(3), g timestamptz, h interval, i interval year to month, j interval day to second(3)
);
INSERT INTO types.times VALUES
    (1, 'infinity', '24:00', '00:00', '24:00:00-15:59', 'infinity', '-infinity', 'infinity', '1 year -2 mons 3 days -04:05:06.789', '-5 months', '3 days 00:00:00.1239'),
    (2, '-infinity', '23:59:59.999999', '12:34:56.789', '00:00+15:59', '-infinity', 'infinity', '-infinity', '0', '0', '0'),
    (3, '4713-01-01 BC', '00:00:00.000001', '01:02:03.004', '12:00+00', '4713-01-01 00:00 BC', '2000-01-01 00:00:00.0005', '4713-01-02 00:00+00 BC', '178000000 years', '178 years', '-1 day'),
    (4, '5874897-12-31', NULL, NULL, NULL, '294276-12-31 23:59:59.999999', '1970-01-01', '294276-12-31 23:59:59.999999+00', '-178000000 years', NULL, NULL),
    (5, '2024-02-29', '12:00', '12:00', '12:00:00.5+05:30', '2024-02-29 12:00:00.123456', '2024-03-31 02:30', '2024-03-31 02:30:00.000001+01', '1 mon 1 day', '1 year', '1 s');

CREATE TABLE types.others (
    id int, a uuid, b inet, c cidr, d macaddr, e macaddr8, f json, g jsonb, h jsonpath, i tsvector, j tsquery, k pg_lsn, l regclass, m regtype, n regprocedure,
    o point, p line, q lseg, r box, s path, t polygon, u circle, v xid8
);
INSERT INTO types.others VALUES
    (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
     E'{"b" : 1,\n\t"a": [1.0, "\\u00e9\\n", null], "a": 2 }', '{"b": 1.10, "a": [1e3, "\u00e9\n\"\\", null, true], "a": 2}', '$.a[*] ? (@ > 1)', 'a:1A fat:2 ''it''''s \\'':3', 'fat & !(rat | cat:AB) <-> dog:*',
     '16/B374D848', 'types.texts', 'types.mood[]', 'logic.overloaded(text)',
     '(1.5,-2)', '{1,-1,0.1}', '[(0,0),(1,1)]', '(2,2),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(1,1),0.5>', '18446744073709551615'),
    (2, NULL, '::ffff:1.2.3.4', '2001:db8::/32', NULL, NULL, 'null', 'null', '$', '', '', '0/0', NULL, 'types.point3', NULL, '(NaN,Infinity)', NULL, NULL, NULL, '((0,0),(1,1))', NULL, NULL, '0'),
    (3, NULL, NULL, NULL, NULL, NULL, '""', '""', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE types.compounds (
    id int, a int[], b text[][], c types.point3, d types.point3[], e types.mood, f types.mood[], g types.small, h types.words, i types.code,
    j int4range, k numrange[], l tstzrange, m daterange, n int4multirange, o types.float_range, p types.many_floats, q types.text_range,
    r types.label, s types.label[], t types.nothing, u types.texts, v box[], w types.positive[]
);
INSERT INTO types.compounds VALUES
    (1, '{1,NULL,3}', '{{a,"b \"q\" \\"},{NULL,"NULL"},{"",","}}', '(1,NaN,3.14159,"a ""note"", \\ ()","{sad,größer}")', ARRAY['(1,2,3,"",)', NULL, '(,,,,{})']::types.point3[],
     'it''s "so" so', '{sad,"it''s \"so\" so",NULL}', 999, '{a,b}', 'A\$', '[1,5)', '{"[1.0,2.50)","(,)",empty}', '[2024-01-01,infinity)', '(,2024-01-01)',
     '{[1,3),[5,)}', '[0.1,0.3)', '{[0,1),(2,3]}', '["a, \"b","z\\"]', 'la''bel', '{a;b;"c;d"}', '()', '(1,"text, ""q""",,,,,,)', '{(2,2),(0,0);(1,1),(0,0)}', '{1,2}'),
    (2, '{}', '{}', '(,,,,)', '{}', NULL, NULL, 1, NULL, NULL, 'empty', '{}', '(,)', 'empty', '{}', 'empty', '{}', 'empty', '', '{}', NULL, NULL, '{}', '{}'),
    (3, '[-2:0]={7,8,9}', '[0:0][3:4]={{x,y}}', NULL, '[5:5]={NULL}', 'Happy, very', '{}', 2, '{}', 'B', '(,)', NULL, '["2024-03-31 02:30:00+01","2024-10-27 02:30:00.5+02")', '[2024-02-28,2024-03-01)', '{(,)}', '(,)', '{(,)}', '(,)', NULL, NULL, '()', NULL, NULL, NULL);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_type WHERE typname = 'hstore') AND EXISTS (SELECT FROM pg_type WHERE typname = 'citext') THEN
        CREATE TABLE types.from_extensions (id int PRIMARY KEY, a extra.hstore, b extra.citext);
        INSERT INTO types.from_extensions VALUES (1, 'a=>1, "b "=>NULL, "q\"q"=>"\\"', 'CaSe'), (2, '', ''), (3, NULL, NULL);
        CREATE INDEX from_extensions_a ON types.from_extensions USING gin (a);
        CREATE FUNCTION logic.needs_hstore(extra.hstore) RETURNS text LANGUAGE sql AS $body$SELECT extra.hstore_out($1)::text$body$;
        ALTER FUNCTION logic.needs_hstore DEPENDS ON EXTENSION hstore;
    END IF;
    IF EXISTS (SELECT FROM pg_opclass WHERE opcname = 'gist_trgm_ops') THEN
        CREATE INDEX texts_trigrams ON types.texts USING gist (b extra.gist_trgm_ops (siglen = '32'));
    END IF;
    IF EXISTS (SELECT FROM pg_collation WHERE collname = 'careless') THEN
        CREATE TABLE types.careless_texts (a text COLLATE types.careless PRIMARY KEY);
        INSERT INTO types.careless_texts VALUES ('One'), ('two');
    END IF;
END $$;

-- Tables of odd shapes and names.

CREATE TABLE data.no_columns ();
INSERT INTO data.no_columns DEFAULT VALUES;
INSERT INTO data.no_columns DEFAULT VALUES;
INSERT INTO data.no_columns DEFAULT VALUES;
CREATE TABLE data.no_rows (id int PRIMARY KEY, a text);
CREATE TABLE data.only_nulls (a int);
INSERT INTO data.only_nulls SELECT NULL FROM generate_series(1, 3);
CREATE TABLE "Odd ""schema's"" name"."two
lines" ("col
umn" int, "select" int, "per%cent" int, "tab	tab" text);
INSERT INTO "Odd ""schema's"" name"."two
lines" VALUES (1, 2, 3, E'\n');
CREATE TABLE "Odd ""schema's"" name"."a ""quoted"" table" ("a ""b""" int CONSTRAINT "odd ""check""" CHECK ("a ""b""" > 0), "GRÖSSE" text DEFAULT E'\\''"');
INSERT INTO "Odd ""schema's"" name"."a ""quoted"" table" VALUES (1), (2);
CREATE TABLE "Odd ""schema's"" name"."$$ $_$" ("$1" int PRIMARY KEY, "$$" text);
INSERT INTO "Odd ""schema's"" name"."$$ $_$" VALUES (1, '$$');
CREATE TABLE "Odd ""schema's"" name"."table" ("table" serial, "with space " text, "back\slash" text, "'" text, "a.b" int, " " int);
INSERT INTO "Odd ""schema's"" name"."table" ("with space ") VALUES ('x'), (NULL);
CREATE TABLE "Odd ""schema's"" name"."-- Name: x; Type: TABLE; Schema: y; Owner: z" ();
COMMENT ON TABLE "Odd ""schema's"" name"."two
lines" IS 'lines';
COMMENT ON COLUMN "Odd ""schema's"" name"."two
lines"."col
umn" IS '';
COMMENT ON COLUMN "Odd ""schema's"" name"."two
lines"."select" IS 'a select';

CREATE TABLE data.same_name (in_schema text DEFAULT 'data');
CREATE TABLE public.same_name (in_schema text DEFAULT 'public');
INSERT INTO data.same_name DEFAULT VALUES;
INSERT INTO public.same_name DEFAULT VALUES;

CREATE TABLE data.of_type OF types.point3 (x WITH OPTIONS NOT NULL DEFAULT 0.1, PRIMARY KEY (x));
INSERT INTO data.of_type VALUES (1, 2, 3, 'four', '{sad}');
CREATE TABLE data.own_access_method (a int) USING everything_heap;
INSERT INTO data.own_access_method VALUES (1);

CREATE UNLOGGED TABLE data.unlogged (id int GENERATED ALWAYS AS IDENTITY, a text);
INSERT INTO data.unlogged (a) VALUES ('kept'), ('nevertheless');

CREATE TABLE data.grown (gone_first int, id int, gone text, a text DEFAULT 'a' NOT NULL);
INSERT INTO data.grown VALUES (1, 1, 'gone', 'x'), (2, 2, NULL, 'y');
ALTER TABLE data.grown DROP COLUMN gone, DROP COLUMN gone_first;
ALTER TABLE data.grown ADD COLUMN later int DEFAULT 7 NOT NULL, ADD COLUMN unset text;
INSERT INTO data.grown (id) VALUES (3);
UPDATE data.grown SET a = 'moved' WHERE id = 1;
DELETE FROM data.grown WHERE id = 2;
ALTER TABLE data.grown RENAME COLUMN unset TO renamed;

CREATE FUNCTION data.next_far() RETURNS bigint LANGUAGE sql AS $$SELECT nextval('data.far')$$;
CREATE TABLE data.defaults (
    id int GENERATED BY DEFAULT AS IDENTITY (START WITH 100 INCREMENT BY 10 MINVALUE 50 MAXVALUE 5000 CACHE 3 CYCLE) PRIMARY KEY,
    always bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME data."always' sequence" INCREMENT BY -1),
    serial serial,
    small smallserial,
    shared bigint DEFAULT nextval('data.down'),
    function bigint DEFAULT data.next_far(),
    expression text DEFAULT lower('It''s ' || 'A' || E'\n'),
    casted types.mood DEFAULT 'sad'::types.mood,
    list int[] DEFAULT ARRAY[1, 2] || 3,
    moment timestamptz DEFAULT '2024-01-01 00:00:00+00',
    generated numeric GENERATED ALWAYS AS (small * 1.5 + id) STORED,
    generated_text text GENERATED ALWAYS AS (upper(expression) || '$$') STORED,
    domained types.positive DEFAULT 4
);
CREATE SEQUENCE data.owned INCREMENT 5 OWNED BY data.defaults.list;
INSERT INTO data.defaults (function, expression) SELECT i, 'row ' || i FROM generate_series(1, 50) i;
INSERT INTO data.defaults (id, always, function, generated) OVERRIDING SYSTEM VALUE VALUES (7, 7, 7, DEFAULT);

CREATE TABLE data.settings (
    id int, plain text, main text, external text, compressed text, counted int, distinct_values int, wide text
) WITH (fillfactor = 70, autovacuum_enabled = false, autovacuum_vacuum_scale_factor = 0.25, toast.autovacuum_enabled = false, parallel_workers = 2, toast_tuple_target = 4080);
ALTER TABLE data.settings
    ALTER plain SET STORAGE PLAIN, ALTER main SET STORAGE MAIN, ALTER external SET STORAGE EXTERNAL, ALTER compressed SET COMPRESSION pglz,
    ALTER counted SET STATISTICS 500, ALTER wide SET STATISTICS 0, ALTER distinct_values SET (n_distinct = -0.5, n_distinct_inherited = 100);
INSERT INTO data.settings SELECT i, 'p', 'm', repeat('e', 3000), repeat('c', 3000), i, i % 7, repeat('w', i) FROM generate_series(1, 100) i;
CREATE STATISTICS data.settings_all ON counted, distinct_values FROM data.settings;
CREATE STATISTICS data.settings_kinds (ndistinct, mcv) ON counted, distinct_values, id FROM data.settings;
CREATE STATISTICS data.settings_expression ON (counted % 10), lower(wide) FROM data.settings;
ALTER STATISTICS data.settings_kinds SET STATISTICS 50;
COMMENT ON STATISTICS data.settings_kinds IS 'statistics';
ANALYZE data.settings;

-- Constraints and indexes.

CREATE TABLE data.customers (
    id int PRIMARY KEY,
    email text CONSTRAINT customers_email UNIQUE DEFERRABLE INITIALLY DEFERRED,
    name text NOT NULL,
    code int,
    favourite int,
    invited_by int,
    CONSTRAINT by_code UNIQUE NULLS NOT DISTINCT (code) INCLUDE (name),
    CONSTRAINT plausible CHECK (name <> '' AND (code IS NULL OR code > 0)),
    CONSTRAINT with_options UNIQUE (name, code) WITH (fillfactor = 60)
);
CREATE TABLE data.orders (
    id int,
    line int,
    customer int NOT NULL REFERENCES data.customers,
    a int, b int,
    CONSTRAINT orders_key PRIMARY KEY (id, line) INCLUDE (customer)
);
INSERT INTO data.customers SELECT i, 'c' || i || '@example.org', 'name ' || i, NULLIF(i, 5), NULL, NULLIF(i - 1, 0) FROM generate_series(1, 40) i;
INSERT INTO data.orders SELECT i / 3, i % 3, i % 40 + 1, i % 10, -i FROM generate_series(0, 200) i;
UPDATE data.customers SET favourite = id WHERE id % 4 = 0;
ALTER TABLE data.customers ADD COLUMN line int DEFAULT 1;
ALTER TABLE data.customers
    ADD CONSTRAINT favourite_order FOREIGN KEY (favourite, line) REFERENCES data.orders (id, line) ON DELETE SET NULL (favourite) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT invited FOREIGN KEY (invited_by) REFERENCES data.customers ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE;
ALTER TABLE data.orders
    ADD CONSTRAINT not_valid_check CHECK (b > 0) NOT VALID,
    ADD CONSTRAINT not_valid_key FOREIGN KEY (b) REFERENCES data.customers NOT VALID,
    ADD CONSTRAINT full_match FOREIGN KEY (id, line) REFERENCES data.orders MATCH FULL ON DELETE RESTRICT,
    ADD CONSTRAINT not_inherited CHECK (a >= 0) NO INHERIT;
CREATE UNIQUE INDEX made_by_hand ON data.orders (b, a);
ALTER TABLE data.orders ADD CONSTRAINT made_by_hand UNIQUE USING INDEX made_by_hand;
COMMENT ON CONSTRAINT not_valid_check ON data.orders IS 'rows of before fail it';
COMMENT ON CONSTRAINT favourite_order ON data.customers IS 'a cycle';

CREATE INDEX orders_partial ON data.orders (a) WHERE b < 0 AND a IS NOT NULL;
CREATE INDEX orders_expression ON data.orders ((a + b), lower(a::text) COLLATE "C" text_pattern_ops DESC NULLS LAST);
CREATE INDEX orders_descending ON data.orders (a DESC, b ASC NULLS FIRST) INCLUDE (customer) WITH (fillfactor = 50, deduplicate_items = off);
CREATE INDEX orders_absolute ON data.orders (b logic.abs_class);
CREATE INDEX orders_hash ON data.orders USING hash (customer);
CREATE INDEX orders_brin ON data.orders USING brin (id, a) WITH (pages_per_range = 4);
CREATE UNIQUE INDEX "odd ""index"" $$" ON data.customers (lower(email));
ALTER INDEX data.orders_expression ALTER COLUMN 1 SET STATISTICS 321;
COMMENT ON INDEX data.orders_partial IS 'an index';
CREATE INDEX others_json ON types.others USING gin (g jsonb_path_ops);
CREATE INDEX others_words ON types.others USING gin (i) WITH (fastupdate = off);
CREATE INDEX others_box ON types.others USING spgist (r);
CREATE INDEX others_gist ON types.others USING everything_gist (r);

CREATE TABLE data.reservations (room int, during int4range, area circle);
INSERT INTO data.reservations VALUES (1, '[1,5)', '<(0,0),1>'), (1, '[5,9)', '<(5,5),1>'), (2, '[1,5)', '<(9,9),1>');
ALTER TABLE data.reservations ADD CONSTRAINT apart EXCLUDE USING gist (area WITH &&) WHERE (room > 0) DEFERRABLE INITIALLY DEFERRED;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist') THEN
        ALTER TABLE data.reservations ADD CONSTRAINT one_at_a_time EXCLUDE USING gist (room WITH =, during WITH &&);
    END IF;
END $$;

CREATE TABLE data.clustered (id int PRIMARY KEY, a int);
INSERT INTO data.clustered SELECT i, -i FROM generate_series(1, 50) i;
CREATE INDEX clustered_by ON data.clustered (a);
CLUSTER data.clustered USING clustered_by;
CREATE TABLE data.identity_full (a int, b text);
ALTER TABLE data.identity_full REPLICA IDENTITY FULL;
INSERT INTO data.identity_full VALUES (1, 'twice'), (1, 'twice');
CREATE TABLE data.identity_index (a int NOT NULL, b text);
CREATE UNIQUE INDEX identity_index_a ON data.identity_index (a);
ALTER TABLE data.identity_index REPLICA IDENTITY USING INDEX identity_index_a;
INSERT INTO data.identity_index VALUES (1, 'one');
CREATE TABLE data.identity_nothing (a int PRIMARY KEY);
ALTER TABLE data.identity_nothing REPLICA IDENTITY NOTHING;

-- A default that needs a function that needs the table.

CREATE TABLE data.snake (id int PRIMARY KEY, position bigint);
INSERT INTO data.snake VALUES (1, 0);
CREATE FUNCTION data.snake_len() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM data.snake; END;
ALTER TABLE data.snake ALTER position SET DEFAULT data.snake_len();
INSERT INTO data.snake VALUES (2);

-- Inheritance.

CREATE TABLE data.parent (id int NOT NULL, a text DEFAULT 'parent', CONSTRAINT positive CHECK (id > 0), CONSTRAINT only_here CHECK (id < 1000) NO INHERIT);
INSERT INTO data.parent (id) VALUES (1), (2);
ALTER TABLE data.parent ADD COLUMN late text DEFAULT 'late';
CREATE TABLE data.other_parent (id int NOT NULL, other text, a text);
CREATE TABLE data.child (b int DEFAULT 5, a text DEFAULT 'child') INHERITS (data.parent);
CREATE TABLE data.grandchild (CONSTRAINT young CHECK (b < 100)) INHERITS (data.child, data.other_parent);
CREATE TABLE data.adopted (gone int, id int NOT NULL, a text, late text, b int, CONSTRAINT positive CHECK (id > 0));
ALTER TABLE data.adopted DROP COLUMN gone;
ALTER TABLE data.adopted INHERIT data.parent;
INSERT INTO data.child (id) VALUES (3), (4000);
INSERT INTO data.grandchild (id, other) VALUES (5, 'o');
INSERT INTO data.adopted VALUES (6, 'x', NULL, 1);

-- Partitions.

CREATE TABLE data.regions (name text PRIMARY KEY);
INSERT INTO data.regions VALUES ('north'), ('south'), ('east');
CREATE TABLE data.measures (
    day date NOT NULL, region text NOT NULL REFERENCES data.regions, id int DEFAULT 1, value float8 CONSTRAINT not_negative CHECK (value >= 0), doubled float8 GENERATED ALWAYS AS (value * 2) STORED
) PARTITION BY RANGE (day);
CREATE TABLE data.measures_2023 PARTITION OF data.measures (value DEFAULT 23) FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE data.measures_2024 PARTITION OF data.measures FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (region);
CREATE TABLE data.measures_2024_north PARTITION OF data.measures_2024 FOR VALUES IN ('north');
CREATE TABLE data.measures_2024_rest PARTITION OF data.measures_2024 FOR VALUES IN ('south', 'east');
CREATE TABLE data.measures_before (value float8 CONSTRAINT not_negative CHECK (value >= 0), gone text, id int, region text NOT NULL, day date NOT NULL, doubled float8 GENERATED ALWAYS AS (value * 2) STORED);
ALTER TABLE data.measures_before DROP COLUMN gone;
CREATE INDEX measures_before_own ON data.measures_before (region, day);
ALTER TABLE data.measures ATTACH PARTITION data.measures_before FOR VALUES FROM (MINVALUE) TO ('2023-01-01');
CREATE TABLE data.measures_other PARTITION OF data.measures DEFAULT WITH (fillfactor = 80);
INSERT INTO data.measures (day, region, id, value)
    SELECT '2022-06-01'::date + i * 3, (ARRAY['north', 'south', 'east'])[i % 3 + 1], i, i / 7.0 FROM generate_series(0, 400) i;
ALTER TABLE data.measures ADD PRIMARY KEY (day, region, id);
CREATE INDEX measures_region ON data.measures (region, day);
CREATE INDEX measures_value ON ONLY data.measures (value);
CREATE INDEX measures_value_2023 ON data.measures_2023 (value);
ALTER INDEX data.measures_value ATTACH PARTITION data.measures_value_2023;
CREATE INDEX measures_only_2023 ON data.measures_2023 (doubled);
CREATE STATISTICS data.measures_statistics ON region, day FROM data.measures;
CREATE TABLE data.remarks (day date, region text, id int, remark text, FOREIGN KEY (day, region, id) REFERENCES data.measures ON DELETE CASCADE);
INSERT INTO data.remarks SELECT day, region, id, 'of ' || id FROM data.measures WHERE id % 50 = 0 ORDER BY id;
COMMENT ON TABLE data.measures IS 'a partitioned table';
COMMENT ON TABLE data.measures_2023 IS 'a partition';

CREATE TABLE data.hashed (id int, a text, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE data.hashed_0 PARTITION OF data.hashed FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE data.hashed_1 PARTITION OF data.hashed FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE data.hashed_2 PARTITION OF data.hashed FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO data.hashed SELECT i, 'h' || i FROM generate_series(1, 100) i;
-- Where a row of an enum goes by its hash depends on the enum's OIDs, which differ in a copy.
CREATE TABLE data.by_mood (mood types.mood, a int) PARTITION BY LIST (mood);
CREATE TABLE data.by_mood_good PARTITION OF data.by_mood FOR VALUES IN ('Happy, very', 'größer');
CREATE TABLE data.by_mood_bad PARTITION OF data.by_mood FOR VALUES IN ('sad', 'it''s "so" so');
CREATE TABLE data.by_mood_none PARTITION OF data.by_mood DEFAULT;
INSERT INTO data.by_mood SELECT m, 1 FROM unnest(enum_range(NULL::types.mood)) m;
INSERT INTO data.by_mood VALUES (NULL, 0);
CREATE TABLE data.by_expression (a int, b text) PARTITION BY RANGE (abs(a), b COLLATE "C" text_pattern_ops);
CREATE TABLE data."by expression'1" PARTITION OF data.by_expression FOR VALUES FROM (0, MINVALUE) TO (10, 'it''s');
CREATE TABLE data.by_expression_2 PARTITION OF data.by_expression FOR VALUES FROM (10, 'it''s') TO (MAXVALUE, MAXVALUE);
INSERT INTO data.by_expression SELECT i, 'it' || i FROM generate_series(-20, 20) i;
CREATE TABLE data.no_partitions (a int) PARTITION BY LIST (a);

-- Views.

CREATE VIEW logic.plain AS SELECT *, a || '\' AS more FROM types.texts WHERE a LIKE '%''%' ORDER BY id;
CREATE VIEW logic.view_of_view (x, "y ""y""") WITH (security_barrier) AS SELECT id, a FROM logic.plain;
CREATE VIEW logic.depends_on_key AS SELECT id, email, name, count(*) AS n FROM data.customers JOIN data.orders o (o_id, o_line, c) ON c = id GROUP BY id;
CREATE VIEW logic.on_depends_on_key AS SELECT max(n) FROM logic.depends_on_key;
CREATE RECURSIVE VIEW logic.invitations (id, depth) AS
    SELECT id, 0 FROM data.customers WHERE invited_by IS NULL
    UNION ALL
    SELECT c.id, depth + 1 FROM data.customers c JOIN invitations i ON c.invited_by = i.id;
CREATE VIEW logic.checked WITH (security_invoker = true) AS SELECT * FROM data.no_rows WHERE id > 0 WITH LOCAL CHECK OPTION;
CREATE VIEW logic.checked_more AS SELECT * FROM logic.checked WHERE id < 10 WITH CASCADED CHECK OPTION;
ALTER VIEW logic.checked ALTER a SET DEFAULT 'of the view';
CREATE VIEW logic.no_columns AS SELECT;
CREATE VIEW logic.complicated AS
    WITH RECURSIVE x AS MATERIALIZED (SELECT 1 AS n UNION SELECT n + 1 FROM x WHERE n < 5), y AS (VALUES (1, 'a'::text), (2, NULL))
    SELECT x.n, y.column2, row_number() OVER w AS number, sum(x.n) FILTER (WHERE x.n > 1) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) AS total,
        CASE WHEN x.n = ANY (ARRAY[1, 2]) THEN '2024-01-01'::date END AS d, (t.c).x AS composite, (SELECT logic.product(h) FROM types.numbers) AS p, x.n OPERATOR(logic.<#) 3 AS abs
    FROM x LEFT JOIN y ON x.n = y.column1 CROSS JOIN LATERAL (SELECT c FROM types.compounds WHERE id = x.n) t
    WINDOW w AS (PARTITION BY y.column2 ORDER BY x.n DESC NULLS LAST);
COMMENT ON VIEW logic.plain IS 'a view';
COMMENT ON COLUMN logic.plain.more IS 'a column of a view';

CREATE MATERIALIZED VIEW logic.z_first AS SELECT id, name FROM data.customers;
CREATE UNIQUE INDEX z_first_id ON logic.z_first (id);
CREATE MATERIALIZED VIEW logic.a_second WITH (fillfactor = 75) AS SELECT count(*), max(name) FROM logic.z_first;
CREATE MATERIALIZED VIEW logic.never_filled AS SELECT id FROM logic.z_first WITH NO DATA;
CREATE INDEX never_filled_id ON logic.never_filled (id DESC);
CREATE MATERIALIZED VIEW logic.of_key AS SELECT id, email, count(*) FROM data.customers GROUP BY id;
CREATE MATERIALIZED VIEW logic.old AS SELECT a FROM data.no_rows;
ALTER MATERIALIZED VIEW logic.z_first CLUSTER ON z_first_id;
ALTER MATERIALIZED VIEW logic.z_first ALTER name SET STATISTICS 77;
COMMENT ON MATERIALIZED VIEW logic.z_first IS 'a materialised view';

-- A function of SQL that needs a key, and one that returns rows of a table and of a view.

CREATE FUNCTION logic.needs_key() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT email FROM data.customers GROUP BY id; END;
CREATE FUNCTION logic.rows_of_table(data.customers) RETURNS SETOF data.orders LANGUAGE sql AS 'SELECT * FROM data.orders WHERE customer = $1.id';
CREATE FUNCTION logic.rows_of_view() RETURNS SETOF logic.plain LANGUAGE sql AS 'SELECT * FROM logic.plain';
CREATE PROCEDURE logic.atomic(a int, OUT b int) LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO data.only_nulls VALUES (a), (NULL) RETURNING 1;
    DELETE FROM data.only_nulls WHERE only_nulls.a = atomic.a;
    SELECT 2;
END;

-- Rules and triggers. They must stay quiet while a copy is filled.

CREATE TABLE logic.events (id serial, what text, at timestamptz DEFAULT '2024-01-01 00:00+00');
CREATE RULE log_insert AS ON INSERT TO data.no_rows DO ALSO INSERT INTO logic.events (what) VALUES ('insert ' || NEW.id);
CREATE RULE "no ""delete""" AS ON DELETE TO data.no_rows WHERE OLD.id > 5 DO INSTEAD NOTHING;
CREATE RULE two_steps AS ON UPDATE TO data.no_rows DO ALSO (INSERT INTO logic.events (what) VALUES ('a;b'); NOTIFY everything, 'it''s'; DELETE FROM logic.events WHERE what = '$$');
ALTER TABLE data.no_rows DISABLE RULE log_insert;
ALTER TABLE data.no_rows ENABLE ALWAYS RULE two_steps;
CREATE RULE into_view AS ON INSERT TO logic.view_of_view DO INSTEAD INSERT INTO types.texts (id, a) VALUES (NEW.x, NEW."y ""y""") RETURNING id, a;
COMMENT ON RULE into_view ON logic.view_of_view IS 'a rule';

CREATE FUNCTION logic.log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO logic.events (what) VALUES (TG_NAME || ' ' || TG_TABLE_NAME || ' ' || coalesce(TG_ARGV[0], ''));
    RETURN NULL;
END $$;
CREATE TABLE logic.watched (id int PRIMARY KEY, a text, b int);
CREATE TRIGGER after_insert AFTER INSERT ON logic.watched FOR EACH ROW EXECUTE FUNCTION logic.log('it''s', '\x $$', '');
CREATE TRIGGER "before ""update""" BEFORE UPDATE OF a, b ON logic.watched FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a) EXECUTE FUNCTION logic.touch();
CREATE TRIGGER with_tables AFTER UPDATE ON logic.watched REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION logic.log();
CREATE TRIGGER on_truncate BEFORE TRUNCATE ON logic.watched EXECUTE FUNCTION logic.log();
CREATE TRIGGER disabled BEFORE INSERT ON logic.watched FOR EACH ROW EXECUTE FUNCTION logic.touch();
CREATE TRIGGER always AFTER DELETE ON logic.watched FOR EACH STATEMENT EXECUTE FUNCTION logic.log();
CREATE TRIGGER on_replica AFTER DELETE ON logic.watched FOR EACH STATEMENT EXECUTE FUNCTION logic.log();
CREATE CONSTRAINT TRIGGER in_the_end AFTER INSERT OR UPDATE ON logic.watched FROM data.customers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION logic.log();
INSERT INTO logic.watched VALUES (1, 'seen', 1);
ALTER TABLE logic.watched DISABLE TRIGGER disabled, ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER on_replica;
COMMENT ON TRIGGER after_insert ON logic.watched IS 'a trigger';
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE ON logic.depends_on_key FOR EACH ROW EXECUTE FUNCTION logic.touch();
CREATE TRIGGER of_partitions AFTER INSERT ON data.measures FOR EACH ROW EXECUTE FUNCTION logic.log();
ALTER TABLE data.measures_2023 DISABLE TRIGGER of_partitions;
CREATE TRIGGER of_one_partition BEFORE INSERT ON data.measures_2024_rest FOR EACH ROW EXECUTE FUNCTION logic.touch();
ALTER TABLE data.hashed DISABLE TRIGGER ALL;

CREATE FUNCTION logic.notice() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER everything_event ON ddl_command_start WHEN TAG IN ('DROP TABLE', 'CREATE EXTENSION') EXECUTE FUNCTION logic.notice();
CREATE EVENT TRIGGER "everything ""disabled"" event" ON sql_drop EXECUTE FUNCTION logic.notice();
ALTER EVENT TRIGGER "everything ""disabled"" event" DISABLE;
COMMENT ON EVENT TRIGGER everything_event IS 'an event trigger';

-- Rights.

CREATE TABLE rights.accounts (id int PRIMARY KEY, owner text DEFAULT current_user, secret text, balance numeric);
INSERT INTO rights.accounts VALUES (1, 'everything_reader', 's', 10), (2, 'everything_owner', 't', 20.50);
CREATE TABLE rights.nobody_may (a int);
CREATE VIEW rights.of_accounts AS SELECT id FROM rights.accounts;
CREATE SEQUENCE rights.numbers;
CREATE FUNCTION rights.secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE rights.kind AS ENUM ('a');
CREATE DOMAIN rights.amount AS numeric;
ALTER TABLE rights.accounts OWNER TO everything_owner;
ALTER TABLE rights.nobody_may OWNER TO everything_owner;
ALTER VIEW rights.of_accounts OWNER TO "everything ""quoted"" role";
ALTER SEQUENCE rights.numbers OWNER TO everything_owner;
ALTER FUNCTION rights.secret() OWNER TO everything_owner;
ALTER TYPE rights.kind OWNER TO everything_owner;
ALTER DOMAIN rights.amount OWNER TO everything_owner;
ALTER MATERIALIZED VIEW logic.old OWNER TO everything_owner;
ALTER AGGREGATE logic.least_of(int) OWNER TO everything_owner;
ALTER STATISTICS data.settings_all OWNER TO everything_owner;

ALTER TABLE rights.accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE rights.accounts FORCE ROW LEVEL SECURITY;
ALTER TABLE rights.nobody_may ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rights.accounts TO "everything ""quoted"" role" USING (owner = CURRENT_USER) WITH CHECK (balance > 0);
CREATE POLICY "see ""all""" ON rights.accounts FOR SELECT USING (true);
CREATE POLICY restrictive ON rights.accounts AS RESTRICTIVE FOR UPDATE TO everything_reader USING (id IN (SELECT id FROM data.customers)) WITH CHECK (secret <> '$$');
CREATE POLICY no_insert ON rights.accounts FOR INSERT TO PUBLIC WITH CHECK (false);
COMMENT ON POLICY own ON rights.accounts IS 'a policy';

GRANT USAGE ON SCHEMA rights, data TO everything_reader;
GRANT CREATE ON SCHEMA public TO everything_owner WITH GRANT OPTION;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT ON rights.accounts TO everything_reader WITH GRANT OPTION;
GRANT SELECT (id, owner), UPDATE (balance) ON rights.accounts TO "everything ""quoted"" role";
GRANT REFERENCES (secret) ON rights.accounts TO PUBLIC;
GRANT ALL ON rights.of_accounts TO PUBLIC;
REVOKE ALL ON rights.nobody_may FROM everything_owner;
REVOKE DELETE ON rights.accounts FROM everything_owner;
GRANT USAGE, SELECT ON SEQUENCE rights.numbers TO everything_reader;
REVOKE ALL ON FUNCTION rights.secret() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rights.secret() TO everything_reader;
REVOKE EXECUTE ON PROCEDURE logic.nothing FROM PUBLIC;
REVOKE USAGE ON TYPE rights.kind FROM PUBLIC;
GRANT USAGE ON DOMAIN rights.amount TO everything_reader WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA types TO everything_reader;
-- The owner of a materialised view must be able to fill it again.
GRANT USAGE ON SCHEMA data TO everything_owner;
GRANT SELECT ON data.no_rows TO everything_owner;
SET SESSION AUTHORIZATION everything_reader;
GRANT SELECT ON rights.accounts TO "everything ""quoted"" role";
RESET SESSION AUTHORIZATION;
-- Rights on what the system brings.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO everything_reader;
REVOKE SELECT ON pg_catalog.pg_settings FROM PUBLIC;
GRANT SELECT (name) ON pg_catalog.pg_settings TO PUBLIC;

ALTER DEFAULT PRIVILEGES IN SCHEMA data GRANT SELECT ON TABLES TO everything_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner GRANT USAGE ON SEQUENCES TO everything_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner GRANT ALL ON SCHEMAS TO PUBLIC;

-- Large objects.

DO $$
BEGIN
    PERFORM lo_from_bytea(4711, (SELECT string_agg(decode(md5(i::text), 'hex'), '' ORDER BY i) FROM generate_series(1, 300) i));
    PERFORM lo_create(4712);
    PERFORM lo_from_bytea(4713, '\x5c2e0a00ff');
    -- With a hole of three pages.
    PERFORM lo_create(4294967290);
    PERFORM lo_put(4294967290, 7000, 'after a hole');
END $$;
ALTER LARGE OBJECT 4711 OWNER TO everything_owner;
GRANT SELECT ON LARGE OBJECT 4711 TO everything_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 4712 TO PUBLIC;
COMMENT ON LARGE OBJECT 4711 IS 'a large object';

-- Foreign data.

CREATE FOREIGN DATA WRAPPER dummy OPTIONS (debug 'it''s "true"');
CREATE SERVER "odd ""server""" TYPE 'a type' VERSION '1.0''' FOREIGN DATA WRAPPER dummy OPTIONS (host 'h', "odd ""option""" '\');
CREATE USER MAPPING FOR PUBLIC SERVER "odd ""server""" OPTIONS ("user" 'public');
CREATE USER MAPPING FOR everything_reader SERVER "odd ""server""" OPTIONS ("user" 'reader', password 'it''s secret');
CREATE FOREIGN TABLE data.foreign_table (
    id int OPTIONS (column_name 'ID''s') NOT NULL, a text DEFAULT 'x' COLLATE "C", CONSTRAINT positive CHECK (id > 0)
) SERVER "odd ""server""" OPTIONS (table_name 'T"''');
CREATE FOREIGN TABLE data.foreign_child (c int) INHERITS (data.other_parent) SERVER "odd ""server""";
ALTER FOREIGN TABLE data.foreign_table ALTER a SET STATISTICS 9;
ALTER SERVER "odd ""server""" OWNER TO CURRENT_USER;
GRANT USAGE ON FOREIGN DATA WRAPPER dummy TO everything_owner;
GRANT USAGE ON FOREIGN SERVER "odd ""server""" TO everything_reader WITH GRANT OPTION;
COMMENT ON FOREIGN DATA WRAPPER dummy IS 'a wrapper';
COMMENT ON SERVER "odd ""server""" IS 'a server';
COMMENT ON FOREIGN TABLE data.foreign_table IS 'a foreign table';

-- Publications.

-- Not of updates and deletions, which tables without a key would refuse from then on.
CREATE PUBLICATION everything_of_schema FOR TABLES IN SCHEMA types, "Odd ""schema's"" name" WITH (publish = 'insert, truncate');
CREATE PUBLICATION everything_filtered FOR TABLE
    data.customers (id, name) WHERE (id > 3), data.parent, ONLY data.other_parent, data.measures WHERE (day > '2024-01-01')
    WITH (publish_via_partition_root = true, publish = 'insert');
CREATE PUBLICATION everything_all FOR ALL TABLES WITH (publish = 'insert');
CREATE PUBLICATION "everything ""of nothing""" WITH (publish = '');
COMMENT ON PUBLICATION everything_filtered IS 'a publication';
