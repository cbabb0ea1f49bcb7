//! The command line as a whole.

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn the_documented_commands_are_understood() {
    for line in [
        "run --config /etc/tidemark/agent.toml",
        "run --config x --stop-on-stdin-eof --interval 1s",
        "run --config x --supervised 7",
        "run --config x --supervised 7 --in-service",
        "supervise --config /etc/tidemark/agent.toml --upgrades-grace 11m",
        "enroll --controller c:7443 --token-file t",
        "status -o json",
        "snapshot --json",
        "doctor",
        "doctor --for 30m -o json",
        "doctor --snapshot s.json --evtx System.evtx -o html",
        "support-bundle --to b.zip --for 0s",
        "reset-identity --yes",
        "completion bash",
    ] {
        let words = std::iter::once("tidemark-agent").chain(line.split(' '));
        assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
    }
}

#[test]
fn what_the_agent_starts_of_itself_is_a_command() {
    let words = ["tidemark-agent", BOUND_SELF_TEST];
    assert!(Arguments::try_parse_from(words).is_ok());
    let help = Arguments::command().render_help().to_string();
    assert!(!help.contains(BOUND_SELF_TEST));
}
