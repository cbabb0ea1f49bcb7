//! A controller under attack: those who have every right to come in do, and those who are in stay.

use std::net::Ipv4Addr;

use clap::Parser as _;
use tidemark_runtime::Clock;
use tidemark_tests::harness::peer::{facts, sample};
use tidemark_tests::harness::{Controller, Peer, Up, on_own_network};
use tidemark_tests::siege::wire::connect;
use tidemark_tests::siege::{Arguments, Attack, Stretch, run};

/// Attackers share the machine, and other tests run beside: the figures are those of `siege`, and these are what shows a defence that
/// is gone.
const GOODPUT_MIN: f64 = 0.8;

/// More than the API takes.
const CONNECTIONS: u64 = 2_500;

/// Whether attackers that want as many connections as they can get have about as many as they may; it takes them a moment to see that
/// one is gone.
fn is_kept_short(one: &Stretch) -> bool {
    let most = match one.attack {
        Some(Attack::Strangers | Attack::SlowBodies | Attack::HostConnections) => 256 * 2,
        Some(Attack::ApiConnections) => 1_024 + 256,
        Some(_) | None => CONNECTIONS,
    };
    one.attackers["open"] <= most
}

#[test]
fn honest_agents_newcomers_and_people_get_through_whatever_others_do() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let words = format!(
            "siege --agents 50 --interval 1s --lasts 4s --connections {CONNECTIONS} --rate 1000"
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
            assert!(one.newcomers.came_in >= 1, "{what}");
            assert_eq!(one.newcomers.came_in, one.newcomers.came, "{what}");
            assert!(one.answered > 0 && one.unanswered == 0, "{what}");
            assert!(is_kept_short(one), "{what}");
        }
        Ok(())
    })
}

/// Few open files for a controller, and more connections than that.
const OPEN_FILES: u32 = 320;
const TOO_MANY: u8 = 200;

#[test]
fn with_few_open_files_a_controller_keeps_its_sessions_and_lets_newcomers_in() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let up = Up {
            open_files: Some(OPEN_FILES),
            ..Up::alone()
        };
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?.token;
        let peer = Peer::enrolled_with(&controller, &token, facts("web-1")).await?;
        let mut taken = Vec::new();
        peer.deliver(1, async |mut session| {
            let first = sample(Clock::System.now(), 700);
            session.samples(1, &[first]).await?;
            session.acked(1).await?;
            let attacker = Ipv4Addr::new(127, 0, 0, 200);
            for _ in 0..TOO_MANY {
                for door in [&controller.ready.grpc, &controller.ready.http] {
                    let address = door.trim_start_matches("http://").parse()?;
                    taken.push(connect(attacker, address).await?);
                }
            }
            let second = sample(Clock::System.now(), 700);
            session.samples(2, &[second]).await?;
            session.acked(2).await
        })
        .await?;
        // Which is asked for at the API, and used at the agents' port.
        let token = controller.join_token().await?.token;
        Peer::enrolled_with(&controller, &token, facts("web-2")).await?;
        assert_eq!(controller.hosts().await?.len(), 2);
        let complained = controller.process.stderr()?;
        assert!(!complained.contains("cannot accept"), "{complained}");
        assert_eq!(controller.stop().await?.code(), Some(0));
        Ok(())
    })
}
