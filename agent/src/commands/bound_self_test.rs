//! `tidemark-agent bound-self-test`: what the agent starts to learn, in a process that it can lose, whether bound
//! sockets are listed; and what a script asks a real Windows. Not for people.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use tidemark_platform::tables::{
    BOUND_SELF_TEST_PASSED, BoundMethod, BoundVisibility, bound_self_test, fallback_self_test,
};
use tidemark_runtime::Outcome;

use super::print;

#[derive(Args, Clone, Debug)]
pub(super) struct BoundSelfTestArgs {
    /// Which way is tried.
    #[arg(long, value_enum, default_value_t = Way::Export)]
    by: Way,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// The system's list, as the agent asks for it first.
    Export,
    /// WMI.
    Wmi,
    /// Handles of suspect processes.
    Afd,
}

pub(super) fn run(args: &BoundSelfTestArgs) -> anyhow::Result<Outcome> {
    let method = match args.by {
        Way::Export => {
            return match bound_self_test() {
                BoundVisibility::Listed => print(&format!("{BOUND_SELF_TEST_PASSED}\n")),
                BoundVisibility::Hidden => bail!("bound sockets are not listed on this system"),
            };
        }
        Way::Wmi => BoundMethod::Management,
        Way::Afd => BoundMethod::Handles,
    };
    let listed = fallback_self_test(method).map_err(|why| anyhow!(why))?;
    print(&format!(
        "{BOUND_SELF_TEST_PASSED} by {}: {listed} of others\n",
        method.as_str()
    ))
}
