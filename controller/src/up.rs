//! The quick start: everything on this machine with one command. A data folder, an authority, SQLite, the controller,
//! a local agent enrolled by a real token, a page, and what to type next.

mod agent;
mod context;
mod ready;
mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::duration::parse_duration;
use tidemark_runtime::config::{self, Sources};
use tidemark_runtime::lifecycle::{Outcome, shutdown_signal};
use tidemark_runtime::{Lifecycle, durable};

use crate::boot::{self, DataFolder, Started, reachable};
use crate::metrics::Metrics;
use crate::otlp::Otlp;
use crate::settings::{Config, KEYS, Settings};

/// How the quick start is told what to do.
#[derive(Clone, Debug, clap::Args)]
pub struct UpArgs {
    /// Folder for everything that is kept: authority, database, the local agent
    #[arg(long, env = "TIDEMARK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the API and the pages are served
    #[arg(
        long,
        env = "TIDEMARK_HTTP",
        default_value = "127.0.0.1:7080",
        value_name = "ADDR:PORT"
    )]
    http: SocketAddr,
    /// Where agents come in (mutual TLS)
    #[arg(
        long,
        env = "TIDEMARK_GRPC",
        default_value = "0.0.0.0:7443",
        value_name = "ADDR:PORT"
    )]
    grpc: SocketAddr,
    /// Time between two samples of the local agent, 1s to 300s
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = interval)]
    interval: Duration,
    /// Database instead of SQLite in the data folder, as in postgres://USER:PASSWORD@HOST/NAME
    #[arg(
        long,
        env = "TIDEMARK_DATABASE",
        value_name = "URL",
        hide_env_values = true
    )]
    database: Option<String>,
    /// Configuration file (TOML) for what has no flag here, as retention, incidents and notify
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not start a local agent
    #[arg(long)]
    no_agent: bool,
    /// What to log: error, warn, info, debug, or pairs of target=level
    #[arg(
        long,
        env = "TIDEMARK_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    log: String,
}

/// How long a stop may take once the local agent has ended.
const DRAIN_TIMEOUT: &str = "10s";

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&interval) {
        return Ok(interval);
    }
    Err(format!(
        "{text} is out of limits; an interval is 1s to 300s"
    ))
}

impl UpArgs {
    fn data_dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return std::path::absolute(dir)
                .with_context(|| format!("--data-dir {} is no path", dir.display()));
        }
        let base = std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| {
                std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"))
            })
            .or_else(|| std::env::var_os("LOCALAPPDATA").map(PathBuf::from));
        Ok(base
            .context("no home folder is known; say where data may be kept with --data-dir")?
            .join("tidemark"))
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let data_dir = self.data_dir()?;
        let mut flags = toml::Table::new();
        let mut set = |key: &str, value: String| flags.insert(key.to_owned(), value.into());
        set(
            "data_dir",
            data_dir
                .to_str()
                .context("--data-dir must be text in UTF-8")?
                .to_owned(),
        );
        set("http", self.http.to_string());
        set("grpc", self.grpc.to_string());
        set("drain_timeout", DRAIN_TIMEOUT.to_owned());
        set("log", self.log.clone());
        if let Some(url) = &self.database {
            set("database", url.clone());
        }
        let sources = Sources {
            file: self.config.as_deref(),
            environment: Vec::new(),
            flags,
        };
        Ok(config::load::<Config>(&sources, &KEYS)?.check()?)
    }
}

/// Runs the quick start until Ctrl-C.
///
/// # Errors
/// What could not be started, and what to do about it.
pub async fn run(args: &UpArgs) -> anyhow::Result<Outcome> {
    let settings = args.settings()?;
    let metrics = Arc::new(Metrics::default());
    let otlp = Otlp::start(&settings, &metrics)?;
    let report = report::Report::default();
    report.begin(&settings);
    // The file of a controller that was killed is only ours to remove when no other one runs.
    let folder = DataFolder::claim(&settings.data_dir)?;
    ready::remove(&settings.data_dir)?;
    let program = if args.no_agent {
        None
    } else {
        Some(agent::find_program(&report).await?)
    };
    let life = Lifecycle::new(settings.drain_timeout);
    let started = boot::start(&settings, &life, folder, metrics).await?;
    let stopped = serve(args, &settings, &started, &report, program).await;
    report.line(
        "stopping",
        "telling agents to come back, and writing what is on its way",
    );
    life.stop();
    let outcome = life
        .run_until(std::future::pending(), shutdown_signal())
        .await;
    ready::remove(&settings.data_dir)?;
    started.app.store.close().await;
    otlp.close().await;
    report.line(
        "stopped",
        &format!("everything is kept in {}", settings.data_dir.display()),
    );
    stopped.map(|()| outcome)
}

/// From the first greeting to the end of the local agent.
async fn serve(
    args: &UpArgs,
    settings: &Settings,
    started: &Started,
    report: &report::Report,
    program: Option<PathBuf>,
) -> anyhow::Result<()> {
    let page = format!("http://{}", reachable(started.http));
    let key = context::write(&started.app, &page).await?;
    report.line(
        "controller",
        &format!(
            "listens on {} (web, API) and {} (agents)",
            started.http, started.grpc
        ),
    );
    let mut local = None;
    if let Some(program) = program {
        let folder = settings.data_dir.join("agent");
        durable::make_private_folder(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut running =
            agent::LocalAgent::start(&program, &folder, args.interval, started).await?;
        let first = running.first_sample(started);
        tokio::select! {
            sampled = first => report.sampled(started, sampled?),
            () = shutdown_signal() => return running.stop().await,
        }
        local = Some(running);
    }
    let sign_in = format!("{page}/login?code={}", started.app.login_codes.make_code());
    ready::write(&settings.data_dir, started, &sign_in, local.as_ref())?;
    report.ready(started, &sign_in, &key);
    let stop = started.app.life.stop_token();
    match &mut local {
        None => tokio::select! {
            () = shutdown_signal() => {}
            () = stop.cancelled() => {}
        },
        Some(running) => {
            tokio::select! {
                () = shutdown_signal() => {}
                () = stop.cancelled() => {}
                () = running.keep_alive(report) => {}
            }
            running.stop().await?;
        }
    }
    Ok(())
}
