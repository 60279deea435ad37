//! Where programs are found at night: where they are found now.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

/// So many links are followed on the way to a folder, as the system has it.
const LINKS_MAX: u32 = 40;

/// What stands in `PATH` at night.
#[derive(Debug, Default)]
pub(super) struct SearchPath {
    folders: Vec<String>,
    /// What `PATH` has here and will not have there, each with the reason.
    pub(super) left_out: Vec<(String, &'static str)>,
}

impl SearchPath {
    /// That of whoever runs this, as far as it may be kept.
    pub(super) fn of_environment() -> Self {
        let mut kept = Self::default();
        for folder in std::env::var("PATH").unwrap_or_default().split(':').filter(|it| !it.is_empty()) {
            match form_for_the_night(folder) {
                Ok(folder) if kept.folders.contains(&folder) => (),
                Ok(folder) => kept.folders.push(folder),
                Err(why) => kept.left_out.push((folder.to_owned(), why)),
            }
        }
        kept.left_out.dedup();
        kept
    }

    /// As `PATH` has it, if there is anything to say.
    pub(super) fn text(&self) -> Option<String> {
        Some(self.folders.join(":")).filter(|path| !path.is_empty())
    }
}

/// How a folder is written for the night, or why it is not.
fn form_for_the_night(folder: &str) -> Result<String, &'static str> {
    if !folder.starts_with('/') {
        return Err("it is another one wherever it is looked for");
    }
    if folder.contains(char::is_control) {
        return Err("its name would break the line");
    }
    // Root runs nothing at night that others may have put there since.
    if !geteuid().is_root() || is_of_root_alone(Path::new(folder), true, LINKS_MAX) {
        return Ok(folder.to_owned());
    }
    // A link that others may point elsewhere is not taken, but where it leads to now may do.
    let real = fs::canonicalize(folder).ok().filter(|real| is_of_root_alone(real, true, 0));
    let real = real.and_then(|real| real.to_str().map(str::to_owned));
    // What breaks `PATH`, or the line, may be in the name of what is linked to.
    let real = real.filter(|real| !real.contains(|c: char| c == ':' || c.is_control()));
    real.ok_or("others than root may put programs there")
}

/// Whether nobody else may put something into a folder, or another folder in its place: each folder on the way is root's, and each link, and what that leads
/// to. With `is_end`, it is the folder itself, and not only passed.
fn is_of_root_alone(folder: &Path, is_end: bool, links_left: u32) -> bool {
    let is_safe = |(above, folder): (usize, &Path)| {
        let is_end = is_end && above == 0;
        match folder.symlink_metadata() {
            // Who may make it is seen above it.
            Err(_) => true,
            Ok(it) if it.is_symlink() => it.uid() == 0 && links_to_root(folder, is_end, links_left),
            Ok(it) => is_roots(&it, is_end),
        }
    };
    folder.ancestors().enumerate().all(is_safe)
}

fn is_roots(folder: &Metadata, is_end: bool) -> bool {
    // In a folder that is sticky, what is root's stays where it is.
    folder.uid() == 0 && (folder.mode() & 0o022 == 0 || (!is_end && folder.mode() & 0o1000 != 0))
}

fn links_to_root(link: &Path, is_end: bool, links_left: u32) -> bool {
    let (Ok(to), Some(links_left)) = (link.read_link(), links_left.checked_sub(1)) else { return false };
    let to = link.parent().map_or_else(|| to.clone(), |above| above.join(&to));
    is_of_root_alone(&to, is_end, links_left)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::path::PathBuf;

    use super::*;

    /// Somebody who is not root.
    const OTHER: u32 = 54_321;

    struct World(tempfile::TempDir);

    impl World {
        fn folder(&self, name: &str, owner: u32, mode: u32) -> PathBuf {
            let path = self.0.path().join(name);
            fs::create_dir_all(&path).unwrap();
            chown(&path, Some(owner), Some(0)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }

        fn form(&self, path: &str) -> Result<String, &'static str> {
            form_for_the_night(self.text(path).as_str())
        }

        fn text(&self, path: &str) -> String {
            self.0.path().join(path).to_str().unwrap().to_owned()
        }
    }

    #[test]
    fn root_keeps_no_folder_that_others_may_fill_or_exchange() {
        // Nobody else may give folders away, and nobody else's are left out.
        if !geteuid().is_root() {
            return assert_eq!(form_for_the_night("/tmp").as_deref(), Ok("/tmp"));
        }
        let world = World(tempfile::tempdir().unwrap());
        let refused = Err("others than root may put programs there");
        world.folder("own/bin", 0, 0o755);
        world.folder("theirs", OTHER, 0o755);
        world.folder("theirs/bin", 0, 0o755);
        world.folder("open", 0, 0o775);
        world.folder("sticky", 0, 0o1777);
        world.folder("sticky/bin", 0, 0o755);
        for name in ["own/bin", "sticky/bin", "own/not-yet", "own/bin/../bin"] {
            assert_eq!(world.form(name), Ok(world.text(name)), "{name}");
        }
        for name in
            ["theirs", "theirs/bin", "open", "open/not-yet", "sticky", "theirs/not-yet", "own/../open"]
        {
            assert_eq!(world.form(name), refused, "{name}");
        }

        // What root links to stays as it is written: the next version may be another folder.
        symlink("own", world.0.path().join("current")).unwrap();
        symlink("own/../current/bin", world.0.path().join("twice")).unwrap();
        for name in ["current/bin", "twice", "current/../twice"] {
            assert_eq!(world.form(name), Ok(world.text(name)), "{name}");
        }
        symlink("open", world.0.path().join("to-open")).unwrap();
        symlink("theirs/../own", world.0.path().join("past-theirs")).unwrap();
        symlink("round", world.0.path().join("round")).unwrap();
        for name in ["to-open", "round"] {
            assert_eq!(world.form(name), refused, "{name}");
        }
        // Others may point these elsewhere; what they lead to now is root's.
        let own = Ok(world.text("own/bin"));
        symlink(world.0.path().join("own/bin"), world.0.path().join("theirs/link")).unwrap();
        let given = world.0.path().join("sticky/given");
        symlink(world.0.path().join("own/bin"), &given).unwrap();
        std::os::unix::fs::lchown(&given, Some(OTHER), None).unwrap();
        for name in ["theirs/link", "sticky/given", "past-theirs/bin"] {
            assert_eq!(world.form(name), own, "{name}");
        }
    }

    #[test]
    fn what_is_not_the_same_everywhere_is_left_out() {
        assert!(form_for_the_night("bin").is_err() && form_for_the_night(".").is_err());
        assert!(form_for_the_night("/opt/a\nb").is_err());
    }
}
