//! A controller with hosts that are made up: enrolled in the store, connected, and sampled through the real ingest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidemark_controller::access::Holder;
use tidemark_controller::access::oidc::OidcSettings;
use tidemark_controller::app::App;
use tidemark_controller::app::identities::profile_of;
use tidemark_controller::audit_log::AuditLogRules;
use tidemark_controller::boot::{self, DataFolder, Started};
use tidemark_controller::ingest::{Delivered, OpenLane};
use tidemark_controller::live::SessionClaim;
use tidemark_controller::notify::NotifySettings;
use tidemark_controller::remediate::RemediationRules;
use tidemark_controller::settings::{Settings, WebSettings};
use tidemark_history::compact::Retention;
use tidemark_model::host::CapabilityReport;
use tidemark_model::incident::IncidentRules;
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, OwnerCounts, OwnerSample,
    PortSpaceSample, ProcessIdentity, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{
    Epoch, HostFacts, HostId, HostScope, PortRange, PortSpaceKey, Protocol, Role, Sample, Seq,
    SessionId, Timestamp,
};
use tidemark_proto::convert::record::{DecodedBatch, Record};
use tidemark_runtime::Lifecycle;
use tidemark_runtime::telemetry::TelemetrySettings;
use tidemark_store::{DatabaseUrl, HostCertificate, NewHost};
use tokio_util::sync::CancellationToken;

/// Ports that a made-up host can hand out.
pub const CAPACITY: u32 = 16_384;

/// A controller that serves on free ports until it is dropped.
pub struct MadeUp {
    pub started: Started,
    pub life: Lifecycle,
    folder: Option<TempDir>,
    rules: IncidentRules,
    notify: NotifySettings,
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        self.life.stop();
    }
}

impl MadeUp {
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// One with other limits and times of remediation.
    pub async fn start_remediating(rules: RemediationRules) -> Self {
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().unwrap();
        let settings = (IncidentRules::default(), NotifySettings::default());
        Self::start_all(folder, http, settings, rules).await
    }

    pub async fn start_at(http: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = IncidentRules::default();
        Self::start_in(folder, http, (rules, NotifySettings::default())).await
    }

    /// One that tells receivers of incidents.
    pub async fn start_with(notify: NotifySettings) -> Self {
        Self::start_by(IncidentRules::default(), notify).await
    }

    /// One with rules of its own for its incidents.
    pub async fn start_by(rules: IncidentRules, notify: NotifySettings) -> Self {
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_in(tempfile::tempdir().unwrap(), http, (rules, notify)).await
    }

    /// Stops the controller and starts another one on its folder.
    pub async fn restart(mut self) -> Self {
        let settings = (self.rules, self.notify.clone());
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = self.folder.take().unwrap();
        let life = self.life.clone();
        let stopped = async { life.stop() };
        life.run_until(stopped, std::future::pending()).await;
        self.started.app.store.close().await;
        drop(self);
        Self::start_in(folder, http, settings).await
    }

    /// Where its database is.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    async fn start_in(
        folder: TempDir,
        http: SocketAddr,
        settings: (IncidentRules, NotifySettings),
    ) -> Self {
        Self::start_all(folder, http, settings, RemediationRules::default()).await
    }

    /// One where people sign in at a provider.
    pub async fn start_with_oidc(oidc: OidcSettings) -> Self {
        Self::start_changed(|settings| settings.oidc = Some(oidc)).await
    }

    /// One that other machines reach in that way.
    pub async fn start_with_web(web: WebSettings) -> Self {
        Self::start_changed(|settings| settings.web = web).await
    }

    async fn start_changed(change: impl FnOnce(&mut Settings)) -> Self {
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().unwrap();
        let all = (IncidentRules::default(), NotifySettings::default());
        let mut settings = Self::settings(&folder, http, all, RemediationRules::default());
        change(&mut settings);
        Self::start_from(folder, settings).await
    }

    async fn start_all(
        folder: TempDir,
        http: SocketAddr,
        settings: (IncidentRules, NotifySettings),
        remediation: RemediationRules,
    ) -> Self {
        let settings = Self::settings(&folder, http, settings, remediation);
        Self::start_from(folder, settings).await
    }

    fn settings(
        folder: &TempDir,
        http: SocketAddr,
        (incidents, notify): (IncidentRules, NotifySettings),
        remediation: RemediationRules,
    ) -> Settings {
        Settings {
            database: DatabaseUrl::sqlite(folder.path().join("tidemark.db")),
            data_dir: folder.path().to_owned(),
            http,
            grpc: SocketAddr::from(([127, 0, 0, 1], 0)),
            agents_address: None,
            connections_max: 100,
            drain_timeout: Duration::from_secs(5),
            retention: Retention::default(),
            incidents,
            notify,
            remediation,
            audit_log: AuditLogRules::default(),
            oidc: None,
            otlp: None,
            web: WebSettings::default(),
            telemetry: TelemetrySettings::default(),
        }
    }

    async fn start_from(folder: TempDir, settings: Settings) -> Self {
        let life = Lifecycle::new(Duration::from_secs(5));
        let claimed = DataFolder::claim(&settings.data_dir).unwrap();
        let started = boot::start(&settings, &life, claimed, Arc::default())
            .await
            .unwrap();
        Self {
            started,
            life,
            folder: Some(folder),
            rules: settings.incidents,
            notify: settings.notify,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.started.http)
    }

    /// An API token of that role.
    pub async fn token(&self, role: Role) -> String {
        let key = self
            .started
            .app
            .make_api_key(Holder::of_all_hosts("test", role), None)
            .await;
        key.unwrap().expose_text()
    }

    /// An API token of somebody with that name.
    pub async fn token_of(&self, name: &str, role: Role) -> String {
        let key = self
            .started
            .app
            .make_api_key(Holder::of_all_hosts(name, role), None)
            .await;
        key.unwrap().expose_text()
    }

    /// An API token of that role over the hosts of a scope.
    pub async fn scoped_token(&self, role: Role, scope: &str) -> String {
        self.scoped_token_of("team", role, scope).await
    }

    /// The same of somebody with that name.
    pub async fn scoped_token_of(&self, name: &str, role: Role, scope: &str) -> String {
        let holder = Holder {
            name,
            role,
            scope: HostScope::from_text(Some(scope)).unwrap(),
        };
        let key = self.started.app.make_api_key(holder, None).await;
        key.unwrap().expose_text()
    }

    /// Enrols a host; names need not be unique.
    pub async fn host(&self, name: &str) -> HostId {
        self.host_with(name, "Linux 6.18 (Debian 12)", BTreeMap::new())
            .await
    }

    pub async fn host_with(
        &self,
        name: &str,
        os: &str,
        labels: BTreeMap<String, String>,
    ) -> HostId {
        let app = &self.started.app;
        let key = app.entropy.bytes::<32>();
        let id = HostId::of_identity_spki(&key);
        let host = NewHost {
            id,
            identity_spki: key.to_vec(),
            facts: HostFacts {
                name: name.into(),
                os: os.into(),
                agent_version: "0.1.0".into(),
                boot_id: "b1".into(),
                time_zone: None,
                capabilities: vec![],
                labels,
            },
            token_labels: BTreeMap::new(),
            enrolled_at: app.clock.now(),
            certificate: HostCertificate {
                generation: 1,
                not_after: app
                    .clock
                    .now()
                    .saturating_add(Duration::from_secs(72 * 3_600)),
                spki_hash: [1; 32],
            },
        };
        let mut tx = app.store.begin().await.unwrap();
        tx.host_insert(&host).await.unwrap();
        let stored = tx.host_find(id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        app.live.put(profile_of(&stored));
        id
    }

    /// Puts a label on a host that the controller holds.
    pub async fn label(&self, id: HostId, key: &str, value: &str) {
        let app = &self.started.app;
        let mut tx = app.store.begin().await.unwrap();
        let stored = tx.host_find(id).await.unwrap().unwrap();
        let mut labels = stored.controller_labels;
        labels.insert(key.to_owned(), value.to_owned());
        let generation = stored.labels_generation;
        tx.host_set_labels(id, generation, &labels).await.unwrap();
        let stored = tx.host_find(id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        app.live.put(profile_of(&stored));
    }

    /// A host's agent says what it sees there.
    pub async fn report(&self, id: HostId, capabilities: Vec<CapabilityReport>) {
        let app = &self.started.app;
        let mut tx = app.store.begin().await.unwrap();
        let mut stored = tx.host_find(id).await.unwrap().unwrap();
        stored.facts.capabilities = capabilities;
        tx.host_update_facts(id, &stored.facts).await.unwrap();
        let stored = tx.host_find(id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        app.live.put(profile_of(&stored));
    }

    /// Opens a session; the token is cancelled when the controller ends it.
    pub fn connect(&self, id: HostId) -> CancellationToken {
        connect(&self.started.app, id)
    }

    /// Delivers samples as an agent does, and waits until they are durable.
    pub async fn deliver(&self, host: HostId, samples: Vec<Sample>) {
        let records = samples.into_iter().map(Record::Sample);
        self.deliver_records(host, records.collect()).await;
    }

    /// Delivers records in an epoch of their own, and waits until they are durable.
    pub async fn deliver_records(&self, host: HostId, records: Vec<Record>) {
        deliver_records(&self.started.app, host, records).await;
    }
}

/// Opens a session of a host; the token is cancelled when the controller ends it.
pub fn connect(app: &App, id: HostId) -> CancellationToken {
    let stop = CancellationToken::new();
    let claim = SessionClaim {
        id: SessionId::new(app.entropy.u64()),
        stop: stop.clone(),
    };
    assert!(app.live.open_session(id, claim, app.clock.now()));
    stop
}

/// Delivers records in an epoch of their own, and waits until they are durable.
pub async fn deliver_records(app: &App, host: HostId, records: Vec<Record>) {
    let wish = OpenLane {
        host,
        epoch: Epoch::from_random(app.entropy.u64()),
        skew_ms: 0,
    };
    let mut lane = app.ingest.open(wish).await.unwrap().lane;
    let last = records.len() as u64;
    let batch = DecodedBatch {
        records: (1..).map(Seq::new).zip(records).collect(),
        refused: vec![],
    };
    lane.reserve()
        .await
        .unwrap()
        .send(Delivered::Records(batch));
    while lane.acked().await.get() < last {}
}

/// A sample with `strong` ports in the hands of one process, and `time_wait` more towards one database.
pub fn sample(at: Timestamp, strong: u32, time_wait: u32) -> Sample {
    let mut states = StateCounts::default();
    states.set(TcpState::Established, strong / 3);
    states.set(TcpState::CloseWait, strong / 20);
    states.set(TcpState::Listen, 14);
    states.set(TcpState::Bound, strong / 2);
    states.set(TcpState::TimeWait, time_wait);
    let space = PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: PortRange::new(49_152, 65_535).unwrap(),
        capacity: CAPACITY,
        strong,
        time_wait_only: time_wait,
        bound: Some(strong / 2),
        quality: CountQuality::Counted,
        light: None,
        states_v4: states,
        states_v6: StateCounts::default(),
        owners: vec![
            owner("w3wp.exe", 4_120, strong * 4 / 5),
            owner("svchost.exe", 912, strong / 10),
        ],
        owners_other: OwnerCounts {
            ports: strong / 10,
            sockets: strong / 8,
            ..OwnerCounts::default()
        },
        ports_without_owner: time_wait,
        destinations: vec![destination(
            [10, 0, 4, 12],
            1433,
            strong / 4 + time_wait,
            time_wait,
        )],
        destinations_other_ports: strong / 12,
        watch_groups: vec![
            WatchGroupSample {
                name: "sql".into(),
                connections: strong / 4,
                time_wait,
            },
            WatchGroupSample {
                name: "smtp".into(),
                connections: 3,
                time_wait: 0,
            },
        ],
    };
    Sample {
        at,
        booted_at: at.saturating_sub(Duration::from_secs(12 * 86_400)),
        interval_ms: 30_000,
        port_spaces: vec![space],
        rates: CounterRates {
            tcp_active_opens: Some(12_400),
            tcp_passive_opens: Some(3_100),
            tcp_attempt_fails: Some(0),
            ..CounterRates::default()
        },
        host_handles: Some(u64::from(strong) * 9),
        probes: vec![],
        cost: AgentCost {
            resident_bytes: 19_000_000,
            ..AgentCost::default()
        },
    }
}

fn owner(name: &str, pid: u32, ports: u32) -> OwnerSample {
    OwnerSample {
        process: ProcessIdentity {
            pid,
            started_at: Timestamp::from_unix_ms(1_000),
            name: name.into(),
            executable: Some(Arc::from(format!("C:\\Windows\\System32\\{name}"))),
            service: (name == "w3wp.exe").then(|| "W3SVC".into()),
        },
        counts: OwnerCounts {
            ports,
            bound: ports / 2,
            close_wait: ports / 20,
            sockets: ports + 12,
        },
        handles: Some(ports * 3 + 900),
    }
}

fn destination(remote: [u8; 4], port: u16, ports: u32, time_wait: u32) -> DestinationSample {
    DestinationSample {
        local_address: [10, 0, 4, 7].into(),
        remote_address: remote.into(),
        remote_port: port,
        ports,
        time_wait,
    }
}
