//! Global switches of the stack: asked of WMI, set through `netsh`, and asked again.

use serde::Deserialize;
use tidemark_model::action::spec::TcpGlobal;

use crate::remedy_facts::{RemedyError, Switch};
use crate::windows::management::{self, SETTINGS};
use crate::windows::program;

/// The template that most connections use.
const TEMPLATE: &str = "Internet";

/// The instance of `MSFT_NetOffloadGlobalSetting`. Parts that a version does not have are missing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Offloads {
    #[serde(default)]
    chimney: Option<u8>,
    #[serde(default)]
    receive_side_scaling: Option<u8>,
    #[serde(default)]
    receive_segment_coalescing: Option<u8>,
}

/// An instance of `MSFT_NetTCPSetting`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Template {
    #[serde(default)]
    setting_name: Option<String>,
    #[serde(default)]
    ecn_capability: Option<u8>,
    #[serde(default)]
    timestamps: Option<u8>,
}

/// How a switch stands.
///
/// # Errors
/// [`RemedyError::Unsupported`] where this version of Windows does not have it, or WMI does not tell.
pub fn look(switch: TcpGlobal) -> Result<Switch, RemedyError> {
    let untold = |error: std::io::Error| {
        RemedyError::Unsupported(format!(
            "WMI does not tell {} here, so that it could not be read back after it was set: {error}",
            switch.as_str()
        ))
    };
    // Every property, because naming one that a version does not have fails the query.
    let state = match switch {
        TcpGlobal::Chimney | TcpGlobal::Rss | TcpGlobal::Rsc => {
            let query = "SELECT * FROM MSFT_NetOffloadGlobalSetting";
            let settings = management::query::<Offloads>(&SETTINGS, query).map_err(untold)?;
            settings.first().and_then(|settings| match switch {
                TcpGlobal::Chimney => settings.chimney,
                TcpGlobal::Rss => settings.receive_side_scaling,
                TcpGlobal::Rsc => settings.receive_segment_coalescing,
                TcpGlobal::EcnCapability | TcpGlobal::Timestamps => None,
            })
        }
        TcpGlobal::EcnCapability | TcpGlobal::Timestamps => {
            let query = "SELECT * FROM MSFT_NetTCPSetting";
            let templates = management::query::<Template>(&SETTINGS, query).map_err(untold)?;
            let template = templates
                .iter()
                .find(|template| template.setting_name.as_deref() == Some(TEMPLATE));
            template.and_then(|template| match switch {
                TcpGlobal::EcnCapability => template.ecn_capability,
                TcpGlobal::Timestamps => template.timestamps,
                TcpGlobal::Chimney | TcpGlobal::Rss | TcpGlobal::Rsc => None,
            })
        }
    };
    match state {
        Some(0) => Ok(Switch::Off),
        Some(1) => Ok(Switch::On),
        Some(_) => Ok(Switch::Automatic),
        None => Err(RemedyError::Unsupported(format!(
            "this version of Windows has no {}",
            switch.as_str()
        ))),
    }
}

/// Sets a switch, at once and for the next starts, and makes sure that it is set.
///
/// # Errors
/// What `netsh` says, or that the switch stands otherwise afterwards.
pub fn set(switch: TcpGlobal, wish: Switch) -> Result<(), RemedyError> {
    let word = match wish {
        Switch::On => "enabled",
        Switch::Off => "disabled",
        Switch::Automatic => "automatic",
    };
    let setting = format!("{}={word}", switch.as_str());
    let words = ["int", "tcp", "set", "global", &setting];
    program::output_of("netsh.exe", &words)
        .map_err(|error| RemedyError::Failed(format!("`netsh {}`: {error}", words.join(" "))))?;
    let after = look(switch)?;
    if after == wish {
        return Ok(());
    }
    Err(RemedyError::Failed(format!(
        "`netsh {}` was done, and {} is {}",
        words.join(" "),
        switch.as_str(),
        after.as_str()
    )))
}
