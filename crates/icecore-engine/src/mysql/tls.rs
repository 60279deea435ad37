//! TLS as the programs of MySQL have it, and as those of MariaDB have it, which know less.

use super::Endpoint;
use super::programs::{Login, said};
use super::wire::Place;
use crate::tls::{MYSQL, Mode, Roots, Settings};

/// What was said comes to. Who names an authority wants it to be heeded.
pub(super) fn mode(settings: &Settings) -> Option<Mode> {
    match settings.mode {
        None | Some(Mode::Require) if settings.roots.is_some() => Some(Mode::VerifyCa),
        mode => mode,
    }
}

impl Endpoint {
    /// What programs of MySQL are told of TLS by their arguments. `program` says itself whose words it knows.
    pub fn tls_arguments(&self, program: &str) -> Vec<String> {
        if self.tls == Settings::default() || matches!(Login::of(self).place, Place::Socket(_)) {
            return Vec::new();
        }
        let is_of_mysql = said(program, &["--help"]).contains("--ssl-mode");
        arguments(&self.tls, is_of_mysql)
    }

    /// Whether the server must speak TLS. Programs of MariaDB take what they get: they find out too late, or never.
    pub(super) fn insists_on_tls(&self) -> bool {
        mode(&self.tls) >= Some(Mode::Require) && matches!(Login::of(self).place, Place::Tcp(..))
    }
}

fn arguments(settings: &Settings, is_of_mysql: bool) -> Vec<String> {
    let mode = mode(settings);
    let mut arguments: Vec<String> = match mode {
        None => Vec::new(),
        Some(mode) if is_of_mysql => vec![format!("--ssl-mode={}", MYSQL.word(mode))],
        Some(Mode::Disable) => vec!["--skip-ssl".to_owned()],
        Some(Mode::Prefer | Mode::Require) => {
            vec!["--ssl".to_owned(), "--skip-ssl-verify-server-cert".to_owned()]
        }
        // They check the name too, or do not insist.
        Some(Mode::VerifyCa | Mode::VerifyFull) => {
            vec!["--ssl".to_owned(), "--ssl-verify-server-cert".to_owned()]
        }
    };
    // Those of MariaDB trust whom the system trusts if nobody is named.
    let needs_roots = is_of_mysql && mode >= Some(Mode::VerifyCa);
    let roots = settings.roots.clone().or_else(|| needs_roots.then_some(Roots::System));
    let roots = roots.filter(|roots| is_of_mysql || *roots != Roots::System).and_then(|roots| roots.file());
    let files = [("ssl-ca", &roots), ("ssl-cert", &settings.cert), ("ssl-key", &settings.key)];
    let files = files.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
    arguments.extend(files.map(|(name, path)| format!("--{name}={}", path.display())));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_in_their_own_words_and_no_less() {
        let check = |mode: Option<Mode>, ca: Option<&str>, mysql: &[&str], mariadb: &[&str]| {
            let roots = ca.map(|path| Roots::File(path.into()));
            let settings = Settings { mode, roots, ..Settings::default() };
            assert_eq!(arguments(&settings, true), mysql);
            assert_eq!(arguments(&settings, false), mariadb);
        };
        check(Some(Mode::Disable), None, &["--ssl-mode=DISABLED"], &["--skip-ssl"]);
        let whoever = ["--ssl", "--skip-ssl-verify-server-cert"];
        check(Some(Mode::Prefer), None, &["--ssl-mode=PREFERRED"], &whoever);
        check(Some(Mode::Require), None, &["--ssl-mode=REQUIRED"], &whoever);
        let (by_ca, by_name) =
            (["--ssl-mode=VERIFY_CA", "--ssl-ca=/ca"], ["--ssl", "--ssl-verify-server-cert", "--ssl-ca=/ca"]);
        for mode in [None, Some(Mode::Require), Some(Mode::VerifyCa)] {
            check(mode, Some("/ca"), &by_ca, &by_name);
        }
        check(Some(Mode::VerifyFull), Some("/ca"), &["--ssl-mode=VERIFY_IDENTITY", "--ssl-ca=/ca"], &by_name);
        check(None, None, &[], &[]);
    }
}
