//! The grammar of labels that the controller holds of a host.

use super::{Label, parse_label};

/// Which labels of which host.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples: tidemark label web-1 team=payments env=prod\n          \
                            tidemark label web-1 team=billing --overwrite\n          \
                            tidemark label web-1 env-\n\
                  Scopes choose hosts by these labels: who sees the host changes with them, at once."
)]
pub struct LabelArgs {
    /// Name or id
    pub host: String,
    /// KEY=VALUE to set a label, KEY- to take it away
    #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = parse_change)]
    pub changes: Vec<LabelChange>,
    /// Give labels another value that have one already
    #[arg(long)]
    pub overwrite: bool,
}

/// What is to become of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelChange {
    /// It has this value.
    Set(Label),
    /// It is not there.
    TakeAway(String),
}

fn parse_change(text: &str) -> Result<LabelChange, String> {
    match text.strip_suffix('-') {
        Some(key) if !key.is_empty() && !key.contains('=') => {
            Ok(LabelChange::TakeAway(key.to_owned()))
        }
        Some(_) | None => parse_label(text)
            .map(LabelChange::Set)
            .map_err(|_| "write KEY=VALUE to set a label, KEY- to take it away".to_owned()),
    }
}
