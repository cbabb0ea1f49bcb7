//! One host's live state and how lists and pages show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_detect::{DetectorSettings, SampleReadings, SpaceDetector};
use tidemark_model::delivery::{GapReason, SpoolCounts};
use tidemark_model::forecast::Forecast;
use tidemark_model::host::{CapabilityReport, capabilities_on, seen_without_reservation};
use tidemark_model::port::OWN_NAMESPACE;
use tidemark_model::silence::Labels;
use tidemark_model::view::{CapabilityView, DeliveryView, HostDetail, HostView};
use tidemark_model::window::Survival;
use tidemark_model::{HostId, HostState, PortSpaceKey, Protocol, Sample, Timestamp};

use tidemark_store::Cursor;

use super::SessionClaim;
use super::facts::KnownFacts;
use super::lately::Lately;
use super::space::{Level, SpaceLive};
use crate::diagnosis::HandleMedians;
use crate::incidents::text::clean;
use crate::maintain::Agenda;

/// A connected host is stale when its newest sample is older than this many of its own intervals.
const STALE_INTERVALS: i64 = 3;

/// But never before this, in milliseconds: a controller's group commit and a slow link take their time.
const STALE_AFTER_MS_MIN: i64 = 10_000;

/// What is stored of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostProfile {
    /// Its id.
    pub id: HostId,
    /// Its name; hostile text.
    pub name: Arc<str>,
    /// Its operating system.
    pub os: Arc<str>,
    /// Version of its agent.
    pub agent_version: Arc<str>,
    /// Identity of its boot, as its agent told it last. Hostile text.
    pub boot_id: Arc<str>,
    /// IANA name of its time zone; `None` while nobody knows. Hostile text.
    pub time_zone: Option<Arc<str>>,
    /// What its agent can see.
    pub capabilities: Vec<CapabilityReport>,
    /// Labels from its agent's configuration, and over them those that the controller holds.
    pub labels: Labels,
    /// Those of its agent's configuration alone.
    pub own_labels: Labels,
    /// Those that the controller holds alone: what the host cannot choose. Scopes look at these.
    pub controller_labels: Labels,
    /// Counts changes of those that the controller holds.
    pub labels_generation: u64,
    /// Standing of its identity.
    pub standing: HostState,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When its certificate ends.
    pub certificate_expires_at: Option<Timestamp>,
}

impl HostProfile {
    /// Keeps what is newer by `known`, the labels that the controller holds and that the host is shut out: what was read before a
    /// change may come in after it. Nobody is let in again once shut out.
    pub(super) fn keep_newer(&mut self, known: &Self) {
        if known.standing == HostState::Revoked {
            self.standing = HostState::Revoked;
        }
        if known.labels_generation > self.labels_generation {
            self.labels_generation = known.labels_generation;
            self.controller_labels.clone_from(&known.controller_labels);
            self.labels = shown_labels(&self.own_labels, &self.controller_labels);
        }
    }
}

/// The labels that are shown of a host: an agent cannot take one that the controller holds for itself.
#[must_use]
pub fn shown_labels(own: &Labels, controller: &Labels) -> Labels {
    let mut labels = own.clone();
    labels.extend(controller.clone());
    labels
}

/// What became of a host's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Durable here.
    pub stored: u64,
    /// Lost for good, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Came again.
    pub duplicates: u64,
    /// What the agent said of its spool.
    pub spool: Option<SpoolCounts>,
}

/// One host at this moment.
#[derive(Debug)]
pub struct HostLive {
    /// What is stored of it.
    pub profile: HostProfile,
    /// Its open session, if that is here.
    pub session: Option<SessionClaim>,
    /// When the last session here began, by this controller's clock.
    pub opened_at: Option<Timestamp>,
    /// Its session at another controller, as that one told last.
    pub elsewhere: Option<Elsewhere>,
    /// When the controller last heard from it.
    pub last_seen: Option<Timestamp>,
    /// Its clock less the controller's, in milliseconds.
    pub clock_skew_ms: Option<i64>,
    /// Its newest sample and when that was taken, on the controller's clock.
    pub newest: Option<(Timestamp, Arc<Sample>)>,
    /// Its port spaces.
    pub spaces: BTreeMap<PortSpaceKey, SpaceLive>,
    /// What became of its records.
    pub delivery: Delivery,
    /// What the rules may need beside the newest sample.
    pub lately: Lately,
    /// Ports that its system refused since the newest sample.
    pub refusals: Refusals,
    /// Ports that its system refused since this controller started, as it was told here.
    pub refused: Refusals,
    /// What handles its processes usually have, as far as a rule asked.
    pub handle_medians: HandleMedians,
    /// What its audits say that other hosts may share.
    pub facts: KnownFacts,
    /// When it is in maintenance.
    pub agenda: Agenda,
}

/// A host's session at another controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The controller, by the name under which it may lead.
    pub controller: Arc<str>,
    /// The session, as that controller names it.
    pub session: Box<str>,
    /// Whether its agent takes actions, where that was told.
    pub takes_actions: Option<bool>,
    /// Ports that were refused since that controller started.
    pub refused: Refusals,
}

/// How often a host's system said that no port was to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusals {
    tcp: u32,
    udp: u32,
}

impl Refusals {
    /// Adds `times` of that protocol.
    pub const fn add(&mut self, protocol: Protocol, times: u32) {
        let sum = match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
        };
        *sum = sum.saturating_add(times);
    }

    /// Those of a protocol.
    #[must_use]
    pub const fn of(self, protocol: Protocol) -> u32 {
        match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
        }
    }

    /// Adds what a count has grown by.
    pub const fn add_since(&mut self, count: Self, before: Self) {
        self.add(Protocol::Tcp, count.tcp.saturating_sub(before.tcp));
        self.add(Protocol::Udp, count.udp.saturating_sub(before.udp));
    }
}

impl HostLive {
    /// A host that has said nothing yet.
    #[must_use]
    pub fn new(profile: HostProfile) -> Self {
        Self {
            profile,
            session: None,
            opened_at: None,
            elsewhere: None,
            last_seen: None,
            clock_skew_ms: None,
            newest: None,
            spaces: BTreeMap::new(),
            delivery: Delivery {
                stored: 0,
                dropped: BTreeMap::new(),
                duplicates: 0,
                spool: None,
            },
            lately: Lately::default(),
            refusals: Refusals::default(),
            refused: Refusals::default(),
            handle_medians: HandleMedians::default(),
            facts: KnownFacts::default(),
            agenda: Agenda::default(),
        }
    }

    /// `online`, `stale`, `offline`, `quarantined` or `revoked`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.profile.standing {
            HostState::Quarantined => "quarantined",
            HostState::Revoked => "revoked",
            HostState::Enrolled if !self.is_connected() => "offline",
            HostState::Enrolled if self.is_stale(now) => "stale",
            HostState::Enrolled => "online",
        }
    }

    /// Whether its agent is connected, to this controller or to another one.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.session.is_some() || self.elsewhere.is_some()
    }

    /// When its newest sample was taken, on the controller's clock, be it known from its stored history alone.
    #[must_use]
    pub fn sampled_at(&self) -> Option<Timestamp> {
        let newest = self.newest.as_ref().map(|(at, _)| *at);
        let levels = self.spaces.values().map(|space| space.level.at);
        newest.or_else(|| levels.max())
    }

    /// Ends its session here, if there is one; its agent comes back by itself.
    pub fn end_session(&mut self) {
        if let Some(claim) = self.session.take() {
            claim.stop.cancel();
        }
    }

    /// The other controller that its agent is connected to.
    fn elsewhere_name(&self) -> Option<String> {
        let elsewhere = self.elsewhere.as_ref();
        elsewhere.map(|elsewhere| elsewhere.controller.to_string())
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        match &self.newest {
            Some((at, sample)) => {
                let patience = i64::from(sample.interval_ms).saturating_mul(STALE_INTERVALS);
                now.ms_since(*at) > patience.max(STALE_AFTER_MS_MIN)
            }
            // Connected, and its first sample is still to come: nothing is stale yet.
            None => false,
        }
    }

    /// Lets the detectors see a sample; says which port spaces' forecasts took another road.
    pub fn observe(
        &mut self,
        at: Timestamp,
        sample: &Sample,
        refusals: Refusals,
    ) -> Vec<(PortSpaceKey, Forecast)> {
        let settings = self.detector_settings();
        let mut changed = Vec::new();
        for space in &sample.port_spaces {
            let level = Level::of_sample(at, space);
            let live = self
                .spaces
                .entry(space.key.clone())
                .or_insert_with(|| SpaceLive::new(level, SpaceDetector::new(settings)));
            let readings = SampleReadings::new(sample, space);
            // The system's events name the protocol's pool, which is the host's own namespace.
            let events = if &*space.key.namespace == OWN_NAMESPACE {
                refusals.of(space.key.protocol)
            } else {
                0
            };
            if live.observe(at, &readings, level, events) {
                changed.push((space.key.clone(), live.forecast.clone()));
            }
        }
        changed
    }

    /// What the detectors must know of this host's system.
    #[must_use]
    pub fn detector_settings(&self) -> DetectorSettings {
        if self.profile.os.starts_with("Windows") {
            DetectorSettings::windows()
        } else {
            DetectorSettings::linux()
        }
    }

    /// Whatever is known of it that other hosts may share: its [`own_attributes`](Self::own_attributes) and its facts.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.own_attributes();
        let facts = self.facts.attributes();
        attributes.extend(facts.map(|(name, value)| (name.to_owned(), value.to_owned())));
        attributes
    }

    /// What it says of itself beside its audits: `os`, `agent_version`, `label:KEY`, and `image:NAME` with the path of each
    /// process of the newest sample.
    #[must_use]
    pub fn own_attributes(&self) -> BTreeMap<String, String> {
        let profile = &self.profile;
        let mut attributes = BTreeMap::from([
            ("os".to_owned(), profile.os.to_string()),
            (
                "agent_version".to_owned(),
                profile.agent_version.to_string(),
            ),
        ]);
        for (key, value) in &profile.labels {
            attributes.insert(format!("label:{key}"), value.clone());
        }
        let samples = self
            .newest
            .iter()
            .flat_map(|(_, sample)| &sample.port_spaces);
        for owner in samples.flat_map(|space| &space.owners) {
            if let Some(path) = &owner.process.executable {
                attributes.insert(format!("image:{}", owner.process.name), path.to_string());
            }
        }
        attributes
    }

    /// As lists show it.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> HostView {
        HostView {
            id: self.profile.id.to_string(),
            name: self.profile.name.to_string(),
            os: self.profile.os.to_string(),
            state: self.state(now).to_owned(),
            last_seen_ms: self.last_seen.map(Timestamp::unix_ms),
            sampled_ms: self.sampled_at().map(Timestamp::unix_ms),
            agent_version: self.profile.agent_version.to_string(),
            labels: self.profile.labels.clone(),
            port_spaces: self
                .spaces
                .iter()
                .map(|(key, space)| space.view(key))
                .collect(),
            time_zone: self.profile.time_zone.as_deref().map(str::to_owned),
            window: self
                .agenda
                .standing(now)
                .map(|(entry, at)| entry.view(at, now, self.survival(at.deadline(now)))),
            windows_without_zone: self.agenda.without_zone().map(str::to_owned).collect(),
        }
    }

    /// Whether its ports last until `deadline`; `None` while nothing is known of them.
    #[must_use]
    pub fn survival(&self, deadline: Timestamp) -> Option<Survival> {
        let of_space = |space: &SpaceLive| {
            let forecast = &space.forecast;
            let eta = forecast.eta;
            let is_known = eta.is_some() || forecast.floor_ports_per_hour.is_some();
            is_known.then(|| {
                Survival::until(deadline, eta.map(|eta| eta.at), eta.map(|eta| eta.earliest))
            })
        };
        Survival::worst(self.spaces.values().map(of_space))
    }

    /// The labels that windows choose it by: its own, `host` and `host_id`.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let mut labels = self.profile.labels.clone();
        labels.insert("host".to_owned(), clean(&self.profile.name));
        labels.insert("host_id".to_owned(), self.profile.id.to_string());
        labels
    }

    /// Everything there is to say of it.
    #[must_use]
    pub fn detail(&self, now: Timestamp) -> HostDetail {
        let sample = self.newest.as_ref().map(|(_, sample)| sample);
        HostDetail {
            host: self.view(now),
            controller_labels: self.profile.controller_labels.clone(),
            labels_version: self.profile.labels_generation,
            enrolled_ms: self.profile.enrolled_at.unix_ms(),
            booted_ms: sample.map(|sample| sample.booted_at.unix_ms()),
            clock_skew_ms: self.clock_skew_ms,
            capabilities: seen_without_reservation(&self.profile.capabilities)
                .into_iter()
                .map(|capability| capability.as_str().to_owned())
                .collect(),
            capability_reports: capabilities_on(&self.profile.os, &self.profile.capabilities)
                .iter()
                .map(CapabilityView::of)
                .collect(),
            certificate_expires_ms: self.profile.certificate_expires_at.map(Timestamp::unix_ms),
            controller: self.elsewhere_name(),
            delivery: self.delivery.view(),
            sample: sample.map(|sample| Sample::clone(sample)),
        }
    }
}

impl Delivery {
    /// What the store knows of it.
    #[must_use]
    pub fn of_cursor(cursor: &Cursor) -> Self {
        Self {
            stored: cursor.stored,
            dropped: cursor
                .dropped
                .iter()
                .map(|(reason, records)| (reason.as_str(), *records))
                .collect(),
            duplicates: cursor.duplicates,
            spool: None,
        }
    }

    /// As the API shows it.
    #[must_use]
    pub fn view(&self) -> DeliveryView {
        DeliveryView {
            stored: self.stored,
            dropped: self
                .dropped
                .iter()
                .map(|(reason, records)| ((*reason).to_owned(), *records))
                .collect(),
            duplicates: self.duplicates,
            in_spool: self.spool.map(|counts| counts.held),
            in_spool_bytes: self.spool.map(|counts| counts.held_bytes),
        }
    }

    /// What another controller shows of it. Reasons that this release does not know are left out.
    #[must_use]
    pub fn of_view(view: &DeliveryView) -> Self {
        let reason = |name: &str| {
            let mut all = GapReason::ALL.iter();
            all.find(|reason| reason.as_str() == name)
        };
        let dropped = view.dropped.iter();
        Self {
            stored: view.stored,
            dropped: dropped
                .filter_map(|(name, records)| Some((reason(name)?.as_str(), *records)))
                .collect(),
            duplicates: view.duplicates,
            spool: view.in_spool.map(|held| SpoolCounts {
                held,
                held_bytes: view.in_spool_bytes.unwrap_or_default(),
                ..SpoolCounts::default()
            }),
        }
    }

    /// Adds another host's.
    pub fn add(&mut self, other: &Self) {
        self.stored = self.stored.saturating_add(other.stored);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        for (reason, records) in &other.dropped {
            let sum = self.dropped.entry(reason).or_default();
            *sum = sum.saturating_add(*records);
        }
        if let Some(other) = other.spool {
            let sum = self.spool.get_or_insert_default();
            sum.held = sum.held.saturating_add(other.held);
            sum.held_bytes = sum.held_bytes.saturating_add(other.held_bytes);
        }
    }
}
