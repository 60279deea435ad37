//! What a crash leaves of what was not durable.

use std::sync::Arc;

use super::state::{DirNode, FileNode, Node, State};

/// How much of what was not synced is there afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Only the process died: all is as it was left, and what was not durable still is not.
    Killed,
    /// The machine died, and had written everything just in time.
    Everything,
    /// The machine died: what was not synced is gone.
    SyncedOnly,
    /// The machine died: names got to the disk, bytes did not. Files that were not synced are empty or cut short.
    NamesOnly,
    /// The machine died: of what was not synced some got to the disk, at random, in each directory and file independently of the
    /// others.
    Some {
        /// The same seed picks the same.
        seed: u64,
    },
}

impl Survival {
    /// All ways to die, with these seeds for the random ones.
    pub fn all(seeds: impl IntoIterator<Item = u64>) -> Vec<Self> {
        let mut all = vec![Self::Killed, Self::Everything, Self::SyncedOnly, Self::NamesOnly];
        all.extend(seeds.into_iter().map(|seed| Self::Some { seed }));
        all
    }
}

/// The state in which the machine starts again.
pub(super) fn after(before: &State, survival: Survival) -> State {
    let mut state = State { nodes: before.nodes.clone(), ..State::default() };
    let mut random = Random(if let Survival::Some { seed } = survival { seed } else { 0 });
    for (inode, node) in state.nodes.iter_mut().enumerate() {
        match node {
            Node::File(file) => {
                file.unlock_all();
                if survival != Survival::Killed {
                    file.data = surviving_bytes(file, inode, survival, &mut random);
                    file.sync();
                }
            }
            Node::Dir(dir) if survival != Survival::Killed => {
                keep_names(dir, survival, &mut random);
                dir.sync();
            }
            Node::Dir(_) => (),
        }
    }
    count_names(&mut state);
    state
}

fn surviving_bytes(file: &FileNode, inode: usize, survival: Survival, random: &mut Random) -> Arc<Vec<u8>> {
    let (data, durable) = (&file.data, &file.durable);
    let cut = |len: usize| Arc::new(data[..len].to_vec());
    match survival {
        _ if data == durable => Arc::clone(data),
        Survival::Killed | Survival::Everything => Arc::clone(data),
        Survival::SyncedOnly => Arc::clone(durable),
        // What was synced once cannot be unwritten as a whole.
        Survival::NamesOnly if !durable.is_empty() => Arc::clone(durable),
        Survival::NamesOnly => cut(if inode.is_multiple_of(2) { 0 } else { data.len() / 2 }),
        Survival::Some { .. } => match random.below(4) {
            0 => Arc::clone(data),
            1 => Arc::clone(durable),
            2 => cut(random.below(data.len() + 1)),
            _ => {
                // As long as it should be, and nothing in it.
                let mut holes = data.to_vec();
                let from = random.below(data.len() + 1);
                holes[from..].fill(0);
                Arc::new(holes)
            }
        },
    }
}

fn keep_names(dir: &mut DirNode, survival: Survival, random: &mut Random) {
    match survival {
        Survival::Killed | Survival::Everything | Survival::NamesOnly => (),
        Survival::SyncedOnly => dir.names = dir.durable.clone(),
        Survival::Some { .. } => {
            dir.names = dir.durable.clone();
            for (name, inode) in &dir.pending {
                match inode {
                    _ if random.below(2) == 0 => (),
                    Some(inode) => drop(dir.names.insert(name.clone(), *inode)),
                    None => drop(dir.names.remove(name)),
                }
            }
        }
    }
}

/// How many names each file has follows from the directories that can be reached.
fn count_names(state: &mut State) {
    let mut counts = vec![0; state.nodes.len()];
    let mut open = vec![0];
    while let Some(inode) = open.pop() {
        counts[inode] += 1;
        if let Node::Dir(dir) = &state.nodes[inode] {
            open.extend(dir.names.values());
        }
    }
    for (node, count) in state.nodes.iter_mut().zip(counts) {
        if let Node::File(file) = node {
            file.names = count;
        }
    }
}

/// splitmix64: the same numbers for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % end as u64).expect("less than a usize")
    }
}
