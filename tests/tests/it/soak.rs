//! Actions and records while agents and controllers are killed again and again; for a minute of it, see the program `soak` for an hour.

use clap::Parser as _;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::soak::{Arguments, run};

#[test]
fn what_was_asked_for_done_and_told_agrees_though_agents_and_controllers_are_killed()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let words = "soak --agents 3 --lasts 30s --agent-every 6s --controller-every 8s --down 2s";
        let arguments = Arguments::try_parse_from(words.split_whitespace())?;
        let report = Box::pin(run::run(machine, arguments)).await?;
        let text = report.to_table();
        assert!(report.is_whole(), "{text}");
        assert!(report.agent_kills >= 3, "{text}");
        assert!(report.controller_kills >= 1, "{text}");
        assert!(report.ends.contains_key("verified, done 1x"), "{text}");
        assert!(
            report.in_journals > 0 && report.records.stored > 0,
            "{text}"
        );
        assert_eq!(report.verified.len(), 2, "{text}");
        Ok(())
    })
}
