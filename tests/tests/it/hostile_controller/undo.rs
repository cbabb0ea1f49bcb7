//! What a thief makes of `ActionUndo`: nothing but what the host did by an order that lets itself be undone, once, within its time.

use tidemark_proto::v1::ActionUndo;

use super::*;

const VALUE: &str = "/proc/sys/net/ipv4/tcp_fin_timeout";
/// What the orders that may be undone say.
const WITHIN_S: u32 = 600;

fn value() -> anyhow::Result<String> {
    Ok(fs::read_to_string(VALUE)?.trim().to_owned())
}

impl Site {
    /// An order for the parameter.
    fn set(&self, value: u32, undo_within_s: Option<u32>) -> Order {
        let spec =
            json!({"action": "set_tcp_parameter", "parameter": "tcp_fin_timeout", "value": value});
        Order {
            undo_within_s,
            ..self.forge.order(spec)
        }
    }

    /// Has the host do it, signed as it should be.
    async fn sets(&self, to: u32, undo_within_s: Option<u32>) -> anyhow::Result<ActionId> {
        let order = self.forge.signed(&self.set(to, undo_within_s));
        let report = until("the host's readiness", PATIENCE, async || {
            let report = self.thief.deliver(&order, PATIENCE).await?;
            Ok((report.refusal != Some(Refusal::TooOften)).then_some(report))
        })
        .await?;
        anyhow::ensure!(report.state == ActionState::Verifying, "{report:?}");
        anyhow::ensure!(value()? == to.to_string(), "{}", value()?);
        Ok(order.id)
    }

    /// Asks for an undo that the host owes nobody: it says why not, and nothing changes.
    async fn undoes_not(&self, name: &str, id: ActionId, words: &str) -> anyhow::Result<()> {
        let before = value()?;
        let report = self.thief.undo(id, PATIENCE).await?;
        let why = report.undo_refused.as_deref().unwrap_or_default();
        anyhow::ensure!(why.contains(words), "{name}: {report:?}");
        anyhow::ensure!(value()? == before, "{name}: {}", value()?);
        self.nothing_else_happened(name)
    }
}

#[test]
fn an_undo_that_no_order_allows_changes_nothing() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        let keys = site.forge.policy_keys();
        let allow = "[[allow]]\nactions = [\"set_tcp_parameter\"]\n";
        site.folder.allow(&format!("{POLICY}{allow}{keys}"))?;
        never_done(&site).await?;
        not_allowed(&site).await?;
        late_and_locked(&mut site).await?;
        replayed(&site).await
    })
}

/// Of what the host has not done.
async fn never_done(site: &Site) -> anyhow::Result<()> {
    let unknown = "does not remember";
    let made_up = site.forge.hook().id;
    site.undoes_not("a made-up id", made_up, unknown).await?;
    let allowed = Some(WITHIN_S);
    let unsigned = site.forge.signed_by(&[], &site.set(111, allowed));
    let forged = site
        .forge
        .signed_by(&[&site.forge.stranger], &site.set(111, allowed));
    let foreign = site.forge.signed(&Order {
        host: HostId::of_identity_spki(b"another"),
        ..site.set(111, allowed)
    });
    for (name, order, refusal) in [
        ("an order that nobody signed", unsigned, Refusal::Unsigned),
        ("a stranger's order", forged, Refusal::UnknownKey),
        ("another host's order", foreign, Refusal::WrongHost),
    ] {
        site.refuses(name, &order, refusal).await?;
        site.undoes_not(name, order.id, unknown).await?;
    }
    for bytes in [0, 15, 17, 1_000] {
        let frame = Kind::ActionUndo(ActionUndo {
            action_id: vec![7; bytes],
        });
        site.thief.drives_away(frame, PATIENCE).await?;
        site.nothing_else_happened("an id that is none")?;
    }
    Ok(())
}

/// Of what was done, by orders that do not allow it, or over what came later.
async fn not_allowed(site: &Site) -> anyhow::Result<()> {
    let honest = site.done.id;
    site.undoes_not("the order that was stolen", honest, "does not let")
        .await?;
    let silent = site.sets(118, None).await?;
    site.undoes_not("an order that names no undo", silent, "does not let")
        .await?;
    // The same bytes once more, with a consent that nobody signed.
    let widened = Order {
        id: silent,
        ..site.set(118, Some(WITHIN_S))
    };
    let widened = site.forge.signed_by(&[], &widened);
    site.refuses("a consent that nobody signed", &widened, Refusal::Replayed)
        .await?;
    site.undoes_not("a consent that nobody signed", silent, "does not let")
        .await?;
    let older = site.sets(119, Some(WITHIN_S)).await?;
    site.sets(119, None).await?;
    site.undoes_not(
        "a later order for the same value",
        older,
        "set by a later action",
    )
    .await
}

async fn late_and_locked(site: &mut Site) -> anyhow::Result<()> {
    let id = site.sets(117, Some(WITHIN_S)).await?;
    let stop = Kind::Lockdown(Lockdown {
        stop: true,
        ..Lockdown::default()
    });
    site.thief.send_frame(stop, PATIENCE).await?;
    site.undoes_not("a lockdown", id, "stopped on this host")
        .await?;
    let host = site.forge.host;
    let at = Clock::System.now().unix_ms() + 1_000;
    let unlock = format!("{{\"host\":\"{host}\",\"issued_at_ms\":{at}}}").into_bytes();
    let signed = site.forge.ann.sign(Purpose::Unlock, &unlock);
    let end = Kind::Lockdown(Lockdown {
        stop: false,
        signatures: signatures_to_wire(&[signed]),
        unlock,
    });
    site.thief.send_frame(end, PATIENCE).await?;
    let lockdown = site.folder.data_dir().join("lockdown");
    until("the lockdown's end", PATIENCE, async || {
        Ok((!lockdown.is_file()).then_some(()))
    })
    .await?;
    site.restart_with(&replay::shifted("+2h"), |_| Ok(()))
        .await?;
    site.undoes_not("an hour late", id, "which are over")
        .await?;
    site.restart_with(&[], |_| Ok(())).await
}

/// Of what was undone: it is undone once, whatever was set since.
async fn replayed(site: &Site) -> anyhow::Result<()> {
    let id = site.sets(116, Some(WITHIN_S)).await?;
    let undone = site.thief.undo(id, PATIENCE).await?;
    anyhow::ensure!(undone.state == ActionState::RolledBack, "{undone:?}");
    anyhow::ensure!(value()? == "117", "{}", value()?);
    site.sets(116, None).await?;
    for _ in 0..20 {
        let again = site.thief.undo(id, PATIENCE).await?;
        anyhow::ensure!(again.state == ActionState::RolledBack, "{again:?}");
        anyhow::ensure!(value()? == "116", "{}", value()?);
    }
    site.nothing_else_happened("an undo again and again")
}
