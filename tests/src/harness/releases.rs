//! Releases of the agent: made, signed by ann and bob, brought to a controller and rolled out, by the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::upgrade::UpgradeState;
use tidemark_model::view::UpgradeDetail;

use super::keyring::{Keyring, listed};
use super::{Controller, Machine, until};

/// For a roll-out: a download, a start and a trial on each host, one after the other.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The people who release, and where their files lie.
#[derive(Debug)]
pub struct Releases {
    keyring: Keyring,
    folder: PathBuf,
    policy: String,
}

impl Releases {
    /// Makes their keys.
    ///
    /// # Errors
    /// When the command line does not.
    pub async fn create(machine: &Machine, controller: &Controller) -> anyhow::Result<Self> {
        let keyring = Keyring::create(machine)?;
        let mut policy = "[releases]\nthreshold = 2\n".to_owned();
        for name in ["ann", "bob"] {
            let public = keyring.make(controller, name).await?;
            policy.push_str(&listed(name, &public, 0));
            policy.push_str("releases = true\n");
        }
        Ok(Self {
            keyring,
            folder: machine.folder().to_owned(),
            policy,
        })
    }

    /// What a host's policy says that takes what both signed.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Makes a release of a file for an operating system, has it signed by these and brings it.
    ///
    /// # Errors
    /// When the command line refuses one of it.
    pub async fn bring(
        &self,
        controller: &Controller,
        number: u32,
        (os, file): (&str, &Path),
        keys: &[&str],
    ) -> anyhow::Result<()> {
        let manifest = self.folder.join(format!("{number}.json"));
        let manifest = manifest.to_str().context("a path of text")?;
        let target = format!("{os}/{}={}", std::env::consts::ARCH, file.display());
        let (version, number) = (format!("1.0.{number}"), number.to_string());
        let make = [
            "release",
            "make",
            &version,
            "--release",
            &number,
            "--file",
            &target,
            "--to",
            manifest,
        ];
        controller.cli(&make).await?.succeeded()?;
        for key in keys {
            let words = ["release", "sign", manifest, "--key", key];
            self.keyring.sign(controller, &words).await?;
        }
        let file = file.display().to_string();
        let add = ["release", "add", manifest, &file];
        controller.cli(&add).await?.succeeded()?;
        Ok(())
    }

    /// Brings a release of a script that stands for a version on Linux, signed by these.
    ///
    /// # Errors
    /// When the command line refuses one of it.
    pub async fn bring_script(
        &self,
        controller: &Controller,
        (number, script): (u32, &str),
        keys: &[&str],
    ) -> anyhow::Result<()> {
        let file = self.folder.join(format!("agent-{number}"));
        fs::write(&file, format!("#!/bin/sh\n# {number}\n{script}\n"))?;
        let made_for = ("linux", &*file);
        self.bring(controller, number, made_for, keys).await
    }
}

/// Starts the roll-out of a release to hosts with the label `tier=web`, without a pause between rings; its number.
///
/// # Errors
/// When the command line refuses it.
pub async fn start_roll_out(controller: &Controller, release: u32) -> anyhow::Result<i64> {
    let release = release.to_string();
    let start = [
        "upgrade",
        "start",
        "--release",
        &release,
        "--hosts",
        "tier=web",
        "--soak",
        "0s",
    ];
    let started: UpgradeDetail = controller.cli_json(&start).await?;
    Ok(started.upgrade.upgrade)
}

/// How a roll-out stands.
///
/// # Errors
/// When the command line does not say.
pub async fn described(controller: &Controller, upgrade: i64) -> anyhow::Result<UpgradeDetail> {
    let words = ["upgrade", "describe", &upgrade.to_string()];
    controller.cli_json(&words).await
}

/// Rolls a release out until that state.
///
/// # Errors
/// When it is not reached in time; how it stands then.
pub async fn roll_out(
    controller: &Controller,
    release: u32,
    state: UpgradeState,
) -> anyhow::Result<UpgradeDetail> {
    let number = start_roll_out(controller, release).await?;
    let mut last = None;
    let ended = until(state.as_str(), PATIENCE, async || {
        let detail = described(controller, number).await?;
        let is_so = detail.upgrade.state == state;
        last = Some(detail.clone());
        Ok(is_so.then_some(detail))
    });
    ended.await.with_context(|| format!("{last:#?}"))
}
