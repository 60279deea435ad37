//! What proves that we know a password, without saying it.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// How passwords are proved to MariaDB, and to MySQL before 8.
pub(super) const NATIVE: &str = "mysql_native_password";
/// And to MySQL from 8 on.
const CACHING: &str = "caching_sha2_password";
/// Who may connect by a socket is whom the system says.
const BY_SOCKET: [&str; 2] = ["auth_socket", "unix_socket"];

/// Why a password is not sent.
pub(super) const WANTS_TLS: &str = "the server wants the password itself, which is not sent without TLS: ask for TLS by ssl-mode=REQUIRED, or connect by its socket, or once with the program mysql, so that the server remembers it";

/// What a plugin wants to see of a password.
///
/// # Errors
/// If it is a plugin that is not known here.
pub(super) fn proof(plugin: &str, password: &str, scramble: &[u8]) -> Result<Vec<u8>, String> {
    let password = password.as_bytes();
    match plugin {
        _ if BY_SOCKET.contains(&plugin) => Ok(Vec::new()),
        NATIVE | CACHING if password.is_empty() => Ok(Vec::new()),
        NATIVE => {
            let once = sha1(&[password]);
            Ok(xor(&once, &sha1(&[scramble.get(..20).unwrap_or(scramble), &sha1(&[&once])])))
        }
        CACHING => {
            let once = sha256(&[password]);
            Ok(xor(&once, &sha256(&[&sha256(&[&once]), scramble.get(..20).unwrap_or(scramble)])))
        }
        _ => Err(format!("the server wants a password by {plugin}, which is not spoken here")),
    }
}

fn sha1(pieces: &[&[u8]]) -> Vec<u8> {
    digest(Context::new(&SHA1_FOR_LEGACY_USE_ONLY), pieces)
}

fn sha256(pieces: &[&[u8]]) -> Vec<u8> {
    digest(Context::new(&SHA256), pieces)
}

fn digest(mut context: Context, pieces: &[&[u8]]) -> Vec<u8> {
    pieces.iter().for_each(|piece| context.update(piece));
    context.finish().as_ref().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_what_the_stored_hash_can_check() {
        let scramble = b"abcdefghijklmnopqrst";
        let proof = proof(NATIVE, "a secret", scramble).unwrap();
        let stored = sha1(&[&sha1(&[b"a secret"])]);
        let once = xor(&proof, &sha1(&[scramble, &stored]));
        assert_eq!(sha1(&[&once]), stored);
        let proof = super::proof(CACHING, "a secret", scramble).unwrap();
        let stored = sha256(&[&sha256(&[b"a secret"])]);
        let once = xor(&proof, &sha256(&[&stored, scramble]));
        assert_eq!(sha256(&[&once]), stored);
        assert!(super::proof("dialog", "a secret", scramble).unwrap_err().contains("dialog"));
    }
}
