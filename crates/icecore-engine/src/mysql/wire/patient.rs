//! Reading and writing for as long as somebody wants to wait.

use std::io::{self, BufReader, Read, Write};

use super::stream::Stream;

/// A connection on which we wait for as long as somebody wants to.
pub(super) struct Patient<'a> {
    pub(super) stream: &'a mut BufReader<Stream>,
    pub(super) is_cancelled: &'a dyn Fn() -> bool,
}

impl Patient<'_> {
    fn wait<T>(&mut self, mut step: impl FnMut(&mut BufReader<Stream>) -> io::Result<T>) -> io::Result<T> {
        loop {
            match step(self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match (self.is_cancelled)() {
                    true => return Err(io::Error::other("the server does not answer")),
                    false => continue,
                },
                done => return done,
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.wait(|stream| stream.read(out))
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|stream| stream.get_mut().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait(|stream| stream.get_mut().flush())
    }
}
