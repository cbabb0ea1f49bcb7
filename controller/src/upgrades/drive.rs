//! Takes roll-outs further: offers the release to the hosts whose turn it is, gives up on those that say nothing, and halts when too
//! many fail. Idempotent; of several controllers each offers to the hosts that are connected to it, and the leader does the rest.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::audit_log::Deed;
use tidemark_model::duration::format_duration;
use tidemark_model::notice::NoticeKind;
use tidemark_model::release::SignedManifest;
use tidemark_model::upgrade::{
    HostStage, NextStep, Tally, UpgradeState, hosts_at, next_step, ring_begins,
};
use tidemark_model::{HostId, SessionId, Timestamp};
use tidemark_proto::convert::upgrade::offer_to_wire;
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_store::{Backend, StoreError, Term, Tx, Upgrade, UpgradeHost};

use super::releases;
use crate::app::App;
use crate::gateway::outcome::chain;
use crate::remediate::lanes::Way;

/// Between two looks when nothing wakes it.
const PERIOD: Duration = Duration::from_secs(2);
/// For how long after its last sample a host may still be connected to another controller: twice the longest interval that agents
/// sample at, 300 s.
const ELSEWHERE_FOR: Duration = Duration::from_secs(600);
/// Hosts that download at once.
const DOWNLOADS_MAX: u64 = 8;

/// Takes roll-outs further.
pub struct UpgradeDriver {
    app: Arc<App>,
    /// Over which session each host was offered the release last.
    offered: HashMap<HostId, SessionId>,
    /// How the open ones stood when live views were last told, and in which minute: pages say how long a soak lasts still.
    announced: (Vec<(Upgrade, Vec<Tally>)>, i64),
}

impl UpgradeDriver {
    /// One that has offered nothing yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            offered: HashMap::new(),
            announced: (Vec::new(), 0),
        }
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        loop {
            match self.activate().await {
                Ok(open) => self.app.metrics.upgrades_open.set(open),
                // Another controller or a person was quicker, or another one leads; it is looked at again.
                Err(StoreError::Stale { .. } | StoreError::Fenced { .. }) => {}
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "roll-outs cannot be taken further; it is tried again"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.app.upgrades.changed.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Takes each roll-out one step further; how many are not over.
    ///
    /// # Errors
    /// What the database says; what was stored stays stored.
    pub async fn activate(&mut self) -> Result<u64, StoreError> {
        let app = Arc::clone(&self.app);
        let open = app.store.read().await?.upgrades_open().await?;
        let mut seen = Vec::with_capacity(open.len());
        let term = app.leader.term();
        for upgrade in open {
            if let Some(term) = &term {
                self.give_up_silent(&upgrade, term).await?;
            }
            let mut tx = app.store.read().await?;
            let tallies = tx.upgrade_tallies(upgrade.number).await?;
            drop(tx);
            seen.push((upgrade.clone(), tallies.clone()));
            self.step(upgrade, &tallies, term.as_ref()).await?;
        }
        let count = seen.len() as u64;
        // Whichever controller moved a host: those who look here are told by this one.
        let minute = if seen.is_empty() {
            0
        } else {
            app.clock.now().unix_ms() / 60_000
        };
        let seen = (seen, minute);
        if seen != self.announced {
            app.live.announce_upgrades();
            self.announced = seen;
        }
        Ok(count)
    }

    /// No host stays at a stage for ever.
    async fn give_up_silent(&self, upgrade: &Upgrade, term: &Term) -> Result<(), StoreError> {
        let now = self.app.clock.now();
        for stage in HostStage::UNDER_WAY {
            let Some(limit) = stage.deadline() else {
                continue;
            };
            let text = format!(
                "{} for more than {}",
                stage.as_str(),
                format_duration(limit)
            );
            for host in self.hosts_at(upgrade, stage, 0..=u8::MAX).await? {
                if host.since.saturating_add(limit) <= now {
                    let tx = self.app.begin_in(term).await?;
                    self.become_stage(tx, (upgrade, &host), HostStage::Overdue, text.clone())
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn hosts_at(
        &self,
        upgrade: &Upgrade,
        stage: HostStage,
        rings: RangeInclusive<u8>,
    ) -> Result<Vec<UpgradeHost>, StoreError> {
        let mut tx = self.app.store.read().await?;
        tx.upgrade_hosts_at(upgrade.number, stage, rings, u32::MAX)
            .await
    }

    async fn step(
        &mut self,
        upgrade: Upgrade,
        tallies: &[Tally],
        term: Option<&Term>,
    ) -> Result<(), StoreError> {
        if upgrade.state != UpgradeState::Running {
            return Ok(());
        }
        let now = self.app.clock.now();
        let next = next_step(&upgrade.plan, tallies, upgrade.forgiven, now);
        if let NextStep::Ring(ring) = next {
            self.offer_to_ring((&upgrade, ring), tallies, term).await?;
        }
        // How the whole stands is the leader's to say.
        let Some(term) = term else {
            return Ok(());
        };
        match next {
            NextStep::Ring(ring) => {
                let note = format!("ring {} is open", ring.saturating_add(1));
                self.say(upgrade, note, term).await
            }
            NextStep::Soak { ring, .. } => {
                let note = format!("ring {ring} has ended and soaks");
                self.say(upgrade, note, term).await
            }
            NextStep::Halt { failures } => {
                let note = format!(
                    "{failures} failed, and {} may; look at them, then resume or stop it",
                    upgrade.plan.failures_max
                );
                self.app.metrics.upgrades_halted.add(1);
                self.end(upgrade, (UpgradeState::Halted, note), term).await
            }
            NextStep::Done => {
                let healthy = hosts_at(tallies, |stage| stage == HostStage::Healthy);
                let all = hosts_at(tallies, |_| true);
                let note = format!("{healthy} of {all} hosts run it");
                self.end(upgrade, (UpgradeState::Done, note), term).await
            }
        }
    }

    async fn offer_to_ring(
        &mut self,
        (upgrade, ring): (&Upgrade, u8),
        tallies: &[Tally],
        term: Option<&Term>,
    ) -> Result<(), StoreError> {
        let found = {
            let mut tx = self.app.store.read().await?;
            releases::find(&mut tx, upgrade.release).await
        };
        // It cannot be deleted while this roll-out is open.
        let Ok(release) = found else {
            return Ok(());
        };
        let signed = &release.record.signed;
        let busy = hosts_at(tallies, HostStage::takes_a_place);
        for stage in HostStage::UNDER_WAY {
            if busy > 0 && stage.takes_a_place() {
                for host in self.hosts_at(upgrade, stage, ring..=ring).await? {
                    self.offer_again(host.host, signed);
                }
            }
        }
        let mut places = DOWNLOADS_MAX.saturating_sub(busy);
        if places == 0 {
            return Ok(());
        }
        let opened_at = ring_begins(&upgrade.plan, tallies, ring).unwrap_or(upgrade.created_at);
        for host in self
            .hosts_at(upgrade, HostStage::Waiting, ring..=ring)
            .await?
        {
            let offer = (signed, opened_at);
            if places > 0 && self.offer_to((upgrade, &host), offer, term).await? {
                places = places.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// A host that came back since may have lost what it was offered.
    fn offer_again(&mut self, host: HostId, signed: &SignedManifest) {
        let session = self.app.remediation.lanes.session_of(host);
        let is_new = session.is_some() && self.offered.get(&host) != session.as_ref();
        if is_new && self.app.upgrades.told(host).is_some() {
            self.send(host, signed);
        }
    }

    /// Offers the release to a host that waits; whether it takes a place from now on.
    async fn offer_to(
        &mut self,
        (upgrade, host): (&Upgrade, &UpgradeHost),
        (signed, opened_at): (&SignedManifest, Timestamp),
        term: Option<&Term>,
    ) -> Result<bool, StoreError> {
        let told = self.app.upgrades.told(host.host);
        if let Some(why) = told.as_ref().and_then(|told| told.unable.clone()) {
            let tx = self.app.store.begin().await?;
            self.become_stage(tx, (upgrade, host), HostStage::Missed, why)
                .await?;
            return Ok(false);
        }
        if told.is_some() && self.send(host.host, signed) {
            let tx = self.app.store.begin().await?;
            self.become_stage(tx, (upgrade, host), HostStage::Offered, String::new())
                .await?;
            return Ok(true);
        }
        let wait = Duration::from_millis(upgrade.plan.wait_ms);
        let is_here = self.app.remediation.lanes.session_of(host.host).is_some();
        let is_over = opened_at.saturating_add(wait) <= self.app.clock.now();
        if is_over && is_here {
            let why = "its agent knows nothing of releases; upgrade it by its package";
            let tx = self.app.store.begin().await?;
            self.become_stage(tx, (upgrade, host), HostStage::Missed, why.to_owned())
                .await?;
        } else if let Some(term) = term.filter(|_| is_over)
            && !self.may_be_elsewhere(host.host).await?
        {
            let why = "it was not connected";
            let tx = self.app.begin_in(term).await?;
            self.become_stage(tx, (upgrade, host), HostStage::Missed, why.to_owned())
                .await?;
        }
        Ok(false)
    }

    /// Whether a host that is not connected here may be at another controller, which then says what becomes of it.
    async fn may_be_elsewhere(&self, host: HostId) -> Result<bool, StoreError> {
        if self.app.store.backend() == Backend::Sqlite {
            return Ok(false);
        }
        let found = self.app.store.read().await?.host_find(host).await?;
        let seen = found.and_then(|found| found.last_seen_at);
        let now = self.app.clock.now();
        Ok(seen.is_some_and(|seen| seen.saturating_add(ELSEWHERE_FOR) > now))
    }

    fn send(&mut self, host: HostId, signed: &SignedManifest) -> bool {
        let Way::Free(session, permit) = self.app.remediation.lanes.way_to(host) else {
            return false;
        };
        permit.send(Kind::UpgradeOffer(offer_to_wire(signed)));
        self.offered.insert(host, session);
        true
    }

    /// Keeps that a host is at another stage, unless it went on by itself meanwhile.
    async fn become_stage(
        &self,
        mut tx: Tx,
        (upgrade, host): (&Upgrade, &UpgradeHost),
        stage: HostStage,
        text: String,
    ) -> Result<(), StoreError> {
        let before = host.stage;
        let after = UpgradeHost {
            stage,
            since: self.app.clock.now(),
            text,
            ..host.clone()
        };
        if tx
            .upgrade_host_update(upgrade.number, before, &after)
            .await?
        {
            tx.commit().await?;
        }
        Ok(())
    }

    /// Keeps what people are told of where it stands.
    async fn say(&self, mut upgrade: Upgrade, note: String, term: &Term) -> Result<(), StoreError> {
        if upgrade.note == note {
            return Ok(());
        }
        upgrade.note = note;
        upgrade.changed_at = self.app.clock.now();
        let mut tx = self.app.begin_in(term).await?;
        tx.upgrade_update(&upgrade).await?;
        tx.commit().await
    }

    async fn end(
        &self,
        mut upgrade: Upgrade,
        (state, note): (UpgradeState, String),
        term: &Term,
    ) -> Result<(), StoreError> {
        upgrade.state = state;
        upgrade.note = note;
        upgrade.changed_at = self.app.clock.now();
        let mut tx = self.app.begin_in(term).await?;
        tx.upgrade_update(&upgrade).await?;
        self.app
            .record(Deed::UpgradeStep, "upgrades", upgrade.number)
            .with("state", state.as_str())
            .with("note", &upgrade.note)
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        self.app.note(
            None,
            NoticeKind::Upgrade,
            format!(
                "roll-out {} of release {} is {}: {}",
                upgrade.number,
                upgrade.release,
                state.as_str(),
                upgrade.note
            ),
        );
        Ok(())
    }
}
