//! What the plan says about times: turns, windows and limits.

use tidemark_model::HostId;
use tidemark_model::run::{RunBody, RunHost, RunHostBody, RunSpec};

use super::*;

const MINUTE: i64 = 60_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn run(hosts: usize, more: serde_json::Value) -> (Run, RunRules) {
    let mut json = serde_json::json!({
        "name": "weekly", "reason": "patches", "hosts": ["host=*"],
        "actions": [{"action": "recycle_app_pool", "pool": "Shop"}],
    });
    for (key, value) in more.as_object().unwrap() {
        json[key] = value.clone();
    }
    let spec: RunSpec = serde_json::from_value(json).unwrap();
    let rules = spec.check().unwrap();
    let host = |place: usize| RunHost {
        place: u32::try_from(place).unwrap(),
        host: HostId::of_identity_spki(&place.to_be_bytes()),
        state: RunHostState::Pending,
        body: RunHostBody {
            expected_ms: MINUTE,
            wave: u32::from(place > 0),
            ..RunHostBody::default()
        },
    };
    let run = Run {
        number: 0,
        generation: 1,
        spec,
        state: RunState::Planned,
        deadline: Some(at(i64::MAX / 2)),
        created_at: at(0),
        ended_at: None,
        body: RunBody::default(),
        hosts: (0..hosts).map(host).collect(),
    };
    (run, rules)
}

fn minutes(
    (mut run, rules): (Run, RunRules),
    windows: Vec<Vec<Occurrence>>,
    limits: &RemediationRules,
) -> Vec<Option<i64>> {
    let timetable = Timetable {
        windows,
        step_ms: vec![MINUTE],
        limits,
        now: at(0),
    };
    simulate(&mut run, &rules, &timetable);
    let starts = run.hosts.iter().map(|host| host.body.expected_start_ms);
    starts
        .map(|start| start.map(|at| at.unix_ms() / MINUTE))
        .collect()
}

#[test]
fn hosts_have_their_turns_by_wave_and_concurrency() {
    let planned = run(6, serde_json::json!({"concurrency": 2}));
    let starts = minutes(planned, vec![], &RemediationRules::default());
    assert_eq!(starts, [0, 1, 1, 2, 2, 3].map(Some));
}

#[test]
fn who_does_not_fit_into_the_window_has_no_turn() {
    let windowed = serde_json::json!({"window": "night"});
    let open = Occurrence {
        start: at(10 * MINUTE),
        end: at(12 * MINUTE + 30_000),
    };
    let starts = minutes(
        run(4, windowed),
        vec![vec![open]; 4],
        &RemediationRules::default(),
    );
    assert_eq!(starts, [Some(10), Some(11), None, None]);
    let next = serde_json::json!({"window": "night", "if_missed": "next_window"});
    let again = Occurrence {
        start: at(1_010 * MINUTE),
        end: at(1_012 * MINUTE + 30_000),
    };
    let starts = minutes(
        run(4, next),
        vec![vec![open, again]; 4],
        &RemediationRules::default(),
    );
    assert_eq!(starts, [10, 11, 1_010, 1_011].map(Some));
}

#[test]
fn the_limits_of_remediation_hold_in_the_plan() {
    let limits = RemediationRules {
        per_hour_max: 3,
        concurrent_max: 1,
        ..RemediationRules::default()
    };
    let many = run(5, serde_json::json!({"concurrency": 100}));
    let mut run = many.0;
    let timetable = Timetable {
        windows: vec![],
        step_ms: vec![MINUTE],
        limits: &limits,
        now: at(0),
    };
    simulate(&mut run, &many.1, &timetable);
    let ends = run.hosts.iter().map(|host| host.body.expected_end_ms);
    let ends: Vec<_> = ends.map(|end| end.unwrap().unix_ms() / MINUTE).collect();
    assert_eq!(ends, [1, 2, 3, 61, 62]);
}
