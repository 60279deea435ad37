-- Something of everything.
CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 10;
SELECT NEXTVAL(numbers) INTO @first;
CREATE TABLE `odd ``name"';` (
    id INT PRIMARY KEY AUTO_INCREMENT, `a b` TEXT, n INT DEFAULT 3,
    total INT GENERATED ALWAYS AS (n * 2) STORED, twice INT AS (n + 1) VIRTUAL, hidden INT INVISIBLE DEFAULT 5
) COMMENT = 'it''s; a "table" /* of */ -- sorts';
INSERT INTO `odd ``name"';` (`a b`) VALUES
    ('tabs\tand\nlines'), ('quote '' and \\ backslash'), (NULL), (''), ('Grüße 🎉'), ('; -- /* not a comment */ \0\Z');
INSERT INTO `odd ``name"';` (id, n) VALUES (50, -7);
CREATE TABLE `line
feed` (`Column
Name` INT PRIMARY KEY, `Ünïcode` VARCHAR(20) DEFAULT 'ß''');
INSERT INTO `line
feed` VALUES (1, 'x'), (2, DEFAULT);
CREATE TABLE UPPER (Id INT PRIMARY KEY);
CREATE TABLE bytes (
    id INT PRIMARY KEY, raw BLOB, bits BIT(5), fixed BINARY(4), place POINT, long_one LONGBLOB, doc JSON, u UUID, ip INET6,
    f FLOAT, d DOUBLE, y YEAR, t TIME(6), dt DATETIME(3), big BIGINT UNSIGNED, z INT ZEROFILL
);
INSERT INTO bytes VALUES (
    1, 0x00FF27225C0A, b'10101', 0x00010203, ST_GeomFromText('POINT(1 2)'), REPEAT(0x0027225C, 40000), '{"a": "it''s"}',
    '123e4567-e89b-12d3-a456-426655440000', '::1', 1.5e-10, -1.7976931348623157e308, 1999, '-838:59:58.999999',
    '1000-01-01 00:00:00.123', 18446744073709551615, 42
), (2, '', b'0', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE latin (
    a VARCHAR(50) CHARACTER SET latin1 COLLATE latin1_swedish_ci, b VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    c VARCHAR(50) CHARACTER SET utf16, d VARCHAR(50) CHARACTER SET sjis, e CHAR(4) CHARACTER SET binary
);
INSERT INTO latin VALUES ('Grüße', 'Grüße 🎉', 'Ω', '表', 0xF0289F00);
CREATE TABLE nothing (a INT);
CREATE TABLE child (
    id INT PRIMARY KEY, parent INT, at TIMESTAMP DEFAULT '2024-01-01 00:00:00', amount DECIMAL(20,6),
    state ENUM('on','off'), flags SET('a','b'),
    CHECK (amount > 0), FOREIGN KEY (parent) REFERENCES `odd ``name"';` (id) ON DELETE CASCADE, UNIQUE KEY (parent, at),
    FULLTEXT KEY words (doc), doc TEXT
);
CREATE TABLE parent_of_itself (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES parent_of_itself (id));
INSERT INTO parent_of_itself VALUES (1, NULL), (2, 1);
CREATE TABLE parts (id INT, at DATE) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, '2020-01-01'), (11, '2021-01-01');
CREATE TABLE log (a INT) ENGINE=MyISAM;
INSERT INTO log VALUES (1);
CREATE TABLE aria (a INT, KEY (a)) ENGINE=Aria;
INSERT INTO aria VALUES (2), (1);
INSERT INTO child (id, parent, at, amount, state, flags) VALUES (1, 1, '2024-02-02 03:04:05', 1.5, 'on', 'a,b');

CREATE VIEW seen AS SELECT id, total FROM `odd ``name"';` WHERE id > 1;
CREATE VIEW z_view AS SELECT id FROM child WITH CASCADED CHECK OPTION;
CREATE SQL SECURITY INVOKER VIEW a_view_on_views AS SELECT s.id, 'it''s; \\' AS text FROM seen s JOIN z_view z ON z.id = s.id;
DELIMITER ;;
CREATE TRIGGER z_first AFTER INSERT ON child FOR EACH ROW BEGIN /* kept */ INSERT INTO log VALUES (NEW.id); END;;
CREATE TRIGGER a_second AFTER INSERT ON child FOR EACH ROW INSERT INTO log VALUES (NEW.id + 1000);;
CREATE TRIGGER `odd ``trigger` BEFORE UPDATE ON `odd ``name"';` FOR EACH ROW SET NEW.n = NEW.n + 1;;
CREATE PROCEDURE proc(IN x INT) COMMENT 'it''s' BEGIN
    -- A comment; with a semicolon and a 'quote
    SELECT x, ';;', "two"; # another
END;;
SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES';;
CREATE PROCEDURE "ansi"() SELECT "id", 'a backslash \' FROM "child";;
SET sql_mode = DEFAULT;;
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;;
CREATE FUNCTION greeting() RETURNS VARCHAR(20) CHARACTER SET latin1 DETERMINISTIC RETURN 'Grüße';;
CREATE VIEW a_call AS SELECT twice(21) AS answer, greeting() AS hello;;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT 'DISABLE; DO' DO DELETE FROM log;;
CREATE EVENT off ON SCHEDULE EVERY 2 HOUR STARTS '2030-01-01 00:00:00' DISABLE DO BEGIN INSERT INTO log VALUES (1); END;;
DELIMITER ;
SET NAMES latin1;
CREATE PROCEDURE by_latin() SELECT 'café';
