//! Talking to a person or to a script.
//!
//! Results go to standard output, everything else to standard error. A reader that goes away ends the program
//! quietly; nothing here panics over it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::args::{ColorWhen, GlobalArgs};
use crate::clock::Stamp;
use crate::failure::{CommandError, Failure, Result};
use crate::hints::at_remote;
use crate::signals::Prompt;
use crate::status::ExitStatus;
use crate::units::printable;

/// Standard output and standard error, and how talkative they should be.
#[derive(Debug)]
pub(crate) struct Ui {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) assume_yes: bool,
    color_stdout: bool,
    color_stderr: bool,
    /// Standard output carries data: results go to standard error.
    pub(crate) stdout_taken: bool,
    /// The remote that is worked on: hints are about it.
    pub(crate) remote: Option<String>,
    /// What was noted so far, for the result as JSON.
    pub(crate) notes: Vec<String>,
    /// What lines on standard error begin with, where somebody reads them later.
    pub(crate) stamp: Option<Stamp>,
    /// Documents that become a part of a larger one, if they do.
    pub(crate) held: Option<Vec<serde_json::Value>>,
}

/// Alignment of a table's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Left,
    Right,
}

/// What `NO_COLOR` and `--color` say.
fn wants_color(when: ColorWhen, is_terminal: bool) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
            is_terminal && !forbidden && !dumb
        }
    }
}

impl Ui {
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            assume_yes: global.yes,
            remote: global.remote.clone(),
            color_stdout: wants_color(global.color, io::stdout().is_terminal()),
            color_stderr: wants_color(global.color, io::stderr().is_terminal()),
            stdout_taken: false,
            notes: Vec::new(),
            stamp: None,
            held: None,
        }
    }

    /// A line of the result.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<()> {
        self.write_result(format_args!("{line}\n"))
    }

    /// The result as one JSON document.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<()> {
        let cannot = |error| CommandError::new(ExitStatus::Failed, format!("cannot write JSON: {error}"));
        match &mut self.held {
            Some(held) => held.push(serde_json::to_value(document).map_err(cannot)?),
            None => self.line(serde_json::to_string(document).map_err(cannot)?)?,
        }
        Ok(())
    }

    /// A table without borders.
    pub(crate) fn table(&mut self, head: &[(&str, Column)], rows: Vec<Vec<String>>) -> Result<()> {
        self.table_with(head, rows, &BTreeSet::new())
    }

    /// The same, with some rows in bold, if standard output shows it.
    pub(crate) fn table_with(
        &mut self,
        head: &[(&str, Column)],
        rows: Vec<Vec<String>>,
        bold: &BTreeSet<usize>,
    ) -> Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head.iter().map(|(name, _)| *name));
        for row in rows {
            table.add_row(row);
        }
        for (column, (_, alignment)) in table.column_iter_mut().zip(head) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match alignment {
                Column::Left => CellAlignment::Left,
                Column::Right => CellAlignment::Right,
            });
        }
        // The head is the first line, and every row one more.
        for (at, line) in table.lines().enumerate() {
            let line = line.trim_end();
            match at.checked_sub(1).is_some_and(|row| bold.contains(&row)) {
                true => self.line(self.bold(line))?,
                false => self.line(line)?,
            }
        }
        Ok(())
    }

    fn write_result(&mut self, text: fmt::Arguments<'_>) -> Result<()> {
        let written =
            if self.stdout_taken { io::stderr().write_fmt(text) } else { io::stdout().write_fmt(text) };
        unless_closed(written)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        unless_closed(io::stdout().flush())
    }

    /// Something that is good to know; not for scripts.
    pub(crate) fn status(&mut self, line: impl fmt::Display) {
        if !self.quiet && !self.json {
            self.say(line);
        }
    }

    /// A line on standard error.
    fn say(&self, line: impl fmt::Display) {
        let stamp = self.stamp.as_ref().map(Stamp::to_string).unwrap_or_default();
        drop(writeln!(io::stderr(), "{stamp}{line}"));
    }

    /// The same, that the result tells scripts too.
    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        self.status(format_args!("note: {}", printable(&sentence)));
        self.notes.push(sentence);
    }

    /// What to do next, where it is not obvious.
    pub(crate) fn hint(&mut self, line: impl fmt::Display) {
        let label = paint(self.color_stderr, "36", "hint:");
        let line = self.of_remote(&line.to_string());
        self.status(format_args!("{label} {line}"));
    }

    /// The same where it must not be missed, whatever -q and --json say.
    pub(crate) fn hint_always(&mut self, line: impl fmt::Display) {
        let label = paint(self.color_stderr, "36", "hint:");
        let line = self.of_remote(&line.to_string());
        self.say(format_args!("{label} {line}"));
    }

    fn of_remote(&self, hint: &str) -> String {
        self.remote.as_deref().map_or_else(|| hint.to_owned(), |remote| at_remote(hint, &printable(remote)))
    }

    /// Something that is not as it should be, although the work went on. `-q` does not hide it.
    pub(crate) fn warn(&mut self, line: impl fmt::Display) {
        let label = paint(self.color_stderr, "33", "warning:");
        self.say(format_args!("{label} {line}"));
    }

    /// Tells of all that is not as it should be although the command is done, which decides its exit status.
    pub(crate) fn warn_of(&mut self, warnings: &[String]) -> ExitStatus {
        for warning in warnings {
            self.warn(printable(warning));
        }
        if warnings.is_empty() { ExitStatus::Success } else { ExitStatus::Findings }
    }

    /// Text in bold, if standard output shows it.
    pub(crate) fn bold(&self, text: &str) -> String {
        paint(self.color_stdout, "1", text)
    }

    /// Tells why the command failed.
    pub(crate) fn fail(&mut self, error: &CommandError) -> ExitStatus {
        let Failure { status, message, hint } = match error {
            CommandError::Failure(failure) => failure,
            CommandError::StreamClosed => return ExitStatus::Failed,
        };
        // What a stranger's store holds may be in it.
        let message = message.split('\n').map(printable).collect::<Vec<_>>().join("\n");
        let hint = hint.as_deref().map(|hint| self.of_remote(hint));
        if self.json {
            let document = serde_json::json!({ "error": message, "status": status.code(), "hint": hint });
            drop(writeln!(io::stderr(), "{document}"));
        } else {
            let label = paint(self.color_stderr, "1;31", "error:");
            self.say(format_args!("{label} {message}"));
            if let Some(hint) = hint {
                let label = paint(self.color_stderr, "36", "hint:");
                self.say(format_args!("{label} {hint}"));
            }
        }
        *status
    }

    /// Whether there is a person to ask.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal() && !self.json
    }

    /// What somebody types on a line; nothing if there is no more to come.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        let mut stderr = io::stderr();
        drop(write!(stderr, "{question}").and_then(|()| stderr.flush()));
        let mut answer = String::new();
        let prompt = Prompt::begin();
        let read = io::stdin().lock().read_line(&mut answer);
        drop(prompt);
        read.map_err(CommandError::io("cannot read the answer"))?;
        Ok(answer)
    }

    /// Goes on only if the user wants it: `--yes`, or an answer. Without anybody to ask, `refusal` says what was not done.
    pub(crate) fn confirm(&mut self, question: &str, refusal: &str) -> Result<()> {
        self.confirm_effect(question, refusal, "confirms it")
    }

    /// The same, where a script should know what `--yes` does: `effect` follows that word in the hint.
    pub(crate) fn confirm_effect(&mut self, question: &str, refusal: &str, effect: &str) -> Result<()> {
        if self.assume_yes {
            return Ok(());
        }
        let refused = |message: &str| CommandError::new(ExitStatus::Refused, message);
        if !self.can_ask() {
            return Err(refused(refusal).hint(format!("--yes {effect}")));
        }
        let answer = self.ask(&format!("{question} [y/N] "))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(refused("not confirmed; nothing was touched")),
        }
    }
}

fn paint(color: bool, code: &str, text: &str) -> String {
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whoever read the result and has gone has seen enough: what is done, and how it ends, is as it would be.
fn unless_closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(CommandError::io("cannot write the output")),
    }
}
