//! What is to be kept, as options say it.

use icecore::{Period, Policy, PruneOptions, Rule, Window};

use crate::args::parse_line;

/// A number of snapshots to keep. None would be all but one.
fn count() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is kept")]
pub(crate) struct PolicyArgs {
    /// All of it in one: '7d all, 30d daily, 1y weekly, then monthly'
    #[arg(long, value_name = "POLICY", value_parser = Policy::parse, conflicts_with_all = ["keep_last", "keep_hourly",
        "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within"])]
    policy: Option<Policy>,
    /// The newest so many
    #[arg(long, value_name = "N", value_parser = count())]
    keep_last: Option<u32>,
    /// The newest of each of so many hours that have any
    #[arg(long, value_name = "N", value_parser = count())]
    keep_hourly: Option<u32>,
    /// The newest of each of so many days
    #[arg(long, value_name = "N", value_parser = count())]
    keep_daily: Option<u32>,
    /// The newest of each of so many weeks, which begin with Monday
    #[arg(long, value_name = "N", value_parser = count())]
    keep_weekly: Option<u32>,
    /// The newest of each of so many months
    #[arg(long, value_name = "N", value_parser = count())]
    keep_monthly: Option<u32>,
    /// The newest of each of so many years
    #[arg(long, value_name = "N", value_parser = count())]
    keep_yearly: Option<u32>,
    /// All that are not older, than the newest whole one: 7d, 12h, 6mo, 1y
    #[arg(long, value_name = "SPAN", value_parser = Window::parse)]
    keep_within: Option<Window>,
    /// Also what has this tag; may be repeated
    #[arg(long, value_name = "TAG", value_parser = parse_line)]
    keep_tag: Vec<String>,
    /// What is kept of snapshots with a tag or a note, as in --policy [default: all]
    #[arg(long, value_name = "POLICY", value_parser = Policy::parse)]
    keep_named: Option<Policy>,
}

impl PolicyArgs {
    /// Which policies they mean.
    pub(super) fn options(&self) -> PruneOptions {
        let counts = [
            (self.keep_hourly, Period::Hour),
            (self.keep_daily, Period::Day),
            (self.keep_weekly, Period::Week),
            (self.keep_monthly, Period::Month),
            (self.keep_yearly, Period::Year),
        ];
        let newest = counts.into_iter().filter_map(|(count, period)| Some(Rule::Newest(count?, period)));
        let rules = self.keep_last.map(Rule::Last).into_iter().chain(newest);
        let rules = rules.chain(self.keep_within.map(Rule::Within)).collect();
        PruneOptions {
            sources: Vec::new(),
            policy: self.policy.clone().or(Policy::of(rules)),
            named: self.keep_named.clone(),
            keep_tags: self.keep_tag.clone(),
        }
    }
}
