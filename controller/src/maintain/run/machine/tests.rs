//! What holds of every run, whatever its hosts do; and single roads through it, one by one.

use std::collections::HashMap;

use proptest::prelude::*;
use tidemark_model::HostId;
use tidemark_model::action::{ActionId, ActionSpec};
use tidemark_model::run::{RunBody, RunHostBody, RunSpec};
use tidemark_runtime::Entropy;

use super::*;

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

/// A world that does what it likes: hosts fail, vanish, come back or not, and their health goes up and down.
struct World {
    entropy: Entropy,
    /// When what was asked of each host ends, how, and whether it was sent.
    fates: HashMap<usize, (Timestamp, ActionState)>,
    windowed: bool,
}

impl World {
    fn turn(&mut self, facts: &mut Facts, now: Timestamp) {
        facts.is_locked = self.entropy.below(20) == 0;
        for (place, host) in facts.hosts.iter_mut().enumerate() {
            let wait = |is_bad: bool| {
                if is_bad {
                    Health::Wait("not well".to_owned())
                } else {
                    Health::Good
                }
            };
            host.before = match self.entropy.below(30) {
                0 => Health::Never("revoked".to_owned()),
                luck => wait(luck < 6),
            };
            host.after = wait(self.entropy.below(5) == 0);
            host.window = self.window(place, now);
            self.act(place, host, now);
        }
    }

    fn window(&self, place: usize, now: Timestamp) -> WindowNow {
        if !self.windowed {
            return WindowNow::Open(None);
        }
        // Open two hours of a day, in zones that differ; for one host in nine never.
        if place % 9 == 8 {
            return WindowNow::Never;
        }
        let offset = i64::try_from(place % 3).unwrap() * 3_600_000;
        let day = 86_400_000;
        let begun = (now.unix_ms() - offset).div_euclid(day) * day + offset;
        let end = Timestamp::from_unix_ms(begun + 7_200_000);
        if now < end {
            WindowNow::Open(Some(end))
        } else {
            WindowNow::Closed(end.saturating_add(Duration::from_secs(86_400)))
        }
    }

    fn act(&mut self, place: usize, host: &mut HostNow, now: Timestamp) {
        let Some((end, fate)) = self.fates.get(&place).copied() else {
            host.is_connected = self.entropy.below(8) != 0;
            return;
        };
        let Some(action) = &mut host.action else {
            return;
        };
        if action.state.is_final() {
            host.is_connected = self.entropy.below(8) != 0;
            return;
        }
        if fate.may_have_begun() {
            action.sent_at.get_or_insert(now);
            action.state = ActionState::Running;
            host.is_connected = self.entropy.below(2) == 0;
            if self.entropy.below(2) == 0 {
                host.boot = Some(format!("boot-{}", self.entropy.u64()));
            }
        }
        if end <= now {
            action.state = fate;
            action.ended_at = Some(now);
        }
    }

    fn ask(&mut self, place: usize, host: &mut HostNow, now: Timestamp) {
        const FATES: [ActionState; 12] = [
            ActionState::Verified,
            ActionState::Verified,
            ActionState::Verified,
            ActionState::Verified,
            ActionState::NotEffective,
            ActionState::Failed,
            ActionState::Refused,
            ActionState::RolledBack,
            ActionState::TimedOut,
            ActionState::Expired,
            ActionState::Cancelled,
            ActionState::Rejected,
        ];
        let fate = FATES[usize::try_from(self.entropy.below(12)).unwrap()];
        let takes = Duration::from_secs(10 + self.entropy.below(4_000));
        self.fates.insert(place, (now.saturating_add(takes), fate));
        host.action = Some(ActionNow {
            state: ActionState::Queued,
            sent_at: None,
            ended_at: None,
            text: String::new(),
        });
    }
}

/// Hosts at which an action has not ended, by the world's own account.
fn busy(facts: &Facts) -> Vec<usize> {
    let hosts = facts.hosts.iter().enumerate();
    let open = hosts.filter(|(_, host)| {
        let action = host.action.as_ref();
        action.is_some_and(|action| !action.state.is_final())
    });
    open.map(|(place, _)| place).collect()
}

fn failed(run: &Run) -> usize {
    let hosts = run.hosts.iter();
    hosts
        .filter(|host| host.state == RunHostState::Failed)
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_run_breaks_its_limits_and_every_run_ends(
        seed in any::<u64>(),
        hosts in proptest::collection::vec((0_u32..3, proptest::option::of("[ab]")), 1..14),
        concurrency in 1_u32..6,
        max_failed in 1_u32..5,
        retries in 0_u32..3,
        shape in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        stopped_at in proptest::option::of(1_usize..200),
    ) {
        let (windowed, needs_effect, next_window, ladder) = shape;
        let hosts: Vec<(u32, Option<&str>)> =
            hosts.iter().map(|(wave, value)| (*wave, value.as_deref())).collect();
        let spec = RunSpec {
            window: if windowed { "night" } else { "now" }.to_owned(),
            if_missed: if next_window { IfMissed::NextWindow } else { IfMissed::Skip },
            ladder: if ladder { tidemark_model::run::Ladder::UntilItHelps } else { tidemark_model::run::Ladder::All },
            actions: vec![reboot(), hook()],
            max_retries_per_host: retries,
            concurrency, max_failed, needs_effect,
            ..spec()
        };
        let (mut run, rules) = run_of(spec, &hosts);
        let mut facts = Facts { hosts: run.hosts.iter().map(|_| well("b-0")).collect(), is_locked: false };
        let mut world = World { entropy: Entropy::seeded(seed), fates: HashMap::new(), windowed };
        let mut now = at(40_000);
        for round in 0..20_000 {
            now = now.saturating_add(Duration::from_secs(1 + world.entropy.below(600)));
            world.turn(&mut facts, now);
            if stopped_at == Some(round) {
                stop(&mut run, "enough".to_owned(), now);
            }
            let (was_busy, had_failed, before) = (busy(&facts), failed(&run), run.clone());
            let (next, orders) = step(run, &rules, &facts, now);
            run = next;
            for order in orders {
                match order {
                    Order::Ask(place) => {
                        let host = &facts.hosts[place];
                        prop_assert!(!was_busy.contains(&place), "a host twice at once");
                        prop_assert!(matches!(host.window, WindowNow::Open(_)), "outside its window");
                        prop_assert!(!facts.is_locked, "under a lockdown");
                        let is_new = !before.hosts[place].state.is_under_way();
                        prop_assert!(!is_new || host.before == Health::Good, "not well");
                        prop_assert!(!is_new || had_failed < rules.max_failed, "after max_failed");
                        prop_assert!(!is_new || before.state == RunState::Running, "{:?}", before.state);
                        prop_assert!(!before.hosts[place].state.is_final(), "after its end");
                        run.hosts[place].body.action = Some(ActionId::from_bytes([1; 16]));
                        world.ask(place, &mut facts.hosts[place], now);
                    }
                    Order::TakeBack(place) => {
                        let action = facts.hosts[place].action.as_mut().unwrap();
                        prop_assert!(action.sent_at.is_none());
                        action.state = ActionState::Cancelled;
                        action.ended_at = Some(now);
                    }
                }
            }
            let open = busy(&facts);
            prop_assert!(open.len() <= rules.concurrency, "{} at once", open.len());
            for value in ["a", "b"] {
                let same = open.iter().filter(|place| run.hosts[**place].body.spread.as_deref() == Some(value));
                prop_assert!(same.count() <= 1, "two of one cluster at once");
            }
            for host in &run.hosts {
                let earlier = run.hosts.iter().filter(|one| one.body.wave < host.body.wave);
                let is_early = host.body.begun_at_ms.is_some() && earlier.into_iter().any(|one| !one.state.is_final());
                // A host whose action never reached it goes back to its own wave, which is not through then.
                prop_assert!(!is_early || run.state.is_final(), "a wave before its turn");
            }
            if run.state.is_final() {
                break;
            }
        }
        prop_assert!(run.state.is_final(), "{run:?}");
        prop_assert!(run.hosts.iter().all(|host| host.state.is_final()), "{run:?}");
        prop_assert!(failed(&run) < rules.max_failed || matches!(run.state, RunState::Failed | RunState::Stopped | RunState::Cancelled), "{:?}", run.state);
    }
}
