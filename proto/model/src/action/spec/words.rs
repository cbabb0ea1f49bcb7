//! Actions as people type them: a kind and `name=value` words.

use super::ActionSpec;
use crate::ActionKind;

/// Words that are no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWords {
    /// No such kind.
    #[error("{0:?} is no action; the actions are {known}", known = kinds_list())]
    Kind(String),
    /// Not `name=value`.
    #[error("{0:?} is no parameter; write NAME=VALUE")]
    Parameter(String),
    /// A parameter is missing, unknown, twice there or of another type.
    #[error("{}: {reason}; write it as in `{}`", .kind.as_str(), .kind.example())]
    Parameters {
        /// Of which action.
        kind: ActionKind,
        /// What is wrong.
        reason: String,
    },
}

fn kinds_list() -> String {
    let names: Vec<_> = ActionKind::ALL.iter().map(|kind| kind.as_str()).collect();
    names.join(", ")
}

impl ActionKind {
    /// The kind with the parameters that it needs, as people type them.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::CollectEvidence => "collect_evidence seconds=30",
            Self::WriteEvent => "write_event id=100 level=warning text='AppSvc leaks ports'",
            Self::RestartService => "restart_service service=appsvc",
            Self::RecycleAppPool => "recycle_app_pool pool=DefaultAppPool",
            Self::EndProcess => "end_process pid=4711 started_at_ms=1767225600000 image=app.exe",
            Self::SetDynamicPortRange => {
                "set_dynamic_port_range protocol=tcp family=ipv4 first=10000 last=65535 lasting=until_reboot"
            }
            Self::SetTcpParameter => "set_tcp_parameter parameter=tcp_timed_wait_delay value=30",
            Self::SetTcpGlobal => "set_tcp_global switch=rss enabled=true",
            Self::SetNicOffload => {
                "set_nic_offload adapter=Ethernet0 offload=lso_ipv4 enabled=false"
            }
            Self::SetInterruptModeration => {
                "set_interrupt_moderation adapter=Ethernet0 enabled=false"
            }
            Self::SetDotnetConnectionLimit => "set_dotnet_connection_limit connections=48",
            Self::ResetTcpStack => r#"reset_tcp_stack steps='["ipv4"]'"#,
            Self::Reboot => {
                "reboot grace_s=300 force=false reason='frees ports that nobody gives back'"
            }
            Self::RunHook => "run_hook name=drain.sh",
        }
    }
}

impl ActionSpec {
    /// From words as people type them: `restart_service service=appsvc stop_timeout_s=60`. A value that is JSON is taken as
    /// such (`12`, `true`, `null`, `["ipv4"]`, `"12"`), anything else as text. Limits are not looked at: see
    /// [`ActionSpec::problems`].
    ///
    /// # Errors
    /// [`InvalidWords`] says which word is wrong.
    pub fn from_words(kind: &str, parameters: &[String]) -> Result<Self, InvalidWords> {
        let known = ActionKind::from_name(kind)
            .ok_or_else(|| InvalidWords::Kind(kind.chars().take(64).collect()))?;
        let wrong = |reason: String| InvalidWords::Parameters {
            kind: known,
            reason,
        };
        let mut fields = serde_json::Map::new();
        fields.insert("action".to_owned(), known.as_str().into());
        for word in parameters {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| InvalidWords::Parameter(word.chars().take(64).collect()))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            if fields.insert(name.to_owned(), value).is_some() {
                return Err(wrong(format!("{name} is given twice")));
            }
        }
        serde_json::from_value(fields.into()).map_err(|error| wrong(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_an_action_of_its_kind_within_its_limits() {
        for kind in ActionKind::ALL {
            let mut words = shlex(kind.example()).into_iter();
            assert_eq!(words.next().as_deref(), Some(kind.as_str()));
            let spec = ActionSpec::from_words(kind.as_str(), &words.collect::<Vec<_>>());
            let spec = spec.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(spec.kind(), *kind);
            assert_eq!(spec.problems(), [], "{}", kind.as_str());
        }
    }

    #[test]
    fn what_is_missing_is_told_with_an_example() {
        let missing = ActionSpec::from_words("collect_evidence", &[]).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "collect_evidence: missing field `seconds`; write it as in `collect_evidence seconds=30`"
        );
    }

    /// Words as a shell splits them, as far as the examples need it.
    fn shlex(text: &str) -> Vec<String> {
        let (mut words, mut is_quoted) = (vec![String::new()], false);
        for char in text.chars() {
            match char {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        words
    }
}
