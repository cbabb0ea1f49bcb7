//! `/upgrades/{upgrade}`: one roll-out, ring by ring, with the hosts that need a look. Hosts are counted by the database; those
//! that are named are few.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use tidemark_model::upgrade::{
    HostStage, NextStep, RINGS, Tally, UpgradeState, hosts_at, next_step,
};
use tidemark_model::view::UpgradeView;
use tidemark_model::{Role, Timestamp};
use tidemark_store::{StoreError, Tx, Upgrade, UpgradeHost};

use super::{Frame, for_person, page as respond, words};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::api::upgrades::{upgrade_of, upgrade_view};
use crate::app::App;
use crate::incidents::text::host_name;
use crate::upgrades::{UpgradeError, releases};

/// Hosts of each stage that are named.
const NAMED_MAX: u32 = 50;
/// Stages whose hosts are named, those that need a look first. The others are as they should be, or were not there.
const NAMED: [HostStage; 8] = [
    HostStage::RolledBack,
    HostStage::Refused,
    HostStage::Overdue,
    HostStage::Switched,
    HostStage::Staged,
    HostStage::Downloading,
    HostStage::Offered,
    HostStage::Missed,
];

/// `GET /upgrades/{upgrade}`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(upgrade): Path<String>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        let mut tx = app.store.read().await?;
        let found = tx.upgrade_find(upgrade_of(&upgrade)?).await?;
        let upgrade = found.ok_or(UpgradeError::UnknownUpgrade)?;
        let tallies = tx.upgrade_tallies(upgrade.number).await?;
        let roll_out = RollOut::read(&app, &asking, &mut tx, (&upgrade, &tallies)).await?;
        drop(tx);
        Ok(respond(&UpgradePage {
            frame: Frame::new("upgrades", &asking),
            roll_out,
        }))
    };
    let shown: Answer<Response> = shown.await;
    for_person(shown)
}

#[derive(Template)]
#[template(path = "upgrade.html")]
struct UpgradePage {
    frame: Frame,
    roll_out: RollOut,
}

/// A roll-out as pages show it.
#[derive(Clone, Debug)]
pub(super) struct RollOut {
    pub(super) view: UpgradeView,
    pub(super) tone: &'static str,
    /// What people call its release; empty when that is deleted.
    pub(super) version: String,
    pub(super) soak: String,
    pub(super) started: String,
    pub(super) changed: String,
    /// Share of its hosts that have ended, 0 to 100.
    pub(super) percent: u64,
    pub(super) through: String,
    /// When the next ring begins, and in how long; `None` while none soaks.
    pub(super) soaks: Option<(i64, String, String)>,
    pub(super) stages: Vec<String>,
    pub(super) rings: Vec<RingRow>,
    /// Hosts that speak against the release.
    pub(super) failed: Option<HostTable>,
    /// Hosts that are under way, and those that were passed over.
    pub(super) others: Option<HostTable>,
    pub(super) can_pause: bool,
    pub(super) can_resume: bool,
    pub(super) can_stop: bool,
}

/// A ring as a line.
#[derive(Clone, Debug)]
pub(super) struct RingRow {
    pub(super) number: u8,
    pub(super) tone: &'static str,
    pub(super) state: &'static str,
    pub(super) hosts: String,
    /// How many hosts are at each stage, in the order of [`RollOut::stages`].
    pub(super) counts: Vec<u64>,
}

/// Hosts that are named, and how many more there are.
#[derive(Clone, Debug)]
pub(super) struct HostTable {
    pub(super) rows: Vec<HostRow>,
    pub(super) left: u64,
}

impl HostTable {
    /// `None` when there is nobody.
    fn of(rows: Vec<HostRow>, all: u64) -> Option<Self> {
        let left = all.saturating_sub(rows.len() as u64);
        (!rows.is_empty()).then_some(Self { rows, left })
    }
}

/// A host as a line.
#[derive(Clone, Debug)]
pub(super) struct HostRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ring: u8,
    pub(super) tone: &'static str,
    pub(super) stage: String,
    pub(super) since: String,
    pub(super) text: String,
    /// What it runs, and the lowest release that it may; empty when it did not say.
    pub(super) runs: String,
}

impl RollOut {
    /// # Errors
    /// When the database fails.
    pub(super) async fn read(
        app: &App,
        asking: &Asking,
        tx: &mut Tx,
        (upgrade, tallies): (&Upgrade, &[Tally]),
    ) -> Answer<Self> {
        let now = app.clock.now();
        let view = upgrade_view(upgrade, tallies);
        let all = hosts_at(tallies, |_| true);
        let ended = hosts_at(tallies, HostStage::is_final);
        let (mut failed, mut others) = (Vec::new(), Vec::new());
        for stage in NAMED {
            let found = tx.upgrade_hosts_at(upgrade.number, stage, 0..=u8::MAX, NAMED_MAX);
            for host in found.await? {
                let row = HostRow::read(app, tx, host, now).await?;
                let rows = if stage.is_failure() {
                    &mut failed
                } else {
                    &mut others
                };
                rows.push(row);
            }
        }
        let counted = |is_so: &dyn Fn(HostStage) -> bool| hosts_at(tallies, is_so);
        let failures = counted(&HostStage::is_failure);
        let named = counted(&|stage| NAMED.contains(&stage));
        let release = releases::find(tx, upgrade.release).await.ok();
        let at = |ms: i64| words::relative(Timestamp::from_unix_ms(ms), now);
        let state = upgrade.state;
        Ok(Self {
            tone: tone(state, failures),
            version: release.map_or_else(String::new, |kept| kept.manifest.version),
            soak: words::span(i64::try_from(upgrade.plan.soak_ms).unwrap_or(i64::MAX)),
            started: at(view.created_ms),
            changed: at(view.changed_ms),
            percent: ended.saturating_mul(100).checked_div(all).unwrap_or(0),
            through: format!("{} of {}", words::count(ended), words::hosts(all)),
            soaks: soaks(upgrade, tallies, now),
            stages: HostStage::ALL.iter().map(|stage| stage.words()).collect(),
            rings: rings(upgrade, tallies, now),
            failed: HostTable::of(failed, failures),
            others: HostTable::of(others, named.saturating_sub(failures)),
            can_pause: state == UpgradeState::Running && asking.may(Role::Operator),
            can_resume: matches!(state, UpgradeState::Paused | UpgradeState::Halted)
                && asking.may(Role::Admin),
            can_stop: !state.is_over() && asking.may(Role::Operator),
            view,
        })
    }

    /// Whether somebody must look at what failed before it goes on.
    pub(super) fn is_halted(&self) -> bool {
        self.view.state == UpgradeState::Halted
    }
}

impl HostRow {
    async fn read(
        app: &App,
        tx: &mut Tx,
        host: UpgradeHost,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let told = tx.upgrade_report(host.host).await?;
        let runs = told.map_or_else(String::new, |told| match (told.running, told.floor) {
            (None, 0) => "installed program".to_owned(),
            (None, floor) => format!("installed program, floor {floor}"),
            (Some(release), floor) => format!("release {release}, floor {floor}"),
        });
        Ok(Self {
            id: host.host.to_string(),
            name: host_name(app, host.host),
            ring: host.ring.saturating_add(1),
            tone: tone_of_stage(host.stage),
            stage: host.stage.words(),
            since: words::relative(host.since, now),
            text: host.text,
            runs,
        })
    }
}

/// Tone of a roll-out that stands there with so many failures.
pub(super) const fn tone(state: UpgradeState, failures: u64) -> &'static str {
    match state {
        UpgradeState::Halted => "urgent",
        UpgradeState::Running | UpgradeState::Paused => "watch",
        UpgradeState::Done | UpgradeState::Stopped if failures > 0 => "watch",
        UpgradeState::Done | UpgradeState::Stopped => "calm",
    }
}

const fn tone_of_stage(stage: HostStage) -> &'static str {
    match stage {
        HostStage::RolledBack | HostStage::Refused | HostStage::Overdue => "urgent",
        HostStage::Offered | HostStage::Downloading | HostStage::Staged | HostStage::Switched => {
            "watch"
        }
        HostStage::Missed => "unknown",
        HostStage::Waiting | HostStage::Healthy | HostStage::Left => "calm",
    }
}

/// When the next ring begins, while one soaks.
fn soaks(upgrade: &Upgrade, tallies: &[Tally], now: Timestamp) -> Option<(i64, String, String)> {
    match next_of(upgrade, tallies, now)? {
        NextStep::Soak { ring, until } => {
            let number = ring.saturating_add(1);
            let left = format!("ring {number} begins {}", words::relative(until, now));
            Some((until.unix_ms(), words::instant(until, now), left))
        }
        NextStep::Ring(_) | NextStep::Halt { .. } | NextStep::Done => None,
    }
}

/// What is next for a roll-out that goes on by itself.
fn next_of(upgrade: &Upgrade, tallies: &[Tally], now: Timestamp) -> Option<NextStep> {
    let goes_on = upgrade.state == UpgradeState::Running;
    goes_on.then(|| next_step(&upgrade.plan, tallies, upgrade.forgiven, now))
}

fn rings(upgrade: &Upgrade, tallies: &[Tally], now: Timestamp) -> Vec<RingRow> {
    let next = next_of(upgrade, tallies, now);
    let rings = (0..RINGS).filter_map(|ring| u8::try_from(ring).ok());
    rings
        .filter_map(|ring| {
            let of_ring = tallies.iter().filter(|tally| tally.ring == ring);
            let of_ring: Vec<Tally> = of_ring.copied().collect();
            let all = hosts_at(&of_ring, |_| true);
            let is_over = hosts_at(&of_ring, HostStage::is_final) == all;
            let failures = hosts_at(&of_ring, HostStage::is_failure);
            let has_begun = hosts_at(&of_ring, |stage| stage != HostStage::Waiting) > 0;
            let (tone, state) = match next {
                _ if failures > 0 => ("urgent", "with failures"),
                _ if is_over => ("calm", "ended"),
                Some(NextStep::Ring(open)) if open == ring => ("watch", "open"),
                Some(NextStep::Soak { ring: next, .. }) if next == ring => ("calm", "soaks before"),
                _ if has_begun => ("watch", "has begun"),
                _ => ("calm", "not begun"),
            };
            let counts = HostStage::ALL.iter();
            (all > 0).then(|| RingRow {
                number: ring.saturating_add(1),
                tone,
                state,
                hosts: words::count(all),
                counts: counts
                    .map(|stage| hosts_at(&of_ring, |one| one == *stage))
                    .collect(),
            })
        })
        .collect()
}
