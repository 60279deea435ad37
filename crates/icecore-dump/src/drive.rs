//! How a state machine over lines and statements is fed from pieces of a stream.

use crate::mark::Mark;

/// A scanner seen from its driver: it takes bytes in steps and may hold some back.
pub(crate) trait Machine {
    /// Looks at `rest`, which begins `at` bytes into the stream, and returns how many bytes it has done with. Zero
    /// asks for more; with `last` it is only allowed when `rest` is empty.
    fn step(&mut self, rest: &[u8], at: u64, last: bool, marks: &mut Vec<Mark>) -> usize;
    /// Where a part may yet begin, if that is before the bytes done with.
    fn held(&self) -> Option<u64>;
    /// Everything before `at` is settled.
    fn settle(&mut self, at: u64, marks: &mut Vec<Mark>);
    /// The stream ends at `at`.
    fn close(&mut self, at: u64, marks: &mut Vec<Mark>);
}

/// Where a machine stands in its stream.
///
/// The bytes between `settled` and `done` have been looked at, and come again with the next piece: they are skipped.
#[derive(Debug)]
pub(crate) struct Driver<M> {
    machine: M,
    settled: u64,
    done: u64,
}

impl<M: Machine> Driver<M> {
    pub(crate) fn new(machine: M) -> Self {
        Self { machine, settled: 0, done: 0 }
    }

    /// See [`crate::Scanner::scan`].
    pub(crate) fn scan(&mut self, input: &[u8], last: bool, marks: &mut Vec<Mark>) -> usize {
        let skipped = usize::try_from(self.done - self.settled).unwrap_or(usize::MAX);
        let mut rest = input.get(skipped..).unwrap_or_default();
        while !rest.is_empty() {
            let n = self.machine.step(rest, self.done, last, marks);
            if n == 0 {
                break;
            }
            self.done += len64(n);
            rest = rest.get(n..).unwrap_or_default();
        }
        let before = self.settled;
        self.settled = if last { before + len64(input.len()) } else { self.held() };
        self.done = self.done.max(self.settled);
        self.machine.settle(self.settled, marks);
        if last {
            self.machine.close(self.settled, marks);
        }
        usize::try_from(self.settled - before).unwrap_or(usize::MAX)
    }

    pub(crate) fn into_machine(self) -> M {
        self.machine
    }

    fn held(&self) -> u64 {
        self.machine.held().map_or(self.done, |at| at.clamp(self.settled, self.done))
    }
}

/// A length in memory as a length in the stream.
pub(crate) fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
