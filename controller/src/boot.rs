//! Starts a controller: reads top to bottom as the architecture. Everything is bound and opened before anything runs.

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tidemark_model::Timestamp;
use tidemark_model::incident::IncidentRules;
use tidemark_model::notice::NoticeKind;
use tidemark_runtime::{Clock, Entropy, Lifecycle, durable, tls};
use tidemark_store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};

use crate::access::oidc::{Oidc, OidcSettings};
use crate::access::password::PasswordHasher;
use crate::access::sign_in::SignInLimits;
use crate::access::{LoginCodes, RememberedStandings};
use crate::api::Front;
use crate::app::identities::profile_of;
use crate::app::{App, OpenCount, Places};
use crate::audit_log::{self, AuditLog};
use crate::budgets::{self, Budgets};
use crate::company::{self, Company};
use crate::connection_limits::ConnectionLimits;
use crate::gateway::session::drain::DrainSpread;
use crate::gateway::{self, listener::Listener};
use crate::ingest::{self, Writer, WriterParts};
use crate::keys::Keys;
use crate::leader::{Leader, elect};
use crate::live::{Delivery, Live};
use crate::metrics::Metrics;
use crate::notify::NotifySettings;
use crate::pki::Authority;
use crate::remediate::{Remediation, RemediationRules};
use crate::settings::Settings;
use crate::upgrades::Upgrades;
use crate::{api, maintain, tasks};

/// Notices on their way to a commit; more at once than a database outage of some minutes makes.
const NOTICES_MAX: usize = 4_096;

/// A controller that serves.
pub struct Started {
    /// Its shared parts.
    pub app: Arc<App>,
    /// Where the API and the pages are.
    pub http: SocketAddr,
    /// Where agents come in.
    pub grpc: SocketAddr,
    _folder: DataFolder,
}

/// A data folder that no other controller uses while this lives.
#[derive(Debug)]
pub struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if there is none, and takes it.
    ///
    /// # Errors
    /// When it cannot be made, or another controller has it, and what to do about it.
    pub fn claim(folder: &Path) -> anyhow::Result<Self> {
        durable::make_private_folder(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = lock_folder(folder)?;
        Ok(Self { _lock: lock })
    }
}

/// Opens everything and starts serving; the tasks belong to `life`, and `folder` is the data folder of `settings`.
///
/// # Errors
/// What could not be opened or bound, and what to do about it; nothing serves then.
pub async fn start(
    settings: &Settings,
    life: &Lifecycle,
    folder: DataFolder,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Started> {
    let (clock, entropy) = (Clock::System, Entropy::System);
    let store = Store::open(&settings.database).await?;
    let authority = Authority::open(&settings.data_dir.join("pki"), clock.now(), &entropy)?;
    let certificate = match settings.web.certificate.clone() {
        Some(files) => Some(files.open().await?),
        None => None,
    };
    let grpc = bind("grpc", settings.grpc).await?;
    let http = bind("http", settings.http).await?;
    let (grpc_address, http_address) = (grpc.local_addr()?, http.local_addr()?);
    let foundation = Foundation {
        life: life.clone(),
        store,
        clock,
        entropy,
        authority,
        agents_address: settings
            .agents_address
            .clone()
            .unwrap_or_else(|| reachable(grpc_address).to_string()),
        incident_rules: settings.incidents,
        notify: settings.notify.clone(),
        remediation: settings.remediation.clone(),
        oidc: settings.oidc.clone(),
        metrics,
    };
    let app = assemble(foundation).await?;
    open_audit_log(&app, &settings.data_dir.join("pki")).await?;
    let tls = server_tls(&app)?;
    let limits = ConnectionLimits::claim(settings.connections_max);
    let listener = Listener {
        tcp: grpc,
        tls: Arc::clone(&tls),
        limits,
        metrics: Arc::clone(&app.metrics),
    };
    life.spawn_critical(
        "gateway",
        gateway::serve(Arc::clone(&app), listener, life.stop_token()),
    );
    life.spawn_critical(
        "http",
        api::serve(
            Arc::clone(&app),
            http,
            Front {
                certificate,
                proxies: settings.web.proxies.clone(),
                connections_max: limits.api,
            },
            life.stop_token(),
        ),
    );
    tasks::start(&app, settings, tls);
    app.note(
        None,
        NoticeKind::Controller,
        format!("controller {} started", env!("CARGO_PKG_VERSION")),
    );
    Ok(Started {
        app,
        http: http_address,
        grpc: grpc_address,
        _folder: folder,
    })
}

/// Takes the key of the audit log; without the right one the log goes on, and no checkpoints of it are signed here.
async fn open_audit_log(app: &App, folder: &Path) -> anyhow::Result<()> {
    let pin = app.authority.pin();
    match audit_log::open_key(&app.store, folder, (&app.entropy, pin)).await? {
        Ok(signer) => app.audit_log.sign_with(signer),
        Err(why) => app.audit_log.leave_unsigned(why),
    }
    Ok(())
}

/// What a controller stands on before anything of it runs.
pub struct Foundation {
    /// Who owns the tasks.
    pub life: Lifecycle,
    /// Everything durable.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Who signs certificates.
    pub authority: Authority,
    /// Address that agents are told to connect to, `host:port`.
    pub agents_address: String,
    /// When an incident opens, rises and ends.
    pub incident_rules: IncidentRules,
    /// Who is told of incidents.
    pub notify: NotifySettings,
    /// How much may be done to hosts.
    pub remediation: RemediationRules,
    /// Where people sign in who have no password here.
    pub oidc: Option<OidcSettings>,
    /// Its figures about itself.
    pub metrics: Arc<Metrics>,
}

impl Foundation {
    /// One that nobody configured: with what ships, without receivers, and nothing of it reached from outside.
    #[must_use]
    pub fn unconfigured(store: Store, authority: Authority, clock: Clock) -> Self {
        Self {
            life: Lifecycle::new(Duration::from_secs(5)),
            store,
            clock,
            entropy: Entropy::System,
            authority,
            agents_address: "unused:7443".to_owned(),
            incident_rules: IncidentRules::default(),
            notify: NotifySettings::default(),
            remediation: RemediationRules::default(),
            oidc: None,
            metrics: Arc::default(),
        }
    }
}

/// The shared parts with live state restored, and ingest running; nothing listens.
///
/// # Errors
/// When the hosts or the budgets cannot be read from the store.
pub async fn assemble(foundation: Foundation) -> anyhow::Result<Arc<App>> {
    let Foundation {
        life,
        store,
        clock,
        entropy,
        authority,
        agents_address,
        incident_rules,
        notify,
        remediation,
        oidc,
        metrics,
    } = foundation;
    let (ingest_handle, queue) = ingest::queue();
    let (notices_tx, notices_rx) = mpsc::channel(NOTICES_MAX);
    let app = Arc::new(App {
        live: restore_live(&store, clock.now()).await?,
        incarnation: store.read().await?.incarnation().await?,
        windows: ArcSwap::default(),
        causes: ArcSwap::default(),
        budgets: Budgets::default(),
        audit_log: AuditLog::default(),
        causes_wanted: Notify::new(),
        findings: ArcSwap::default(),
        started_at: clock.now(),
        leader: Leader::new(&entropy, Arc::clone(&metrics)),
        company: Company::default(),
        metrics,
        login_codes: LoginCodes::new(entropy.clone()),
        remembered_standings: RememberedStandings::default(),
        passwords: PasswordHasher::default(),
        oidc: oidc.map(Oidc::new).transpose()?,
        sign_in_limits: SignInLimits::default(),
        places: Places::default(),
        sessions_open: OpenCount::default(),
        drain_spread: DrainSpread::default(),
        ingest: ingest_handle,
        notices: notices_tx.clone(),
        life,
        store,
        clock,
        entropy,
        authority,
        agents_address,
        incident_rules,
        notify,
        remediation: Remediation::new(remediation),
        keys: Keys::default(),
        upgrades: Upgrades::default(),
        runs_changed: Notify::new(),
        incidents_changed: Notify::new(),
        notifications_queued: watch::Sender::default(),
    });
    look_first(&app).await?;
    let parts = WriterParts {
        store: app.store.clone(),
        clock: app.clock.clone(),
        live: app.live.clone(),
        metrics: Arc::clone(&app.metrics),
        notices: notices_rx,
        notices_tx,
    };
    let writer = Writer::new(parts, queue);
    app.life
        .spawn_critical("ingest", writer.run(app.life.clone()));
    Ok(app)
}

/// What has to be known before any task works, and before anybody asks.
async fn look_first(app: &App) -> anyhow::Result<()> {
    // Before anything asks who leads: a controller that is alone leads from the start.
    elect::begin(app).await?;
    // Before anybody looks: hosts that are connected to another controller are not offline.
    company::begin(app).await?;
    // Before anything looks at incidents: nobody is told of what a window silences.
    maintain::refresh(app).await?;
    app.metrics.database_ready.set(1);
    // Before anybody asks: a budget that is not known yet would seem to be none.
    budgets::refresh(app).await?;
    Ok(())
}

/// The TLS side of the gateway, to be replaced before its certificate ends.
///
/// # Errors
/// When no certificate can be issued.
pub fn server_config(app: &App) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let identity = app.authority.issue_server(app.clock.now(), &app.entropy)?;
    Ok(tls::server_config(identity, app.authority.root())?)
}

fn server_tls(app: &App) -> anyhow::Result<Arc<ArcSwap<rustls::ServerConfig>>> {
    Ok(Arc::new(ArcSwap::new(server_config(app)?)))
}

async fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            return anyhow::anyhow!(
                "{address} is in use: another controller may be running; choose another address with --{what}"
            );
        }
        anyhow::Error::new(error).context(format!("cannot listen on {address} (--{what})"))
    })
}

fn lock_folder(folder: &Path) -> anyhow::Result<File> {
    let path: PathBuf = folder.join("controller.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another controller uses {}: stop it first, or choose another --data-dir",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// An address that this machine itself can connect to, for one that is bound to all of its own.
#[must_use]
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port()))
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => bound,
    }
}

async fn restore_live(store: &Store, now: Timestamp) -> anyhow::Result<Live> {
    let live = Live::default();
    let mut tx = store.read().await?;
    tx.hosts_each(|host| {
        live.put(profile_of(&host));
        live.update(host.id, |live| live.last_seen = host.last_seen_at);
    })
    .await?;
    let mut newest = std::collections::HashMap::new();
    tx.cursors_each(|cursor| {
        let is_newest = newest
            .get(&cursor.host)
            .is_none_or(|at| *at <= cursor.updated_at);
        if is_newest {
            newest.insert(cursor.host, cursor.updated_at);
            live.update(cursor.host, |host| {
                host.delivery = Delivery::of_cursor(&cursor)
            });
        }
    })
    .await?;
    tracing::info!(hosts = newest.len(), now = now.unix_ms(), "hosts restored");
    Ok(live)
}
