//! What holds of every run, whatever its hosts do.

use std::collections::HashMap;

use proptest::prelude::*;
use tidemark_runtime::Entropy;

use super::*;

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
            is_worse: false,
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
