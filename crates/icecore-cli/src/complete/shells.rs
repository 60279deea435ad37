//! How shells ask, and what they are told.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use clap::Command;
use clap_complete::engine::complete;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use super::words::{Dialect, Quote, quoted, split, whole};

/// All shells that there are completions for.
pub(crate) const SHELLS: Shells<'static> = Shells(&[&Bash, &Elvish, &RAW_FISH, &Powershell, &RAW_ZSH]);

const RAW_FISH: Raw = Raw { shell: &Fish, understood: last_of_fish, script_end: "" };
const RAW_ZSH: Raw = Raw { shell: &Zsh, understood: all_of_zsh, script_end: ZSH_SCRIPT_END };

const ZSH_SCRIPT_END: &str = r#"
# What ~ means zsh knows best.
_NAME_or_files() {
    if [[ "$PREFIX" == \~* ]]; then
        _files "$@"
    else
        _clap_dynamic_completer_NAME "$@"
    fi
}
compdef _NAME_or_files BIN
# A file in fpath is read when Tab is pressed for the first time, and has to answer.
if [[ "${funcstack[1]-}" == _NAME ]]; then
    _NAME_or_files "$@"
fi
"#;

/// What was typed, the program first, as a program is given it. `asked` is what the script of `shell` hands over.
pub(super) fn words(shell: &OsStr, asked: Vec<OsString>) -> Vec<OsString> {
    match Path::new(shell).file_stem().and_then(OsStr::to_str) {
        Some("bash") => {
            let line = asked.into_iter().next().unwrap_or_default();
            split(line.as_bytes()).into_iter().map(|word| OsString::from_vec(word.value)).collect()
        }
        Some("zsh") => all_of_zsh(asked),
        Some("fish") => last_of_fish(asked),
        _ => asked,
    }
}

fn all_of_zsh(words: Vec<OsString>) -> Vec<OsString> {
    words.into_iter().map(|word| value(&word, Dialect::Posix)).collect()
}

/// fish has understood all words but the last.
fn last_of_fish(mut words: Vec<OsString>) -> Vec<OsString> {
    if let Some(last) = words.last_mut() {
        *last = value(last, Dialect::Fish);
    }
    words
}

fn value(word: &OsStr, dialect: Dialect) -> OsString {
    OsString::from_vec(whole(word.as_bytes(), dialect).value)
}

/// A script for a program of this name.
fn named(script: &str, name: &str, bin: &str) -> String {
    script.replace("NAME", &name.replace('-', "_")).replace("BIN", bin)
}

/// A shell that hands over words as they were typed, and quotes what it inserts.
struct Raw {
    shell: &'static dyn EnvCompleter,
    /// Its words, as a program is given them.
    understood: fn(Vec<OsString>) -> Vec<OsString>,
    /// What its script is to do besides.
    script_end: &'static str,
}

impl EnvCompleter for Raw {
    fn name(&self) -> &'static str {
        self.shell.name()
    }

    fn is(&self, name: &str) -> bool {
        self.shell.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        self.shell.write_registration(var, name, bin, completer, buf)?;
        buf.write_all(named(self.script_end, name, bin).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        self.shell.write_complete(cmd, (self.understood)(args), current_dir, buf)
    }
}

/// bash splits words where nothing else does, at `@`, `:` and `=`, and quotes nothing: so it hands over the line, and the end of it that it will replace.
struct Bash;

const BASH_SCRIPT: &str = r#"_NAME() {
    local offered
    COMPREPLY=()
    while IFS= read -r offered; do
        COMPREPLY+=("$offered")
    done < <(VARIABLE=bash COMPLETER -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    # More may follow.
    if [[ "${COMPREPLY[0]-}" == *[/=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
if ! complete -o bashdefault -o nosort -F _NAME BIN 2>/dev/null; then
    complete -o bashdefault -F _NAME BIN
fi
"#;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let completer = String::from_utf8_lossy(&quoted(completer.as_bytes(), Quote::None)).into_owned();
        let script = BASH_SCRIPT.replace("VARIABLE", var).replace("COMPLETER", &completer);
        buf.write_all(named(&script, name, bin).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let mut args = args.into_iter();
        let (line, replaced) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        let line = line.as_bytes();
        let words = split(line);
        // What stays of the word: bash puts what it is told behind it.
        let start = words.last().map_or(0, |word| word.start);
        let len = line.len().saturating_sub(replaced.len()).max(start);
        let stays = whole(line.get(start..len).unwrap_or_default(), Dialect::Posix);
        let index = words.len().saturating_sub(1);
        let words = words.into_iter().map(|word| OsString::from_vec(word.value)).collect();
        for candidate in complete(cmd, words, index, current_dir)? {
            let value = candidate.get_value().as_bytes();
            // Candidates are told line by line.
            if let Some(rest) = value.strip_prefix(stays.value.as_slice())
                && !rest.contains(&b'\n')
            {
                buf.write_all(&quoted(rest, stays.quote))?;
                buf.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}
