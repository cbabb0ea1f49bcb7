//! Canned answers, with names as hostile as the network's.

use std::collections::BTreeMap;

use serde_json::json;
use tidemark_model::action::ActionKind;
use tidemark_model::audit::view::{DriftView, FactView, HostAuditView};
use tidemark_model::finding::{PlaybookStep, Rule, Severity};
use tidemark_model::view::{
    AttributeValue, CapabilityView, CauseView, CausesView, DeliveryView, EventView, HistoryView,
    HostDetail, HostEventView, HostFindings, HostName, HostView, JoinTokenCreated, JoinTokenView,
    LeaderView, PortSpaceView, SeriesView, StatusView,
};
use tidemark_model::{Finding, Sample};

/// The time at which every test runs: Monday 2026-11-23 03:00 UTC.
pub const NOW: i64 = 1_795_402_800_000;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// A name that would clear the screen, turn text around and run as a formula.
pub const HOSTILE: &str = "=cmd|'/C calc'!A0\u{1b}[2J\u{202e}gpj";

pub fn space(protocol: &str, in_use: u32, capacity: u32) -> PortSpaceView {
    PortSpaceView {
        protocol: protocol.to_owned(),
        namespace: "default".to_owned(),
        capacity,
        in_use,
        strong: in_use,
        bound: Some(in_use / 2),
        time_wait: 0,
        quality: "counted".to_owned(),
        eta_ms: None,
        eta_lo_ms: None,
        eta_hi_ms: None,
        road: None,
        culprit: None,
        floor_ports_per_hour: Some(0.0),
        explanation: String::new(),
    }
}

pub fn host(name: &str, port_spaces: Vec<PortSpaceView>) -> HostView {
    HostView {
        id: format!(
            "{:a<32}",
            name.chars()
                .filter(char::is_ascii_lowercase)
                .collect::<String>()
        ),
        name: name.to_owned(),
        os: "Linux 6.18 (Debian 12)".to_owned(),
        state: "online".to_owned(),
        last_seen_ms: Some(NOW - 3_000),
        sampled_ms: Some(NOW - 3_000),
        agent_version: "0.1.0".to_owned(),
        labels: BTreeMap::from([("site".to_owned(), "berlin".to_owned())]),
        port_spaces,
        time_zone: None,
        window: None,
        windows_without_zone: vec![],
    }
}

/// Four hosts: one that leaks, a calm one, one that is hostile and estimated, one that never connected.
pub fn hosts() -> Vec<HostView> {
    let leaking = PortSpaceView {
        eta_ms: Some(NOW + 2 * HOUR + 10 * MINUTE),
        eta_lo_ms: Some(NOW + HOUR + 50 * MINUTE),
        eta_hi_ms: Some(NOW + 3 * HOUR),
        road: Some("leak".to_owned()),
        culprit: Some("mailer\u{7}".to_owned()),
        floor_ports_per_hour: Some(3_412.5),
        explanation:
            "the floor rose from 9,100 to 20,840 ports in 3 h 26 min, 96 % of it by mailer"
                .to_owned(),
        ..space("tcp", 20_840, 28_232)
    };
    let estimated = PortSpaceView {
        namespace: "blue".to_owned(),
        bound: None,
        quality: "estimated".to_owned(),
        eta_ms: Some(NOW + 9 * DAY),
        eta_lo_ms: Some(NOW + 6 * DAY),
        floor_ports_per_hour: Some(-0.3),
        ..space("tcp", 812, 1_000)
    };
    let unknown = PortSpaceView {
        floor_ports_per_hour: None,
        ..space("udp", 12, 28_232)
    };
    let mut evil = host(HOSTILE, vec![estimated]);
    evil.state = "stale".to_owned();
    let mut fresh = host("new-1", Vec::new());
    fresh.state = "offline".to_owned();
    (fresh.last_seen_ms, fresh.sampled_ms) = (None, None);
    vec![
        host("web-1", vec![leaking, unknown]),
        host("db-1", vec![space("tcp", 300, 28_232)]),
        evil,
        fresh,
    ]
}

/// A host with a label of the controller and one of its agent's own.
pub fn detail(mut host: HostView) -> HostDetail {
    let held = host.labels.clone();
    host.labels.insert("rack".to_owned(), "b7".to_owned());
    HostDetail {
        sample: host.sampled_ms.map(|_| sample()),
        controller_labels: held,
        labels_version: 3,
        host,
        enrolled_ms: NOW - 3 * DAY,
        booted_ms: Some(NOW - 12 * DAY),
        clock_skew_ms: Some(-4_200),
        capabilities: vec!["bound_sockets".to_owned(), "all_owners".to_owned()],
        capability_reports: ["all_owners", "events"]
            .map(|name| CapabilityView {
                name: name.to_owned(),
                state: "yes".to_owned(),
                how: None,
                why: None,
            })
            .into_iter()
            .chain([
                CapabilityView {
                    name: "bound_sockets".to_owned(),
                    state: "partly".to_owned(),
                    how: Some("wmi".to_owned()),
                    why: Some("this Windows \u{1b}[31mhas no list of them".to_owned()),
                },
                CapabilityView {
                    name: "netsh".to_owned(),
                    state: "unknown".to_owned(),
                    how: None,
                    why: None,
                },
            ])
            .collect(),
        certificate_expires_ms: Some(NOW + 2 * DAY),
        controller: None,
        delivery: DeliveryView {
            stored: 8_640,
            dropped: BTreeMap::from([("spool_full".to_owned(), 12)]),
            duplicates: 3,
            in_spool: None,
            in_spool_bytes: None,
        },
    }
}

fn sample() -> Sample {
    let states = |established: u32, time_wait: u32, bound: u32| {
        json!([established, 0, 0, 0, 0, time_wait, 0, 40, 0, 9, 0, bound])
    };
    let owner = |name: &str, pid: u32, service: Option<&str>, ports: u32| {
        json!({
            "process": {"pid": pid, "started_at": NOW - DAY, "name": name, "executable": null, "service": service},
            "counts": {"ports": ports, "bound": ports / 2, "close_wait": 40, "sockets": ports + 3},
            "handles": null
        })
    };
    let text = json!({
        "at": NOW - 3_000, "booted_at": NOW - 12 * DAY, "interval_ms": 30_000,
        "port_spaces": [{
            "key": {"protocol": "tcp", "namespace": "default"},
            "range": {"first": 32_768, "last": 60_999},
            "capacity": 28_232, "strong": 20_840, "time_wait_only": 0, "bound": 10_420, "quality": "counted",
            "light": {"min": 20_801, "max": 20_840, "last": 20_840, "counts": 30},
            "states_v4": states(10_380, 120, 10_420), "states_v6": states(17, 0, 0),
            "owners": [owner("mailer\u{7}", 812, Some("mailer.service"), 19_990), owner("sshd", 1, None, 4)],
            "owners_other": {"ports": 840, "bound": 0, "close_wait": 0, "sockets": 900},
            "ports_without_owner": 6,
            "destinations": [{"local_address": "10.0.0.5", "remote_address": "2001:db8::25", "remote_port": 25,
                              "ports": 9_000, "time_wait": 100}],
            "destinations_other_ports": 1_380,
            "watch_groups": [{"name": "smtp", "connections": 9_900, "time_wait": 110}]
        }],
        "rates": {"tcp_active_opens": 57_125, "tcp_passive_opens": 0, "tcp_attempt_fails": null, "tcp_estab_resets": null,
                  "tcp_in_segs": null, "tcp_out_segs": null, "tcp_retrans_segs": null, "tcp_out_rsts": null,
                  "tcp_time_wait_overflow": null, "udp_in_datagrams": null, "udp_out_datagrams": null, "udp_in_errors": null},
        "host_handles": 24_400,
        "probes": [{"kind": "bind_tcp_v4", "duration_us": 21, "value": null, "outcome": "succeeded"},
                   {"kind": "bind_burst", "duration_us": 310, "value": 17, "outcome": "exhausted"}],
        "cost": {"cpu_us": 12_345, "resident_bytes": 11_534_336, "collect_us": 5_900, "own_ports": 1, "own_sockets": 2}
    });
    serde_json::from_value(text).unwrap()
}

/// An hour of minutes, rising, with a gap of ten minutes.
#[expect(clippy::cast_precision_loss, reason = "minutes of an hour")]
pub fn series(name: &str, first: f64, rise: f64) -> SeriesView {
    let value = |minute: i64| (!(20..30).contains(&minute)).then_some(first + rise * minute as f64);
    let points: Vec<_> = (0..60)
        .map(|minute| (NOW - HOUR + minute * MINUTE, value(minute)))
        .collect();
    SeriesView {
        name: name.to_owned(),
        host: Some("weba".to_owned()),
        overall: points
            .iter()
            .filter_map(|(_, value)| *value)
            .reduce(f64::max),
        points,
        overall_before: None,
        points_before: None,
    }
}

pub fn history(series: Vec<SeriesView>) -> HistoryView {
    HistoryView {
        metric: "in_use".to_owned(),
        unit: "ports".to_owned(),
        agg: "max".to_owned(),
        from_ms: NOW - HOUR,
        to_ms: NOW,
        step_ms: MINUTE,
        tier: "raw".to_owned(),
        approximate: false,
        points_read: 3_600,
        series_left_out: 0,
        series,
    }
}

pub fn events() -> Vec<EventView> {
    let event = |id, ago, host: Option<&str>, kind: &str, text: &str| EventView {
        id,
        at_ms: NOW - ago,
        host: host.map(|name| format!("{name}-id")),
        host_name: host.map(str::to_owned),
        kind: kind.to_owned(),
        text: text.to_owned(),
    };
    vec![
        event(
            3,
            MINUTE,
            Some("web-1"),
            "forecast_changed",
            "ports run out in 2 h 10 min by mailer",
        ),
        event(
            2,
            HOUR,
            Some(HOSTILE),
            "host_enrolled",
            "enrolled\r\nwith a token",
        ),
        event(1, 30 * DAY, None, "controller", "the controller started"),
    ]
}

pub fn host_events() -> Vec<HostEventView> {
    let event = |id, ago, code, text: &str| HostEventView {
        id,
        at_ms: NOW - ago,
        host_at_ms: NOW - ago + 5,
        source: "Tcpip".to_owned(),
        code,
        count: 1,
        text: text.to_owned(),
        channel: Some("System".to_owned()),
        record_id: Some(123_456),
        computer: Some("SRV01".to_owned()),
        level: Some(3),
        qualifiers: Some(32_768),
        process_id: Some(4),
        thread_id: Some(8),
        data: vec![],
        binary: None,
        error_code: Some(0x8000_1087),
        final_status: Some(0),
        xml: None,
    };
    vec![
        event(2, MINUTE, 4231, "no dynamic TCP port could be had"),
        HostEventView {
            channel: None,
            record_id: None,
            level: None,
            error_code: None,
            ..event(1, HOUR, 4227, HOSTILE)
        },
    ]
}

pub fn status() -> StatusView {
    StatusView {
        version: "0.1.0".to_owned(),
        started_ms: NOW - DAY,
        clock_ms: NOW + 61_000,
        database: "sqlite".to_owned(),
        database_ready: true,
        incarnation: 1_796_011_066,
        leader: LeaderView {
            is_this: true,
            holder: Some("tidemark-1/00c0ffee00c0ffee".to_owned()),
            epoch: Some(7),
            since_ms: Some(NOW - DAY),
        },
        controllers: vec![],
        scope: None,
        hosts: BTreeMap::from([("online".to_owned(), 2), ("stale".to_owned(), 1)]),
        sessions: 2,
        delivery: DeliveryView {
            stored: 100,
            in_spool: Some(4),
            ..DeliveryView::default()
        },
        points_stored: 123_456,
        commits: 99,
        commit_us: Some(850),
    }
}

pub fn token_created(ttl_s: u64, uses: u32) -> JoinTokenCreated {
    JoinTokenCreated {
        id: "k7".to_owned(),
        token: "tm1.k7.secret.pin".to_owned(),
        expires_ms: NOW + i64::try_from(ttl_s).unwrap() * 1_000,
        uses,
        controller: "tidemark.example:7443".to_owned(),
    }
}

pub fn tokens() -> Vec<JoinTokenView> {
    let token = |id: &str, expires_ms, used, revoked| JoinTokenView {
        id: id.to_owned(),
        created_ms: NOW - DAY,
        expires_ms,
        uses_max: 2,
        used,
        revoked,
        labels: BTreeMap::from([("site".to_owned(), "berlin".to_owned())]),
    };
    vec![
        token("open", NOW + HOUR, 1, false),
        token("old", NOW - HOUR, 0, false),
        token("spent", NOW + HOUR, 2, false),
        token("revoked", NOW + HOUR, 0, true),
    ]
}

fn fact(topic: &str, name: &str, value: &str) -> FactView {
    FactView {
        topic: topic.to_owned(),
        name: name.to_owned(),
        item: None,
        state: "known".to_owned(),
        value: Some(value.to_owned()),
        reason: None,
        last_read: None,
        since_ms: Some(NOW - 3 * DAY),
        concern: None,
    }
}

/// How a host is configured: some of it deserves a look, some is unknown, some text is hostile.
pub fn audit(host: &str, told: bool) -> HostAuditView {
    let mut view = HostAuditView {
        host: host.to_owned(),
        host_name: HOSTILE.to_owned(),
        taken_ms: None,
        unread: BTreeMap::new(),
        facts: Vec::new(),
    };
    if !told {
        return view;
    }
    view.taken_ms = Some(NOW - HOUR);
    view.unread = BTreeMap::from([("tcp_globals".to_owned(), "WMI is silent".to_owned())]);
    view.facts = vec![
        FactView {
            concern: Some("3976 dynamic ports; 16384 are usual".to_owned()),
            ..fact("ports", "dynamic_range_tcp_v4", "1025-5000")
        },
        FactView {
            state: "absent".to_owned(),
            value: None,
            ..fact("tcp", "max_user_port", "")
        },
        FactView {
            state: "unknown".to_owned(),
            value: None,
            reason: Some("access denied".to_owned()),
            last_read: Some("30".to_owned()),
            ..fact("tcp", "timed_wait_delay_s", "")
        },
        FactView {
            item: Some(HOSTILE.to_owned()),
            ..fact("nics", "nic_driver_version", HOSTILE)
        },
        FactView {
            item: Some("KB5005112".to_owned()),
            ..fact("hotfixes", "hotfix_installed_on", "8/12/2021")
        },
    ];
    view
}

/// Two changes, newest first.
pub fn drift() -> Vec<DriftView> {
    let drift = |id, ago, fact: &str, item: Option<&str>, from: &str, to: &str| DriftView {
        id,
        at_ms: NOW - ago,
        host: host("web-1", Vec::new()).id,
        host_name: Some("web-1".to_owned()),
        fact: fact.to_owned(),
        item: item.map(str::to_owned),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    vec![
        drift(
            2,
            HOUR,
            "dynamic_range_tcp_v4",
            None,
            "49152-65535",
            "1025-5000",
        ),
        drift(1, 2 * DAY, "nic_rss", Some(HOSTILE), "on", "absent"),
    ]
}

/// A host with one finding, whose culprit has a hostile name.
pub fn findings() -> HostFindings {
    HostFindings {
        host: "a".repeat(32),
        host_name: "web-1".to_owned(),
        sampled_ms: Some(NOW),
        capabilities: vec!["bound_sockets".to_owned()],
        findings: vec![Finding {
            rule: Rule::BoundLeak,
            title: "leaky.exe leaks sockets that it bound and never closes".to_owned(),
            severity: Severity::Critical,
            confidence: 0.95,
            confidence_reasons: vec!["0.95: what the rule asks for was seen".to_owned()],
            culprit: Some(HOSTILE.to_owned()),
            process: None,
            port_space: Some("tcp/default".to_owned()),
            evidence: vec!["1,700 of 16,384 ports are bound.".to_owned()],
            since_ms: None,
            missing: Vec::new(),
            caused_by: None,
            effects: vec![Rule::TcpExhaustion],
            playbook: vec![PlaybookStep {
                text: "Restart the service AppSvc".to_owned(),
                tier: 1,
                action: Some(ActionKind::RestartService),
                disturbs: "the service".to_owned(),
                verify: "its bound ports are few".to_owned(),
            }],
        }],
    }
}

/// A version of a driver that explains the leaks of twelve hosts, one of them hostile.
pub fn causes() -> CausesView {
    let named = |name: &str| HostName {
        id: host(name, vec![]).id,
        name: name.to_owned(),
    };
    let mut hosts: Vec<HostName> = (1..12)
        .map(|number| named(&format!("web-{number:02}")))
        .collect();
    hosts.push(named(HOSTILE));
    CausesView {
        swept_ms: Some(NOW - 2 * MINUTE),
        hosts: 60,
        leaking: 13,
        attributes_left_out: 0,
        items: vec![CauseView {
            attribute: "label:edr".to_owned(),
            value: HOSTILE.to_owned(),
            culprit: "sqlservr.exe".to_owned(),
            hosts_total: hosts.len() as u64,
            hosts_hidden: 0,
            hosts,
            since_ms: NOW - 2 * DAY,
            having: 14,
            leaking: 13,
            compared: 54,
            among_runners: true,
            chance_power: -6.4,
            tried: 310,
            changed_before: 11,
            alike: vec![AttributeValue {
                attribute: "label:ring".to_owned(),
                value: "1".to_owned(),
            }],
            explanation:
                "sqlservr.exe leaks on 12 of 14 hosts with that value and on 1 of 40 others"
                    .to_owned(),
        }],
    }
}
