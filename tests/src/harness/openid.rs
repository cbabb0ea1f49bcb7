//! A real OpenID provider on a test's own network: npm's `oidc-provider`.

use anyhow::Context as _;
use tokio::process::Command;

use super::browser::target_folder;
use super::{Machine, Process};

/// Its port.
const PORT: u16 = 9_444;

/// What proves the controller to it.
pub const SECRET: &str = "the client's secret";

const SCRIPT: &str = include_str!("openid.mjs");

/// A running provider, to which everybody is who they say: `ann` is of the groups staff and ops, `eve` of staff.
#[derive(Debug)]
pub struct OpenId {
    _process: Process,
}

impl OpenId {
    /// Starts it for a controller that browsers come back to at `redirect`.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(machine: &Machine, redirect: &str) -> anyhow::Result<Self> {
        let packages = target_folder()?.join("oidc-provider");
        anyhow::ensure!(
            packages.join("node_modules/oidc-provider").is_dir(),
            "npm's oidc-provider is needed: tests/run puts it into {}",
            packages.display()
        );
        let script = machine.folder().join("openid.mjs");
        std::fs::write(&script, SCRIPT)?;
        let mut command = Command::new("node");
        command
            .arg(&script)
            .arg(&packages)
            .arg(PORT.to_string())
            .args([redirect, SECRET])
            .kill_on_drop(true);
        let mut process = Process::start("openid", command, machine.folder())
            .context("node is needed: apt-get install nodejs npm, as tests/run does")?;
        let discovery = format!("{}/.well-known/openid-configuration", Self::issuer());
        process.answers_at("the provider", &discovery).await?;
        Ok(Self { _process: process })
    }

    /// How it names itself.
    #[must_use]
    pub fn issuer() -> String {
        format!("http://127.0.0.1:{PORT}")
    }
}
