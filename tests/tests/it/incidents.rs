//! Incidents of real leaks: opened once, told to real receivers that fail and recover, over when the leak is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tidemark_model::view::{IncidentDetail, IncidentView, NotificationView, Page, ReceiverView};
use tidemark_tests::harness::alertmanager::Alertmanager;
use tidemark_tests::harness::sink::{HttpSink, MailSink, Mood, Taken};
use tidemark_tests::harness::site::Site;
use tidemark_tests::harness::{Controller, Machine, SOON, Up, on_own_network, until};

/// A thousand ports at 8 a second last about this.
const LEAKING: Duration = Duration::from_secs(130);

/// An exhausted port space is relieved after a minute.
const RELIEVED: Duration = Duration::from_secs(120);

const SECRET: &str = "a key for signatures";

/// Dates of a leak that lasts two minutes.
const RULES: &str = "[incidents]\n\
    critical_within = \"60s\"\nwarning_within = \"1h\"\nclear_after = \"4s\"\nreopen_within = \"1h\"\n";

/// Writes a controller's configuration.
fn configure(machine: &Machine, notify: &str) -> anyhow::Result<PathBuf> {
    let path = machine.folder().join("controller.toml");
    fs::write(machine.folder().join("secret"), SECRET)?;
    fs::write(&path, format!("{RULES}{notify}"))?;
    Ok(path)
}

async fn incidents(controller: &Controller) -> anyhow::Result<Vec<IncidentView>> {
    let page: Page<IncidentView> = controller.get("/api/v1/incidents").await?;
    Ok(page.items)
}

/// The one incident there is, when `is_so`.
async fn the_incident(
    controller: &Controller,
    what: &str,
    patience: Duration,
    is_so: impl Fn(&IncidentView) -> bool,
) -> anyhow::Result<IncidentView> {
    until(what, patience, async || {
        let all = incidents(controller).await?;
        anyhow::ensure!(all.len() < 2, "one leak, one incident: {all:#?}");
        Ok(all.into_iter().find(|incident| is_so(incident)))
    })
    .await
}

/// What a message tells: its status, and severity and state of its incidents.
fn told(taken: &Taken) -> anyhow::Result<(String, Vec<String>)> {
    let message: Value = serde_json::from_str(&taken.body)?;
    let incidents = ["firing", "resolved"]
        .iter()
        .filter_map(|list| message[list].as_array())
        .flatten()
        .map(|told| format!("{} {}", told["severity"], told["state"]).replace('"', ""))
        .collect();
    let status = message["status"].as_str().context("a status")?;
    Ok((status.to_owned(), incidents))
}

fn is_signed(taken: &Taken) -> anyhow::Result<bool> {
    let signed = format!("{}.{}", taken.header("tidemark-timestamp"), taken.body);
    let digits = taken
        .header("tidemark-signature")
        .strip_prefix("v1=")
        .context("no signature")?;
    let tag = data_encoding::HEXLOWER.decode(digits.as_bytes())?;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    Ok(ring::hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
}

#[test]
fn a_leak_is_one_incident_that_escalates_outlives_a_restart_and_ends_with_the_leak()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let moods = [
            Mood::Status(500),
            Mood::Busy(2),
            Mood::Hang,
            Mood::Reset,
            Mood::Status(503),
        ];
        let sink = HttpSink::start("127.0.0.1:9100", &moods).await?;
        let secret = machine.folder().join("secret");
        let config = configure(
            machine,
            &format!(
                "[[notify.receiver]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9100/hook\"\n\
                 secret_file = \"{}\"\ntimeout = \"1s\"\n\
                 [[notify.route]]\nreceiver = \"hook\"\ngroup_wait = \"0s\"\n",
                secret.display()
            ),
        )?;
        let up = Up::with_agent()
            .arg("--config")
            .arg(config.display().to_string());
        let site = Site::start_with(machine, &up).await?;
        let mut eater = site.eat(machine, "leak --per-second 8")?;
        let opened = the_incident(&site.controller, "the incident", LEAKING, |_| true).await?;
        assert_eq!(opened.kind, "leak", "{opened:#?}");
        assert_eq!(opened.severity, "warning", "{opened:#?}");
        assert!(opened.sentence.contains("80 % sure"), "{}", opened.sentence);
        let is_critical = |incident: &IncidentView| incident.severity == "critical";
        let worse = the_incident(&site.controller, "the escalation", LEAKING, is_critical).await?;
        assert_eq!(worse.culprit.as_deref(), Some("port_eater"), "{worse:#?}");

        let again = site.restarted(machine, &up).await?;
        let after = the_incident(&again.controller, "it after a restart", SOON, |_| true).await?;
        assert_eq!(after.id, opened.id);
        eater.kill().await?;
        let is_over = |incident: &IncidentView| incident.state == "resolved";
        let over = the_incident(&again.controller, "the end", RELIEVED, is_over).await?;
        assert_eq!((over.id, over.reopened), (opened.id, 0), "{over:#?}");

        let messages = until("the last message", SOON, async || {
            let accepted = sink.accepted();
            let last = accepted.last().map(told).transpose()?;
            Ok(last
                .is_some_and(|(status, _)| status == "resolved")
                .then_some(accepted))
        })
        .await?;
        assert_told_in_order(&messages)?;
        assert_nothing_twice(&sink.taken())?;
        let detail: IncidentDetail = again
            .controller
            .cli_json(&["describe", "incident", &opened.id.to_string()])
            .await?;
        let kinds: Vec<&str> = detail.timeline.iter().map(|line| &*line.kind).collect();
        for kind in [
            "opened",
            "escalated",
            "notified",
            "resolved",
            "forecast_changed",
        ] {
            assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
        }
        let listed: Vec<IncidentView> = again.controller.cli_json(&["get", "incidents"]).await?;
        assert!(listed.is_empty(), "nothing is open: {listed:#?}");
        Ok(())
    })
}

fn assert_told_in_order(messages: &[Taken]) -> anyhow::Result<()> {
    let told: Vec<(String, Vec<String>)> = messages.iter().map(told).collect::<Result<_, _>>()?;
    let (last, firing) = told.split_last().context("messages")?;
    assert_eq!(last.1, ["critical resolved"], "{told:?}");
    assert!(
        firing.iter().all(|(status, _)| status == "firing"),
        "{told:?}"
    );
    assert_eq!(
        firing.first().context("one")?.1,
        ["warning open"],
        "{told:?}"
    );
    let severities: Vec<&str> = firing
        .iter()
        .flat_map(|one| &one.1)
        .map(|text| &**text)
        .collect();
    assert!(severities.contains(&"critical open"), "{told:?}");
    assert!(
        severities.iter().rev().is_sorted(),
        "it only rises: {told:?}"
    );
    Ok(())
}

/// Every try is signed, every message was taken once, and what failed was tried again under the same key.
fn assert_nothing_twice(taken: &[Taken]) -> anyhow::Result<()> {
    for one in taken {
        assert!(is_signed(one)?, "{one:?}");
    }
    let keys = |accepted: bool| -> Vec<&str> {
        taken
            .iter()
            .filter(|one| one.is_accepted() == accepted)
            .map(|one| one.header("idempotency-key"))
            .collect()
    };
    let (accepted, failed) = (keys(true), keys(false));
    let distinct: BTreeSet<&str> = accepted.iter().copied().collect();
    assert_eq!(distinct.len(), accepted.len(), "twice: {accepted:?}");
    assert_eq!(failed.len(), 5, "every mood was met: {taken:#?}");
    assert!(
        failed.iter().all(|key| distinct.contains(key)),
        "lost: {failed:?}"
    );
    Ok(())
}

#[test]
fn alertmanager_and_mail_are_told_of_a_leak_and_of_its_end() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let alertmanager = Alertmanager::start(machine).await?;
        let mails = MailSink::start("127.0.0.1:2525".parse()?, 1).await?;
        let config = configure(
            machine,
            &format!(
                "[[notify.receiver]]\nname = \"am\"\ntype = \"alertmanager\"\nurl = \"{}\"\nresend_interval = \"1s\"\n\
                 [[notify.receiver]]\nname = \"mail\"\ntype = \"email\"\nserver = \"127.0.0.1:2525\"\ntls = \"none\"\n\
                 from = \"Tidemark <tidemark@example.com>\"\nto = [\"ops@example.com\"]\n\
                 [[notify.route]]\nreceiver = \"am\"\ngroup_wait = \"0s\"\n\
                 [[notify.route]]\nreceiver = \"mail\"\ngroup_wait = \"0s\"\nmatchers = [\"culprit=port_*\"]\n",
                alertmanager.url()
            ),
        )?;
        let up = Up::with_agent()
            .arg("--config")
            .arg(config.display().to_string());
        let site = Site::start_with(machine, &up).await?;
        let controller = &site.controller;
        let mut eater = site.eat(machine, "leak --per-second 8")?;
        let host = controller.only_host().await?.name;
        assert_alert_is_kept_alive(&alertmanager, &host).await?;
        eater.kill().await?;
        until("the alert's end", RELIEVED, async || {
            Ok(alertmanager.alerts().await?.is_empty().then_some(()))
        })
        .await?;
        let mails = until("the mail of the end", SOON, async || {
            let mails = mails.mails();
            let is_end = |mail: &String| mail.contains("Subject: [resolved]");
            Ok(mails.iter().any(is_end).then_some(mails))
        })
        .await?;
        assert!(mails[0].contains("To: ops@example.com"), "{}", mails[0]);
        assert!(mails[0].contains("port_eater"), "{}", mails[0]);
        assert!(mails[0].contains("Message-ID: <"), "{}", mails[0]);
        assert_delivered(controller).await
    })
}

async fn assert_alert_is_kept_alive(alertmanager: &Alertmanager, host: &str) -> anyhow::Result<()> {
    let alert = until("the alert", LEAKING, async || {
        let alerts = alertmanager.alerts().await?;
        let is_critical = |alert: &Value| alert["labels"]["severity"] == "critical";
        Ok(alerts.into_iter().find(is_critical))
    })
    .await?;
    assert_eq!(alert["labels"]["alertname"], "TidemarkPortExhaustion");
    assert_eq!(alert["labels"]["host"], host);
    assert_eq!(alert["labels"]["protocol"], "tcp");
    until("one alert, under the new labels alone", SOON, async || {
        let alerts = alertmanager.alerts().await?;
        Ok((alerts.len() == 1 && alerts[0]["labels"]["severity"] == "critical").then_some(()))
    })
    .await?;
    // It would lapse within 4 s if it were not told again.
    let first = alert["updatedAt"].clone();
    until("it is told again", SOON, async || {
        let alerts = alertmanager.alerts().await?;
        let newest = alerts.first().map(|alert| alert["updatedAt"].clone());
        Ok(newest.is_some_and(|newest| newest != first).then_some(()))
    })
    .await
}

async fn assert_delivered(controller: &Controller) -> anyhow::Result<()> {
    let receivers: Vec<ReceiverView> = controller.cli_json(&["get", "receivers"]).await?;
    assert_eq!(receivers.len(), 2);
    for receiver in &receivers {
        assert!(receiver.delivered >= 2, "{receivers:#?}");
        assert_eq!(
            (receiver.pending, receiver.failed),
            (0, 0),
            "{receivers:#?}"
        );
    }
    let to_mail = ["get", "notifications", "--receiver", "mail"];
    let messages: Vec<NotificationView> = controller.cli_json(&to_mail).await?;
    let first = messages.last().context("a message")?;
    assert!(first.attempts > 1, "it was sent away once: {messages:#?}");
    Ok(())
}

#[test]
fn a_test_message_says_whether_it_arrived() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let sink = HttpSink::start("127.0.0.1:9100", &[Mood::Status(400)]).await?;
        let config = configure(
            machine,
            "[[notify.receiver]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9100/hook\"\n",
        )?;
        let up = Up::alone()
            .arg("--config")
            .arg(config.display().to_string());
        let controller = Controller::up(machine, &up).await?;
        let refused = controller.cli(&["notify", "test", "hook"]).await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("400"), "{}", refused.stderr);
        let taken = controller
            .cli(&["notify", "test", "hook"])
            .await?
            .succeeded()?;
        assert_eq!(taken, "hook took the test message\n");
        let accepted = sink.accepted();
        assert_eq!(told(accepted.first().context("one")?)?.0, "test");
        let unknown = controller.cli(&["notify", "test", "hok"]).await?;
        assert!(
            unknown.stderr.contains("there are: hook"),
            "{}",
            unknown.stderr
        );
        Ok(())
    })
}
