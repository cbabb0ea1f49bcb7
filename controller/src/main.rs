//! Entry point: arguments, then one of the controller's modes.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use tidemark_controller::admin_token::{self, AdminTokenArgs};
use tidemark_controller::backtest::{self, BacktestArgs};
use tidemark_controller::backup::{
    self, BackupArgs, MigrateArgs, RepairArgs, RestoreArgs, VerifyArgs,
};
use tidemark_controller::boot::{self, DataFolder};
use tidemark_controller::metrics::Metrics;
use tidemark_controller::otlp::Otlp;
use tidemark_controller::ready;
use tidemark_controller::settings::{Config, KEYS, Settings};
use tidemark_controller::up::{self, UpArgs};
use tidemark_runtime::Lifecycle;
use tidemark_runtime::config::{self, Sources};
use tidemark_runtime::lifecycle::{Outcome, shutdown_signal};

/// Takes in what agents sample, keeps it, forecasts exhaustion, and answers operators.
#[derive(Debug, Parser)]
#[command(name = "tidemark-controller", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine: authority, SQLite, controller, a local agent and the page
    Up(UpArgs),
    /// Serve with a configuration file, as a service does
    Serve(ConfigArgs),
    /// Check a configuration file and say what is wrong with it
    ConfigCheck(ConfigArgs),
    /// Ask the controller of this machine whether it is ready, for containers: ends with 0 when it is
    Ready(ConfigArgs),
    /// Make an API token with the role admin on the controller's machine: for the first administrator, or when every token is
    /// lost
    AdminToken {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        token: AdminTokenArgs,
    },
    /// Replay a recorded fleet, a stream or the own history through the detectors, and say what they would have said
    Backtest(BacktestArgs),
    /// Make a backup of everything, while the controller serves
    Backup {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        backup: BackupArgs,
    },
    /// Restore a backup into a place that is empty, and end what it cannot know
    Restore {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        restore: RestoreArgs,
    },
    /// Make a new SQLite database of what can still be read of a damaged one, and end what it cannot know
    Repair {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        repair: RepairArgs,
    },
    /// Verify a backup, or the controller's database while it serves
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        verify: VerifyArgs,
    },
    /// Bring the database's tables up to date, as a start does
    Migrate {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        migrate: MigrateArgs,
    },
    /// Print a completion script for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    Man {
        /// Into this folder
        folder: PathBuf,
    },
}

#[derive(Debug, Default, clap::Args)]
struct ConfigArgs {
    /// Configuration file (TOML); every key may also be set as TIDEMARK_<KEY>
    #[arg(long, env = "TIDEMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides data_dir
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Overrides http
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<String>,
    /// Overrides grpc
    #[arg(long, value_name = "ADDR:PORT")]
    grpc: Option<String>,
    /// Overrides database
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "tidemark-controller",
                &mut io::stdout(),
            );
            return ExitCode::SUCCESS;
        }
        Command::Man { folder } => clap_mangen::generate_to(Args::command(), &folder)
            .with_context(|| format!("cannot write manual pages into {}", folder.display()))
            .map(|()| Outcome::Clean),
        Command::Backtest(args) => backtest(args),
        Command::ConfigCheck(args) => load(&args).map(|_| Outcome::Clean),
        Command::Ready(args) => with_settings(&args, async |settings| {
            ready::ask(settings.http, &settings.web).await
        }),
        Command::AdminToken { config, token } => with_settings(&config, async |settings| {
            admin_token::run(settings, &token).await
        }),
        Command::Backup { config, backup } => with_settings(&config, async |settings| {
            backup::back_up(settings, &backup).await
        }),
        Command::Restore { config, restore } => with_settings(&config, async |settings| {
            backup::restore(settings, &restore).await
        }),
        Command::Repair { config, repair } => with_settings(&config, async |settings| {
            backup::repair(settings, repair).await
        }),
        // A backup needs no configuration.
        Command::Verify { config, verify } => block_on(async {
            backup::verify(|| load(&config), &verify).await?;
            Ok(Outcome::Clean)
        }),
        Command::Migrate { config, migrate } => with_settings(&config, async |settings| {
            backup::migrate(settings, migrate).await
        }),
        Command::Up(args) => block_on(up::run(&args)),
        Command::Serve(args) => load(&args).and_then(|settings| block_on(serve(settings))),
    };
    match result {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Crashed) => ExitCode::FAILURE,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn backtest(args: BacktestArgs) -> anyhow::Result<Outcome> {
    if !args.from_history {
        return backtest::run(&args).map(|()| Outcome::Clean);
    }
    let settings = load(&ConfigArgs {
        config: args.config.clone(),
        data_dir: args.data_dir.clone(),
        database: args.database.clone(),
        ..ConfigArgs::default()
    })?;
    block_on(async {
        backtest::run_from_history(&args, &settings.database).await?;
        Ok(Outcome::Clean)
    })
}

fn block_on(work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Loads the configuration and does one thing with it.
fn with_settings(
    args: &ConfigArgs,
    work: impl AsyncFnOnce(&Settings) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let settings = load(args)?;
    block_on(async {
        work(&settings).await?;
        Ok(Outcome::Clean)
    })
}

fn load(args: &ConfigArgs) -> anyhow::Result<Settings> {
    let mut flags = toml::Table::new();
    for (key, value) in [
        ("data_dir", &args.data_dir),
        ("http", &args.http),
        ("grpc", &args.grpc),
        ("database", &args.database),
    ] {
        if let Some(value) = value {
            flags.insert(key.to_owned(), value.clone().into());
        }
    }
    let sources = Sources {
        file: args.config.as_deref(),
        environment: config::process_environment(),
        flags,
    };
    Ok(config::load::<Config>(&sources, &KEYS)?.check()?)
}

async fn serve(settings: Settings) -> anyhow::Result<Outcome> {
    let metrics = Arc::new(Metrics::default());
    let otlp = Otlp::start(&settings, &metrics)?;
    let folder = DataFolder::claim(&settings.data_dir)?;
    let life = Lifecycle::new(settings.drain_timeout);
    let started = boot::start(&settings, &life, folder, metrics).await?;
    tracing::info!(http = %started.http, grpc = %started.grpc, "serving");
    let outcome = life.run_until(shutdown_signal(), shutdown_signal()).await;
    started.app.store.close().await;
    otlp.close().await;
    Ok(outcome)
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where an error ends the program"
)]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
