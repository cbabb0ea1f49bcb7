//! Ports that really run out, of one process's leak and of one destination's churn: dated and blamed before they do.

use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::finding::Rule;
use tidemark_model::view::{HostFindings, HostView, Page, PortSpaceView};
use tidemark_tests::harness::controller::tcp;
use tidemark_tests::harness::site::{CAPACITY, SERVICE, Said, Site, said};
use tidemark_tests::harness::{Controller, Process, SOON, on_own_network, until};

/// How far the date may be off at half way, as a share of the time that is left.
const DATE_TOLERANCE: f64 = 0.20;
/// At the rates below the ports last less than two minutes.
const EXHAUSTION: Duration = Duration::from_secs(180);

#[test]
fn a_leak_of_bound_sockets_is_dated_and_blamed_before_it_exhausts_the_ports() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let eater = site.eat(machine, "leak --per-second 12")?;
        let half = at_half_way(&site.controller).await?;
        let space = tcp(&half.host)?;
        assert_eq!(space.road.as_deref(), Some("leak"), "{space:#?}");
        assert_eq!(space.culprit.as_deref(), Some("port_eater"), "{space:#?}");
        let connections = space.in_use - space.bound.context("bound sockets are not seen")?;
        assert!(connections < 100, "the connections stay few: {space:#?}");

        let exhausted = exhaustion(&site.controller, &eater).await?;
        half.assert_date(exhausted.at_ms)?;
        let saturated = until_saturated(&site.controller).await?;
        assert_eq!(saturated.culprit.as_deref(), Some("port_eater"));
        assert_diagnosis(&site.controller, Rule::BoundLeak, "port_eater").await
    })
}

#[test]
fn churn_to_one_destination_is_dated_and_blamed_before_time_wait_holds_every_port()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.keep_time_wait_on_loopback()?;
        let site = Site::start(machine).await?;
        let eater = site.eat(machine, "churn --per-second 25")?;
        let half = at_half_way(&site.controller).await?;
        let space = tcp(&half.host)?;
        assert_eq!(space.road.as_deref(), Some("churn"), "{space:#?}");
        assert_eq!(space.culprit.as_deref(), Some(SERVICE), "{space:#?}");
        assert!(space.time_wait > 400, "{space:#?}");

        let exhausted = exhaustion(&site.controller, &eater).await?;
        half.assert_date(exhausted.at_ms)?;
        until_saturated(&site.controller).await?;
        assert_diagnosis(&site.controller, Rule::TimeWaitChurn, SERVICE).await
    })
}

/// What operators saw when half of the ports were gone.
struct HalfWay {
    host: HostView,
    at_ms: i64,
}

/// Waits until half of the ports are in use, then asks as an operator does.
async fn at_half_way(controller: &Controller) -> anyhow::Result<HalfWay> {
    until("half of the ports in use", EXHAUSTION, async || {
        let host = controller.only_host().await?;
        let space = tcp(&host)?;
        anyhow::ensure!(space.capacity == CAPACITY, "{space:#?}");
        Ok((space.in_use >= CAPACITY / 2).then_some(()))
    })
    .await?;
    let hosts: Vec<HostView> = controller.cli_json(&["get", "hosts"]).await?;
    let [host] = hosts.as_slice() else {
        anyhow::bail!("{} hosts instead of one", hosts.len());
    };
    let space = tcp(host)?;
    assert!(space.in_use < CAPACITY * 6 / 10, "looked late: {space:#?}");
    Ok(HalfWay {
        at_ms: host.sampled_ms.context("there is a sample")?,
        host: host.clone(),
    })
}

/// Asks over the connection that is there: the command line would need a port for one of its own.
async fn until_saturated(controller: &Controller) -> anyhow::Result<PortSpaceView> {
    until("the saturation", SOON, async || {
        let host = controller.only_host().await?;
        let space = tcp(&host)?.clone();
        Ok((space.road.as_deref() == Some("saturated")).then_some(space))
    })
    .await
}

/// That the rules name this cause first, over the connection that is there.
async fn assert_diagnosis(
    controller: &Controller,
    rule: Rule,
    culprit: &str,
) -> anyhow::Result<()> {
    let page: Page<HostFindings> = controller.get("/api/v1/findings").await?;
    let [host] = page.items.as_slice() else {
        anyhow::bail!("nothing is found, or on too many hosts: {page:#?}");
    };
    let first = host.findings.first().context("nothing is found")?;
    assert_eq!(first.rule, rule, "{page:#?}");
    assert_eq!(first.culprit.as_deref(), Some(culprit), "{page:#?}");
    Ok(())
}

impl HalfWay {
    fn assert_date(&self, exhausted_ms: i64) -> anyhow::Result<()> {
        let space = tcp(&self.host)?;
        let eta_ms = space
            .eta_ms
            .with_context(|| format!("no date: {space:#?}"))?;
        let left_ms = exhausted_ms - self.at_ms;
        let off_ms = eta_ms - exhausted_ms;
        let share = off_ms as f64 / left_ms as f64;
        assert!(
            share.abs() <= DATE_TOLERANCE,
            "the date is {off_ms} ms off with {left_ms} ms left ({share:.2}): {}",
            space.explanation
        );
        Ok(())
    }
}

async fn exhaustion(controller: &Controller, eater: &Process) -> anyhow::Result<Said> {
    until("the exhaustion", EXHAUSTION, async || {
        // Keeps the connection in use, lest it be given up while another one can still be had.
        controller.only_host().await?;
        said(eater, "exhausted")
    })
    .await
}
