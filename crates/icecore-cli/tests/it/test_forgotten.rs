use std::fs;
use std::path::Path;

#[test]
fn every_test_file_is_a_module_of_this_binary() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    check(&dir, &dir.join("main.rs"));
}

/// Every file in `dir` is a module of `parent`, and so on in the folders below.
fn check(dir: &Path, parent: &Path) {
    let modules = fs::read_to_string(parent).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let is_own = path == parent || module == "mod";
        assert!(is_own || modules.contains(&format!("mod {module};")), "{} is forgotten", path.display());
        if path.is_dir() {
            let beside = path.with_extension("rs");
            check(&path, &if beside.exists() { beside } else { path.join("mod.rs") });
        }
    }
}
