//! Code in the words of the server. What was tried out beside what is there is made as the server says it, so that it is known again once it is
//! there: what is there in other words is somebody else's.

use icecore_dump::mysql_script::{Code, CodeKind};

use super::super::objects::{Object, replaced};
use super::super::session::ident;

/// The code of a dump as the server says what was tried out of it in the new database, for the live one.
pub(super) fn said(objects: &[Object], tried: &[Object], new: &str, live: &str) -> Vec<Object> {
    let one = |object: &Object| {
        let tried = tried.iter().find(|it| (it.kind, &it.name) == (object.kind, &object.name))?;
        let statement = match object.kind {
            CodeKind::View => of_view(&tried.statement, new, live)?,
            CodeKind::Event => Code::parse(&tried.statement)?.happening_as(&Code::parse(&object.statement)?),
            _ => tried.statement.clone(),
        };
        Some(Object { statement, ..tried.clone() })
    };
    objects.iter().map(|object| one(object).unwrap_or_else(|| object.clone())).collect()
}

/// Where its tables are is said if any of them is elsewhere.
fn of_view(statement: &[u8], new: &str, live: &str) -> Option<Vec<u8>> {
    let [from, to] = [new, live].map(|schema| format!("{}.", ident(schema)));
    let statement = replaced(statement, &from, &to);
    // In another character set, the name of the new database is in other bytes, but for its digits.
    let digits = new.rsplit('_').next().unwrap_or(new);
    memchr::memmem::find(&statement, digits.as_bytes()).is_none().then_some(statement)
}

#[cfg(test)]
mod tests {
    use super::super::super::objects::Mode;
    use super::*;

    fn object(kind: CodeKind, statement: &str) -> Object {
        let mode = Mode { charset: "utf8mb4".to_owned(), ..Mode::default() };
        Object { kind, name: "it".to_owned(), statement: statement.as_bytes().to_vec(), mode }
    }

    #[test]
    fn code_is_said_as_the_server_said_what_was_tried_out_of_it() {
        let (new, live) = ("shop__ice_new_0a1b2c3d", "shop");
        let check = |kind, dumped: &str, tried: &str, expected: &str| {
            let (dumped, tried) = (object(kind, dumped), object(kind, tried));
            let said = said(&[dumped], &[tried], new, live);
            assert_eq!(String::from_utf8_lossy(&said[0].statement), expected);
        };
        check(
            CodeKind::Trigger,
            "CREATE  TRIGGER it BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
            "CREATE DEFINER=`me`@`%` TRIGGER it BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
            "CREATE DEFINER=`me`@`%` TRIGGER it BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
        );
        check(
            CodeKind::View,
            "CREATE VIEW it AS SELECT * FROM t JOIN other.u",
            "CREATE VIEW `it` AS select `shop__ice_new_0a1b2c3d`.`t`.`a` AS `a` from `shop__ice_new_0a1b2c3d`.`t`",
            "CREATE VIEW `it` AS select `shop`.`t`.`a` AS `a` from `shop`.`t`",
        );
        let strange = "CREATE VIEW `it` AS select shop__ice_new_0a1b2c3d.t.a";
        check(CodeKind::View, "CREATE VIEW it AS SELECT 1", strange, "CREATE VIEW it AS SELECT 1");
        let event = |state: &str| format!("CREATE EVENT it ON SCHEDULE EVERY 1 DAY{state} DO SELECT 1");
        for (dumped, expected) in
            [("", " ENABLE"), (" ENABLE", " ENABLE"), ("  DISABLE ON SLAVE", " DISABLE ON SLAVE")]
        {
            check(CodeKind::Event, &event(dumped), &event(" DISABLE"), &event(expected));
        }
        // What was not tried out is as it was dumped.
        let dumped = object(CodeKind::View, "CREATE VIEW it AS SELECT * FROM shop.t");
        assert_eq!(said(std::slice::from_ref(&dumped), &[], new, live), [dumped]);
    }
}
