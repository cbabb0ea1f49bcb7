//! `tidemark-agent bound-self-test`: what the agent starts to learn, in a process that it can lose, whether bound
//! sockets are listed. Not for people.

use anyhow::bail;
use tidemark_platform::tables::{BOUND_SELF_TEST_PASSED, BoundVisibility, bound_self_test};
use tidemark_runtime::Outcome;

use super::print;

pub(super) fn run() -> anyhow::Result<Outcome> {
    match bound_self_test() {
        BoundVisibility::Listed => print(&format!("{BOUND_SELF_TEST_PASSED}\n")),
        BoundVisibility::Hidden => bail!("bound sockets are not listed on this system"),
    }
}
