//! `tidemark-agent enroll`: trades the join token for an identity, once, and says how it went.

use anyhow::Context as _;
use tidemark_runtime::config::ConfigError;
use tidemark_runtime::{Entropy, Outcome, telemetry};

use super::lock::DataLock;
use super::{SettingsArgs, block_on, print};
use crate::config::AgentConfig;
use crate::enroll::enroll;
use crate::facts;
use crate::identity::Vault;
use crate::link::{ControllerAddress, Dialer, SourcePorts};

pub(super) fn run(args: &SettingsArgs) -> anyhow::Result<Outcome> {
    let config = args.load()?;
    let controller = config.require_controller()?.clone();
    telemetry::start(&config.telemetry)?;
    let _lock = DataLock::take(&config.data_dir)?;
    block_on(enroll_here(config, controller))
}

async fn enroll_here(
    config: AgentConfig,
    controller: ControllerAddress,
) -> anyhow::Result<Outcome> {
    let source = config.token.as_ref().ok_or_else(token_missing)?;
    let token = source.read().context("there is no join token")?;
    let vault = Vault::open_or_create(&config.identity_dir(), token.ca_pin)?;
    let host_id = vault.identity().host_id();
    if vault.is_enrolled() {
        AgentConfig::forget_installed_token();
        return print(&format!("this host is enrolled already, as {host_id}\n"));
    }
    let dialer = Dialer::new(
        controller,
        SourcePorts::OutsideDynamicRange(config.collect.dynamic_range),
        Entropy::System,
    );
    let facts = facts::gather(config.labels, &config.collect);
    enroll(&dialer, &vault, &token, &facts)
        .await
        .with_context(|| format!("this host could not enrol at {}", dialer.address()))?;
    AgentConfig::forget_installed_token();
    print(&format!("this host is enrolled as {host_id}\n"))
}

pub(super) fn token_missing() -> ConfigError {
    ConfigError::Rules(vec![
        "this host is not enrolled and there is no join token: make one with `tidemark token create`, then set \
         `token_file = \"...\"` in the file, TIDEMARK_TOKEN_FILE or --token-file"
            .to_owned(),
    ])
}
