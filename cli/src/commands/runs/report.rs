//! How runs look: a line each, or a plan with its waves and hosts.

use serde::Serialize;
use tidemark_model::run::RunHostState;
use tidemark_model::view::{RunDetail, RunHostView, RunView};

use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Hosts that a description lists; those that need a look come first, `-o json` has them all.
const HOSTS_MAX: usize = 40;

/// Runs in a list.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct RunList(pub(super) Vec<RunView>);

/// Everything about one run.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Described(pub(super) RunDetail);

impl Report for RunList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No runs. Plan one: tidemark run plan -f run.toml (tidemark run plan --help shows one)\n"
                .to_owned();
        }
        let mut table = Table::new(&[
            ("RUN", Align::Right),
            ("NAME", Align::Whole),
            ("STATE", Align::Left),
            ("SINCE", Align::Left),
            ("THROUGH", Align::Right),
            ("FAILED", Align::Right),
            ("WINDOW", Align::Left),
            ("WHAT", Align::Left),
        ]);
        for run in &self.0 {
            let progress = &run.progress;
            table.row([
                Cell::from(run.number.to_string()),
                Cell::from(run.name.clone()),
                Cell::from(run.state.as_str().to_owned()),
                Cell::from(words::relative(run.state_ms, screen.now)),
                Cell::from(format!("{} of {}", progress.through(), progress.hosts)),
                Cell::from(progress.failed.to_string()),
                Cell::from(run.window.clone()),
                Cell::from(run.summary.clone()),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec![
                "run",
                "name",
                "state",
                "state_ms",
                "hosts",
                "verified",
                "failed",
                "skipped",
                "window",
                "requester",
                "why",
            ],
            rows: self.0.iter().map(run_row).collect(),
        }
    }
}

fn run_row(run: &RunView) -> Vec<Value> {
    let count = |count: u64| Value::number(i64::try_from(count).unwrap_or(i64::MAX));
    vec![
        Value::number(run.number),
        Value::text(&run.name),
        Value::text(run.state.as_str()),
        Value::number(run.state_ms),
        count(run.progress.hosts),
        count(run.progress.verified),
        count(run.progress.failed),
        count(run.progress.skipped),
        Value::text(&run.window),
        Value::text(&run.requester),
        Value::text(&run.why),
    ]
}

impl Report for Described {
    fn table(&self, screen: &Screen) -> String {
        let RunDetail { run, plan, .. } = &self.0;
        let at = |ms: i64| words::date_time_seconds(ms, &screen.zone, screen.now);
        let title = if run.number > 0 {
            format!("Run {} {}", run.number, run.name)
        } else {
            format!("{}, not stored", run.name)
        };
        let mut text = format!(
            "{title}: {} (tier {})\n{}, asked for by {}: {}\n",
            visible(&run.summary),
            run.tier,
            run.state.as_str(),
            visible(&run.requester),
            visible(&run.reason),
        );
        if !run.why.is_empty() {
            text.push_str(&format!("why: {}\n", visible(&run.why)));
        }
        let from = plan.starts_at_ms.map(|from| at(from.unix_ms()));
        let to = plan.finishes_at_ms.map(|to| at(to.unix_ms()));
        let unknown = || "?".to_owned();
        text.push_str(&format!(
            "\nPlan {} of {}\n  window {}, expected {} to {} ({})\n",
            plan.hash,
            at(plan.made_at_ms.unix_ms()),
            run.window,
            from.unwrap_or_else(unknown),
            to.unwrap_or_else(unknown),
            visible(&plan.times_from),
        ));
        for warning in &plan.warnings {
            text.push_str(&format!("  note: {}\n", visible(warning)));
        }
        for out in plan.left_out.iter().take(HOSTS_MAX) {
            let (name, why) = (visible(&out.name), visible(&out.why));
            text.push_str(&format!("  left out: {name}, {why}\n"));
        }
        text.push_str(&self.approvals());
        text.push_str(&self.waves());
        text.push_str(&self.hosts(screen));
        if !self.0.life.is_empty() {
            text.push_str("\nLife\n");
        }
        for step in &self.0.life {
            let by = visible(step.by.as_deref().unwrap_or("controller"));
            let (to, said) = (step.to.as_str(), visible(&step.text));
            text.push_str(&format!("  {}  {to:9} {by}  {said}\n", at(step.at_ms)));
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec![
                "host",
                "wave",
                "spread",
                "state",
                "why",
                "expected_start_ms",
                "begun_ms",
                "ended_ms",
            ],
            rows: self.0.hosts.iter().map(host_row).collect(),
        }
    }
}

fn host_row(host: &RunHostView) -> Vec<Value> {
    vec![
        Value::text(&host.name),
        Value::number(host.wave),
        Value::text(host.spread.as_deref().unwrap_or_default()),
        Value::text(host.state.as_str()),
        Value::text(&host.why),
        Value::maybe(host.expected_start_ms),
        Value::maybe(host.begun_ms),
        Value::maybe(host.ended_ms),
    ]
}

impl Described {
    fn approvals(&self) -> String {
        let RunDetail { run, approvals, .. } = &self.0;
        let names: Vec<String> = approvals.iter().map(|one| visible(&one.approver)).collect();
        let count = approvals.len() as u64;
        let names = if names.is_empty() {
            "nobody yet".to_owned()
        } else {
            names.join(", ")
        };
        let signed = match run.orders {
            0 => String::new(),
            orders => format!("  signed {} of {orders} orders\n", run.orders_signed),
        };
        format!(
            "  approved by {names} ({count} of {})\n{signed}",
            run.approvals_needed
        )
    }

    fn waves(&self) -> String {
        let mut text = String::from("\nWaves\n");
        for (place, wave) in self.0.waves.iter().enumerate() {
            text.push_str(&format!(
                "  {}: {} hosts, {} verified, {} failed, {} skipped, {} under way, {} waiting\n",
                place.saturating_add(1),
                wave.hosts,
                wave.verified,
                wave.failed,
                wave.skipped,
                wave.under_way,
                wave.waiting,
            ));
        }
        text
    }

    /// Those that failed or are worked on first: they are what somebody looks for.
    fn hosts(&self, screen: &Screen) -> String {
        let mut hosts: Vec<&RunHostView> = self.0.hosts.iter().collect();
        hosts.sort_by_key(|host| match host.state {
            RunHostState::Failed => 0,
            RunHostState::Sent
            | RunHostState::Down
            | RunHostState::Up
            | RunHostState::Verifying => 1,
            RunHostState::Gated => 2,
            RunHostState::Pending => 3,
            RunHostState::Skipped => 4,
            RunHostState::Verified => 5,
        });
        let mut table = Table::new(&[
            ("HOST", Align::Left),
            ("WAVE", Align::Right),
            ("STATE", Align::Left),
            ("SINCE", Align::Left),
            ("EXPECTED", Align::Left),
            ("WHY", Align::Left),
        ]);
        for host in hosts.iter().take(HOSTS_MAX) {
            let expected = host.expected_start_ms;
            table.row([
                Cell::from(host.name.clone()),
                Cell::from(host.wave.to_string()),
                Cell::from(host.state.as_str().to_owned()),
                Cell::from(words::relative(host.state_ms, screen.now)),
                Cell::from(expected.map_or_else(
                    || "does not fit".to_owned(),
                    |ms| words::relative(ms, screen.now),
                )),
                Cell::from(host.why.clone()),
            ]);
        }
        let more = hosts.len().saturating_sub(HOSTS_MAX);
        let more = if more > 0 {
            format!("and {more} more; -o json has them all\n")
        } else {
            String::new()
        };
        format!("\n{}{more}", table.draw(screen))
    }
}
