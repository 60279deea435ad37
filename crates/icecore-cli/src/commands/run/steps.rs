//! What is to be run: one command, or the steps of a plan.

use icecore::{BEFORE_RUN_TAG, RunPlan, StepCommand};

use super::RunArgs;
use super::program::Program;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::ui::Ui;
use crate::units::printable;

/// One command, and what it is called in a plan.
pub(super) struct Step {
    pub(super) name: Option<String>,
    pub(super) command: Program,
}

/// What the arguments ask for: at least one.
pub(super) fn of(context: &Context, args: &RunArgs) -> Result<Vec<Step>> {
    let Some(path) = &args.plan else {
        if args.rollback.as_ref().is_some_and(|step| !step.is_empty()) {
            return Err(CommandError::usage("--rollback=STEP names a step of a plan")
                .hint("without a plan there is one snapshot to go back to: --rollback"));
        }
        if args.command.first().is_none_or(|program| program.is_empty()) {
            return Err(CommandError::usage("say what to run")
                .hint("icecore run SERVICE -- COMMAND, or --plan FILE for several"));
        }
        return Ok(vec![Step { name: None, command: Program::new(args.command.clone()) }]);
    };
    let plan = RunPlan::read(&context.cwd.join(path))?;
    let wanted = args.rollback.as_deref().filter(|step| !step.is_empty());
    if let Some(wanted) = wanted
        && !plan.steps.iter().any(|step| step.name == wanted)
    {
        let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
        let near = icecore::did_you_mean(wanted, names.iter().copied());
        let known = names.iter().map(|name| printable(name).to_string()).collect::<Vec<_>>().join(", ");
        return Err(CommandError::usage(format!("the plan has no step {wanted:?}{near}"))
            .hint(format!("its steps are {known}")));
    }
    let steps = plan.steps.into_iter().map(|step| {
        let words = match step.command {
            StepCommand::Shell(line) => vec!["sh".into(), "-c".into(), line.into()],
            StepCommand::Words(words) => words.into_iter().map(Into::into).collect(),
        };
        Step { name: Some(step.name), command: Program::new(words) }
    });
    Ok(steps.collect())
}

impl Step {
    /// What the snapshot before it is tagged with.
    pub(super) fn tags(&self, args: &RunArgs) -> Vec<String> {
        let mut tags = args.tags.clone();
        if tags.is_empty() {
            tags.push(BEFORE_RUN_TAG.to_owned());
        }
        let name = self.name.clone().filter(|name| !tags.contains(name));
        tags.extend(name);
        tags
    }

    /// Says which one of several begins.
    pub(super) fn tell_begin(&self, ui: &mut Ui, done: usize, count: usize) {
        if let Some(name) = &self.name {
            ui.status(format_args!("Step {} of {count}: {}", done + 1, printable(name)));
        }
    }
}
