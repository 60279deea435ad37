//! Salts and numbers.

/// Thirty-two bytes that nobody can foresee.
pub(crate) fn salt() -> [u8; 32] {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).expect("the operating system gives random bytes");
    salt
}

/// A number that nobody has drawn before, as far as chance can tell.
pub(crate) fn number() -> u64 {
    salt().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
