//! The system refuses a controller one write or sync of its database, each in turn: no room, or a medium that fails.

use tidemark_model::view::HostDetail;
use tidemark_runtime::Clock;
use tidemark_tests::harness::peer::{Session, sample};
use tidemark_tests::harness::{Finished, Peer, program};

use super::*;

/// How many points are tried: of writes, which a commit has some of, and of syncs, of which it has one or two.
const REFUSALS: [(&str, &str, u32); 4] = [
    ("pwrite64", "ENOSPC", 12),
    ("pwrite64", "EIO", 4),
    ("fsync", "ENOSPC", 2),
    ("fsync", "EIO", 2),
];
/// Within so many records each point must have come: a commit has several writes, and one or two syncs.
const RECORDS_MAX: u64 = 50;

/// Delivers records, each acked, until the mishap has happened, and the one that it happened to once it is over; says up to which.
async fn deliver_until_it_happened(
    session: &mut Session,
    mut strace: Process,
    log: &Path,
    from: u64,
) -> anyhow::Result<u64> {
    let happened = || {
        until("the refusal", SOON, async || {
            let happened = fs::read_to_string(log)?.contains("INJECTED");
            Ok(happened.then_some(()))
        })
    };
    for seq in from..from + RECORDS_MAX {
        let sample = sample(Clock::System.now(), 700);
        session.samples(seq, &[sample]).await?;
        // A commit that failed is done again by another thread, whose calls are counted anew: no more of them may fail.
        tokio::select! {
            biased;
            acked = session.acked(seq) => acked?,
            happened = happened() => {
                happened?;
                strace.terminate()?;
                strace.wait(SOON).await?;
                session.acked(seq).await?;
                return Ok(seq);
            }
        };
    }
    anyhow::bail!("nothing was refused in {RECORDS_MAX} records")
}

#[test]
fn whichever_write_of_the_database_fails_the_controller_stores_each_record_once()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let controller = Controller::up(machine, &up).await?;
        let folder = up.data_dir(machine);
        let files = ["tidemark.db", "tidemark.db-wal"].map(|name| folder.join(name));
        let log = machine.folder().join("refused.log");
        let peer = Peer::enrolled(&controller, "web-1").await?;
        let delivered = peer
            .deliver(1, async |mut session| {
                let mut delivered = 0;
                for (call, error, points) in REFUSALS {
                    for nth in 1..=points {
                        let mishap = Mishap {
                            call,
                            nth,
                            fate: Fate::FailsOnce(error),
                            files: files.to_vec(),
                        };
                        let strace = mishap.attach(controller.process.pid(), &log).await?;
                        let next = delivered + 1;
                        delivered = deliver_until_it_happened(&mut session, strace, &log, next)
                            .await
                            .with_context(|| format!("{error} at {call} {nth}"))?;
                    }
                }
                Ok(delivered)
            })
            .await?;
        assert!(controller.metric("tidemark_commits_failed_total ").await? > 0);
        let host = peer.id();
        let told: HostDetail = controller.get(&format!("/api/v1/hosts/{host}")).await?;
        assert_eq!(told.delivery.stored, delivered);
        assert_eq!(told.delivery.duplicates, 0);
        assert_eq!(controller.stop().await?.code(), Some(0));
        let mut verify = program("tidemark-controller")?;
        verify.arg("verify").arg("--data-dir").arg(&folder);
        Finished::of(verify).await?.succeeded().map(drop)
    })
}
