//! What an action changed is put back: the values that its own report has as they were before, and only while they are
//! still those that it set. Cut short, it is simply begun again: what is back already is left as it is.

use tidemark_model::ActionSpec;
use tidemark_model::action::spec::{IpFamily, Lasting, TcpGlobal, TcpParameter};
use tidemark_model::action::{Change, Step, StepState};
use tidemark_model::{PortRange, Protocol};
use tidemark_platform::remedy::{
    CardSwitch, RemedyError, Switch, card, dotnet, settings, tcp_global,
};

use super::deed::Deed;
use super::{port_range, tcp_parameter};

/// Why something was not undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotUndone {
    /// Nothing was put back.
    Untouched(String),
    /// It was tried; how it stands is in the report's steps.
    Failed(String),
}

/// A value that an action changes and that can be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    Range(Protocol, IpFamily),
    KeptRange(Protocol, IpFamily),
    Parameter(TcpParameter),
    KeptParameter(TcpParameter),
    Global(TcpGlobal),
    Card(String, CardSwitch),
    DotnetLimit(String),
}

/// Puts everything back; answers what was.
///
/// # Errors
/// [`NotUndone`].
pub(super) fn undo(deed: &mut Deed<'_>) -> Result<String, NotUndone> {
    let changes = deed.changes().to_vec();
    let settings = settings_of(&deed.order.spec, &changes);
    if settings.is_empty() || settings.len() != changes.len() {
        let text = "the host does not know what it was before".to_owned();
        return Err(NotUndone::Untouched(text));
    }
    let all: Vec<(Setting, Change)> = settings.into_iter().zip(changes).collect();
    for (setting, change) in &all {
        let reads = setting.read().map_err(|error| {
            NotUndone::Untouched(format!("{} cannot be read: {error}", change.what))
        })?;
        if reads != change.after && reads != change.before {
            return Err(NotUndone::Untouched(format!(
                "{} was changed by somebody else meanwhile: it is {}, and the action set {}; it is left as it is",
                change.what,
                shown(&reads),
                shown(&change.after)
            )));
        }
    }
    let mut back = Vec::new();
    // What was set last goes first.
    for (setting, change) in all.iter().rev() {
        put_back(deed, setting, change)?;
        back.push(format!(
            "{} is {} again",
            change.what,
            shown(&change.before)
        ));
    }
    back.reverse();
    Ok(back.join("; "))
}

fn put_back(deed: &mut Deed<'_>, setting: &Setting, change: &Change) -> Result<(), NotUndone> {
    let restored = setting.read().and_then(|reads| {
        if reads == change.before {
            return Ok(StepState::Skipped);
        }
        setting.write(change.before.as_deref())?;
        let reads = setting.read()?;
        if reads == change.before {
            return Ok(StepState::Done);
        }
        let text = format!("it was set, and reads {}", shown(&reads));
        Err(RemedyError::Failed(text))
    });
    let what = format!("set {} back to {}", change.what, shown(&change.before));
    let (state, text) = match &restored {
        Ok(state) => (*state, String::new()),
        Err(error) => (StepState::Failed, error.to_string()),
    };
    let failed = format!("{} cannot be set back: {text}", change.what);
    deed.note(Step { what, state, text });
    restored.map(drop).map_err(|_| NotUndone::Failed(failed))
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("not set")
}

/// The settings behind an action's changes, in the order in which it plans them.
fn settings_of(spec: &ActionSpec, changes: &[Change]) -> Vec<Setting> {
    match spec {
        ActionSpec::SetDynamicPortRange {
            protocol,
            family,
            lasting,
            ..
        } => {
            let now = Setting::Range(*protocol, *family);
            match lasting {
                Lasting::UntilReboot => vec![now],
                Lasting::Always => vec![now, Setting::KeptRange(*protocol, *family)],
            }
        }
        ActionSpec::SetTcpParameter { parameter, .. } => {
            let all = [
                Setting::Parameter(*parameter),
                Setting::KeptParameter(*parameter),
            ];
            all.into_iter().take(changes.len()).collect()
        }
        ActionSpec::SetTcpGlobal { switch, .. } => vec![Setting::Global(*switch)],
        ActionSpec::SetNicOffload {
            adapter, offload, ..
        } => vec![Setting::Card(
            adapter.clone(),
            CardSwitch::Offload(*offload),
        )],
        ActionSpec::SetInterruptModeration { adapter, .. } => vec![Setting::Card(
            adapter.clone(),
            CardSwitch::InterruptModeration,
        )],
        ActionSpec::SetDotnetConnectionLimit { .. } => changes
            .iter()
            .map(|change| Setting::DotnetLimit(change.what.clone()))
            .collect(),
        ActionSpec::CollectEvidence { .. }
        | ActionSpec::WriteEvent { .. }
        | ActionSpec::RestartService { .. }
        | ActionSpec::RecycleAppPool { .. }
        | ActionSpec::EndProcess { .. }
        | ActionSpec::ResetTcpStack { .. }
        | ActionSpec::Reboot { .. }
        | ActionSpec::RunHook { .. } => Vec::new(),
    }
}

impl Setting {
    /// As the action's report shows it.
    fn read(&self) -> Result<Option<String>, RemedyError> {
        match self {
            Self::Range(protocol, family) => {
                settings::range(*protocol, *family).map(|range| Some(port_range::shown(range)))
            }
            Self::KeptRange(protocol, family) => {
                let kept = settings::kept_range(*protocol, *family)?;
                Ok(kept.map(port_range::shown))
            }
            Self::Parameter(parameter) => settings::parameter(*parameter).map(tcp_parameter::shown),
            Self::KeptParameter(parameter) => {
                settings::kept_parameter(*parameter).map(tcp_parameter::shown)
            }
            Self::Global(switch) => {
                tcp_global::look(*switch).map(|state| Some(state.as_str().to_owned()))
            }
            Self::Card(adapter, switch) => {
                // The wish decides nothing of what it was.
                let change = card::look(adapter, *switch, Switch::Off)?;
                Ok(Some(change.before))
            }
            Self::DotnetLimit(file) => {
                let limits = dotnet::limits()?;
                let limit = limits.into_iter().find(|limit| limit.file == *file);
                let limit =
                    limit.ok_or_else(|| RemedyError::NoSuchTarget(format!("{file} is gone")))?;
                Ok(tcp_parameter::shown(limit.before))
            }
        }
    }

    fn write(&self, value: Option<&str>) -> Result<(), RemedyError> {
        let range = || {
            let read = value.map(port_range::read);
            match read {
                None => Ok(None),
                Some(Some(range)) => Ok(Some(range)),
                Some(None) => Err(unreadable(value)),
            }
        };
        let number = || {
            let read = value.map(str::parse::<u32>).transpose();
            read.map_err(|_| unreadable(value))
        };
        match self {
            Self::Range(protocol, family) => {
                let range: PortRange = range()?.ok_or_else(|| unreadable(value))?;
                settings::set_range(*protocol, *family, range)
            }
            Self::KeptRange(protocol, family) => {
                settings::restore_kept_range(*protocol, *family, range()?)
            }
            Self::Parameter(parameter) => settings::restore_parameter(*parameter, number()?),
            Self::KeptParameter(parameter) => settings::keep_parameter(*parameter, number()?),
            Self::Global(switch) => {
                let state = Switch::ALL
                    .into_iter()
                    .find(|state| Some(state.as_str()) == value)
                    .ok_or_else(|| unreadable(value))?;
                tcp_global::set(*switch, state)
            }
            Self::Card(adapter, switch) => {
                card::restore(adapter, *switch, value.ok_or_else(|| unreadable(value))?)
            }
            Self::DotnetLimit(file) => dotnet::restore_limit(file, number()?),
        }
    }
}

fn unreadable(value: Option<&str>) -> RemedyError {
    RemedyError::Failed(format!(
        "{} is no value that it could have",
        value.unwrap_or("nothing")
    ))
}
