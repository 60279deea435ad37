//! What a server and we say first.

use super::super::auth;
use super::fault::{Fault, strange};
use super::value::until_zero;

/// Long passwords and flags, protocol 4.1, transactions, passwords by plugins, of any length.
pub(super) const CAPABILITIES: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x8_0000 | 0x20_0000;
/// That the server, or we, go on by TLS.
pub(super) const TLS: u32 = 0x800;
const PLUGIN_AUTH: u32 = 0x8_0000;
/// `utf8mb4_general_ci`, which every server knows.
const CHARSET: u8 = 45;

/// What a server says first.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) capabilities: u32,
    /// How it wants a password.
    pub(super) plugin: String,
    /// And with what to mix it.
    pub(super) scramble: Vec<u8>,
}

/// What we say first, as far as anybody may read it.
pub(super) fn hello(capabilities: u32) -> Vec<u8> {
    let mut hello = capabilities.to_le_bytes().to_vec();
    hello.extend_from_slice(&(1_u32 << 30).to_le_bytes());
    hello.push(CHARSET);
    hello.extend_from_slice(&[0; 23]);
    hello
}

/// Understands what a server says first.
pub(super) fn greet(packet: &[u8]) -> Result<Greeting, Fault> {
    let unknown = || strange("of a version that is not known here");
    let rest = packet.strip_prefix(&[10]).ok_or_else(unknown)?;
    let (_, rest) = until_zero(rest);
    // The number of the connection, the first half of the scramble, and a zero.
    let (half, rest) = rest.get(4..).and_then(|rest| rest.split_at_checked(8)).ok_or_else(unknown)?;
    let mut scramble = half.to_vec();
    let (facts, rest) = rest.get(1..).and_then(|rest| rest.split_at_checked(8)).ok_or_else(unknown)?;
    let [low0, low1, _, _, _, high0, high1, len] = *facts else { return Err(unknown().into()) };
    let capabilities = u32::from_le_bytes([low0, low1, high0, high1]);
    let len = usize::from(len).saturating_sub(8).max(13);
    let rest = rest.get(10..).unwrap_or_default();
    let (second, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
    scramble.extend_from_slice(second.strip_suffix(&[0]).unwrap_or(second));
    let plugin = match capabilities & PLUGIN_AUTH {
        0 => auth::NATIVE.to_owned(),
        _ => String::from_utf8_lossy(until_zero(rest).0).into_owned(),
    };
    Ok(Greeting { capabilities, plugin, scramble })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_that_are_cut_off_anywhere_are_errors_or_less_than_they_were() {
        let mut greeting = vec![10];
        greeting.extend_from_slice(b"8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\xdf\x15");
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        let said = greet(&greeting).unwrap();
        assert_eq!(
            (said.plugin.as_str(), said.scramble.as_slice()),
            ("caching_sha2_password", &b"abcdefghijklmnopqrst"[..])
        );
        assert_eq!(said.capabilities, 0xdfff_f7ff);
        for len in 0..greeting.len() {
            let _ = greet(&greeting[..len]);
        }
    }
}
