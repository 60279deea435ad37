//! Salts.

/// Thirty-two bytes that nobody can foresee.
pub(crate) fn salt() -> [u8; 32] {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).expect("the operating system gives random bytes");
    salt
}
