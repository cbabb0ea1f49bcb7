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
        check_terminal(ctx, &format!("{else_say}; add --yes to do it"))?;
        agrees(ctx, question)
    }
}

/// Whether somebody can be asked; `instead` says what to do where nobody can.
pub fn check_terminal(ctx: &Ctx<'_>, instead: &str) -> Result<(), Failure> {
    if ctx.console.can_ask() {
        return Ok(());
    }
    Err(Failure::usage(instead))
}

/// Asks `question`. A no is an answer and no failure: nothing is done then, which is said, and the command ends as it should.
pub fn agrees(ctx: &Ctx<'_>, question: &str) -> Result<bool, Failure> {
    let answer = ctx.console.ask(&format!("{question} [y/N] "))?;
    let agreed = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !agreed {
        ctx.console.note("nothing was done");
    }
    Ok(agreed)
}
