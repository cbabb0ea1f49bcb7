//! `/upgrades`: which releases are there, what the fleet runs, who takes no releases and why, and the roll-out that runs or ran last.
//! Everything about hosts is counted by the database.

pub mod acts;

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use tidemark_model::upgrade::{HostStage, hosts_at};
use tidemark_model::view::{ReleaseView, UpgradeView};
use tidemark_model::{Role, Timestamp};
use tidemark_store::{ProgramTotals, RunningCount, StoreError, TextCount, Tx};

use super::plan::PlanForm;
use super::upgrade::{RollOut, tone};
use super::{Frame, for_person, page as respond, words};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::api::upgrades::{upgrade_view, view};
use crate::app::App;
use crate::incidents::text::clean;
use crate::upgrades::releases::{self, Kept};

/// Roll-outs that are listed, the newest.
const LISTED_MAX: u32 = 20;
/// Versions, running releases and reasons that are listed, the most frequent.
const COUNTS_MAX: u32 = 20;
/// Hosts that are named for a reason.
const NAMED_MAX: u32 = 5;

/// `GET /upgrades`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        with_form(&app, &asking, PlanForm::default()).await
    };
    for_person(shown.await)
}

/// The page with this in its form.
async fn with_form(app: &App, asking: &Asking, form: PlanForm) -> Answer<Response> {
    let now = app.clock.now();
    let mut tx = app.store.read().await?;
    let releases = releases::all(&mut tx).await?;
    let fleet = Fleet::read(&mut tx, &releases).await?;
    let newest = tx.upgrades_page(LISTED_MAX).await?;
    let mut past = Vec::with_capacity(newest.len());
    let mut current = None;
    for upgrade in &newest {
        let tallies = tx.upgrade_tallies(upgrade.number).await?;
        let failures = hosts_at(&tallies, HostStage::is_failure);
        past.push(PastRow::new(upgrade_view(upgrade, &tallies), failures, now));
        if current.is_none() {
            let newest = (upgrade, &*tallies);
            current = Some(RollOut::read(app, asking, &mut tx, newest).await?);
        }
    }
    drop(tx);
    let is_open = |one: &RollOut| !one.view.state.is_over();
    let rows = releases.iter().map(|kept| ReleaseRow::new(kept, now));
    let rows: Vec<ReleaseRow> = rows.collect();
    Ok(respond(&UpgradesPage {
        frame: Frame::new("upgrades", asking),
        can_start: asking.may(Role::Admin)
            && !current.as_ref().is_some_and(is_open)
            && rows.iter().any(|row| row.is_installable),
        releases: rows,
        fleet,
        current,
        past,
        form,
    }))
}

#[derive(Template)]
#[template(path = "upgrades.html")]
struct UpgradesPage {
    frame: Frame,
    releases: Vec<ReleaseRow>,
    fleet: Fleet,
    /// The roll-out that runs, or ran last.
    current: Option<RollOut>,
    past: Vec<PastRow>,
    can_start: bool,
    form: PlanForm,
}

/// A release as a line.
#[derive(Clone, Debug)]
struct ReleaseRow {
    view: ReleaseView,
    number: String,
    tone: &'static str,
    /// Why it cannot be rolled out; empty when it can.
    obstacle: String,
    is_installable: bool,
    brought: String,
    expires: String,
    /// What it is for, each with its size.
    files: Vec<(String, String, bool)>,
}

impl ReleaseRow {
    fn new(kept: &Kept, now: Timestamp) -> Self {
        let view = view(kept);
        let at = |ms: i64| words::relative(Timestamp::from_unix_ms(ms), now);
        let has_expired = kept.manifest.expires_at_ms <= now;
        let (tone, obstacle) = match kept.missing() {
            _ if has_expired => ("unknown", "expired".to_owned()),
            0 => ("calm", String::new()),
            1 => ("watch", "1 file is missing".to_owned()),
            missing => ("watch", format!("{missing} files are missing")),
        };
        let files = view.files.iter();
        Self {
            number: view.release.to_string(),
            tone,
            is_installable: obstacle.is_empty(),
            obstacle,
            brought: at(view.created_ms),
            expires: at(view.expires_ms),
            files: files
                .map(|file| {
                    let size = words::bytes(file.length_bytes);
                    (file.target.clone(), size, file.is_there)
                })
                .collect(),
            view,
        }
    }
}

/// What the fleet runs, and who takes no releases.
#[derive(Clone, Debug)]
struct Fleet {
    totals: ProgramTotals,
    takes: String,
    versions: Vec<CountRow>,
    running: Vec<RunningRow>,
    unable: Vec<UnableRow>,
    /// Hosts that take none for reasons that are not listed.
    unable_left: u64,
    silent: u64,
}

/// So many hosts.
#[derive(Clone, Debug)]
struct CountRow {
    /// Empty when it is unknown.
    text: String,
    hosts: String,
    /// Share of the fleet, 0 to 100.
    share: u64,
}

/// Hosts that run the same release.
#[derive(Clone, Debug)]
struct RunningRow {
    /// Empty for the installed program.
    release: String,
    version: String,
    hosts: String,
    floors: String,
    seen: u32,
}

/// Hosts that take no releases for one reason.
#[derive(Clone, Debug)]
struct UnableRow {
    reason: String,
    hosts: String,
    named: Vec<(String, String)>,
    left: u64,
}

impl Fleet {
    async fn read(tx: &mut Tx, releases: &[Kept]) -> Result<Self, StoreError> {
        let totals = tx.program_totals().await?;
        let names: HashMap<u32, &str> = releases
            .iter()
            .map(|kept| (kept.manifest.release, &*kept.manifest.version))
            .collect();
        let mut versions = tx.hosts_by_version(COUNTS_MAX).await?;
        let listed: u64 = versions.iter().map(|one| one.hosts).sum();
        let others = totals.hosts.saturating_sub(listed);
        if others > 0 {
            versions.push(TextCount {
                text: "all others".to_owned(),
                hosts: others,
            });
        }
        let running = tx.hosts_by_running(COUNTS_MAX).await?;
        let mut unable = Vec::new();
        for reason in tx.hosts_by_reason(COUNTS_MAX).await? {
            unable.push(UnableRow::read(tx, reason).await?);
        }
        let listed: u64 = unable.iter().map(|(_, hosts)| hosts).sum();
        Ok(Self {
            takes: words::hosts(totals.told.saturating_sub(totals.unable)),
            versions: versions
                .into_iter()
                .map(|one| CountRow::new(one, totals.hosts))
                .collect(),
            running: running
                .iter()
                .map(|one| RunningRow::new(one, &names))
                .collect(),
            unable: unable.into_iter().map(|(row, _)| row).collect(),
            unable_left: totals.unable.saturating_sub(listed),
            silent: totals.hosts.saturating_sub(totals.told),
            totals,
        })
    }
}

impl CountRow {
    fn new(one: TextCount, all: u64) -> Self {
        let share = one.hosts.saturating_mul(100).checked_div(all);
        Self {
            text: clean(&one.text),
            hosts: words::count(one.hosts),
            share: share.unwrap_or(0),
        }
    }
}

impl RunningRow {
    fn new(one: &RunningCount, names: &HashMap<u32, &str>) -> Self {
        let release = Some(one.running).filter(|release| *release > 0);
        let version = release.and_then(|release| names.get(&release));
        let (lowest, highest) = one.floors;
        Self {
            release: release.map_or_else(String::new, |release| release.to_string()),
            version: version.map_or_else(String::new, |version| (*version).to_owned()),
            hosts: words::count(one.hosts),
            floors: if lowest == highest {
                lowest.to_string()
            } else {
                format!("{lowest} to {highest}")
            },
            seen: one.seen,
        }
    }
}

impl UnableRow {
    /// With how many hosts it is.
    async fn read(tx: &mut Tx, one: TextCount) -> Result<(Self, u64), StoreError> {
        let named = tx.hosts_unable(&one.text, NAMED_MAX).await?;
        let row = Self {
            left: one.hosts.saturating_sub(named.len() as u64),
            hosts: words::count(one.hosts),
            named: named
                .into_iter()
                .map(|(id, name)| (id.to_string(), clean(&name)))
                .collect(),
            reason: one.text,
        };
        Ok((row, one.hosts))
    }
}

/// A roll-out as a line.
#[derive(Clone, Debug)]
struct PastRow {
    view: UpgradeView,
    tone: &'static str,
    hosts: String,
    healthy: String,
    failed: u64,
    started: String,
}

impl PastRow {
    fn new(view: UpgradeView, failures: u64, now: Timestamp) -> Self {
        let healthy = view.stages.get(&HostStage::Healthy).copied();
        let all: u64 = view.stages.values().sum();
        Self {
            tone: tone(view.state, failures),
            hosts: words::count(all),
            healthy: words::count(healthy.unwrap_or(0)),
            failed: failures,
            started: words::relative(Timestamp::from_unix_ms(view.created_ms), now),
            view,
        }
    }
}
