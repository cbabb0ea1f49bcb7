//! Reports: what scripts get, and that nobody's names do anything to whoever reads them.

use std::fs;

use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, OwnerCounts, OwnerSample, PortSpaceSample,
    ProcessIdentity,
};
use tidemark_model::tcp::StateCounts;
use tidemark_model::{HostAudit, HostFacts, PortRange, PortSpaceKey, Protocol, Sample, Timestamp};

use super::*;

const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{1b}[31m\u{202e}&\"'";

fn leaking(name: &str) -> Sample {
    Sample {
        at: Timestamp::from_unix_ms(3_600_000),
        booted_at: Timestamp::EPOCH,
        interval_ms: 0,
        port_spaces: vec![PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Tcp),
            range: PortRange::new(49_152, 65_535).unwrap(),
            capacity: 16_384,
            strong: 4_000,
            time_wait_only: 0,
            bound: Some(3_000),
            quality: CountQuality::Counted,
            light: None,
            states_v4: StateCounts::default(),
            states_v6: StateCounts::default(),
            owners: vec![OwnerSample {
                process: ProcessIdentity {
                    pid: 42,
                    started_at: Timestamp::EPOCH,
                    name: name.into(),
                    executable: Some(r"C:\Apps\leaky.exe".into()),
                    service: None,
                },
                counts: OwnerCounts {
                    ports: 3_000,
                    bound: 3_000,
                    close_wait: 0,
                    sockets: 3_000,
                },
                handles: None,
            }],
            owners_other: OwnerCounts::default(),
            ports_without_owner: 0,
            destinations: Vec::new(),
            destinations_other_ports: 0,
            watch_groups: Vec::new(),
        }],
        rates: CounterRates::default(),
        host_handles: None,
        probes: Vec::new(),
        cost: AgentCost::default(),
    }
}

/// What a file with that content shows.
fn saved(content: &str) -> Looked {
    read(content).map_err(|error| error.to_string()).unwrap()
}

fn read(content: &str) -> anyhow::Result<Looked> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("snapshot.json");
    fs::write(&path, content)?;
    Ok(read_samples(&path)?)
}

fn report(looked: Looked) -> Report {
    Report::of(looked, Timestamp::EPOCH)
}

#[test]
fn scripts_get_the_documented_names() {
    let looked = saved(&serde_json::to_string(&leaking("leaky.exe")).unwrap());
    let json: serde_json::Value = serde_json::from_str(&report(looked).to_json().unwrap()).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["rule"], "bound_leak");
    assert_eq!(finding["culprit"], "leaky.exe");
    assert!(finding["confidence"].as_f64().unwrap() > 0.3);
    assert!(finding["title"].as_str().unwrap().contains("leaky.exe"));
    assert!(finding["evidence"].as_array().unwrap().len() >= 2);
    assert!(finding["playbook"][0]["text"].is_string());
    assert_eq!(json["capabilities"]["bound_sockets"], true);
    assert_eq!(json["capabilities"]["events"], false);
    assert_eq!(json["verdict"], "warning");
}

#[test]
fn a_snapshot_knows_its_host_and_an_older_one_is_guessed() {
    let facts = HostFacts {
        name: "db-1".into(),
        os: "Windows Server 2019 (17763.5122)".into(),
        agent_version: "0".into(),
        boot_id: "b".into(),
        time_zone: None,
        capabilities: vec![CapabilityReport::new(
            Capability::AllOwners,
            CapabilityState::Yes,
        )],
        labels: Default::default(),
    };
    let audit = HostAudit::empty(Timestamp::EPOCH);
    let text = saved_snapshot(leaking("leaky"), facts, Some(audit.clone())).unwrap();
    let looked = saved(&format!("{text}\n{text}"));
    assert_eq!(looked.situation.audit, Some(audit));
    assert_eq!((&*looked.host, looked.situation.samples.len()), ("db-1", 2));
    assert!(looked.situation.can_see(Capability::AllOwners));
    let older = saved(&serde_json::to_string(&[leaking("leaky")]).unwrap());
    assert_eq!(&*older.situation.os_name, "Windows");
    assert!(!older.situation.can_see(Capability::AllOwners));
}

#[test]
fn what_is_no_snapshot_is_refused_with_the_way_to_make_one() {
    for content in ["", "tcp/default has 3 % in use", "{\"at\":1}", "[]"] {
        let error = read(content).unwrap_err().to_string();
        assert!(error.contains("snapshot -o json"), "{content:?}: {error}");
    }
}

#[test]
fn hostile_names_are_text_in_every_form() {
    let looked = saved(&serde_json::to_string(&leaking(HOSTILE)).unwrap());
    let report = report(Looked {
        host: HOSTILE.to_owned(),
        ..looked
    });
    let html = report.to_html();
    assert!(
        html.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "{html}"
    );
    for text in [&html, &report.to_text()] {
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text}"
        );
    }
    assert!(!html.contains("<img"), "{html}");
    // Nothing but its own style may have an effect, and nothing is loaded.
    assert!(
        html.contains("default-src 'none'; style-src 'sha256-"),
        "{html}"
    );
    for forbidden in ["<script", " style=", "http://", "https://", "url("] {
        assert!(!html.contains(forbidden), "{forbidden}: {html}");
    }
}

#[test]
fn the_text_says_what_is_wrong_how_sure_and_what_to_do() {
    let looked = saved(&serde_json::to_string(&leaking("leaky.exe")).unwrap());
    let text = report(looked).to_text();
    for words in [
        "1. leaky.exe leaks sockets that it bound and never closes",
        "WARNING, ",
        "Rule bound_leak, tcp/default",
        "What to do:",
        "action end_process",
        "To be sure: whether it grows: samples of 30 minutes",
    ] {
        assert!(
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(words),
            "{words}: {text}"
        );
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn too_little_to_see_is_not_called_healthy() {
    let mut blind = leaking("leaky.exe");
    blind.port_spaces.clear();
    let looked = saved(&serde_json::to_string(&blind).unwrap());
    let blind = report(looked);
    assert_eq!(blind.verdict, Verdict::CouldNotTell);
    assert_eq!(blind.verdict.exit_code(), 3);
    assert!(blind.to_text().contains("Too little could be seen"));
}
