//! What servers of one kind begin with: a data folder that is made once.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::memory;

const NOBODY: u32 = 65_534;
/// A socket's path has at most 107 bytes.
const FOLDER_MAX: usize = 60;

/// A folder of all servers of one kind of this process, with a data folder that they get copies of.
pub(crate) struct Template {
    folder: PathBuf,
    /// Removes the folder when its input ends: with this process, however that ends.
    _janitor: Child,
}

impl Template {
    /// A folder of its own, in which there is nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let memory = memory().canonicalize()?;
        let parent = if memory.as_os_str().len() < FOLDER_MAX { memory } else { "/tmp".into() };
        let folder = TempDir::new_in(parent)?.keep();
        let janitor = janitor(&folder)?;
        give_away(&folder)?;
        Ok(Self { folder, _janitor: janitor })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whoever makes the template fills it.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of a new server, with a copy of the data.
    pub(crate) fn copy(&self) -> io::Result<TempDir> {
        let copy = TempDir::new_in(&self.folder)?;
        let mut cp = Command::new("cp");
        cp.args(["-a", "--reflink=auto"]).arg(self.data()).arg(copy.path());
        let copied = cp.output()?;
        if !copied.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&copied.stderr).into_owned()));
        }
        give_away(copy.path())?;
        Ok(copy)
    }
}

/// Tries more than once: a server that dies at the same time may still write.
fn janitor(folder: &Path) -> io::Result<Child> {
    let script = r#"cat; for second in 1 2 3 4 5; do rm -rf -- "$0" && exit; sleep 1; done"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(folder).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// Servers do not serve root.
pub(crate) fn give_away(path: &Path) -> io::Result<()> {
    if geteuid().is_root() { chown(path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}

/// A command that is not root's and that dies with the thread that starts it.
pub(crate) fn unprivileged(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).current_dir(folder);
    command
}
