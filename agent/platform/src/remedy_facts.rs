//! Words of the remedies that every system shares: why one was not done, and what it says while it is.

use tidemark_model::action::spec::{EventLevel, NicOffload};
use tidemark_model::action::{Step, StepState};

/// Why something was not done, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemedyError {
    /// This system has no such thing.
    #[error("{0}")]
    Unsupported(String),
    /// What it was to be done to is not there, or not as the order says. Nothing was done.
    #[error("{0}")]
    NoSuchTarget(String),
    /// It would break something. Nothing was done.
    #[error("{0}")]
    Unsafe(String),
    /// It was tried.
    #[error("{0}")]
    Failed(String),
}

/// How a switch of the system stands, or is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
    /// The system decides.
    Automatic,
}

impl Switch {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::On, Self::Off, Self::Automatic];

    /// As a report shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Automatic => "automatic",
        }
    }
}

impl From<bool> for Switch {
    fn from(is_on: bool) -> Self {
        if is_on { Self::On } else { Self::Off }
    }
}

/// What of a network card can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardSwitch {
    /// Work that the card does for the stack.
    Offload(NicOffload),
    /// Whether the card collects interrupts.
    InterruptModeration,
}

/// How a card's switch stands, and would stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardChange {
    /// Its card and name, as an operator finds it.
    pub what: String,
    /// Its value.
    pub before: String,
    /// The value that is wished for.
    pub after: String,
}

/// What a reset of the stack would lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackView {
    /// Addresses that were given to the host by hand.
    pub addresses: Vec<String>,
    /// Each setting that is lost, as the command that makes it again: its context, and the command.
    pub lost: Vec<(String, String)>,
    /// The commands that make all of it again, as the system printed them, or why it printed none: nothing may be reset then.
    pub dump: Result<Vec<u8>, RemedyError>,
}

impl StackView {
    /// What is to be kept before anything is reset.
    ///
    /// # Errors
    /// What cannot be kept, and why.
    pub fn to_keep(&self) -> Result<&[u8], RemedyError> {
        let settings = "the settings of the interfaces cannot be kept";
        match &self.dump {
            Ok(dump) if dump.is_empty() => Err(RemedyError::Unsupported(format!(
                "{settings}: the system prints none"
            ))),
            Ok(dump) => Ok(dump),
            Err(error) => Err(RemedyError::Unsupported(format!("{settings}: {error}"))),
        }
    }
}

/// A service that would be restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name: on Windows as it was asked for, elsewhere as the system has it.
    pub name: String,
    /// Who keeps it, as in `systemd`.
    pub keeper: &'static str,
    /// Whether it runs; `None` when that is not told, or it is on its way.
    pub is_running: Option<bool>,
    /// What goes down and comes up with it, in the order in which it goes down.
    pub dependents: Vec<String>,
}

/// An event that is written into a log of the system.
#[derive(Clone, Copy, Debug)]
pub struct EventEntry<'a> {
    /// Windows: the log, that of the source when none is named. Linux: the identifier when there is no source.
    pub log: Option<&'a str>,
    /// Who says it; the product when nobody is named.
    pub source: Option<&'a str>,
    /// Number of the event.
    pub id: u16,
    /// How serious it is.
    pub level: EventLevel,
    /// What it says.
    pub text: &'a str,
}

/// The limit of one .NET Framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DotnetLimit {
    /// The file in which it stands.
    pub file: String,
    /// Connections to every address; `None` when it is not set.
    pub before: Option<u32>,
}

/// Hears of every step.
pub type Teller<'a> = &'a mut dyn FnMut(Step);

/// A step that was tried, told as it came out.
pub(crate) fn tried<T>(
    tell: Teller<'_>,
    what: &str,
    outcome: Result<T, RemedyError>,
) -> Result<T, RemedyError> {
    let (state, text) = match &outcome {
        Ok(_) => (StepState::Done, String::new()),
        Err(error) => (StepState::Failed, error.to_string()),
    };
    tell(Step {
        what: what.to_owned(),
        state,
        text,
    });
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_were_not_printed_are_never_taken_for_kept() {
        let view = |dump| StackView {
            addresses: vec!["10.9.8.7".to_owned()],
            lost: Vec::new(),
            dump,
        };
        let mute = RemedyError::Failed("`netsh -c interface dump`: timed out".to_owned());
        for dump in [Err(mute), Ok(Vec::new())] {
            let why = view(dump).to_keep().unwrap_err().to_string();
            assert!(why.contains("settings of the interfaces"), "{why}");
        }
        assert_eq!(view(Ok(b"add".to_vec())).to_keep(), Ok(&b"add"[..]));
    }
}
