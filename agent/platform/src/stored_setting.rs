//! Settings that an installer or a policy left with the system, as the agent's configuration gets them.

/// One place of the system that holds settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsPlace {
    /// What an operator calls it, as in `HKLM\SOFTWARE\Tidemark\Agent`.
    pub name: &'static str,
    /// What it holds, in no order.
    pub settings: Vec<StoredSetting>,
}

/// One setting of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSetting {
    /// Its name there, as in `TokenFile`.
    pub name: String,
    /// Its value.
    pub value: StoredValue,
}

/// What a setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredValue {
    /// A text, variables of the system replaced.
    Text(String),
    /// A number.
    Number(u32),
    /// Neither, or too long.
    Unreadable,
}
