//! What is true of a database besides what its dump says: what `CREATE DATABASE` needs, and what belongs to the database itself.

use serde::{Deserialize, Serialize};

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
}

/// A subscription of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) slot: String,
    pub(super) enabled: bool,
    pub(super) publications: String,
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
                current_setting('wal_level'), current_setting('max_replication_slots'), current_setting('max_wal_senders')
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
            owner,
            comment,
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
            "i" => Some(("icu", "ICU_LOCALE")),
            "b" => Some(("builtin", "BUILTIN_LOCALE")),
            _ => None,
        };
        if let Some((provider, word)) = provider.filter(|_| server >= 15) {
            statement += &format!(" LOCALE_PROVIDER {provider} {word} {}", literal(&self.locale));
        }
        statement
    }

    /// What is true of the database itself, as statements about `name`.
    pub(super) fn statements(&self, name: &str, with_roles: bool) -> String {
        let name = ident(name);
        let mut out = String::new();
        if !self.comment.is_empty() {
            out += &format!("COMMENT ON DATABASE {name} IS {};\n", literal(&self.comment));
        }
        if self.connection_limit >= 0 {
            out += &format!("ALTER DATABASE {name} CONNECTION LIMIT {};\n", self.connection_limit);
        }
        for Setting { role, setting } in &self.settings {
            let Some((key, value)) = setting.split_once('=') else { continue };
            // Lists are stored as they are written.
            let value = if LISTS.contains(&key) { value.to_owned() } else { literal(value) };
            let value = if value.is_empty() { "''".to_owned() } else { value };
            match role.is_empty() {
                true => out += &format!("ALTER DATABASE {name} SET {} TO {value};\n", setting_name(key)),
                false if with_roles => {
                    out += &format!(
                        "ALTER ROLE {} IN DATABASE {name} SET {} TO {value};\n",
                        ident(role),
                        setting_name(key)
                    );
                }
                false => (),
            }
        }
        if self.has_rights && with_roles {
            out += &format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n");
            for Right { role, right, grantable } in &self.rights {
                let role = if role.is_empty() { "PUBLIC".to_owned() } else { ident(role) };
                let option = if *grantable { " WITH GRANT OPTION" } else { "" };
                out += &format!("GRANT {right} ON DATABASE {name} TO {role}{option};\n");
            }
        }
        if !self.owner.is_empty() && with_roles {
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
    "DateStyle",
];

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
        UNION SELECT pg_get_userbyid(d.datdba) FROM pg_database d WHERE d.datname = current_database()
        ORDER BY 1",
    )?;
    Ok(rows.iter().map(|row| text(row, 0)).filter(|name| !name.starts_with("pg_")).collect())
}

fn slots(session: &mut Session) -> Result<Vec<Slot>, Trouble> {
    let rows = session.rows(
        "SELECT s.slot_name, s.plugin, to_jsonb(s) ->> 'two_phase' FROM pg_replication_slots s
        WHERE s.database = current_database() AND NOT s.temporary ORDER BY 1",
    )?;
    let slot = |row| Slot { name: text(row, 0), plugin: text(row, 1), two_phase: text(row, 2) == "true" };
    Ok(rows.iter().map(slot).collect())
}

/// Only those with all rights see how a subscription connects, and nobody needs to: there is a password in it.
fn subscriptions(session: &mut Session) -> Result<Vec<Subscription>, Trouble> {
    let rows = session.rows(
        "SELECT s.subname, s.subslotname, s.subenabled, array_to_string(s.subpublications, ', ')
        FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() ORDER BY 1",
    )?;
    let subscription = |row| Subscription {
        name: text(row, 0),
        slot: text(row, 1),
        enabled: text(row, 2) == "t",
        publications: text(row, 3),
    };
    Ok(rows.iter().map(subscription).collect())
}
