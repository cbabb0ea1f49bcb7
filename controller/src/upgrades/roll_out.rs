//! Roll-outs as people start, pause and stop them.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::upgrade::{
    FAILURES_MAX, HostStage, SOAK_MAX, SOAK_SHIPPED, UpgradePlan, UpgradeState, WAIT_SHIPPED,
    hosts_at, rings_of,
};
use tidemark_model::view::UpgradeRequest;
use tidemark_model::{HostScope, HostState, Timestamp};
use tidemark_store::{Tx, Upgrade, UpgradeHost};

use super::UpgradeError;
use super::releases::{Kept, find};
use crate::app::App;
use crate::incidents::text::clean;

/// Roll-outs that are kept.
pub const UPGRADES_MAX: u32 = 50;

/// What somebody wants of a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// No host begins any more; it can go on.
    Pause,
    /// It goes on, and what failed until then is forgiven.
    Resume,
    /// No host begins any more, for good.
    Stop,
}

/// What a roll-out would be.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Of which release.
    pub release: Kept,
    /// How.
    pub plan: UpgradePlan,
    /// Which hosts were asked for.
    pub scope: HostScope,
    /// Those that are enrolled, in the order of their turns.
    pub hosts: Vec<UpgradeHost>,
}

impl Prepared {
    /// Stands for the release and its hosts, so that what was looked at can be told from what it became since.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.release.record.signed.digest().as_bytes());
        for host in &self.hosts {
            hasher.update(host.host.to_string());
        }
        HEXLOWER.encode(&hasher.finalize())
    }
}

/// Looks at what a roll-out would be; nothing is started.
///
/// # Errors
/// Everything that is wrong with it, or why the release cannot be rolled out.
pub async fn prepare(
    app: &App,
    tx: &mut Tx,
    wanted: &UpgradeRequest,
) -> Result<Prepared, UpgradeError> {
    let (plan, scope) = checked(wanted)?;
    if let Some(open) = tx.upgrades_open().await?.first() {
        return Err(UpgradeError::Another(open.number));
    }
    let release = installable(tx, wanted.release, app.clock.now()).await?;
    let hosts = hosts_in_rings(app, &scope)?;
    Ok(Prepared {
        release,
        plan,
        scope,
        hosts,
    })
}

/// Starts a roll-out in the name of `by`; its number. With the fingerprint of what somebody `looked_at`, exactly that.
///
/// # Errors
/// Everything that is wrong with it, or why the release cannot be rolled out.
pub async fn start(
    app: &App,
    wanted: &UpgradeRequest,
    by: &str,
    looked_at: Option<&str>,
) -> Result<i64, UpgradeError> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let prepared = prepare(app, &mut tx, wanted).await?;
    if looked_at.is_some_and(|seen| seen != prepared.fingerprint()) {
        return Err(UpgradeError::Changed);
    }
    let Prepared {
        release,
        plan,
        scope,
        hosts,
    } = prepared;
    let upgrade = Upgrade {
        number: 0,
        release: wanted.release,
        manifest: release.record.signed.digest(),
        hosts: scope.to_string(),
        plan,
        state: UpgradeState::Running,
        forgiven: 0,
        note: "its first ring is open".to_owned(),
        generation: 1,
        created_at: now,
        created_by: clean(by),
        changed_at: now,
    };
    let number = tx.upgrade_insert(&upgrade, &hosts).await?;
    tx.upgrades_delete_through(number.saturating_sub(UPGRADES_MAX.into()))
        .await?;
    app.record(Deed::UpgradeStart, "upgrades", number)
        .with("release", wanted.release)
        .with("hosts", &upgrade.hosts)
        .with("host_count", hosts.len())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    app.note(
        None,
        NoticeKind::Upgrade,
        format!(
            "roll-out {number} of release {} ({}) began on {} hosts",
            wanted.release,
            release.manifest.version,
            hosts.len()
        ),
    );
    app.upgrades.changed.notify_one();
    Ok(number)
}

/// A release of which every file is there, and that may be installed still.
async fn installable(tx: &mut Tx, release: u32, now: Timestamp) -> Result<Kept, UpgradeError> {
    let found = find(tx, release).await?;
    if found.manifest.expires_at_ms <= now {
        return Err(UpgradeError::Expired(release));
    }
    match found.missing() {
        0 => Ok(found),
        missing => Err(UpgradeError::NotWhole { release, missing }),
    }
}

/// The enrolled hosts that a scope takes, in the order of their turns.
fn hosts_in_rings(app: &App, scope: &HostScope) -> Result<Vec<UpgradeHost>, UpgradeError> {
    let now = app.clock.now();
    let is_enrolled = |host: &_| {
        let standing = app.live.read(*host, |live| live.profile.standing);
        standing == Some(HostState::Enrolled)
    };
    let rings = rings_of(app.live.ids_within(scope).into_iter().filter(is_enrolled));
    if rings.is_empty() {
        return Err(UpgradeError::Limits(vec![format!(
            "hosts: {scope} takes none that is enrolled"
        )]));
    }
    let waiting = |(host, ring)| UpgradeHost {
        host,
        ring,
        stage: HostStage::Waiting,
        since: now,
        text: String::new(),
    };
    Ok(rings.into_iter().map(waiting).collect())
}

fn checked(wanted: &UpgradeRequest) -> Result<(UpgradePlan, HostScope), UpgradeError> {
    let mut problems = Vec::new();
    let scope = HostScope::from_text(wanted.hosts.as_deref());
    if let Err(error) = &scope {
        problems.push(format!("hosts: {error}"));
    }
    let mut span = |field: &str, seconds: Option<u64>, shipped: Duration| {
        let span = seconds.map_or(shipped, Duration::from_secs);
        if span > SOAK_MAX {
            let most = SOAK_MAX.as_secs();
            problems.push(format!("{field} is {}; write 0 to {most}", span.as_secs()));
        }
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    };
    let soak_ms = span("soak_s", wanted.soak_s, SOAK_SHIPPED);
    let wait_ms = span("wait_s", wanted.wait_s, WAIT_SHIPPED);
    let failures_max = wanted.failures_max.unwrap_or(0);
    if failures_max > FAILURES_MAX {
        problems.push(format!(
            "failures_max is {failures_max}; write 0 to {FAILURES_MAX}"
        ));
    }
    match scope {
        Ok(scope) if problems.is_empty() => {
            let plan = UpgradePlan {
                soak_ms,
                failures_max,
                wait_ms,
            };
            Ok((plan, scope))
        }
        Ok(_) | Err(_) => Err(UpgradeError::Limits(problems)),
    }
}

/// Pauses a roll-out, has it go on, or stops it.
///
/// # Errors
/// When there is none, or it stands elsewhere.
pub async fn say(app: &App, number: i64, word: Word) -> Result<(), UpgradeError> {
    let mut tx = app.store.begin().await?;
    let found = tx.upgrade_find(number).await?;
    let mut upgrade = found.ok_or(UpgradeError::UnknownUpgrade)?;
    let (deed, name) = match word {
        Word::Pause => (Deed::UpgradePause, "paused"),
        Word::Resume => (Deed::UpgradeResume, "resumed"),
        Word::Stop => (Deed::UpgradeStop, "stopped"),
    };
    let state = match (word, upgrade.state) {
        (Word::Pause, UpgradeState::Running) => UpgradeState::Paused,
        (Word::Resume, UpgradeState::Paused | UpgradeState::Halted) => UpgradeState::Running,
        (Word::Stop, state) if !state.is_over() => UpgradeState::Stopped,
        (Word::Pause | Word::Resume | Word::Stop, state) => {
            return Err(UpgradeError::State {
                state: state.as_str(),
                deed: name,
            });
        }
    };
    let now = app.clock.now();
    if word == Word::Resume {
        let failed = hosts_at(&tx.upgrade_tallies(number).await?, HostStage::is_failure);
        upgrade.forgiven = u32::try_from(failed).unwrap_or(u32::MAX);
    }
    if word == Word::Stop {
        // Those that have begun go on by themselves.
        let left = (HostStage::Waiting, HostStage::Left);
        tx.upgrade_hosts_move(number, left, (now, "the roll-out was stopped"))
            .await?;
    }
    upgrade.state = state;
    upgrade.note = format!("{name} by hand");
    upgrade.changed_at = now;
    tx.upgrade_update(&upgrade).await?;
    app.record(deed, "upgrades", number).keep(&mut tx).await?;
    tx.commit().await?;
    app.note(
        None,
        NoticeKind::Upgrade,
        format!("roll-out {number} was {name}"),
    );
    app.upgrades.changed.notify_one();
    Ok(())
}
