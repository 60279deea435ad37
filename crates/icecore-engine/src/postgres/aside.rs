//! Schemas into which a restore of one table puts the one that was there: `public__ice_old` beside `public`. They are in no snapshot.

use super::facts::ASIDE_MARK;
use super::session::{Session, Trouble, ident, literal, text};
use crate::database::name_beside;

const SUFFIX: &str = "__ice_old";
/// No name of a schema is longer, in bytes.
const NAME_LEN_MAX: usize = 63;

/// Such a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AsideSchema {
    pub(super) name: String,
    /// The schema whose tables it holds.
    pub(super) of: String,
    /// Whether nobody but us, or one who may do everything, can have put something into it.
    pub(super) is_ours: bool,
}

/// What it is called.
pub(super) fn name(schema: &str) -> String {
    name_beside(schema, SUFFIX, NAME_LEN_MAX)
}

/// What its comment says. Its name alone could be anybody's.
pub(super) fn mark(schema: &str) -> String {
    format!("{ASIDE_MARK}tables put aside of {schema}")
}

/// All of a database.
pub(super) fn all(session: &mut Session) -> Result<Vec<AsideSchema>, Trouble> {
    let rows = session.rows(
        "SELECT n.nspname, obj_description(n.oid, 'pg_namespace'), r.rolsuper OR r.rolname = current_user
        FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE obj_description(n.oid, 'pg_namespace') IS NOT NULL ORDER BY 1",
    )?;
    let start = mark("");
    let schema = |row| {
        let (found, comment) = (text(row, 0), text(row, 1));
        let of = comment.strip_prefix(&start)?.to_owned();
        (found == name(&of)).then(|| AsideSchema { name: found, of, is_ours: text(row, 2) == "t" })
    };
    Ok(rows.iter().filter_map(schema).collect())
}

/// The clause that leaves them out, for a query in which `n` is `pg_namespace`.
pub(super) fn without(schemas: &[AsideSchema]) -> String {
    let names: Vec<String> = schemas.iter().map(|schema| literal(&schema.name)).collect();
    format!("n.nspname <> ALL (ARRAY[{}]::name[])", names.join(", "))
}

/// How `pg_dump` leaves them out.
pub(super) fn arguments(schemas: &[AsideSchema]) -> Vec<String> {
    schemas.iter().map(|schema| format!("--exclude-schema={}", ident(&schema.name))).collect()
}

/// What uses something in them, and cannot be made without.
const USERS: &str = "
SELECT DISTINCT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
    ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        OR d.refclassid = 'pg_type'::regclass AND d.refobjid = c.reltype
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_class u ON u.oid = coalesce(r.ev_class, a.adrelid, nullif(k.conrelid, 0))
    JOIN pg_namespace un ON un.oid = coalesce(u.relnamespace, p.pronamespace)
WHERE d.deptype = 'n' AND n.nspname = ANY (ARRAY[{names}]::name[]) AND un.nspname <> n.nspname
ORDER BY 1";

/// In words, what is outside of these schemas and uses what is in them.
pub(super) fn users(session: &mut Session, schemas: &[AsideSchema]) -> Result<Vec<String>, Trouble> {
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = schemas.iter().map(|schema| literal(&schema.name)).collect();
    let rows = session.rows(&USERS.replace("{names}", &names.join(", ")))?;
    Ok(rows.iter().map(|row| text(row, 0)).collect())
}
