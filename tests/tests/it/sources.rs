//! Findings and common causes as incidents, from real sockets and from a simulated fleet to a receiver: one for each trouble.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_model::view::{IncidentDetail, IncidentView, JoinTokenCreated, Page};
use tidemark_tests::harness::sink::{HttpSink, Taken};
use tidemark_tests::harness::site::Site;
use tidemark_tests::harness::{
    Controller, Machine, Process, SOON, Up, on_own_network, program, until,
};

/// A range of the usual size, of which all but a thousand ports are reserved.
const RANGE: (u16, u16) = (20_000, 49_999);
const RESERVED: &str = "20000-48999";

/// A simulated leak of ten ports a second out of 4,096 is dated within this.
const LEAKING: Duration = Duration::from_secs(300);

/// A controller that tells a webhook of everything at once.
fn configured(machine: &Machine, up: Up) -> anyhow::Result<Up> {
    let config = machine.folder().join("controller.toml");
    fs::write(
        &config,
        "[incidents]\nraise_after = \"3s\"\nclear_after = \"4s\"\n\
         [[notify.receiver]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9100/hook\"\n\
         [[notify.route]]\nreceiver = \"hook\"\ngroup_wait = \"0s\"\n",
    )?;
    Ok(up.arg("--config").arg(config.display().to_string()))
}

async fn incidents(controller: &Controller, query: &str) -> anyhow::Result<Vec<IncidentView>> {
    let path = format!("/api/v1/incidents{query}");
    let page: Page<IncidentView> = controller.get(&path).await?;
    Ok(page.items)
}

/// The only incident there ever was, when `is_so`.
async fn the_incident(
    controller: &Controller,
    what: &str,
    is_so: impl Fn(&IncidentView) -> bool,
) -> anyhow::Result<IncidentView> {
    until(what, SOON * 5, async || {
        let all = incidents(controller, "").await?;
        ensure!(all.len() < 2, "one trouble, one incident: {all:#?}");
        Ok(all.into_iter().find(|incident| is_so(incident)))
    })
    .await
}

#[test]
fn reserved_ports_that_run_short_are_one_incident_until_they_are_given_back() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let sink = HttpSink::start("127.0.0.1:9100", &[]).await?;
        let up = configured(machine, Up::with_agent())?;
        let site = Site::start_with(machine, &up).await?;
        machine.set_dynamic_ports(RANGE.0, RANGE.1)?;
        machine.reserve_ports(RESERVED)?;
        let _eater = site.eat(machine, "hoard --per-second 2000 --connections 600")?;
        let opened = the_incident(&site.controller, "the finding's incident", |_| true).await?;
        // Whether the first samples saw the ports being taken decides which of the two is the surer at that moment.
        let kind = &*opened.kind;
        ensure!(matches!(kind, "self_loop" | "retry_loop"), "{opened:#?}");
        let runbook = format!("/docs/runbooks/{kind}.html");
        for part in [" % sure.", "Do: ", &runbook] {
            ensure!(opened.sentence.contains(part), "{part}: {opened:#?}");
        }
        let also = "Also found: 96 % of the dynamic tcp range is reserved";
        let is_told = opened.evidence.iter().any(|line| line.starts_with(also));
        ensure!(is_told, "{:#?}", opened.evidence);
        until("the message", SOON, async || {
            Ok((!sink.accepted().is_empty()).then_some(()))
        })
        .await?;

        let site = site.restarted(machine, &up).await?;
        site.controller.first_sample(SOON).await?;
        let is_seen_again = |incident: &IncidentView| incident.seen_ms > opened.seen_ms;
        let after = the_incident(&site.controller, "it after a restart", is_seen_again).await?;
        ensure!(
            (after.id, &*after.state) == (opened.id, "open"),
            "{after:#?}"
        );

        // A port outside the range: an empty list would write nothing.
        machine.reserve_ports("1")?;
        let is_over = |incident: &IncidentView| incident.state == "resolved";
        let over = the_incident(&site.controller, "the end", is_over).await?;
        ensure!((over.id, over.reopened) == (opened.id, 0), "{over:#?}");
        let messages = until("the message of the end", SOON, async || {
            let accepted = sink.accepted();
            let is_end = |taken: &Taken| taken.body.contains("\"status\":\"resolved\"");
            Ok(accepted.last().is_some_and(is_end).then_some(accepted))
        })
        .await?;
        let told: Vec<Value> = messages
            .iter()
            .map(|taken| serde_json::from_str(&taken.body))
            .collect::<Result<_, _>>()?;
        // Each severity of each cause once, as it rose, then the end: the surer cause may become the other one.
        let steps: Vec<String> = told
            .iter()
            .map(|message| {
                let of = |name: &str| message["firing"][0][name].to_string();
                format!("{} {} {}", message["status"], of("kind"), of("severity"))
            })
            .collect();
        let distinct: BTreeSet<&String> = steps.iter().collect();
        ensure!(distinct.len() == steps.len(), "twice: {steps:?}");
        ensure!(
            steps.last().is_some_and(|step| step.contains("resolved")),
            "{steps:?}"
        );
        Ok(())
    })
}

/// Thirty hosts, of which those labelled `fleetsim=leak` leak.
fn fleet(machine: &Machine, token: &JoinTokenCreated) -> anyhow::Result<Process> {
    let scenario = machine.folder().join("scenario.toml");
    fs::write(
        &scenario,
        "[[hosts]]\nbehaviour = \"leak\"\nshare = 0.34\ncapacity = 4096\nports_per_hour = 36000\n",
    )?;
    let mut command = program("fleetsim")?;
    command
        .args([
            "run",
            "--agents",
            "30",
            "--interval",
            "1s",
            "--duration",
            "20m",
        ])
        .args(["--controller", &token.controller, "--token", &token.token])
        .arg("--scenario")
        .arg(&scenario);
    Process::start("fleetsim", command, machine.folder())
}

#[test]
fn hosts_that_leak_and_have_something_in_common_are_one_incident() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let sink = HttpSink::start("127.0.0.1:9100", &[]).await?;
        let up = configured(machine, Up::alone())?;
        let controller = Controller::up(machine, &up).await?;
        let create = ["token", "create", "--uses", "30"];
        let token: JoinTokenCreated = controller.cli_json(&create).await?;
        let _fleet = fleet(machine, &token)?;
        let cause = until("one incident for the cause", LEAKING, async || {
            let active = incidents(&controller, "?state=active").await?;
            Ok(match active.as_slice() {
                [one] if one.kind == "common_cause" && one.host_count >= 9 => Some(one.clone()),
                _ => None,
            })
        })
        .await?;
        ensure!(cause.culprit.as_deref() == Some("orders-api"), "{cause:#?}");
        for part in [
            "orders-api takes ports and does not give them back where label:fleetsim is leak",
            "Ports run out ",
            "Do: Restart orders-api where ports run out first",
            "/docs/runbooks/common_cause.html",
        ] {
            ensure!(cause.sentence.contains(part), "{part}: {}", cause.sentence);
        }
        // Those that opened before the cause was found are part of it, and what was found on them first, of those.
        let over = incidents(&controller, "?state=resolved&limit=1000").await?;
        let part = format!("it is part of incident {}", cause.id);
        let is_part = |one: &IncidentView| one.resolution.as_ref() == Some(&part);
        ensure!(over.iter().any(is_part), "{over:#?}");
        for one in &over {
            let how = one.resolution.as_deref().unwrap_or_default();
            let is_grouped = how.starts_with("it is part of incident");
            ensure!(
                is_grouped && (is_part(one) || one.kind != "leak"),
                "{one:#?}"
            );
        }
        let path = format!("/api/v1/incidents/{}", cause.id);
        let detail: IncidentDetail = controller.get(&path).await?;
        let opened = detail.timeline.iter().filter(|line| line.kind == "opened");
        ensure!(opened.count() == 1, "{:#?}", detail.timeline);
        until("the notice of the cause", SOON, async || {
            let events = controller.events().await?;
            Ok(events
                .iter()
                .any(|event| event.kind == "cause_found")
                .then_some(()))
        })
        .await?;
        let last = until("the cause at the receiver", SOON, async || {
            let accepted = sink.accepted();
            let of_cause = |taken: &&_| is_of(taken, cause.id);
            Ok(accepted.iter().rev().find(of_cause).cloned())
        })
        .await?;
        let message: Value = serde_json::from_str(&last.body).context("a message")?;
        let firing = message["firing"].as_array().map_or(0, Vec::len);
        ensure!(firing == 1, "the cause alone: {message:#}");
        Ok(())
    })
}

fn is_of(taken: &Taken, incident: i64) -> bool {
    let message: Value = serde_json::from_str(&taken.body).unwrap_or_default();
    let firing = message["firing"].as_array();
    firing.is_some_and(|told| told.iter().any(|one| one["id"] == incident))
}
