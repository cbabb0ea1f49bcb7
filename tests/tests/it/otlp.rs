//! OpenTelemetry: metrics and traces in a real collector, also when it comes late, goes, and comes back.

use std::fs;

use tidemark_tests::harness::collector::{ADDRESS, Collector};
use tidemark_tests::harness::sink::{HttpSink, Mood};
use tidemark_tests::harness::{Controller, Machine, SOON, Up, on_own_network, until};

/// A trace that a caller began, as W3C's `traceparent` says it.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn exporting(machine: &Machine, further: &str) -> anyhow::Result<Up> {
    let path = machine.folder().join("otlp.toml");
    let text = format!("[otlp]\nendpoint = \"http://{ADDRESS}\"\nevery = \"1s\"\n{further}");
    fs::write(&path, text)?;
    Ok(Up::with_agent()
        .arg("--config")
        .arg(path.display().to_string()))
}

async fn grows_beyond(controller: &Controller, metric: &str, before: u64) -> anyhow::Result<u64> {
    until(metric, SOON, async || {
        let now = controller.metric(metric).await?;
        Ok((now > before).then_some(now))
    })
    .await
}

#[test]
fn a_collector_that_comes_late_and_goes_gets_metrics_and_traces_and_what_it_missed_is_counted()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &exporting(machine, "")?).await?;
        // Nobody listens: the controller does its work, and says so.
        controller.first_sample(SOON).await?;
        grows_beyond(&controller, "tidemark_otlp_export_failures_total", 0).await?;
        grows_beyond(&controller, "tidemark_otlp_spans_dropped_total", 0).await?;
        assert_eq!(
            controller.metric("tidemark_otlp_spans_sent_total").await?,
            0
        );

        let collector = Collector::start(machine, "collector").await?;
        collector
            .took(
                &["tidemark_sessions_opened_total", "tidemark-controller"],
                SOON,
            )
            .await?;
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let client = reqwest::Client::builder().timeout(SOON).build()?;
        let asked = client
            .get(format!("{}/readyz", controller.ready.http))
            .header("traceparent", parent)
            .send()
            .await?;
        assert!(asked.status().is_success(), "{asked:?}");
        let said = collector
            .took(&[TRACE, "GET /readyz", "group_commit"], SOON)
            .await?;
        // Not one name of a host: those have no end.
        let host = controller.only_host().await?;
        assert!(!said.contains(&host.id), "{said}");

        drop(collector);
        let failed = controller
            .metric("tidemark_otlp_export_failures_total")
            .await?;
        grows_beyond(&controller, "tidemark_otlp_export_failures_total", failed).await?;
        let again = Collector::start(machine, "again").await?;
        again
            .took(&["tidemark_sessions_opened_total"], SOON)
            .await?;
        // What is on its way at the end is sent before it.
        let sent = controller.metric("tidemark_otlp_exports_total").await?;
        assert!(sent > 0);
        let stopped = controller.stop().await?;
        assert!(stopped.success(), "{stopped}");
        Ok(())
    })
}

#[test]
fn what_a_collector_asks_for_is_in_each_request() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        // One refusal: what comes after it goes on.
        let sink = HttpSink::start(ADDRESS, &[Mood::Status(503)]).await?;
        let headers = machine.folder().join("headers");
        fs::write(
            &headers,
            "Authorization: Bearer of-the-collector\nX-Team: ports\n",
        )?;
        let further = format!("headers_file = \"{}\"\n", headers.display());
        let controller = Controller::up(machine, &exporting(machine, &further)?).await?;
        let taken = until("metrics and traces", SOON, async || {
            let taken = sink.accepted();
            let has = |path: &str| taken.iter().any(|one| one.path == path);
            Ok((has("/v1/metrics") && has("/v1/traces")).then_some(taken))
        })
        .await?;
        for one in taken {
            assert_eq!(one.header("authorization"), "Bearer of-the-collector");
            assert_eq!(one.header("x-team"), "ports");
            assert_eq!(one.header("content-type"), "application/x-protobuf");
        }
        grows_beyond(&controller, "tidemark_otlp_export_failures_total", 0).await?;
        Ok(())
    })
}
