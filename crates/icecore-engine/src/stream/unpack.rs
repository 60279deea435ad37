//! Compressed input: recognised by its first bytes, and unpacked to its end.
//!
//! Several members or frames one after the other are one stream, as for the programs that write them. A stream that
//! ends in the middle, or does not match its checksum, is an error.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use liblzma::stream::{CONCATENATED, Stream};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// What zstd itself decodes unasked: 128 MiB, taken only for streams that say they need it. `--long=28` and more is refused, for the
/// stream would decide how much memory we take.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The same for xz, which by itself would take the 4 GiB that a stream may ask for: a dictionary of 128 MiB, and what the decoder takes
/// besides.
const XZ_MEMORY_MAX: u64 = 132 << 20;
const BZIP2_BLOCK: &[u8] = &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const BZIP2_END: &[u8] = &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

impl Packing {
    pub(super) fn recognise(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 0x08, flags, ..] if flags & 0xe0 == 0 => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
                if rest.starts_with(BZIP2_BLOCK) || rest.starts_with(BZIP2_END) =>
            {
                Some(Self::Bzip2)
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    pub(super) fn unpack<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(GzMembers::new(BufReader::with_capacity(64 << 10, packed))),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(packed)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_MAX, CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(packed, stream))
            }
        })
    }

    pub(super) fn complaint(self, what: &str, error: &io::Error) -> String {
        let packing = self.as_str();
        if error.kind() == io::ErrorKind::UnexpectedEof {
            format!("the {packing} stream in {what} ends too early: it was cut off")
        } else {
            format!("the {packing} stream in {what} is damaged: {error}")
        }
    }
}

/// The members of a gzip stream, one after the other. Zeros behind the last are padding, as tapes have it; anything else is refused,
/// for it would be lost.
struct GzMembers<R: BufRead> {
    /// None at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzMembers<R> {
    fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }

    /// Goes on behind the end of a member.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        let mut packed = member.into_inner();
        let mut padded = false;
        loop {
            let rest = packed.fill_buf()?;
            match rest.first() {
                None => return Ok(()),
                Some(0x1f) if !padded => {
                    self.member = Some(GzDecoder::new(packed));
                    return Ok(());
                }
                Some(_) => {
                    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
                    if zeros < rest.len() {
                        return Err(io::Error::other("bytes follow its end that are not gzip"));
                    }
                    packed.consume(zeros);
                    padded = true;
                }
            }
        }
    }
}

impl<R: BufRead> Read for GzMembers<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let len = member.read(buf)?;
            if len > 0 || buf.is_empty() {
                return Ok(len);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}
