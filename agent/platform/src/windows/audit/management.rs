//! What WMI tells: TCP's templates, global offloads, updates.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidemark_model::PortRange;
use tidemark_model::audit::{FactName, FactState, FactValue};
use wmi::WMIConnection;

use crate::ReadError;
use crate::audit_facts::{FactList, flag, ranges, text};
use crate::windows::component::Membership;

const STANDARD: &str = r"ROOT\StandardCimv2";
const CIM: &str = r"ROOT\CIMV2";

/// An instance of `MSFT_NetTCPSetting`. Parts that a version does not have are missing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Template {
    setting_name: Option<String>,
    #[serde(default)]
    dynamic_port_range_start_port: Option<u16>,
    #[serde(default)]
    dynamic_port_range_number_of_ports: Option<u16>,
    #[serde(default)]
    auto_reuse_port_range_start_port: Option<u16>,
    #[serde(default)]
    auto_reuse_port_range_number_of_ports: Option<u16>,
    #[serde(default)]
    auto_tuning_level_local: Option<u8>,
}

/// The instance of `MSFT_NetOffloadGlobalSetting`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Offloads {
    #[serde(default)]
    chimney: Option<u8>,
    #[serde(default)]
    receive_side_scaling: Option<u8>,
    #[serde(default)]
    task_offload: Option<u8>,
    #[serde(default)]
    receive_segment_coalescing: Option<u8>,
}

/// An instance of `Win32_QuickFixEngineering`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Hotfix {
    #[serde(rename = "HotFixID")]
    id: Option<String>,
    #[serde(default)]
    installed_on: Option<String>,
}

pub(super) fn templates(facts: &mut FactList) -> Result<(), ReadError> {
    // Every property, because naming one that a version does not have fails the query.
    let query = "SELECT * FROM MSFT_NetTCPSetting";
    for template in ask::<Template>("its TCP templates", STANDARD, query)? {
        let Some(name) = template.setting_name.filter(|name| !name.is_empty()) else {
            continue;
        };
        let range = range_of(
            template.dynamic_port_range_start_port,
            template.dynamic_port_range_number_of_ports,
        );
        let reuse = (
            template.auto_reuse_port_range_start_port,
            template.auto_reuse_port_range_number_of_ports,
        );
        let reuse = match reuse {
            (Some(first), Some(ports)) => {
                ranges(range_of(Some(first), Some(ports)).into_iter().collect())
            }
            _ => FactState::Absent,
        };
        let range = range.map_or(FactState::Absent, |range| {
            FactState::Known(FactValue::Range(range))
        });
        let autotuning = template.auto_tuning_level_local.map(autotuning_word);
        facts.set_of(FactName::TemplateDynamicRange, &name, range);
        facts.set_of(FactName::TemplateAutoReuseRange, &name, reuse);
        facts.set_of(FactName::TemplateAutotuning, &name, text(autotuning));
    }
    Ok(())
}

fn range_of(first: Option<u16>, ports: Option<u16>) -> Option<PortRange> {
    let first = first?;
    PortRange::new(first, first.checked_add(ports?.checked_sub(1)?)?)
}

/// `AutoTuningLevelLocal`.
const fn autotuning_word(level: u8) -> &'static str {
    match level {
        0 => "disabled",
        1 => "highly restricted",
        2 => "restricted",
        3 => "normal",
        4 => "experimental",
        _ => "other",
    }
}

pub(super) fn globals(facts: &mut FactList) -> Result<(), ReadError> {
    let query = "SELECT * FROM MSFT_NetOffloadGlobalSetting";
    let settings = ask::<Offloads>("its global offloads", STANDARD, query)?;
    let Some(settings) = settings.into_iter().next() else {
        return Ok(());
    };
    let chimney = settings.chimney.map(|state| match state {
        0 => "disabled",
        1 => "enabled",
        2 => "automatic",
        _ => "other",
    });
    facts.set(FactName::Chimney, text(chimney));
    for (name, state) in [
        (FactName::Rss, settings.receive_side_scaling),
        (FactName::TaskOffload, settings.task_offload),
        (FactName::Rsc, settings.receive_segment_coalescing),
    ] {
        facts.set(name, flag(state.map(|state| state == 1)));
    }
    Ok(())
}

pub(super) fn hotfixes(facts: &mut FactList) -> Result<(), ReadError> {
    let query = "SELECT HotFixID, InstalledOn FROM Win32_QuickFixEngineering";
    for hotfix in ask::<Hotfix>("its updates", CIM, query)? {
        let Some(id) = hotfix.id.filter(|id| !id.is_empty()) else {
            continue;
        };
        let installed = text(hotfix.installed_on.as_deref());
        facts.set_of(FactName::HotfixInstalledOn, &id, installed);
    }
    Ok(())
}

/// Asks on this thread, which the audit gives up when WMI hangs.
fn ask<T: DeserializeOwned>(
    what: &'static str,
    namespace: &str,
    query: &str,
) -> Result<Vec<T>, ReadError> {
    let told = |source| ReadError::System { what, source };
    // It outlives the connection.
    let _com = Membership::join().map_err(told)?;
    WMIConnection::with_namespace_path(namespace)
        .and_then(|connection| connection.raw_query(query))
        .map_err(|error| told(io::Error::other(error)))
}
