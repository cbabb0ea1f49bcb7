//! Single roads through a run, one by one.

use tidemark_model::HostId;
use tidemark_model::action::{ActionId, ActionSpec};
use tidemark_model::run::{RunBody, RunHostBody, RunSpec};

use super::*;

mod world;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1_000)
}

fn reboot() -> ActionSpec {
    ActionSpec::Reboot {
        grace_s: 0,
        reason: "patches".to_owned(),
        force: true,
    }
}

fn hook() -> ActionSpec {
    ActionSpec::RunHook {
        name: "drain".to_owned(),
        arguments: std::collections::BTreeMap::new(),
    }
}

fn spec() -> RunSpec {
    serde_json::from_value(serde_json::json!({
        "name": "weekly", "reason": "patches", "hosts": ["host=*"], "actions": [reboot()],
        "needs_effect": false, "concurrency": 100,
    }))
    .unwrap()
}

fn run_of(spec: RunSpec, hosts: &[(u32, Option<&str>)]) -> (Run, RunRules) {
    let rules = spec.check().unwrap();
    let hosts = hosts
        .iter()
        .enumerate()
        .map(|(place, (wave, spread))| RunHost {
            place: u32::try_from(place).unwrap(),
            host: HostId::of_identity_spki(&place.to_be_bytes()),
            state: RunHostState::Pending,
            body: RunHostBody {
                name: format!("web-{place}").into(),
                wave: *wave,
                spread: spread.map(str::to_owned),
                expected_ms: 60_000,
                ..RunHostBody::default()
            },
        });
    let run = Run {
        number: 1,
        generation: 1,
        spec,
        state: RunState::Approved,
        deadline: Some(at(0).saturating_add(EXPIRES_AFTER)),
        created_at: at(0),
        ended_at: None,
        body: RunBody::default(),
        hosts: hosts.collect(),
    };
    (run, rules)
}

fn well(boot: &str) -> HostNow {
    HostNow {
        window: WindowNow::Open(None),
        before: Health::Good,
        after: Health::Good,
        is_connected: true,
        boot: Some(boot.to_owned()),
        action: None,
    }
}

/// A run in a world that the test sets by hand.
struct Bench {
    run: Run,
    rules: RunRules,
    facts: Facts,
    now: i64,
}

impl Bench {
    fn new(spec: RunSpec, hosts: &[(u32, Option<&str>)]) -> Self {
        let (run, rules) = run_of(spec, hosts);
        let mut bench = Self {
            facts: Facts {
                hosts: run.hosts.iter().map(|_| well("b-1")).collect(),
                is_locked: false,
            },
            run,
            rules,
            now: 0,
        };
        bench.step();
        assert_eq!(bench.run.state, RunState::Running);
        bench
    }

    fn step(&mut self) -> Vec<Order> {
        let before = self.run.clone();
        let (run, orders) = step(before, &self.rules, &self.facts, at(self.now));
        self.run = run;
        for order in &orders {
            if let Order::Ask(place) = order {
                self.run.hosts[*place].body.action = Some(ActionId::from_bytes([1; 16]));
                self.facts.hosts[*place].action = Some(ActionNow {
                    state: ActionState::Queued,
                    sent_at: None,
                    ended_at: None,
                    is_worse: false,
                    text: String::new(),
                });
            }
        }
        orders
    }

    fn acts(&mut self, place: usize, state: ActionState) {
        let now = at(self.now);
        let action = self.facts.hosts[place].action.as_mut().unwrap();
        action.state = state;
        if state.may_have_begun() {
            action.sent_at.get_or_insert(now);
        }
        action.ended_at = state.is_final().then_some(now);
    }

    fn states(&self) -> Vec<&'static str> {
        let hosts = self.run.hosts.iter();
        hosts.map(|host| host.state.as_str()).collect()
    }
}

#[test]
fn a_restart_is_proven_by_a_new_boot_and_nothing_else() {
    let mut bench = Bench::new(spec(), &[(0, None)]);
    assert_eq!(bench.step(), [Order::Ask(0)]);
    bench.acts(0, ActionState::Running);
    bench.step();
    assert_eq!(bench.states(), ["sent"]);
    bench.facts.hosts[0].is_connected = false;
    bench.step();
    assert_eq!(bench.states(), ["down"]);
    // Back, and the same boot: it is not up.
    bench.facts.hosts[0].is_connected = true;
    bench.step();
    assert_eq!(bench.states(), ["down"]);
    bench.facts.hosts[0].boot = Some("b-2".to_owned());
    bench.step();
    assert_eq!(bench.states(), ["up"]);
    bench.acts(0, ActionState::Verifying);
    bench.step();
    assert_eq!(bench.states(), ["verifying"]);
    bench.acts(0, ActionState::NotEffective);
    bench.facts.hosts[0].after = Health::Wait("its samples are not fresh".to_owned());
    bench.step();
    assert_eq!(bench.states(), ["verifying"]);
    bench.facts.hosts[0].after = Health::Good;
    bench.step();
    assert_eq!(bench.states(), ["verified"]);
    bench.step();
    assert_eq!(bench.run.state, RunState::Finished);
}

#[test]
fn a_host_that_says_it_restarted_with_the_same_boot_has_failed() {
    let mut bench = Bench::new(spec(), &[(0, None)]);
    bench.step();
    bench.acts(0, ActionState::Verified);
    bench.step();
    assert_eq!(bench.states(), ["failed"]);
    assert!(bench.run.hosts[0].body.why.contains("the same as before"));
    bench.step();
    assert_eq!(bench.run.state, RunState::Failed);
}

#[test]
fn a_host_that_does_not_come_back_has_failed_and_keeps_its_cluster() {
    let both = [(0, Some("c")), (0, Some("c")), (0, None)];
    let mut bench = Bench::new(
        RunSpec {
            max_failed: 2,
            ..spec()
        },
        &both,
    );
    assert_eq!(bench.step(), [Order::Ask(0), Order::Ask(2)]);
    bench.acts(0, ActionState::Running);
    bench.facts.hosts[0].is_connected = false;
    bench.facts.hosts[0].after = Health::Wait("its agent is not connected".to_owned());
    bench.now = 45 * 60;
    bench.step();
    assert_eq!(bench.states()[0], "failed");
    bench.acts(0, ActionState::TimedOut);
    assert_eq!(bench.step(), []);
    assert_eq!(bench.states()[1], "gated");
    bench.now += 600;
    bench.step();
    assert_eq!(bench.states()[1], "skipped", "{:?}", bench.run.hosts[1]);
}

#[test]
fn at_max_failed_nothing_new_begins_and_what_runs_finishes() {
    let spec = RunSpec {
        concurrency: 2,
        max_failed: 1,
        ..spec()
    };
    let mut bench = Bench::new(spec, &[(0, None); 4]);
    assert_eq!(bench.step(), [Order::Ask(0), Order::Ask(1)]);
    bench.acts(0, ActionState::Failed);
    bench.acts(1, ActionState::Running);
    assert_eq!(bench.step(), []);
    assert_eq!(bench.run.state, RunState::Stopping);
    assert_eq!(bench.run.body.why, "1 failed, and max_failed is 1: web-0");
    bench.facts.hosts[1].boot = Some("b-2".to_owned());
    bench.acts(1, ActionState::Verified);
    bench.step();
    assert_eq!(bench.states(), ["failed", "verified", "skipped", "skipped"]);
    assert_eq!(bench.run.state, RunState::Failed);
}

#[test]
fn a_stop_takes_back_what_was_not_sent() {
    let mut bench = Bench::new(spec(), &[(0, None); 3]);
    bench.step();
    bench.acts(0, ActionState::Running);
    bench.run.hosts.truncate(3);
    stop(&mut bench.run, "ann: enough".to_owned(), at(5));
    assert_eq!(bench.step(), [Order::TakeBack(1), Order::TakeBack(2)]);
    bench.acts(1, ActionState::Cancelled);
    bench.acts(2, ActionState::Cancelled);
    bench.acts(0, ActionState::Failed);
    bench.run.spec.max_failed = 5;
    bench.rules.max_failed = 5;
    bench.step();
    assert_eq!(bench.states(), ["failed", "skipped", "skipped"]);
    assert_eq!(bench.run.state, RunState::Stopped);
    assert_eq!(bench.run.body.why, "ann: enough");
}

#[test]
fn a_wave_begins_when_the_one_before_is_through() {
    let mut bench = Bench::new(spec(), &[(0, None), (1, None), (1, None)]);
    assert_eq!(bench.step(), [Order::Ask(0)]);
    bench.acts(0, ActionState::Running);
    assert_eq!(bench.step(), []);
    bench.facts.hosts[0].boot = Some("b-2".to_owned());
    bench.acts(0, ActionState::Verified);
    assert_eq!(bench.step(), [Order::Ask(1), Order::Ask(2)]);
}

#[test]
fn a_ladder_ends_at_the_rung_that_helps_and_hooks_go_around_it() {
    let restart = |service: &str| ActionSpec::RecycleAppPool {
        pool: service.to_owned(),
    };
    let spec = RunSpec {
        actions: vec![restart("a"), restart("b"), restart("c")],
        ladder: tidemark_model::run::Ladder::UntilItHelps,
        before: vec![hook()],
        after: vec![hook()],
        needs_effect: true,
        ..spec()
    };
    let mut bench = Bench::new(spec, &[(0, None)]);
    let mut steps = Vec::new();
    for state in [
        ActionState::Verified,
        ActionState::NotEffective,
        ActionState::Verified,
        ActionState::Verified,
    ] {
        assert_eq!(bench.step(), [Order::Ask(0)]);
        steps.push(bench.run.hosts[0].body.step);
        bench.acts(0, state);
    }
    assert_eq!(steps, [0, 1, 2, 4]);
    bench.step();
    assert_eq!(bench.states(), ["verified"]);
}

#[test]
fn a_host_that_does_not_fit_into_its_window_waits_or_is_left_alone() {
    for (if_missed, state) in [
        (IfMissed::Skip, "skipped"),
        (IfMissed::NextWindow, "pending"),
    ] {
        let spec = RunSpec {
            window: "night".to_owned(),
            if_missed,
            ..spec()
        };
        let (mut run, rules) = run_of(spec, &[(0, None)]);
        let mut facts = Facts {
            hosts: vec![well("b-1")],
            is_locked: false,
        };
        for (now, window) in [
            (0, WindowNow::Closed(at(200))),
            (150, WindowNow::Open(Some(at(200)))),
            (160, WindowNow::Open(Some(at(200)))),
            (200, WindowNow::Closed(at(1_200))),
        ] {
            facts.hosts[0].window = window;
            let (next, orders) = step(run, &rules, &facts, at(now));
            assert_eq!(orders, [], "60 s do not fit into 50 s");
            run = next;
        }
        assert_eq!(run.hosts[0].state.as_str(), state);
        if if_missed == IfMissed::NextWindow {
            assert_eq!(run.state, RunState::Waiting);
            facts.hosts[0].window = WindowNow::Open(Some(at(1_200)));
            let (next, _) = step(run, &rules, &facts, at(1_100));
            let (_, orders) = step(next, &rules, &facts, at(1_100));
            assert_eq!(orders, [Order::Ask(0)]);
        }
    }
}

#[test]
fn under_a_lockdown_nothing_begins() {
    let mut bench = Bench::new(spec(), &[(0, None)]);
    bench.facts.is_locked = true;
    assert_eq!(bench.step(), []);
    bench.facts.is_locked = false;
    assert_eq!(bench.step(), [Order::Ask(0)]);
}

#[test]
fn what_made_it_worse_is_a_failure_whatever_the_run_needs() {
    for needs_effect in [false, true] {
        let spec = RunSpec {
            actions: vec![hook(), hook()],
            ladder: tidemark_model::run::Ladder::UntilItHelps,
            max_retries_per_host: 3,
            needs_effect,
            ..spec()
        };
        let mut bench = Bench::new(spec, &[(0, None)]);
        bench.step();
        bench.acts(0, ActionState::NotEffective);
        let action = bench.facts.hosts[0].action.as_mut().unwrap();
        action.is_worse = true;
        action.text = "headroom got worse".to_owned();
        assert_eq!(bench.step(), [], "needs_effect = {needs_effect}");
        assert_eq!(bench.states(), ["failed"]);
        assert!(
            bench.run.hosts[0].body.why.contains("headroom got worse"),
            "{:?}",
            bench.run.hosts[0].body
        );
    }
}

#[test]
fn what_was_undone_or_could_not_be_is_not_repeated() {
    let spec = RunSpec {
        max_retries_per_host: 3,
        ..spec()
    };
    for (state, is_worse) in [
        (ActionState::RolledBack, true),
        (ActionState::RolledBack, false),
        (ActionState::Failed, true),
    ] {
        let mut bench = Bench::new(spec.clone(), &[(0, None)]);
        bench.step();
        bench.acts(0, state);
        bench.facts.hosts[0].action.as_mut().unwrap().is_worse = is_worse;
        assert_eq!(bench.step(), [], "{state:?}");
        assert_eq!(bench.states(), ["failed"]);
    }
    let mut bench = Bench::new(spec, &[(0, None)]);
    bench.step();
    bench.acts(0, ActionState::Failed);
    assert_eq!(
        bench.step(),
        [Order::Ask(0)],
        "what only failed is tried again"
    );
}
