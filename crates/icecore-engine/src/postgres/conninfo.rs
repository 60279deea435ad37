//! Connection strings of libpq: `host=db.example dbname=shop password=...`, or a URL.

use super::endpoint::Spelled;
use crate::tls::POSTGRES;

/// What says where to connect, and no more.
const KEPT: [&str; 8] =
    ["host", "hostaddr", "port", "dbname", "user", "sslmode", "application_name", "connect_timeout"];

/// The same without passwords and whatever else is nobody's business; empty if it cannot be understood.
pub(super) fn without_secrets(conninfo: &str) -> String {
    let pairs = match Spelled::parse(conninfo) {
        Some(Ok(Spelled { host, port, user, database, tls, .. })) => {
            let mode = tls.mode.map(|mode| POSTGRES.word(mode).to_owned());
            let values = [host, port.map(|port| port.to_string()), user, database, mode];
            let names = ["host", "port", "user", "dbname", POSTGRES.mode];
            let named = names.map(str::to_owned).into_iter().zip(values);
            named.filter_map(|(key, value)| Some((key, value?))).collect()
        }
        Some(Err(_)) => Vec::new(),
        None => pairs(conninfo).unwrap_or_default(),
    };
    let kept = pairs.into_iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    let quoted = |(key, value): (String, String)| {
        format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
    };
    kept.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Keys and values, which may be quoted; a backslash takes the next character as it is.
fn pairs(conninfo: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = conninfo.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quoted = after.strip_prefix('\'');
        let mut value = String::new();
        let mut chars = quoted.unwrap_or(after).char_indices();
        let mut end = None;
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.push(chars.next()?.1),
                '\'' if quoted.is_some() => {
                    end = Some(at + 1);
                    break;
                }
                c if quoted.is_none() && c.is_whitespace() => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        let text = quoted.unwrap_or(after);
        if quoted.is_some() && end.is_none() {
            return None;
        }
        pairs.push((key.trim().to_owned(), value));
        rest = text.get(end.unwrap_or(text.len())..)?.trim_start();
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_stays_behind_whatever_it_looks_like() {
        for (conninfo, kept) in [
            (
                "host=db.example dbname=shop user=me password=hush",
                "host='db.example' dbname='shop' user='me'",
            ),
            ("password = 'hu sh\\' host=x' host = a", "host='a'"),
            ("dbname='o\\'ne' passfile=/hush sslkey=hush", "dbname='o\\'ne'"),
            ("postgres://me:hush@db.example:7/shop?sslpassword=hush", ""),
            ("postgres://h/b?sslmode=require&sslkey=/hush", "host='h' dbname='b' sslmode='require'"),
            ("postgres://me:hush@db.example:7/shop", "host='db.example' port='7' user='me' dbname='shop'"),
            ("host='never ends password=hush", ""),
            ("hush", ""),
            ("", ""),
        ] {
            assert_eq!(without_secrets(conninfo), kept, "{conninfo}");
        }
    }
}
