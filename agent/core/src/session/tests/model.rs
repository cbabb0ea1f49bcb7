//! Whole lives of a session against a controller that dedupes, acks late, refuses, drains, dies, and loses frames with
//! its connections. At the end every record is stored once or known as a gap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The agent samples.
    Append(u64),
    /// Its spool loses records that are held, from the oldest on.
    DropOldest(u64),
    /// The connection breaks; frames under way are lost.
    Break,
    /// The controller handles the next frames.
    Handle(usize),
    /// It commits and acks.
    Commit {
        credit: u32,
    },
    /// It refuses the record it is about to handle.
    Refuse,
    Drain {
        spread_ms: u64,
    },
    /// It forgets what it has not committed.
    Kill,
    Pass {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..30_u64).prop_map(Step::Append),
        1 => (1..10_u64).prop_map(Step::DropOldest),
        1 => Just(Step::Break),
        6 => (1..9_usize).prop_map(Step::Handle),
        5 => (0..60_u32).prop_map(|credit| Step::Commit { credit }),
        1 => Just(Step::Refuse),
        1 => (0..5_000_u64).prop_map(|spread_ms| Step::Drain { spread_ms }),
        1 => Just(Step::Kill),
        4 => (0..40_000_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Record,
    Gap,
}

#[derive(Debug)]
enum Frame {
    Hello(OutboxView),
    Items(BTreeMap<u64, Fate>),
}

/// The controller: what is committed survives its death, what is pending does not.
#[derive(Default)]
struct Controller {
    committed: BTreeMap<u64, Fate>,
    pending: BTreeMap<u64, Fate>,
    refused: BTreeSet<u64>,
    refuse_next: bool,
    stored_twice: bool,
}

impl Controller {
    /// Everything up to here is committed.
    fn acked(&self) -> u64 {
        (1..)
            .zip(self.committed.keys())
            .take_while(|(seq, key)| seq == *key)
            .count() as u64
    }

    fn commit(&mut self) {
        for (seq, fate) in std::mem::take(&mut self.pending) {
            self.stored_twice |= self.committed.insert(seq, fate).is_some();
        }
    }

    /// Takes a frame; says which record it refuses.
    fn take(&mut self, items: BTreeMap<u64, Fate>) -> Option<u64> {
        let mut refused = None;
        for (seq, fate) in items {
            if self.committed.contains_key(&seq) || self.pending.contains_key(&seq) {
                continue;
            }
            if fate == Fate::Record && (self.refuse_next || self.refused.contains(&seq)) {
                self.refuse_next = false;
                self.refused.insert(seq);
                refused = Some(seq);
                continue;
            }
            self.pending.insert(seq, fate);
        }
        refused
    }
}

/// Agent, network and controller.
struct World {
    now: Duration,
    session: Session,
    /// What the agent's spool holds; acked records are gone.
    spool: BTreeMap<u64, Fate>,
    newest: u64,
    trimmed: u64,
    connected: bool,
    welcomed: bool,
    to_controller: VecDeque<Frame>,
    controller: Controller,
    credit: u32,
    /// Highest seq sent on this connection, and how many records lie between it and the last ack.
    sent: BTreeMap<u64, Fate>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut state = seed;
        let draw = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state
        };
        let config = SessionConfig::for_protocol(PROTOCOL);
        Self {
            now: Duration::ZERO,
            session: Session::new(config, view(1, 0), Box::new(draw), Duration::ZERO),
            spool: BTreeMap::new(),
            newest: 0,
            trimmed: 0,
            connected: false,
            welcomed: false,
            to_controller: VecDeque::new(),
            controller: Controller::default(),
            credit: 20,
            sent: BTreeMap::new(),
        }
    }

    fn break_connection(&mut self) {
        if self.connected {
            self.session
                .handle_disconnected(self.now, DisconnectReason::Lost);
        }
        self.forget_connection();
    }

    fn forget_connection(&mut self) {
        self.connected = false;
        self.welcomed = false;
        self.to_controller.clear();
        self.sent.clear();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(records) => {
                for _ in 0..records {
                    self.newest += 1;
                    self.spool.insert(self.newest, Fate::Record);
                }
                self.session.handle_appended(Seq::new(self.newest));
            }
            Step::DropOldest(records) => {
                let held = self
                    .spool
                    .values_mut()
                    .filter(|fate| **fate == Fate::Record);
                held.take(records as usize)
                    .for_each(|fate| *fate = Fate::Gap);
            }
            Step::Break => self.break_connection(),
            Step::Handle(frames) => self.handle_frames(frames),
            Step::Commit { credit } => {
                self.controller.commit();
                self.credit = credit;
                self.say(Incoming::Ack {
                    through: Seq::new(self.controller.acked()),
                    credit,
                });
            }
            Step::Refuse => self.controller.refuse_next = true,
            Step::Drain { spread_ms } => self.say(Incoming::Drain {
                spread: Duration::from_millis(spread_ms),
            }),
            Step::Kill => {
                self.controller.pending.clear();
                self.break_connection();
            }
            Step::Pass { ms } => self.pass(Duration::from_millis(ms)),
        }
        self.act();
    }

    fn say(&mut self, incoming: Incoming) {
        if self.welcomed {
            self.session.handle_incoming(self.now, incoming);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.session.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.session.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    fn handle_frames(&mut self, frames: usize) {
        for _ in 0..frames {
            match self.to_controller.pop_front() {
                Some(Frame::Hello(hello)) => {
                    assert_eq!(hello.newest.get().min(self.newest), hello.newest.get());
                    self.welcomed = true;
                    // A controller commits what an older connection left behind before it greets.
                    self.controller.commit();
                    let acked = self.controller.acked();
                    self.session
                        .handle_incoming(self.now, Incoming::Welcome(welcome(acked, self.credit)));
                }
                Some(Frame::Items(items)) => {
                    if let Some(refused) = self.controller.take(items) {
                        self.say(Incoming::Refused {
                            first: Seq::new(refused),
                            last: Seq::new(refused),
                            reason: "hostile".into(),
                        });
                    }
                }
                None => return,
            }
            self.act();
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => {
                    self.connected = true;
                    self.session.handle_connected(self.now);
                }
                Action::SendHello(hello) => self.to_controller.push_back(Frame::Hello(hello)),
                Action::SendRecords {
                    from, records_max, ..
                } => self.send(from.get(), records_max),
                Action::SendGap(gap) => {
                    let items = (gap.first.get()..=gap.last.get())
                        .map(|seq| (seq, Fate::Gap))
                        .collect();
                    self.to_controller.push_back(Frame::Items(items));
                }
                Action::Trim { through } => {
                    assert!(
                        through.get() <= self.controller.acked(),
                        "only what is durable is trimmed"
                    );
                    self.trimmed = through.get();
                    self.spool = self.spool.split_off(&(through.get() + 1));
                    self.sent = self.sent.split_off(&(through.get() + 1));
                }
                Action::GiveUp(gap) => {
                    for (_, fate) in self.spool.range_mut(gap.first.get()..=gap.last.get()) {
                        *fate = Fate::Gap;
                    }
                }
                Action::Disconnect(cause) => {
                    let legal = matches!(
                        cause,
                        DisconnectCause::Drained
                            | DisconnectCause::AckTimeout
                            | DisconnectCause::WelcomeTimeout
                    );
                    assert!(legal, "an honest controller is not left for {cause:?}");
                    self.forget_connection();
                }
                Action::SendStatus | Action::ApplySettings(_) => {}
                Action::RestartEpoch => panic!("nothing was lost on this disk"),
            }
        }
    }

    /// One frame from the spool, as the shell makes it.
    fn send(&mut self, from: u64, records_max: u32) {
        let Some(first) = self.spool.get(&from).copied() else {
            self.session.handle_sent(self.now, Sent::Nothing);
            return;
        };
        let most = match first {
            Fate::Record => records_max as usize,
            Fate::Gap => usize::MAX,
        };
        let items: BTreeMap<u64, Fate> = self
            .spool
            .range(from..)
            .take(most)
            .take_while(|(_, fate)| **fate == first)
            .map(|(seq, fate)| (*seq, *fate))
            .collect();
        let (first_seq, last) = (Seq::new(from), Seq::new(from + items.len() as u64 - 1));
        self.sent
            .extend(items.iter().filter(|(_, fate)| **fate == Fate::Record));
        let in_flight = self.sent.range(self.trimmed + 1..).count();
        assert!(
            in_flight <= 60,
            "{in_flight} records in flight exceed every credit that was ever granted"
        );
        self.to_controller.push_back(Frame::Items(items));
        let sent = match first {
            Fate::Record => Sent::Records {
                first: first_seq,
                last,
            },
            Fate::Gap => Sent::Gap {
                first: first_seq,
                last,
            },
        };
        self.session.handle_sent(self.now, sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_record_is_stored_once_or_known_as_a_gap(seed: u64, steps in proptest::collection::vec(step(), 0..150)) {
        let mut world = World::new(seed);
        for step in steps {
            world.step(step);
        }
        // The faults end; a day later everything is delivered.
        world.controller.refuse_next = false;
        for _ in 0..1_440 {
            world.step(Step::Handle(20));
            world.step(Step::Commit { credit: 20 });
            world.step(Step::Pass { ms: 60_000 });
            if world.trimmed == world.newest {
                break;
            }
        }
        prop_assert_eq!(world.controller.acked(), world.newest);
        prop_assert_eq!(world.trimmed, world.newest);
        prop_assert!(world.spool.is_empty());
        prop_assert!(!world.controller.stored_twice);
        for refused in &world.controller.refused {
            prop_assert_eq!(world.controller.committed.get(refused), Some(&Fate::Gap));
        }
    }
}
