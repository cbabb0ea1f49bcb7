//! A controller under attack: those who have every right to come in do, and those who are in stay.

use clap::Parser as _;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::siege::{Arguments, Attack, Stretch, run};

/// Attackers share the machine, and other tests run beside: the figures are those of `siege`, and these are what shows a defence that
/// is gone.
const GOODPUT_MIN: f64 = 0.8;

/// More than the API takes.
const CONNECTIONS: u64 = 2_500;

/// Whether attackers that want as many connections as they can get have at most half of them.
fn is_kept_short(one: &Stretch) -> bool {
    let wants_connections = matches!(
        one.attack,
        Some(
            Attack::Strangers
                | Attack::SlowBodies
                | Attack::HostConnections
                | Attack::ApiConnections
        )
    );
    !wants_connections || one.attackers["open"] <= CONNECTIONS / 2
}

#[test]
fn honest_agents_newcomers_and_people_get_through_whatever_others_do() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let words = format!(
            "siege --agents 50 --interval 1s --lasts 6s --connections {CONNECTIONS} --rate 1000"
        );
        let arguments = Arguments::try_parse_from(words.split_whitespace())?;
        let attacks = arguments.attacks.len();
        let report = Box::pin(run::run(machine, arguments)).await?;
        let table = report.to_table();
        assert_eq!(report.stretches.len(), attacks + 1, "{table}");
        for one in &report.stretches {
            let what = format!("{:?}\n{table}", one.attack);
            assert!(one.goodput >= GOODPUT_MIN, "{what}");
            assert_eq!(one.sessions_fewest, 50, "{what}");
            assert!(one.newcomers.came_in >= 2, "{what}");
            assert_eq!(one.newcomers.came_in, one.newcomers.came, "{what}");
            assert!(one.answered > 0 && one.unanswered == 0, "{what}");
            assert!(is_kept_short(one), "{what}");
        }
        Ok(())
    })
}
