//! What points at a table, and must point at another one that takes its place.

use super::super::super::session::{Session, Trouble, literal, text};

/// Keys and views are made anew; what else there is stands in the way.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    foreign_keys: Vec<ForeignKey>,
    views: Vec<View>,
    /// The publications that have the table by its name.
    pub(super) publications: Vec<String>,
    /// In words.
    pub(super) others: Vec<String>,
}

/// A foreign key of another table.
#[derive(Debug)]
struct ForeignKey {
    table: String,
    name: String,
    definition: String,
    comment: String,
}

/// A view, which keeps its number, and with it its rights and what is built on it.
#[derive(Debug)]
struct View {
    name: String,
    options: String,
    definition: String,
}

/// What depends on the table or on the type of its rows, and is neither its own nor one of the two kinds above.
const OTHERS: &str = "
SELECT DISTINCT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, 0)
    ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END
FROM pg_class t
    JOIN pg_type y ON y.oid = t.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
        OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray)
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_class v ON v.oid = r.ev_class
WHERE t.oid = {oid} AND d.deptype IN ('n', 'a')
    AND CASE d.classid
        WHEN 'pg_rewrite'::regclass THEN v.oid <> t.oid AND NOT (v.relkind = 'v' AND r.rulename = '_RETURN')
        WHEN 'pg_constraint'::regclass THEN NOT EXISTS (
            SELECT FROM pg_constraint k WHERE k.oid = d.objid AND (k.conrelid = t.oid OR k.contype = 'f'))
        WHEN 'pg_attrdef'::regclass THEN NOT EXISTS (SELECT FROM pg_attrdef k WHERE k.oid = d.objid AND k.adrelid = t.oid)
        WHEN 'pg_trigger'::regclass THEN NOT EXISTS (SELECT FROM pg_trigger k WHERE k.oid = d.objid AND k.tgrelid = t.oid)
        WHEN 'pg_policy'::regclass THEN NOT EXISTS (SELECT FROM pg_policy k WHERE k.oid = d.objid AND k.polrelid = t.oid)
        WHEN 'pg_statistic_ext'::regclass THEN NOT EXISTS (SELECT FROM pg_statistic_ext k WHERE k.oid = d.objid AND k.stxrelid = t.oid)
        WHEN 'pg_publication_rel'::regclass THEN false
        WHEN 'pg_type'::regclass THEN d.objid <> y.oid AND d.objid <> y.typarray
        WHEN 'pg_class'::regclass THEN d.objid <> t.oid
            AND NOT EXISTS (SELECT FROM pg_index k WHERE k.indexrelid = d.objid AND k.indrelid = t.oid)
            AND NOT EXISTS (SELECT FROM pg_class k WHERE k.oid = d.objid AND k.relkind = 'S' AND d.deptype = 'a')
        ELSE true END
ORDER BY 1";

impl Dependents {
    /// Asks for them. What they say is of this moment: the table should be locked.
    pub(super) fn ask(session: &mut Session, oid: &str) -> Result<Self, Trouble> {
        let keys = session.rows(&format!(
            "SELECT format('%I.%I', n.nspname, c.relname), quote_ident(k.conname), pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')
            FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE k.contype = 'f' AND k.confrelid = {oid} AND k.conrelid <> {oid} AND k.conparentid = 0 ORDER BY 1, 2"
        ))?;
        let key = |row| ForeignKey {
            table: text(row, 0),
            name: text(row, 1),
            definition: text(row, 2),
            comment: text(row, 3),
        };
        let views = session.rows(&format!(
            "SELECT DISTINCT format('%I.%I', n.nspname, v.relname), array_to_string(v.reloptions, ', '), pg_get_viewdef(v.oid)
            FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN'
                JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' JOIN pg_namespace n ON n.oid = v.relnamespace
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} ORDER BY 1"
        ))?;
        let view = |row| View { name: text(row, 0), options: text(row, 1), definition: text(row, 2) };
        let publications = session.rows(&format!(
            "SELECT quote_ident(p.pubname) FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = {oid} ORDER BY 1"
        ))?;
        let others = session.rows(&OTHERS.replace("{oid}", oid))?;
        Ok(Self {
            foreign_keys: keys.iter().map(key).collect(),
            views: views.iter().map(view).collect(),
            publications: publications.iter().map(|row| text(row, 0)).collect(),
            others: others.iter().map(|row| text(row, 0)).collect(),
        })
    }

    /// Before the table goes: keys are dropped. Views hold on to it until they are told of another.
    pub(super) fn let_go(&self, session: &mut Session) -> Result<(), Trouble> {
        self.foreign_keys.iter().try_for_each(|ForeignKey { table, name, .. }| {
            session.run(&format!("ALTER TABLE {table} DROP CONSTRAINT {name}"))
        })
    }

    /// When another one is in its place: keys are checked as they are made.
    pub(super) fn take_hold(&self, session: &mut Session) -> Result<(), Trouble> {
        for View { name, options, definition } in &self.views {
            let options = if options.is_empty() { String::new() } else { format!(" WITH ({options})") };
            session.run(&format!("CREATE OR REPLACE VIEW {name}{options} AS {definition}"))?;
        }
        for ForeignKey { table, name, definition, comment } in &self.foreign_keys {
            session.run(&format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))?;
            if !comment.is_empty() {
                let comment = literal(comment);
                session.run(&format!("COMMENT ON CONSTRAINT {name} ON {table} IS {comment}"))?;
            }
        }
        Ok(())
    }
}
