//! A stolen controller that floods a host with orders under a good grant, while the host's clock is set to and fro and its
//! agent starts anew: never more than the caps in any span of true time.

use tidemark_model::grant::VALID_MAX;

use super::*;

/// What happens next to the host.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The flood, for so many minutes.
    Flood(u16),
    /// The clock is set by so many hours, within the grant's time.
    Clock(i16),
    /// The agent dies: after so many minutes it is there again, with what was durable.
    Restart(u16),
    /// It dies between the count and the deed.
    DiesAfterCount,
    /// The controller takes the grant away and gives it again.
    Relist,
    /// The host's file is damaged while the agent is away.
    Damage,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (1_u16..600).prop_map(Turn::Flood),
        3 => (-400_i16..400).prop_map(Turn::Clock),
        3 => (0_u16..200).prop_map(Turn::Restart),
        2 => Just(Turn::DiesAfterCount),
        2 => Just(Turn::Relist),
        1 => Just(Turn::Damage),
    ]
}

/// A host in true time, all in minutes.
struct Sim {
    host: Host,
    grant: Grant,
    minute: u64,
    /// When the agent started, and what it had lived through by then.
    started: u64,
    lived_before_ms: u64,
    durable: Book,
    /// When something was done.
    deeds: Vec<u64>,
    orders: u128,
    clock_set_by: i64,
}

const MINUTE_MS: u64 = 60_000;
const CAP_HOUR: usize = 2;
const CAP_DAY: usize = 5;
/// How far the host's clock goes, within the grant's time.
const CLOCK_MINUTES: i64 = 29 * 24 * 60;

impl Sim {
    fn new() -> Self {
        let mut grant = grant();
        (grant.per_hour, grant.per_day) = (2, 5);
        grant.expires_at_ms = at(30 * 86_400_000);
        let mut host = Host::given(&[signed(&grant, &[1])]);
        host.evidence = Evidence::default();
        let mut sim = Self {
            durable: Book::default(),
            host,
            grant,
            minute: 0,
            started: 0,
            lived_before_ms: 0,
            deeds: Vec::new(),
            orders: 100,
            clock_set_by: 0,
        };
        sim.keep();
        sim
    }

    /// Ten minutes pass, in which the host samples and, now and then, keeps its book.
    fn tick(&mut self) {
        self.minute += 10;
        let running_ms = (self.minute - self.started) * MINUTE_MS;
        let clock = i64::try_from(self.minute).unwrap() + self.clock_set_by;
        self.host.moment = Moment {
            now: at(clock.clamp(0, CLOCK_MINUTES) * 60_000),
            lived_ms: self.lived_before_ms + running_ms,
            running: Duration::from_millis(running_ms),
        };
        let running = self.host.moment.running;
        self.host.evidence.sample(&sample(950, &[]), running);
        if self.minute.is_multiple_of(4) {
            self.keep();
        }
    }

    fn keep(&mut self) {
        self.host.book.lived_ms = self.host.moment.lived_ms;
        let text = serde_json::to_string(&self.host.book).unwrap();
        self.durable = serde_json::from_str::<Book>(&text).unwrap().reread();
    }

    fn restart(&mut self, book: Book) {
        self.started = self.minute;
        self.lived_before_ms = book.lived_ms;
        self.host.book = book;
        self.host.evidence = Evidence::default();
        self.host.moment.lived_ms = self.lived_before_ms;
        self.host.moment.running = Duration::ZERO;
    }

    /// An order of the flood; whether it was taken, and durably counted.
    fn order(&mut self) -> bool {
        self.orders += 1;
        let order = self.host.order(restart("appsvc"), self.orders);
        let (policy, moment) = (self.host.policy.clone(), self.host.moment);
        self.host.book.look(&policy, moment);
        let Judgement::Take(order) = self.host.judge(&order, "web-1") else {
            return false;
        };
        self.host
            .book
            .count(self.grant.id, order.id, moment.lived_ms);
        self.keep();
        true
    }

    fn give(&mut self) {
        let one = signed(&self.grant, &[1]);
        self.host.list(&[one]);
        self.keep();
    }

    fn play(&mut self, turn: Turn) {
        match turn {
            Turn::Flood(minutes) => {
                for _ in 0..minutes.div_ceil(10) {
                    self.tick();
                    while self.order() {
                        self.deeds.push(self.minute);
                    }
                }
            }
            Turn::Clock(hours) => self.clock_set_by += i64::from(hours) * 60,
            Turn::Restart(minutes) => {
                self.minute += u64::from(minutes);
                self.restart(self.durable.clone());
            }
            Turn::DiesAfterCount => {
                self.tick();
                self.order();
                self.restart(self.durable.clone());
            }
            Turn::Relist => {
                self.host.list(&[]);
                self.give();
            }
            Turn::Damage => {
                self.restart(Book::barred(self.host.moment.now));
                // Operators sign another one, for the host takes none from before. It has the id of the first, so that the
                // caps are those of one grant.
                let signed_at = self
                    .host
                    .moment
                    .now
                    .saturating_add(Duration::from_millis(1));
                (self.grant.issued_at_ms, self.grant.not_before_ms) = (signed_at, signed_at);
                self.grant.expires_at_ms = signed_at.saturating_add(VALID_MAX);
                self.give();
            }
        }
    }

    /// Most deeds within any span of so many true minutes.
    fn most_within(&self, minutes: u64) -> usize {
        let within = |(place, first): (usize, &u64)| {
            let from = self.deeds.iter().skip(place);
            from.take_while(|deed| **deed < first + minutes).count()
        };
        self.deeds.iter().enumerate().map(within).max().unwrap_or(0)
    }
}

#[test]
fn a_flood_gets_what_the_caps_allow_and_no_more() {
    let mut sim = Sim::new();
    for _ in 0..72 {
        sim.play(Turn::Flood(60));
    }
    assert_eq!(sim.most_within(60), CAP_HOUR);
    assert_eq!(sim.most_within(24 * 60), CAP_DAY);
    assert_eq!(sim.deeds.len(), 3 * CAP_DAY, "{:?}", sim.deeds);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    /// 25 courses of 400 simulated hours and more: 10^4 hours.
    #[test]
    fn no_clock_and_no_restart_makes_a_cap_wider(turns in proptest::collection::vec(turn(), 150)) {
        let mut sim = Sim::new();
        for turn in turns {
            sim.play(turn);
        }
        while sim.minute < 400 * 60 {
            sim.play(Turn::Flood(60));
        }
        prop_assert!(sim.most_within(60) <= CAP_HOUR, "{:?}", sim.deeds);
        prop_assert!(sim.most_within(24 * 60) <= CAP_DAY, "{:?}", sim.deeds);
        prop_assert!(!sim.deeds.is_empty());
    }
}

#[test]
fn an_action_runs_once_whatever_the_book_would_allow() {
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    let order = host.order(restart("appsvc"), 5);
    let Judgement::Take(taken) = host.judge(&order, "web-1") else {
        panic!("it is taken");
    };
    let (id, now) = (taken.id, host.moment.now);
    host.ledger.apply(JournalRecord::Began {
        order: *taken,
        signers: Vec::new(),
        grant: None,
        at_ms: now,
    });
    host.ledger.apply(JournalRecord::Reported {
        report: ActionReport::new(id, ActionState::Verifying, now, "done"),
    });
    assert!(matches!(host.judge(&order, "web-1"), Judgement::Known(_)));
}
