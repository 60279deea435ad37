//! The file in which PostgreSQL's own programs look for passwords: lines of `host:port:database:user:password`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::endpoint::{Endpoint, Host};

/// The first password that fits. A file that others may read is ignored, as PostgreSQL does.
pub(super) fn password(file: &Path, endpoint: &Endpoint) -> Option<String> {
    if file.metadata().ok()?.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let host = match &endpoint.host {
        Host::Tcp(name) => name.clone(),
        Host::Folder(_) => "localhost".to_owned(),
    };
    let wanted = [host, endpoint.port.to_string(), endpoint.database.clone(), endpoint.user.clone()];
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (password, places) = fields.split_last().filter(|(_, places)| places.len() == wanted.len())?;
        let fits = places.iter().zip(&wanted).all(|(place, wanted)| place == "*" || place == wanted);
        fits.then(|| password.clone())
    })
}

/// What stands between colons; a backslash takes away the meaning of what follows it.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            // The password is the last one, whatever is in it.
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(chars.next()),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}
