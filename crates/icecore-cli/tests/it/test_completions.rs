use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Said, TestEnv};

#[test]
fn every_shell_gets_completions() {
    let env = TestEnv::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(env.ok(&["completions", shell]).contains("ICECORE_COMPLETE"), "{shell}");
    }
    env.fails(2, &["completions", "tcsh"]);
}

/// What this page of `man1` says, without the escapes of a manual page.
fn page_of(env: &TestEnv, path: &[&str]) -> String {
    let name = [&["icecore"], path].concat().join("-");
    String::from_utf8(env.read(&format!("man1/{name}.1"))).unwrap().replace('\\', "")
}

/// Looks at the pages of a command and all below it, whose help says what belongs there; returns how many there are.
fn check_pages(env: &TestEnv, path: &[&str]) -> usize {
    let help = env.ok(&[path, &["--help"]].concat());
    let page = page_of(env, path);
    let title = format!(".SH NAME\n{} - ", [&["icecore"], path].concat().join("-"));
    assert!(page.contains(&title) && page.contains("\n.SH SYNOPSIS\n"), "{title}");
    let alone = env.ok(&[&["man"], path].concat());
    assert_eq!(alone.trim_end().replace('\\', ""), page.trim_end(), "{path:?}");
    let shown = help.lines().filter(|line| line.starts_with("  ") && line.trim_start().starts_with('-'));
    // Behind a bracket are values and other names.
    let shown = shown.filter_map(|line| line.split('[').next());
    let options = shown.flat_map(|line| line.split([' ', ',', '=']).filter(|word| word.starts_with("--")));
    let mut count = 0;
    for option in options {
        count += 1;
        assert!(page.contains(&format!("fB{option}fR")), "{path:?} {option}");
    }
    assert!(count >= 9, "{path:?}: {count} options");
    let below = help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap();
    // A line that is further in goes on with the one above.
    let below = below.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let below = below.filter(|name| !["", "help"].contains(name));
    let mut pages = 1;
    for name in below {
        let path = [path, &[name]].concat();
        assert!(page.contains(&format!("icecore-{}(1)", path.join("-"))), "{path:?}");
        pages += check_pages(env, &path);
    }
    pages
}

#[test]
fn every_command_has_a_manual_page_with_its_options_and_what_is_below_it() {
    let env = TestEnv::bare();
    assert!(env.ok(&["man", "--dir", "man1"]).ends_with(" manual pages into man1\n"));
    let pages = check_pages(&env, &[]);
    assert!(pages > 40, "{pages}");
    assert_eq!(pages, env.files("man1").len(), "a page that nothing refers to");
    env.fails(2, &["man", "nothing"]);
    env.fails(2, &["man", "create", "--dir", "man1"]);
}

/// A `PATH` on which shells find the program.
fn path() -> String {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_icecore")).parent().unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// What bash offers for the last of these words, by the script that `completions bash` prints.
fn offered(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let script = format!(
        "{}\nCOMP_LINE={:?}\nCOMP_POINT=${{#COMP_LINE}}\n_icecore icecore {:?} ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        env.ok(&["completions", "bash"]),
        format!("icecore {}", words.join(" ")),
        words.last().unwrap(),
    );
    let said = Said::of(env.command_of("bash".as_ref(), &["-c", &script]).env("PATH", path()));
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
    // Options are offered with everything.
    let is_meant =
        |line: &&str| !line.is_empty() && (!line.starts_with('-') || words.last().unwrap().starts_with('-'));
    said.text().lines().filter(is_meant).map(str::to_owned).collect()
}

/// A shell on a terminal, and what it is told before somebody types: that `told` is completed as `icecore` is, and writes down what it is given.
const SHELLS: [(&str, &str); 3] = [
    (
        "bash --norc --noprofile -i",
        "told() { printf '<%s>' \"$@\" >>told; echo >>told; }; source <(icecore completions bash); complete -o bashdefault -F _icecore told",
    ),
    (
        "zsh -f -i",
        "told() { printf '<%s>' \"$@\" >>told; echo >>told; }; autoload -U compinit; compinit -u -D; source <(icecore completions zsh); compdef told=icecore",
    ),
    (
        "fish --no-config -i",
        "function told; printf '<%s>' $argv >>told; echo >>told; end; icecore completions fish | string replace 'command icecore' 'command told' | source",
    ),
];

/// Somebody types these lines into a shell on a terminal.
fn typed(env: &TestEnv, shell: &str, lines: &[String]) {
    let keys = format!("{}\nexit\n", lines.join("\n"));
    // A quote that stays open swallows the end.
    let script = ["60", "script", "--quiet", "--command", shell, "/dev/null"];
    let mut script = env.command_of("timeout".as_ref(), &script);
    script.env("PATH", path()).env("TERM", "xterm").env("SHELL", "/bin/sh");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(keys.as_bytes()).unwrap();
    child.wait_with_output().unwrap();
    drop(keyboard);
}

/// What was typed, and what the program is given of it.
const TYPED: [(&str, &str); 14] = [
    ("told nightly ca\t", "<nightly><cache>"),
    ("told restore --allow-d\t", "<restore><--allow-damaged>"),
    ("told restore --tag be\t", "<restore><--tag><before migration>"),
    ("told restore --tag \"be\t", "<restore><--tag><before migration>"),
    ("told restore --tag 'be\t", "<restore><--tag><before migration>"),
    ("told restore --tag before\\ m\t", "<restore><--tag><before migration>"),
    ("told restore --tag=be\t", "<restore><--tag=before migration>"),
    ("told restore notes.txt@be\t", "<restore><notes.txt@before migration>"),
    ("told show \"notes.txt@be\t", "<show><notes.txt@before migration>"),
    ("told show notes.txt@v1:\t", "<show><notes.txt@v1:rc=2>"),
    ("told show notes.txt@2\t", "<show><notes.txt@2$x>"),
    ("told show notes.txt~1\t", "<show><notes.txt~1>"),
    ("told run 'my f\t", "<run><my file>"),
    ("told --config my\\ dir/icecore.toml nightly ot\t", "<--config><my dir/icecore.toml><nightly><other>"),
];

#[test]
fn what_a_shell_completes_is_given_to_the_program_as_it_is_called() {
    for (shell, setup) in SHELLS {
        let env = TestEnv::new();
        env.write("icecore.toml", "[services.cache]\nurl = 'redis://localhost'\n");
        env.write("my dir/icecore.toml", "[services.other]\nurl = 'redis://localhost'\n");
        env.write("my file", "spaces");
        for tag in ["before migration", "v1:rc=2", "2$x"] {
            env.write("notes.txt", tag);
            env.ok(&["create", "notes.txt", "--tag", tag]);
        }
        let lines = [setup].into_iter().chain(TYPED.iter().map(|(line, _)| *line));
        typed(&env, shell, &lines.map(str::to_owned).collect::<Vec<_>>());
        let told = String::from_utf8(env.read("told")).unwrap();
        let expected: Vec<&str> = TYPED.iter().map(|(_, given)| *given).collect();
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{shell}");
    }
}

#[test]
fn zsh_completes_from_its_own_folder_at_the_first_tab() {
    let env = TestEnv::new();
    env.write("notes.txt", "notes");
    env.ok(&["create", "notes.txt", "--tag", "before migration"]);
    env.write("zfunc/_icecore", env.ok(&["completions", "zsh"]));
    env.write("kept/notes.txt", "other notes");
    let lines = [
        "fpath=(~/zfunc $fpath); autoload -U compinit; compinit -u -D",
        "icecore note notes.txt@be\t found",
        "icecore create ~/ke\tno\t --name other",
    ];
    typed(&env, "zsh -f -i", &lines.map(str::to_owned));
    assert_eq!(env.json(&["show", "notes.txt"])["note"], "found");
    assert_eq!(env.back("other"), b"other notes");
}

#[test]
fn shells_offer_services_snapshots_tags_and_remotes() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        "[services.shop]\nurl = 'sqlite:shop.db'\n[services.cache]\nurl = 'redis://localhost'\n[remotes.team]\nurl = 'team'\n",
    );
    env.write("notes.txt", "notes");
    let id = env.json(&["create", "notes.txt", "--tag", "release"])["id"].as_str().unwrap()[..8].to_owned();
    assert_eq!(offered(&env, &["nightly", ""]), ["cache", "shop"]);
    assert_eq!(offered(&env, &["status", "s"]), ["shop"]);
    assert_eq!(offered(&env, &["create", "n"]), ["notes.txt"]);
    for command in ["create", "run", "rollback"] {
        assert_eq!(offered(&env, &[command, "sh"]), ["shop"], "{command}");
        assert_eq!(offered(&env, &[command, "./no"]), ["./notes.txt"], "{command}");
    }
    assert_eq!(offered(&env, &["restore", "notes.txt", "--to", "no"]), ["notes.txt"]);
    assert_eq!(
        offered(&env, &["restore", ""])[..3],
        ["latest".to_owned(), "notes.txt".to_owned(), id.clone()]
    );
    assert_eq!(offered(&env, &["show", &id[..4]]), std::slice::from_ref(&id));
    assert_eq!(offered(&env, &["restore", "--tag", ""]), ["release"]);
    assert_eq!(offered(&env, &["prune", "no"]), ["notes.txt"]);
    assert_eq!(offered(&env, &["push", ""]), ["team"]);
    assert_eq!(offered(&env, &["push", "team", "la"]), ["latest"]);
    assert_eq!(offered(&env, &["list", "--remote", ""]), ["team"]);
    assert!(offered(&env, &["restore", "--al"]).contains(&"--allow-damaged".to_owned()));
    // Of another store, of one that cannot be read, and of none.
    env.ok(&["init", "--store", "other"]);
    assert_eq!(offered(&env, &["--store", "other", "show", "n"]), Vec::<String>::new());
    env.write("icecore.toml", "[services\n");
    assert_eq!(offered(&env, &["nightly", ""]), Vec::<String>::new());
    assert_eq!(offered(&TestEnv::bare(), &["restore", "--tag", ""]), Vec::<String>::new());
}

#[test]
fn a_name_is_followed_by_its_tags_and_its_steps_back() {
    let env = TestEnv::new();
    for (name, tag) in [("a", "old"), ("a", "new"), ("b", "other"), ("b", "new")] {
        env.write(name, format!("{name}{tag}"));
        env.ok(&["create", name, "--tag", tag]);
    }
    assert_eq!(offered(&env, &["show", "a@"]), ["a@new", "a@old"]);
    assert_eq!(offered(&env, &["show", "b@o"]), ["b@other"]);
    assert_eq!(offered(&env, &["show", "latest@"]), ["latest@new", "latest@other", "latest@old"]);
    assert_eq!(offered(&env, &["show", "a~"]), ["a~1"]);
    assert_eq!(offered(&env, &["show", "latest~"]), ["latest~1", "latest~2", "latest~3"]);
    assert_eq!(offered(&env, &["show", "c@"]), Vec::<String>::new());
}

#[test]
fn what_lies_at_a_remote_is_offered_of_a_remote() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[remotes.team]\nurl = 'team'\n[remotes.away]\nurl = 's3://bucket/away'\n");
    env.write("pushed.txt", "pushed");
    env.ok(&["create", "pushed.txt"]);
    env.ok(&["push", "team"]);
    env.ok(&["--remote", "team", "tag", "add", "latest", "there"]);
    env.write("kept.txt", "kept");
    env.ok(&["create", "kept.txt", "--tag", "here"]);
    let none = Vec::<String>::new();
    assert_eq!(offered(&env, &["restore", "--tag", ""]), ["here"]);
    for remote in [&["--remote", "team"][..], &["--remote=team"]] {
        let at_remote = |words: &[&str]| offered(&env, &[remote, words].concat());
        assert_eq!(at_remote(&["restore", "--tag", ""]), ["there"]);
        assert_eq!(at_remote(&["show", "pu"]), ["pushed.txt"]);
        assert_eq!(at_remote(&["show", "ke"]), none);
    }
    assert_eq!(offered(&env, &["pull", "team", "pu"]), ["pushed.txt"]);
    assert_eq!(offered(&env, &["pull", "team", "ke"]), none);
    assert_eq!(offered(&env, &["pull", "team", "--tag", ""]), ["there"]);
    assert_eq!(offered(&env, &["push", "team", "ke"]), ["kept.txt"]);
    // Nobody asks a server while somebody types, and what lies here may not lie there.
    assert_eq!(offered(&env, &["--remote", "away", "restore", "--tag", ""]), none);
    assert_eq!(offered(&env, &["pull", "away", "--tag", ""]), none);
    assert_eq!(offered(&env, &["pull", "--tag", ""]), none);
}

#[test]
fn nothing_is_asked_while_somebody_types() {
    let env = TestEnv::bare();
    env.write("password", "correct horse");
    env.ok(&["init", "--encrypt", "--password-file", "password"]);
    env.write("notes.txt", "notes");
    env.ok(&["create", "notes.txt", "--password-file", "password"]);
    assert_eq!(offered(&env, &["prune", "no"]), Vec::<String>::new());
    assert_eq!(offered(&env, &["--password-file", "password", "prune", "no"]), ["notes.txt"]);
}
