//! What is on the disk, and what of it is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use icecore_storage::Entry;

/// A file's or directory's number; none is given twice.
pub(super) type Inode = usize;
/// Names in a directory.
pub(super) type Names = BTreeMap<String, Inode>;

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// By inode. The first is the root directory.
    pub(super) nodes: Vec<Node>,
    pub(super) steps: u64,
    pub(super) log: Vec<String>,
    pub(super) crash_at: Option<u64>,
    pub(super) off: bool,
    pub(super) handles: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    /// What whoever reads it sees.
    pub(super) data: Arc<Vec<u8>>,
    /// What it was when it was last synced; empty before that.
    pub(super) durable: Arc<Vec<u8>>,
    /// How many names it has.
    pub(super) names: usize,
    /// Who has locked it for himself.
    exclusive: Option<u64>,
    /// Who shares a lock on it.
    shared: BTreeSet<u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct DirNode {
    /// What whoever lists it sees.
    pub(super) names: Names,
    /// What it was when it was last synced.
    pub(super) durable: Names,
    /// What was done to it since, in order: a name that was given, or taken away.
    pub(super) pending: Vec<(String, Option<Inode>)>,
}

impl Default for State {
    fn default() -> Self {
        Self { nodes: vec![Node::dir()], steps: 0, log: Vec::new(), crash_at: None, off: false, handles: 0 }
    }
}

impl Node {
    pub(super) fn file() -> Self {
        Self::File(FileNode::default())
    }

    pub(super) fn dir() -> Self {
        Self::Dir(DirNode::default())
    }
}

impl FileNode {
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let from = usize::try_from(offset).expect("a file in memory");
        let data = Arc::make_mut(&mut self.data);
        data.resize(data.len().max(from + bytes.len()), 0);
        data[from..from + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        Arc::make_mut(&mut self.data).resize(usize::try_from(len).expect("a file in memory"), 0);
    }

    pub(super) fn sync(&mut self) {
        self.durable = Arc::clone(&self.data);
    }

    pub(super) fn try_lock(&mut self, handle: u64, shared: bool) -> bool {
        let others_share = self.shared.iter().any(|other| *other != handle);
        if self.exclusive.is_some_and(|other| other != handle) || (!shared && others_share) {
            return false;
        }
        self.unlock(handle);
        if shared {
            self.shared.insert(handle);
        } else {
            self.exclusive = Some(handle);
        }
        true
    }

    pub(super) fn unlock(&mut self, handle: u64) {
        self.shared.remove(&handle);
        self.exclusive = self.exclusive.filter(|owner| *owner != handle);
    }

    /// As nobody left it: processes are gone.
    pub(super) fn unlock_all(&mut self) {
        self.shared.clear();
        self.exclusive = None;
    }
}

impl DirNode {
    fn change(&mut self, name: &str, inode: Option<Inode>) {
        match inode {
            Some(inode) => drop(self.names.insert(name.to_owned(), inode)),
            None => drop(self.names.remove(name)),
        }
        self.pending.push((name.to_owned(), inode));
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.names.clone();
        self.pending.clear();
    }
}

impl State {
    /// Counts a step, or crashes instead of taking it.
    pub(super) fn step(&mut self, what: &str, path: &Path) -> io::Result<()> {
        self.check_on()?;
        if self.crash_at == Some(self.steps) {
            self.off = true;
            self.log.push(format!("crash before {what} {}", path.display()));
            return self.check_on();
        }
        self.steps += 1;
        self.log.push(format!("{what} {}", path.display()));
        Ok(())
    }

    pub(super) fn check_on(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the machine is off")) } else { Ok(()) }
    }

    pub(super) fn new_handle(&mut self) -> u64 {
        self.handles += 1;
        self.handles
    }

    pub(super) fn file(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match &mut self.nodes[inode] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn dir(&mut self, path: &Path) -> io::Result<&mut DirNode> {
        let inode = self.find(path)?;
        match &mut self.nodes[inode] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Follows a path from the root.
    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = 0;
        for component in path.strip_prefix("/").map_err(|_| io::ErrorKind::InvalidInput)? {
            let Node::Dir(dir) = &self.nodes[inode] else { return Err(io::ErrorKind::NotADirectory.into()) };
            let name = component.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            inode = *dir.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    /// Makes something new.
    pub(super) fn create(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        let inode = self.nodes.len();
        self.nodes.push(node);
        self.add(path, inode)?;
        Ok(inode)
    }

    /// Gives something a name that is free.
    pub(super) fn add(&mut self, path: &Path, inode: Inode) -> io::Result<()> {
        match self.find(path) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.replace(path, inode),
            Err(error) => Err(error),
        }
    }

    /// Gives something a name, in place of a file that has it: one change, which a crash does not tear.
    pub(super) fn replace(&mut self, path: &Path, inode: Inode) -> io::Result<()> {
        if let Ok(before) = self.find(path) {
            self.file(before)?.names -= 1;
        }
        let (dir, name) = split(path)?;
        self.dir(dir)?.change(name, Some(inode));
        if let Node::File(file) = &mut self.nodes[inode] {
            file.names += 1;
        }
        Ok(())
    }

    /// Takes a file's name away.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        self.file(inode)?.names -= 1;
        let (dir, name) = split(path)?;
        self.dir(dir)?.change(name, None);
        Ok(())
    }

    pub(super) fn list(&mut self, path: &Path) -> io::Result<Vec<(String, Entry)>> {
        let names = self.dir(path)?.names.clone();
        Ok(names
            .into_iter()
            .map(|(name, inode)| match &self.nodes[inode] {
                Node::Dir(_) => (name, Entry::Dir),
                Node::File(file) => (name, Entry::File { len: file.data.len() as u64 }),
            })
            .collect())
    }
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}
