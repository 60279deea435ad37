//! What is true of a database besides what its dump says: what `CREATE DATABASE` needs, and what belongs to the database itself.

use serde::{Deserialize, Serialize};

use super::conninfo::without_secrets;
use super::session::{Session, Trouble, ident, literal, text};

/// The facts. They lie in the snapshot as one line of JSON, and never change unless the database does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    /// The server's major version.
    pub(super) version: u32,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    /// `c`, `i` or `b`; empty before version 15.
    pub(super) provider: String,
    pub(super) locale: String,
    /// From version 16 on.
    pub(super) icu_rules: String,
    pub(super) owner: String,
    pub(super) comment: String,
    /// -1 for no limit.
    pub(super) connection_limit: i64,
    /// Whether the rights are other than those of a new database.
    pub(super) has_rights: bool,
    pub(super) rights: Vec<Right>,
    pub(super) settings: Vec<Setting>,
    pub(super) extensions: Vec<Extension>,
    /// All roles that something belongs to, or that have rights on something.
    pub(super) roles: Vec<String>,
    pub(super) replication: Replication,
    /// The part that is all of the snapshot, if it is of one table alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<String>,
}

/// A right on the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Right {
    /// Empty for everybody.
    pub(super) role: String,
    pub(super) right: String,
    pub(super) grantable: bool,
}

/// A setting of the database, or of a role in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    /// Empty for everybody.
    pub(super) role: String,
    /// `work_mem=64MB`
    pub(super) setting: String,
}

/// An extension that is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) version: String,
}

/// What changes are told to others with. Positions are not kept: they mean nothing on another day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Replication {
    pub(super) wal_level: String,
    pub(super) max_replication_slots: i64,
    pub(super) max_wal_senders: i64,
    pub(super) slots: Vec<Slot>,
    pub(super) subscriptions: Vec<Subscription>,
}

/// A logical replication slot of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) plugin: String,
    pub(super) two_phase: bool,
    /// From version 17 on.
    #[serde(default)]
    pub(super) failover: bool,
}

/// A subscription of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) slot: String,
    pub(super) enabled: bool,
    /// As SQL writes them.
    pub(super) publications: String,
    /// Where it gets its changes, without anything secret; empty if we may not know.
    #[serde(default)]
    pub(super) connection: String,
}

/// How the comment of a database begins that icecore made or put aside. What it said before follows on the next line.
pub(super) const ASIDE_MARK: &str = "icecore: ";

/// A database's comment without what icecore wrote before it.
pub(super) fn unmarked(comment: &str) -> &str {
    match comment.starts_with(ASIDE_MARK) {
        true => comment.split_once('\n').map_or("", |(_, comment)| comment),
        false => comment,
    }
}

/// The line before the facts.
const MARK: &str = "-- icecore database: ";

impl Facts {
    /// Asks for them.
    pub(super) fn ask(session: &mut Session) -> Result<Self, Trouble> {
        let row = session.rows(
            "SELECT pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, to_jsonb(d) ->> 'datlocprovider',
                coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), pg_get_userbyid(d.datdba),
                shobj_description(d.oid, 'pg_database'), d.datconnlimit, d.datacl IS NOT NULL,
                current_setting('wal_level'), current_setting('max_replication_slots'), current_setting('max_wal_senders'),
                coalesce(to_jsonb(d) ->> 'daticurules', '')
            FROM pg_database d WHERE d.datname = current_database()",
        )?;
        let row = row.first().ok_or_else(|| session.says("is not among the server's databases"))?;
        let [encoding, collate, ctype, provider, locale, owner, comment] =
            [0, 1, 2, 3, 4, 5, 6].map(|column| text(row, column));
        let number = |column| text(row, column).parse().unwrap_or_default();
        Ok(Self {
            version: session.major(),
            encoding,
            collate,
            ctype,
            provider,
            locale,
            icu_rules: text(row, 12),
            owner,
            comment: unmarked(&comment).to_owned(),
            connection_limit: number(7),
            has_rights: text(row, 8) == "t",
            rights: rights(session)?,
            settings: settings(session)?,
            extensions: extensions(session)?,
            roles: roles(session)?,
            replication: Replication {
                wal_level: text(row, 9),
                max_replication_slots: number(10),
                max_wal_senders: number(11),
                slots: slots(session)?,
                subscriptions: subscriptions(session)?,
            },
            table: None,
        })
    }

    /// A comment that a script may hold.
    pub(super) fn comment(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{MARK}{json}\n")
    }

    /// The facts in a script, if it has them.
    pub(super) fn find(script: &[u8]) -> Option<Self> {
        let mut lines = script.split(|byte| *byte == b'\n');
        serde_json::from_slice(lines.find_map(|line| line.strip_prefix(MARK.as_bytes()))?).ok()
    }

    /// The statement that makes a database like this.
    pub(super) fn create(&self, name: &str, server: u32) -> String {
        let mut statement = format!("CREATE DATABASE {} TEMPLATE template0", ident(name));
        for (word, value) in
            [("ENCODING", &self.encoding), ("LC_COLLATE", &self.collate), ("LC_CTYPE", &self.ctype)]
        {
            if !value.is_empty() {
                statement += &format!(" {word} {}", literal(value));
            }
        }
        let provider = match self.provider.as_str() {
            "c" => "libc".to_owned(),
            "i" => format!("icu ICU_LOCALE {}", literal(&self.locale)),
            "b" => format!("builtin BUILTIN_LOCALE {}", literal(&self.locale)),
            _ => return statement,
        };
        if server >= 15 {
            // A server may have another one by default.
            statement += &format!(" LOCALE_PROVIDER {provider}");
        }
        if server >= 16 && !self.icu_rules.is_empty() {
            statement += &format!(" ICU_RULES {}", literal(&self.icu_rules));
        }
        statement
    }

    /// The settings of the database, as statements about `name`. What is computed from rows may depend on them.
    pub(super) fn settings(&self, name: &str) -> String {
        let of_database = self.settings.iter().filter(|setting| setting.role.is_empty());
        of_database.map(|setting| setting.statement(&format!("ALTER DATABASE {}", ident(name)))).collect()
    }

    /// What else is true of the database itself, as statements about `name`.
    pub(super) fn statements(&self, name: &str) -> String {
        let name = ident(name);
        let mut out = String::new();
        if self.connection_limit >= 0 {
            out += &format!("ALTER DATABASE {name} CONNECTION LIMIT {};\n", self.connection_limit);
        }
        for setting in self.settings.iter().filter(|setting| !setting.role.is_empty()) {
            out += &setting.statement(&format!("ALTER ROLE {} IN DATABASE {name}", ident(&setting.role)));
        }
        if self.has_rights {
            out += &format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n");
            for Right { role, right, grantable } in
                self.rights.iter().filter(|it| RIGHTS.contains(&it.right.as_str()))
            {
                let role = if role.is_empty() { "PUBLIC".to_owned() } else { ident(role) };
                let option = if *grantable { " WITH GRANT OPTION" } else { "" };
                out += &format!("GRANT {right} ON DATABASE {name} TO {role}{option};\n");
            }
        }
        if !self.owner.is_empty() {
            out += &format!("ALTER DATABASE {name} OWNER TO {};\n", ident(&self.owner));
        }
        out
    }
}

/// Settings whose value is a list of names, each quoted where it must be.
const LISTS: [&str; 7] = [
    "search_path",
    "temp_tablespaces",
    "session_preload_libraries",
    "shared_preload_libraries",
    "local_preload_libraries",
    "unix_socket_directories",
    "datestyle",
];
/// The rights on a database that there are.
const RIGHTS: [&str; 4] = ["CREATE", "CONNECT", "TEMPORARY", "TEMP"];

impl Setting {
    /// `subject` with this setting.
    fn statement(&self, subject: &str) -> String {
        let Some((key, value)) = self.setting.split_once('=') else { return String::new() };
        let value = match LISTS.contains(&key.to_ascii_lowercase().as_str()) {
            true => list(value).iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "),
            false => literal(value),
        };
        let value = if value.is_empty() { "''".to_owned() } else { value };
        format!("{subject} SET {} TO {value};\n", setting_name(key))
    }
}

/// The names in a list: `"$user", public` as it is stored.
fn list(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut name = String::new();
        match rest.strip_prefix('"') {
            Some(mut quoted) => loop {
                let Some((piece, after)) = quoted.split_once('"') else {
                    rest = "";
                    break;
                };
                name += piece;
                match after.strip_prefix('"') {
                    Some(more) => {
                        name.push('"');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            },
            None => {
                let (plain, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                name += plain.trim_end();
                rest = after;
            }
        }
        names.push(name);
        rest = rest.trim_start().trim_start_matches(',').trim_start();
    }
    names
}

/// The name of a setting, which may have a dot in it.
fn setting_name(key: &str) -> String {
    key.split('.').map(ident).collect::<Vec<_>>().join(".")
}

fn rights(session: &mut Session) -> Result<Vec<Right>, Trouble> {
    let rows = session.rows(
        "SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
        FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() ORDER BY 1, 2, 3",
    )?;
    let right = |row| Right { role: text(row, 0), right: text(row, 1), grantable: text(row, 2) == "t" };
    Ok(rows.iter().map(right).collect())
}

fn settings(session: &mut Session) -> Result<Vec<Setting>, Trouble> {
    let rows = session.rows(
        "SELECT CASE s.setrole WHEN 0 THEN '' ELSE pg_get_userbyid(s.setrole) END, c
        FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) WITH ORDINALITY AS u (c, place)
        WHERE d.datname = current_database() ORDER BY 1, place",
    )?;
    Ok(rows.iter().map(|row| Setting { role: text(row, 0), setting: text(row, 1) }).collect())
}

fn extensions(session: &mut Session) -> Result<Vec<Extension>, Trouble> {
    let rows = session.rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")?;
    Ok(rows.iter().map(|row| Extension { name: text(row, 0), version: text(row, 1) }).collect())
}

/// The system keeps no record of what belongs to the role it was made by, so owners are asked for.
fn roles(session: &mut Session) -> Result<Vec<String>, Trouble> {
    let rows = session.rows(
        "SELECT r.rolname FROM pg_shdepend s JOIN pg_database d ON d.datname = current_database()
            JOIN pg_roles r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_authid'::regclass
            AND (s.dbid = d.oid OR s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid)
        UNION SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid >= 16384
        UNION SELECT pg_get_userbyid(p.proowner) FROM pg_proc p WHERE p.oid >= 16384
        UNION SELECT pg_get_userbyid(t.typowner) FROM pg_type t WHERE t.oid >= 16384
        UNION SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.oid >= 16384
        UNION SELECT pg_get_userbyid(s.setrole) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = current_database() AND s.setrole <> 0
        UNION SELECT pg_get_userbyid(d.datdba) FROM pg_database d WHERE d.datname = current_database()
        ORDER BY 1",
    )?;
    Ok(rows.iter().map(|row| text(row, 0)).filter(|name| !name.starts_with("pg_")).collect())
}

fn slots(session: &mut Session) -> Result<Vec<Slot>, Trouble> {
    let rows = session.rows(
        "SELECT s.slot_name, s.plugin, to_jsonb(s) ->> 'two_phase', to_jsonb(s) ->> 'failover' FROM pg_replication_slots s
        WHERE s.database = current_database() AND NOT s.temporary ORDER BY 1",
    )?;
    let slot = |row| Slot {
        name: text(row, 0),
        plugin: text(row, 1),
        two_phase: text(row, 2) == "true",
        failover: text(row, 3) == "true",
    };
    Ok(rows.iter().map(slot).collect())
}

/// How a subscription connects is not everybody's to see.
fn subscriptions(session: &mut Session) -> Result<Vec<Subscription>, Trouble> {
    let may_see = "SELECT has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT')";
    let connection = if session.value(may_see)? == "t" { "s.subconninfo" } else { "''" };
    let rows = session.rows(&format!(
        "SELECT s.subname, s.subslotname, s.subenabled, {connection},
            (SELECT string_agg(quote_ident(p), ', ' ORDER BY place) FROM unnest(s.subpublications) WITH ORDINALITY AS u (p, place))
        FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() ORDER BY 1"
    ))?;
    let subscription = |row| Subscription {
        name: text(row, 0),
        slot: text(row, 1),
        enabled: text(row, 2) == "t",
        connection: without_secrets(&text(row, 3)),
        publications: text(row, 4),
    };
    Ok(rows.iter().map(subscription).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_lists_are_written_name_by_name() {
        let check = |setting: &str, written: &str| {
            let setting = Setting { role: String::new(), setting: setting.to_owned() };
            assert_eq!(setting.statement("ALTER DATABASE d"), format!("ALTER DATABASE d SET {written};\n"));
        };
        check("search_path=\"$user\", public, \"a \"\"b\"", "\"search_path\" TO '$user', 'public', 'a \"b'");
        check("search_path=\"\"", "\"search_path\" TO ''");
        check("search_path=x'; DROP TABLE y; --", "\"search_path\" TO 'x''; DROP TABLE y; --'");
        check("work_mem=4MB", "\"work_mem\" TO '4MB'");
        check("my.own=it's", "\"my\".\"own\" TO 'it''s'");
    }
}
