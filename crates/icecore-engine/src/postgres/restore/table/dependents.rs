//! What points at a table, and must point at another one that takes its place.

use super::super::super::session::{Session, Trouble, text};
use super::foreign_key::ForeignKey;

/// Keys and views are made anew; what else there is stands in the way.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// Of other tables.
    foreign_keys: Vec<ForeignKey>,
    views: Vec<View>,
    /// In words.
    pub(super) others: Vec<String>,
}

/// A view, which keeps its number, and with it its rights and what is built on it.
#[derive(Debug)]
struct View {
    name: String,
    options: String,
    definition: String,
}

/// What depends on the table, the type of its rows or its own sequences, and is neither its own nor one of the two kinds above.
const OTHERS: &str = "
WITH RECURSIVE t AS (SELECT c.oid, c.reltype, y.typarray FROM pg_class c JOIN pg_type y ON y.oid = c.reltype WHERE c.oid = {oid}),
s AS (SELECT q.oid FROM t, pg_class q JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = q.oid
    AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i') WHERE q.relkind = 'S' AND o.refobjid = t.oid)
SELECT DISTINCT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, CASE d.classid WHEN 'pg_class'::regclass THEN 0 ELSE d.objsubid END)
    ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END
FROM t
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND (d.refobjid = t.oid OR d.refobjid IN (SELECT oid FROM s))
        OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.reltype, t.typarray)
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_class v ON v.oid = r.ev_class
WHERE d.deptype IN ('n', 'a')
    AND CASE d.classid
        WHEN 'pg_rewrite'::regclass THEN v.oid <> t.oid
            AND NOT (v.relkind = 'v' AND r.rulename = '_RETURN' AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid)
        WHEN 'pg_constraint'::regclass THEN NOT EXISTS (
            SELECT FROM pg_constraint k WHERE k.oid = d.objid AND (k.conrelid = t.oid OR k.contype = 'f'))
        WHEN 'pg_attrdef'::regclass THEN NOT EXISTS (SELECT FROM pg_attrdef k WHERE k.oid = d.objid AND k.adrelid = t.oid)
        WHEN 'pg_trigger'::regclass THEN NOT EXISTS (SELECT FROM pg_trigger k WHERE k.oid = d.objid AND k.tgrelid = t.oid)
        WHEN 'pg_policy'::regclass THEN NOT EXISTS (SELECT FROM pg_policy k WHERE k.oid = d.objid AND k.polrelid = t.oid)
        WHEN 'pg_statistic_ext'::regclass THEN NOT EXISTS (SELECT FROM pg_statistic_ext k WHERE k.oid = d.objid AND k.stxrelid = t.oid)
        WHEN 'pg_publication_rel'::regclass THEN false
        WHEN 'pg_type'::regclass THEN d.objid <> t.reltype AND d.objid <> t.typarray
        WHEN 'pg_class'::regclass THEN d.objid <> t.oid AND d.objid NOT IN (SELECT oid FROM s)
            AND NOT EXISTS (SELECT FROM pg_index k WHERE k.indexrelid = d.objid AND k.indrelid = t.oid)
        ELSE true END
ORDER BY 1";

impl Dependents {
    /// Asks for them. What they say is of this moment: the table should be locked.
    pub(super) fn ask(session: &mut Session, oid: &str) -> Result<Self, Trouble> {
        let views = session.rows(&format!(
            "SELECT DISTINCT format('%I.%I', n.nspname, v.relname), array_to_string(v.reloptions, ', '), pg_get_viewdef(v.oid)
            FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN'
                JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' JOIN pg_namespace n ON n.oid = v.relnamespace
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} ORDER BY 1"
        ))?;
        let view = |row| View { name: text(row, 0), options: text(row, 1), definition: text(row, 2) };
        let others = session.rows(&OTHERS.replace("{oid}", oid))?;
        Ok(Self {
            foreign_keys: ForeignKey::to(session, oid)?,
            views: views.iter().map(view).collect(),
            others: others.iter().map(|row| text(row, 0)).collect(),
        })
    }

    /// Takes keys away from the tables that have them. Views hold on to the old table until they are told of another.
    pub(super) fn let_go(&self, session: &mut Session) -> Result<(), Trouble> {
        self.foreign_keys.iter().try_for_each(|key| key.drop(session))
    }

    /// When another one is in its place: keys are checked as they are made.
    pub(super) fn take_hold(&self, session: &mut Session) -> Result<(), Trouble> {
        for View { name, options, definition } in &self.views {
            let options = if options.is_empty() { String::new() } else { format!(" WITH ({options})") };
            session.run(&format!("CREATE OR REPLACE VIEW {name}{options} AS {definition}"))?;
        }
        self.foreign_keys.iter().try_for_each(|key| key.make(session))
    }
}

/// What is sent to others of the table that is there, and what that means for the one that takes its place; in words.
pub(super) fn publications(session: &mut Session, table: &str, oid: &str) -> Result<Vec<String>, Trouble> {
    let rows = session.rows(&format!(
        "SELECT quote_ident(p.pubname), p.puballtables OR NOT EXISTS (
                SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = {oid})
        FROM pg_publication p WHERE p.pubname IN (SELECT pubname FROM pg_publication_tables WHERE (schemaname, tablename) =
            (SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}))
        ORDER BY 1"
    ))?;
    let told = |row| {
        let publication = text(row, 0);
        match text(row, 1) == "t" {
            true => format!(
                "{publication} publishes {table} with others: subscribers get all its rows once more, and must empty theirs before"
            ),
            false => format!(
                "{publication} goes on with the table that is put aside: ALTER PUBLICATION {publication} DROP TABLE it, and ADD TABLE the new one"
            ),
        }
    };
    Ok(rows.iter().map(told).collect())
}
