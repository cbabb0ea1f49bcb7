//! What one controller shows of hosts that are connected to another one.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidemark_model::view::{EventView, HostView, IncidentView, Page, StatusView};
use tidemark_tests::harness::{
    Controller, Gate, Machine, Operators, Process, STARTING, on_own_network, program, until,
};

use super::{EVERYWHERE, PATIENCE, Pair, TAKEOVER, Up, leader};

/// A controller of which nothing is heard for 15 s is not there; then it has to be noticed, on a machine that may be busy.
const GONE: Duration = Duration::from_secs(40);

/// The only host, once it is in that state.
async fn in_state(controller: &Controller, state: &str) -> anyhow::Result<HostView> {
    let what = format!("a host that is {state}");
    let host = until(&what, EVERYWHERE, async || {
        let host = controller.hosts().await?.into_iter().next();
        Ok(host.filter(|host| host.state == state))
    });
    host.await.with_context(|| controller.process.said())
}

/// The only host, once it has a sample that is newer than `than`.
async fn sampled_after(controller: &Controller, than: Option<i64>) -> anyhow::Result<HostView> {
    let host = until("a newer sample", EVERYWHERE, async || {
        let host = controller.hosts().await?.into_iter().next();
        Ok(host.filter(|host| host.sampled_ms > than))
    });
    host.await.with_context(|| controller.process.said())
}

#[test]
fn a_host_of_the_other_controller_is_shown_as_it_is_there() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut pair = Pair::start(machine).await?;
        in_state(&pair.one, "online").await?;
        let first = sampled_after(&pair.one, None).await?;
        let then = sampled_after(&pair.one, first.sampled_ms).await?;
        assert_eq!(then.state, "online");
        let spaces = |host: &HostView| {
            let spaces = host.port_spaces.iter();
            let named = spaces.map(|space| (space.protocol.clone(), space.capacity));
            named.collect::<Vec<_>>()
        };
        assert_eq!(spaces(&then), spaces(&pair.host));
        let status: StatusView = pair.other.status().await?;
        let names = status.controllers.iter().map(|one| one.name.clone());
        let names: Vec<String> = names.collect();
        assert_eq!(names.len(), 2, "{status:#?}");
        let there = status.controllers.iter().find(|one| one.is_this);
        let there = there.context("no name of its own")?.name.clone();
        let detail = pair.one.host(&pair.host.id).await?;
        assert_eq!(detail.controller.as_ref(), Some(&there), "{detail:#?}");
        assert!(detail.sample.is_some() && detail.delivery.stored > 0);
        let said = pair.one.cli(&["describe", "host", &pair.host.id]).await?;
        let said = said.succeeded()?;
        assert!(
            said.contains(&format!("to another controller, {there}")),
            "{said}"
        );
        let said = pair.one.cli(&["status"]).await?.succeeded()?;
        assert!(said.contains(&format!("another   {there}, ")), "{said}");
        let at_home = pair.other.host(&pair.host.id).await?;
        assert_eq!(at_home.controller, None);
        pair.agent.kill().await?;
        let away = in_state(&pair.one, "offline").await?;
        assert_eq!(away.id, pair.host.id);
        let detail = pair.one.host(&pair.host.id).await?;
        assert_eq!(detail.controller, None);
        Ok(())
    })
}

#[test]
fn what_happens_at_one_controller_is_told_to_those_who_look_at_the_other() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        in_state(&pair.one, "online").await?;
        let mut live = pair.one.live().await?;
        // Its newest sample, as the figures of a host that is connected here are told.
        live.tells("\"state\":\"online\"", EVERYWHERE).await?;
        let asked = pair
            .other
            .cli(&["label", &pair.host.id, "tier=web"])
            .await?;
        asked.succeeded()?;
        live.tells("\"tier\":\"web\"", EVERYWHERE).await?;
        let operators = Operators::of(&pair.other).await?;
        let spec = serde_json::json!({"action": "collect_evidence", "seconds": 1});
        operators.ask(&pair.other, &pair.host.id, spec).await?;
        live.tells("action_changed", EVERYWHERE).await?;
        Ok(())
    })
}

#[test]
fn hosts_of_a_controller_that_was_killed_are_not_shown_as_online() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut pair = Pair::start(machine).await?;
        in_state(&pair.one, "online").await?;
        pair.other.process.kill().await?;
        let gone = until("a host that is offline", GONE, async || {
            let host = pair.one.hosts().await?.into_iter().next();
            Ok(host.filter(|host| host.state == "offline"))
        });
        gone.await.with_context(|| pair.one.process.said())?;
        let status = pair.one.status().await?;
        assert_eq!(status.controllers.len(), 1, "{status:#?}");
        // A balancer sends its agents to the one that is left.
        let gate = Gate::open(pair.other.ready.grpc.parse()?, pair.one.ready.grpc.parse()?);
        let _gate = gate.await?;
        until("a host that is connected here", STARTING, async || {
            let detail = pair.one.host(&pair.host.id).await?;
            let is_here = detail.host.state == "online" && detail.controller.is_none();
            Ok(is_here.then_some(()))
        })
        .await
        .with_context(|| pair.agent.said())
    })
}

#[test]
fn a_controller_that_starts_shows_hosts_of_the_others_before_they_say_something_new()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (pair, up) = Pair::start_with(machine).await?;
        in_state(&pair.one, "online").await?;
        pair.agent.pause()?;
        let third = Up {
            name: "third",
            data: "third-data",
            http_port: 7280,
            grpc_port: 7643,
            ..up.clone()
        };
        third.share_authority_of(&up, machine)?;
        let third = Controller::up(machine, &third).await?;
        let host = third.hosts().await?.into_iter().next();
        let host = host.context("the host is not known")?;
        ensure!(host.state != "offline", "{host:#?}");
        pair.agent.resume()?;
        in_state(&third, "online").await?;
        Ok(())
    })
}

#[test]
fn after_a_crash_of_the_database_controllers_tell_each_other_everything_anew() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let mut pair = Pair::start(machine).await?;
        let before = in_state(&pair.one, "online").await?;
        pair.postgres.kill().await?;
        // Long enough that nobody believes any more that it leads.
        until("nobody who leads", STARTING, async || {
            let leads = pair.one.metric("tidemark_controller_leader").await?;
            Ok((leads == 0).then_some(()))
        })
        .await?;
        pair.postgres.restart().await?;
        let heard = until("a newer sample of the other's host", STARTING, async || {
            let host = pair.one.hosts().await?.into_iter().next();
            let is_away = host.as_ref().is_some_and(|host| host.state == "offline");
            ensure!(!is_away, "nobody said that it is: {host:#?}");
            let is_news = |host: &HostView| {
                host.state == "online" && host.sampled_ms > before.sampled_ms.map(|at| at + 3_000)
            };
            Ok(host.filter(is_news))
        });
        heard.await.with_context(|| pair.one.process.said())?;
        Ok(())
    })
}

/// Incidents that are not over.
async fn incidents(controller: &Controller) -> anyhow::Result<Vec<IncidentView>> {
    let page: Page<IncidentView> = controller.get("/api/v1/incidents").await?;
    Ok(page.items)
}

/// Somebody who holds more than a budget allows.
async fn exceed_a_budget(machine: &Machine, controller: &Controller) -> anyhow::Result<Process> {
    let path = machine.folder().join("budgets.toml");
    fs::write(
        &path,
        "[[budget]]\nname = \"eaters\"\nhosts = [\"host=*\"]\nprocess = \"port_eater\"\nallow = { ports = 10 }\n\
         for = \"1s\"\nseverity = \"warning\"\nadvice = \"stop the eater\"\n",
    )?;
    let path = path.display().to_string();
    controller.cli(&["apply", "-f", &path]).await?.succeeded()?;
    let mut eater = program("port_eater")?;
    eater.args("leak --per-second 500 --sockets 50 --connections 0 --to 127.0.0.1:9".split(' '));
    Process::start("eater", eater, machine.folder())
}

#[test]
fn the_one_that_leads_opens_incidents_of_the_others_hosts_once_and_both_tell_of_them()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut pair = Pair::start(machine).await?;
        in_state(&pair.one, "online").await?;
        assert!(leader(&pair.one).await?.is_this);
        let mut live = pair.other.live().await?;
        let _eater = exceed_a_budget(machine, &pair.other).await?;
        let seen = until("an incident", PATIENCE, async || {
            let all = incidents(&pair.one).await?;
            Ok((!all.is_empty()).then_some(all))
        });
        let seen = seen.await.with_context(|| pair.one.process.said())?;
        live.tells("event: incidents", EVERYWHERE).await?;
        live.tells("incident_opened", EVERYWHERE).await?;
        let there = incidents(&pair.other).await?;
        let ids = |all: &[IncidentView]| {
            let mut ids: Vec<i64> = all.iter().map(|one| one.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(&there).first(), ids(&seen).first(), "{there:#?}");
        // Whoever leads next has seen the same samples, and goes on with the same incidents.
        pair.one.process.kill().await?;
        until("the other one that leads", TAKEOVER, async || {
            Ok(leader(&pair.other).await?.is_this.then_some(()))
        })
        .await?;
        let after = incidents(&pair.other).await?;
        ensure!(ids(&after).first() == ids(&seen).first(), "{after:#?}");
        let events = pair.other.events().await?;
        let is_opening = |event: &&EventView| event.kind == "incident_opened";
        let opened = events.iter().filter(is_opening).count();
        assert_eq!(opened, after.len(), "each is opened once: {events:#?}");
        Ok(())
    })
}
