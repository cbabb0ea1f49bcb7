//! The one order that was signed and done, sent again: over the session, after restarts, after the host's memory was tampered
//! with, and with its clock set about.

use super::*;

/// Where apt puts it.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// An agent's clock that is off by so much.
pub(super) const fn shifted(shift: &'static str) -> [(&'static str, &'static str); 3] {
    [
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME", shift),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
}

impl Site {
    /// The order that was done comes again: the host tells how it ended, and does nothing.
    async fn knows(&self, when: &str) -> anyhow::Result<()> {
        let report = self.thief.deliver(&self.done, PATIENCE).await?;
        anyhow::ensure!(report.state == ActionState::Verifying, "{when}: {report:?}");
        self.nothing_else_happened(when)
    }

    /// It comes again, and the host refuses it as something that may have been done.
    async fn refuses_again(&self, when: &str) -> anyhow::Result<()> {
        self.refuses(when, &self.done, Refusal::Replayed).await?;
        self.nothing_else_happened(when)
    }
}

#[test]
fn an_order_that_was_done_is_never_done_again() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        site.knows("over another session").await?;
        for _ in 0..100 {
            site.knows("again and again").await?;
        }
        // The id once more, with something else behind it, signed as it should be.
        let other = Order {
            id: site.done.id,
            ..site.forge.hook()
        };
        let signed = site.forge.signed(&other);
        site.refuses("its id for another order", &signed, Refusal::Replayed)
            .await?;
        site.restart_with(&[], |_| Ok(())).await?;
        site.knows("after a restart of the agent").await?;

        // The host's files from before another order was done.
        site.restart_with(&[], |site| {
            fs::copy(site.journal(), site.test_folder.join("backup")).map(drop)?;
            Ok(())
        })
        .await?;
        let order = site.takes("after the backup").await?;
        site.restart_with(&[], |site| {
            fs::copy(site.test_folder.join("backup"), site.journal()).map(drop)?;
            Ok(())
        })
        .await?;
        site.refuses("a journal out of a backup", &order, Refusal::Replayed)
            .await?;
        site.takes("with a journal out of a backup").await?;

        site.restart_with(&[], |site| Ok(fs::remove_file(site.journal())?))
            .await?;
        site.refuses_again("without a journal").await?;
        site.takes("without a journal").await.map(drop)
    })
}

#[test]
fn a_clock_that_is_set_about_brings_no_order_back() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        // Long enough ahead for the host to forget what can no longer be valid, and back.
        site.restart_with(&shifted("+60h"), |_| Ok(())).await?;
        site.refuses(
            "by a clock that is ahead",
            &site.forge.signed(&site.forge.hook()),
            Refusal::Expired,
        )
        .await?;
        site.restart_with(&[], |_| Ok(())).await?;
        let report = site.thief.deliver(&site.done, PATIENCE).await?;
        assert_eq!(report.refusal, Some(Refusal::Replayed), "{report:?}");
        site.nothing_else_happened("with its clock set back")?;
        // Behind by as much as certificates allow; by more there is no session at all.
        site.restart_with(&shifted("-30m"), |_| Ok(())).await?;
        let report = site.thief.deliver(&site.done, PATIENCE).await?;
        assert_eq!(report.state, ActionState::Refused, "{report:?}");
        site.nothing_else_happened("with its clock behind")?;
        site.restart_with(&[], |_| Ok(())).await?;
        site.takes("with the right time again").await.map(drop)
    })
}
