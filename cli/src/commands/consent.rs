//! Whether a person agrees to what cannot be taken back.

use super::Ctx;
use crate::failure::Failure;

/// Whether the operator still has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// With `--yes`.
    Given,
    /// Ask first.
    Ask,
}

impl Consent {
    /// By the flag `--yes`.
    pub const fn of(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Ask }
    }

    /// Asks `question` when it has to be asked; what is said where nobody can be asked begins with `else_say`.
    pub fn is_given(self, ctx: &Ctx<'_>, question: &str, else_say: &str) -> Result<bool, Failure> {
        if self == Self::Given {
            return Ok(true);
        }
        if !ctx.console.can_ask() {
            return Err(Failure::usage(format!("{else_say}; add --yes to do it")));
        }
        let answer = ctx.console.ask(&format!("{question} [y/N] "))?;
        let agreed = matches!(answer.to_lowercase().as_str(), "y" | "yes");
        if !agreed {
            ctx.console.note("nothing was done");
        }
        Ok(agreed)
    }
}
