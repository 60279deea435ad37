//! What binds the proof of a password to the certificate that the server showed: `tls-server-end-point` of RFC 5929.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

/// Kinds of signatures on certificates, as they are written there, and what such a certificate is hashed by: never by less than SHA-256.
const SIGNATURES: [(&[u8], &Algorithm); 9] = [
    // RSA, with MD5, SHA-1, and SHA-2 of three lengths.
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", &SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", &SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", &SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", &SHA384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", &SHA512),
    // ECDSA, with SHA-1 and SHA-2.
    (b"\x2a\x86\x48\xce\x3d\x04\x01", &SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", &SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", &SHA384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", &SHA512),
];
const SEQUENCE: u8 = 0x30;
const NAME: u8 = 0x06;

/// The certificate's hash; `None` if nobody has agreed on one for its kind of signature.
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let signature = signature(certificate)?;
    let (_, algorithm) = SIGNATURES.iter().find(|(name, _)| *name == signature)?;
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

/// A certificate is a sequence of what is signed, how, and the signature.
fn signature(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, _) = element(SEQUENCE, certificate)?;
    let (_, rest) = element(SEQUENCE, inside)?;
    let (how, _) = element(SEQUENCE, rest)?;
    Some(element(NAME, how)?.0)
}

/// An element of this kind, and what follows it. Lengths from 128 on are written as the number of bytes that hold them, and these.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = bytes.split_first_chunk()?;
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (len, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (len.iter().fold(0, |len, byte| (len << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len).filter(|_| found == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_hashed_as_it_was_signed() {
        let check = |signature: &[u8], expected: Option<usize>| {
            let tagged =
                |tag: u8, inside: &[u8]| [&[tag, 0x81, u8::try_from(inside.len()).unwrap()], inside].concat();
            let how = tagged(SEQUENCE, &tagged(NAME, signature));
            let certificate = tagged(SEQUENCE, &[tagged(SEQUENCE, &[7; 130]), how, vec![3, 1, 0]].concat());
            assert_eq!(end_point(&certificate).map(|hash| hash.len()), expected, "{signature:x?}");
            for len in 0..certificate.len() {
                assert_eq!(end_point(&certificate[..len]), None);
            }
        };
        check(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", Some(32));
        check(b"\x2a\x86\x48\xce\x3d\x04\x03\x03", Some(48));
        check(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", Some(64));
        // Ed25519.
        check(b"\x2b\x65\x70", None);
    }
}
