//! The grammar of releases of the agent and of their roll-outs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tidemark_model::duration::parse_duration;
use tidemark_model::release::Target;

use super::PassphraseArgs;

/// What to do about releases.
#[derive(Debug, Subcommand)]
pub enum Release {
    /// Write the manifest of a release, to be signed; asks no controller
    Make(Box<MakeReleaseArgs>),
    /// Sign a manifest with a key of this machine; asks no controller. What is signed is shown first
    ///
    /// The signature is added to the file beside the manifest, with .sig behind its name.
    Sign {
        /// The manifest
        #[arg(value_name = "MANIFEST")]
        manifest: PathBuf,
        /// Which key, as `tidemark key list` names it
        #[arg(long)]
        key: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Bring a signed manifest and its files to the controller
    Add {
        /// The manifest; its signatures are beside it
        #[arg(value_name = "MANIFEST")]
        manifest: PathBuf,
        /// The files that it names, in any order
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List releases
    List,
    /// Delete releases from the controller; hosts that run them go on
    Remove {
        /// Numbers, as listed
        #[arg(required = true, value_name = "RELEASE")]
        releases: Vec<u32>,
    },
}

/// What a release says.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: tidemark release make 1.4.0 --release 12 --file linux/x86_64=target/shipped/agent/tidemark-agent --to 1.4.0.json"
)]
pub struct MakeReleaseArgs {
    /// What people call it
    #[arg(value_name = "VERSION")]
    pub called: String,
    /// Its number; hosts never take a lower one than they have seen
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub release: u32,
    /// The lowest release that hosts may run once they run this one
    #[arg(long, default_value_t = 0, value_name = "RELEASE")]
    pub floor: u32,
    /// How long it may be installed, 90d at most
    #[arg(long, default_value = "30d", value_parser = parse_duration, value_name = "DURATION")]
    pub valid: Duration,
    /// A file and what it runs on, as in linux/x86_64=FILE
    #[arg(long = "file", required = true, value_name = "TARGET=FILE", value_parser = target_file)]
    pub files: Vec<(Target, PathBuf)>,
    /// Where to write the manifest
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

fn target_file(text: &str) -> Result<(Target, PathBuf), String> {
    let (target, file) = text
        .split_once('=')
        .ok_or_else(|| "write TARGET=FILE, as in linux/x86_64=tidemark-agent".to_owned())?;
    let target: Target = target
        .parse()
        .map_err(|error: tidemark_model::release::InvalidTarget| error.to_string())?;
    Ok((target, PathBuf::from(file)))
}

/// What to do about roll-outs.
#[derive(Debug, Subcommand)]
pub enum Upgrade {
    /// Start the roll-out of a release: one host, 1 %, 10 %, half of them, all
    Start(StartUpgradeArgs),
    /// List roll-outs
    List,
    /// Show how far each host of a roll-out is, and why
    Describe {
        /// Its number, as listed
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// Let no further host begin; it can go on
    Pause {
        /// Its number, as listed
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// Have a roll-out go on that was paused or halted; what failed until then is forgiven
    Resume {
        /// Its number, as listed
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// Let no further host begin, for good
    Stop {
        /// Its number, as listed
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
}

/// What is rolled out where.
#[derive(Args, Debug)]
pub struct StartUpgradeArgs {
    /// Which release, as listed
    #[arg(long, value_name = "RELEASE")]
    pub release: u32,
    /// Which hosts, by labels of their join tokens, as in team=payments [default: all]
    #[arg(long, value_name = "LABELS")]
    pub hosts: Option<String>,
    /// Time between the end of a ring and the next one [default: 1h]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub soak: Option<Duration>,
    /// With how many failed hosts it goes on [default: 0]
    #[arg(long, value_name = "HOSTS")]
    pub failures_max: Option<u32>,
    /// How long it waits for hosts that are away while their ring is open [default: 1h]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub wait: Option<Duration>,
}
