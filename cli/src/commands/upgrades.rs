//! `upgrade`, `get upgrades` and `describe upgrade`: releases rolled out over hosts, ring after ring.

use std::time::Duration;

use serde::Serialize;
use tidemark_model::upgrade::{HostStage, UpgradeState};
use tidemark_model::view::{UpgradeDetail, UpgradeHostView, UpgradeRequest, UpgradeView};

use super::Ctx;
use super::show::{show, show_once};
use crate::args::{StartUpgradeArgs, Upgrade};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Does what is wanted of roll-outs.
pub async fn run(ctx: &Ctx<'_>, wanted: &Upgrade) -> Result<(), Failure> {
    match wanted {
        Upgrade::Start(wanted) => start(ctx, wanted).await,
        Upgrade::List => list(ctx).await,
        Upgrade::Describe { number } => describe(ctx, *number).await,
        Upgrade::Pause { number } => say(ctx, *number, "pause").await,
        Upgrade::Resume { number } => say(ctx, *number, "resume").await,
        Upgrade::Stop { number } => say(ctx, *number, "stop").await,
    }
}

/// Lists roll-outs.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.upgrades().await.map(UpgradeList)).await
}

/// Describes one roll-out.
pub async fn describe(ctx: &Ctx<'_>, number: i64) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.upgrade(number).await.map(Description)).await
}

async fn start(ctx: &Ctx<'_>, wanted: &StartUpgradeArgs) -> Result<(), Failure> {
    let request = UpgradeRequest {
        release: wanted.release,
        hosts: wanted.hosts.clone(),
        soak_s: wanted.soak.as_ref().map(Duration::as_secs),
        failures_max: wanted.failures_max,
        wait_s: wanted.wait.as_ref().map(Duration::as_secs),
    };
    show_once(ctx, &Description(ctx.api()?.start_upgrade(&request).await?))
}

async fn say(ctx: &Ctx<'_>, number: i64, word: &str) -> Result<(), Failure> {
    let detail = ctx.api()?.say_of_upgrade(number, word).await?;
    show_once(ctx, &Description(detail))
}

/// A list of roll-outs.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct UpgradeList(Vec<UpgradeView>);

/// One roll-out with its hosts.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Description(UpgradeDetail);

fn stages(upgrade: &UpgradeView) -> String {
    let stages = upgrade.stages.iter();
    let counted: Vec<String> = stages
        .map(|(stage, count)| format!("{count} {}", stage.words()))
        .collect();
    counted.join(", ")
}

const fn tone_of_state(state: UpgradeState) -> Tone {
    match state {
        UpgradeState::Halted => Tone::Bad,
        UpgradeState::Paused => Tone::Watch,
        UpgradeState::Stopped => Tone::Muted,
        UpgradeState::Running | UpgradeState::Done => Tone::Plain,
    }
}

const fn tone_of_stage(stage: HostStage) -> Tone {
    match stage {
        HostStage::RolledBack | HostStage::Refused | HostStage::Overdue => Tone::Bad,
        HostStage::Missed => Tone::Watch,
        HostStage::Left | HostStage::Waiting => Tone::Muted,
        HostStage::Offered
        | HostStage::Downloading
        | HostStage::Staged
        | HostStage::Switched
        | HostStage::Healthy => Tone::Plain,
    }
}

impl Report for UpgradeList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No roll-outs. Start one: tidemark upgrade start --release NUMBER\n".to_owned();
        }
        let mut table = Table::new(&[
            ("NUMBER", Align::Right),
            ("RELEASE", Align::Right),
            ("STATE", Align::Left),
            ("HOSTS", Align::Left),
            ("STARTED", Align::Left),
            ("WHY", Align::Left),
        ]);
        for upgrade in &self.0 {
            table.row([
                Cell::from(upgrade.upgrade.to_string()),
                Cell::from(upgrade.release),
                Cell::toned(upgrade.state.as_str(), tone_of_state(upgrade.state)),
                Cell::from(stages(upgrade)),
                Cell::from(words::relative(upgrade.created_ms, screen.now)),
                Cell::from(&*upgrade.note),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |upgrade: &UpgradeView| {
            vec![
                Value::number(upgrade.upgrade),
                Value::number(upgrade.release),
                Value::text(upgrade.state.as_str()),
                Value::text(&upgrade.hosts),
                Value::text(stages(upgrade)),
                Value::text(&upgrade.note),
                Value::number(upgrade.created_ms),
                Value::text(&upgrade.created_by),
            ]
        };
        Sheet {
            header: vec![
                "upgrade",
                "release",
                "state",
                "hosts",
                "stages",
                "note",
                "created_ms",
                "created_by",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

impl Report for Description {
    fn table(&self, screen: &Screen) -> String {
        let UpgradeDetail { upgrade, hosts } = &self.0;
        let mut text = format!(
            "Roll-out {} of release {}: {}, {}\nhosts    {} ({})\nsoak     {}\nfailures {} at most\nstarted  by {}\n\n",
            upgrade.upgrade,
            upgrade.release,
            upgrade.state.as_str(),
            visible(&upgrade.note),
            visible(&upgrade.hosts),
            stages(upgrade),
            words::span(
                i64::try_from(upgrade.soak_s)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000)
            ),
            upgrade.failures_max,
            visible(&upgrade.created_by),
        );
        let mut table = Table::new(&[
            ("RING", Align::Right),
            ("HOST", Align::Whole),
            ("STAGE", Align::Left),
            ("SINCE", Align::Left),
            ("RUNS", Align::Right),
            ("WHY", Align::Left),
        ]);
        for host in hosts {
            table.row([
                Cell::from(u32::from(host.ring)),
                Cell::from(name_of(host)),
                Cell::toned(host.stage.words(), tone_of_stage(host.stage)),
                Cell::from(words::relative(host.since_ms, screen.now)),
                Cell::from(host.running.map(runs)),
                Cell::from(&*host.text),
            ]);
        }
        text.push_str(&table.draw(screen));
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |host: &UpgradeHostView| {
            vec![
                Value::number(u32::from(host.ring)),
                Value::text(name_of(host)),
                Value::text(&host.host_id),
                Value::text(host.stage.as_str()),
                Value::number(host.since_ms),
                host.running.map_or_else(|| Value::text(""), Value::number),
                Value::text(&host.text),
            ]
        };
        Sheet {
            header: vec![
                "ring", "host", "host_id", "stage", "since_ms", "running", "text",
            ],
            rows: self.0.hosts.iter().map(row).collect(),
        }
    }
}

fn name_of(host: &UpgradeHostView) -> String {
    host.host.clone().unwrap_or_else(|| host.host_id.clone())
}

fn runs(release: u32) -> String {
    match release {
        0 => "installed".to_owned(),
        release => release.to_string(),
    }
}
