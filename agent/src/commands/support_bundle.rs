//! `tidemark-agent support-bundle`: one file with what somebody far away needs to help, without secrets.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tidemark_platform::folders;
use tidemark_runtime::{Clock, Outcome};

use super::{SettingsArgs, doctor, print};
use crate::archive::{self, Part};
use crate::doctor::evidence_parts;
use crate::link::failure::shown;
use crate::status::{AgentStatus, local};

/// Bytes of the end of a log.
const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// Larger files are no configuration.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Keys of the configuration whose values are secrets.
const SECRETS: [&str; 1] = ["token"];

#[derive(Args, Clone, Debug)]
pub(super) struct BundleArgs {
    /// Where to write it [default: tidemark-support-<host>-<time>.zip in the working folder].
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// How long to watch the host for the report, 0s to 60s.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = super::snapshot::measure_time)]
    time: Duration,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &BundleArgs) -> anyhow::Result<Outcome> {
    let mut looked = doctor::watch(&args.settings, doctor::BadConfig::Tell, args.time)?;
    doctor::add_live_events(&mut looked);
    let now = Clock::System.now();
    let host: String = looked
        .host
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .take(64)
        .collect();
    let path = args.to.clone().unwrap_or_else(|| {
        PathBuf::from(format!(
            "tidemark-support-{host}-{}.zip",
            now.unix_ms() / 1_000
        ))
    });
    let (mut parts, mut left_out) = (evidence_parts(looked)?, Vec::new());
    match redacted_config(&args.settings) {
        Ok(part) => parts.push(part),
        Err(reason) => left_out.push(format!("the configuration: {reason:#}")),
    }
    match status(&args.settings) {
        Ok(part) => parts.push(part),
        Err(reason) => left_out.push(format!("the agent's status: {reason:#}")),
    }
    match log_tail(&args.settings, super::LOG_FILE) {
        Ok(part) => parts.push(part),
        Err(reason) => left_out.push(format!("the agent's log: {reason:#}")),
    }
    // It is there where a service supervises its agent.
    parts.extend(log_tail(&args.settings, super::SUPERVISOR_LOG_FILE));
    let said = contents(&path, &parts, &left_out);
    parts.push(Part {
        name: "README.txt",
        content: said.clone().into_bytes(),
    });
    archive::write(&path, &parts)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    print(&said)
}

/// The configuration file with the values of secrets taken out; when it cannot be understood, it stays out.
fn redacted_config(settings: &SettingsArgs) -> anyhow::Result<Part> {
    let path = settings.config.clone().unwrap_or_else(folders::config_file);
    let mut text = String::new();
    let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    file.take(CONFIG_BYTES_MAX).read_to_string(&mut text)?;
    let mut table: toml::Table = text.parse().context("it is no TOML")?;
    for key in SECRETS {
        if let Some(value) = table.get_mut(key) {
            *value = toml::Value::String("(removed)".to_owned());
        }
    }
    Ok(Part {
        name: "agent.toml",
        content: toml::to_string(&table)?.into_bytes(),
    })
}

fn status(settings: &SettingsArgs) -> anyhow::Result<Part> {
    let data_dir = settings.load()?.data_dir;
    let status = local::ask(&data_dir).map_or_else(|| AgentStatus::read(&data_dir), Ok);
    let status = status.context("no agent runs here, and none left a status")?;
    Ok(Part {
        name: "status.json",
        content: serde_json::to_vec_pretty(&status)?,
    })
}

/// The end of a log, where it is a file; elsewhere the system's journal has it.
fn log_tail(settings: &SettingsArgs, name: &'static str) -> anyhow::Result<Part> {
    let path = settings.load()?.data_dir.join(name);
    let mut file = File::open(&path).with_context(|| {
        format!(
            "{} cannot be read; where a system keeps a journal it is there (journalctl -u tidemark-agent)",
            path.display()
        )
    })?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
    let mut content = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut content)?;
    Ok(Part { name, content })
}

fn contents(path: &Path, parts: &[Part], left_out: &[String]) -> String {
    let mut said = format!("{} holds:\n", shown(&path.display().to_string()));
    for part in parts {
        let what = match part.name {
            "doctor.txt" => "the doctor's report, for people",
            "doctor.json" => "the same, for programs",
            "doctor.html" => "the same, as a page",
            "snapshot.json" => "the samples: port spaces, processes, remote addresses",
            "events.json" => "events of the system's log that concern ports",
            "agent.toml" => "the configuration, without secrets",
            "status.json" => "how the agent does",
            super::SUPERVISOR_LOG_FILE => "the end of the log of its supervisor",
            _ => "the end of the agent's log",
        };
        said.push_str(&format!("  {:14} {what}\n", part.name));
    }
    for reason in left_out {
        said.push_str(&format!("left out: {}\n", shown(reason)));
    }
    said.push_str("It names processes, addresses and hosts; send it only to whom may know them.\n");
    said
}
