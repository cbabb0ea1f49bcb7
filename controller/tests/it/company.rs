//! Two controllers on one Postgres, of which nothing runs by itself, and what they tell each other of hosts.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidemark_controller::app::App;
use tidemark_controller::company::Exchange;
use tidemark_controller::live::HostLive;
use tidemark_controller::tasks::rebuild::fill_gaps;
use tidemark_model::HostId;
use tidemark_model::forecast::{Forecast, Road};
use tidemark_model::sample::EventHit;
use tidemark_model::view::HostDetail;
use tidemark_proto::convert::record::Record;
use tidemark_runtime::Clock;
use tidemark_store::testing::{execute, new_host, on_postgres};
use tidemark_store::{News, Store};
use tokio_util::sync::CancellationToken;

use crate::backtest::leaky_samples;
use crate::leading::controller;
use crate::made_up::{self, sample};

/// A controller, and what it knows of the other one.
pub struct Side {
    pub app: Arc<App>,
    exchange: Exchange,
    _folder: TempDir,
}

impl Side {
    pub async fn start(store: &Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            app: controller(store, &folder).await,
            exchange: Exchange::default(),
            _folder: folder,
        }
    }

    pub async fn round(&mut self) {
        self.exchange.round(&self.app).await.unwrap();
    }

    fn connect(&self, host: HostId) -> CancellationToken {
        made_up::connect(&self.app, host)
    }

    /// Stores a sample, and waits until it is durable.
    pub async fn deliver(&self, host: HostId, in_use: u32) {
        let sample = sample(self.app.clock.now(), in_use, 40);
        made_up::deliver_records(&self.app, host, vec![Record::Sample(sample)]).await;
    }

    fn detail(&self, host: HostId) -> Option<HostDetail> {
        let now = self.app.clock.now();
        self.app.live.read(host, |live| live.detail(now))
    }

    fn state(&self, host: HostId) -> &'static str {
        let now = self.app.clock.now();
        let state = self.app.live.read(host, |live| live.state(now));
        state.unwrap_or("unknown")
    }

    fn forecast(&self, host: HostId) -> Forecast {
        let now = self.app.clock.now();
        let made = |live: &HostLive| {
            let space = live.spaces.values().next().unwrap();
            space.detector.forecast(now)
        };
        self.app.live.read(host, made).unwrap()
    }

    pub fn later(&self, seconds: u64) {
        self.app.clock.advance(Duration::from_secs(seconds));
    }
}

async fn enrol(store: &Store, name: &str, app: &App) -> HostId {
    let host = new_host(name.as_bytes(), name);
    let mut tx = store.begin().await.unwrap();
    tx.host_insert(&host).await.unwrap();
    tx.commit().await.unwrap();
    app.learn_host(host.id).await.unwrap();
    host.id
}

/// Two controllers, and a host that is online at the first, which the other one was told.
pub async fn online_at_the_first(store: &Store) -> (Side, Side, HostId) {
    let (mut one, mut other) = (Side::start(store).await, Side::start(store).await);
    let host = enrol(store, "web-1", &one.app).await;
    one.connect(host);
    one.deliver(host, 300).await;
    one.round().await;
    other.round().await;
    assert_eq!(other.state(host), "online");
    (one, other, host)
}

/// Both go on by some seconds.
fn later(sides: [&Side; 2]) {
    for side in sides {
        side.later(20);
    }
}

async fn told_rows(store: &Store, of: &Side) -> usize {
    let mut tx = store.read().await.unwrap();
    let holder = of.app.leader.holder();
    tx.host_sessions_after(holder, 0, 10).await.unwrap().len()
}

#[tokio::test]
async fn each_controller_has_the_hosts_of_the_other_as_that_one_has_them() {
    on_postgres(async |store| {
        let (mut one, mut other) = (Side::start(&store).await, Side::start(&store).await);
        // Known to the one alone, as one that has just enrolled there is.
        let host = enrol(&store, "web-1", &one.app).await;
        let _session = one.connect(host);
        for in_use in [300, 1_200, 2_400] {
            for side in [&one, &other] {
                side.later(30);
            }
            one.deliver(host, in_use).await;
            one.round().await;
            other.round().await;
            let (here, there) = (one.detail(host).unwrap(), other.detail(host).unwrap());
            assert_eq!(there.controller.as_deref(), Some(one.app.leader.holder()));
            assert_eq!(here.controller, None);
            let named = HostDetail {
                controller: there.controller.clone(),
                ..here
            };
            assert_eq!(there, named);
            assert_eq!(there.host.state, "online");
            assert_eq!(there.host.port_spaces[0].in_use, in_use + 40);
        }
        let samples_kept = |side: &Side| {
            let read = side.app.live.read(host, |live| live.lately.is_kept());
            read.unwrap()
        };
        assert_eq!(samples_kept(&one), samples_kept(&other));
    })
    .await;
}

#[tokio::test]
async fn a_host_is_where_it_came_last_and_the_session_that_it_left_ends() {
    on_postgres(async |store| {
        let (mut one, mut other) = (Side::start(&store).await, Side::start(&store).await);
        let host = enrol(&store, "web-1", &one.app).await;
        other.app.learn_host(host).await.unwrap();
        let left = one.connect(host);
        one.round().await;
        other.round().await;
        // The agent goes to the other, and the one has not noticed yet that its connection is dead.
        later([&one, &other]);
        let came = other.connect(host);
        one.deliver(host, 300).await;
        one.round().await;
        other.round().await;
        assert!(!came.is_cancelled(), "the host is here");
        assert_eq!(other.detail(host).unwrap().controller, None);
        one.round().await;
        assert!(left.is_cancelled());
        assert_eq!(one.state(host), "online");
        let elsewhere = one.detail(host).unwrap().controller;
        assert_eq!(elsewhere.as_deref(), Some(other.app.leader.holder()));
        // What still is to be said of the session that ended does not take the host away.
        one.round().await;
        other.round().await;
        assert!(!came.is_cancelled());
        other.app.live.cut_session(host);
        other.round().await;
        one.round().await;
        assert_eq!((one.state(host), other.state(host)), ("offline", "offline"));
        // It comes back to the one.
        later([&one, &other]);
        let back = one.connect(host);
        one.round().await;
        other.round().await;
        assert!(!back.is_cancelled());
        let elsewhere = other.detail(host).unwrap().controller;
        assert_eq!(elsewhere.as_deref(), Some(one.app.leader.holder()));
    })
    .await;
}

#[tokio::test]
async fn one_that_is_alone_tells_nothing_and_everything_once_somebody_comes() {
    on_postgres(async |store| {
        let mut one = Side::start(&store).await;
        let host = enrol(&store, "web-1", &one.app).await;
        let _session = one.connect(host);
        one.deliver(host, 300).await;
        one.round().await;
        assert_eq!(told_rows(&store, &one).await, 0);
        let mut other = Side::start(&store).await;
        assert_eq!(other.state(host), "offline", "nobody has told it yet");
        one.round().await;
        other.round().await;
        assert_eq!(other.state(host), "online");
        // Whoever starts then knows it from the start on.
        let third = Side::start(&store).await;
        assert_eq!(third.state(host), "online");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ended_while_its_controller_was_alone_is_not_shown_to_whoever_comes() {
    on_postgres(async |store| {
        let (mut one, other, host) = online_at_the_first(&store).await;
        let mut tx = store.begin().await.unwrap();
        tx.controller_leave(other.app.leader.holder())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        one.round().await;
        one.app.live.cut_session(host);
        one.round().await;
        let mut third = Side::start(&store).await;
        one.round().await;
        third.round().await;
        assert_eq!(third.state(host), "offline");
    })
    .await;
}

#[tokio::test]
async fn a_host_that_went_on_and_ended_between_two_looks_is_offline() {
    on_postgres(async |store| {
        let (mut one, mut other) = (Side::start(&store).await, Side::start(&store).await);
        let mut third = Side::start(&store).await;
        let host = enrol(&store, "web-1", &one.app).await;
        third.app.learn_host(host).await.unwrap();
        let left = one.connect(host);
        for side in [&mut one, &mut other, &mut third] {
            side.round().await;
        }
        assert_ne!(other.state(host), "offline");
        later([&one, &third]);
        let _came = third.connect(host);
        third.round().await;
        third.app.live.cut_session(host);
        third.round().await;
        other.round().await;
        assert_eq!(other.state(host), "offline");
        one.round().await;
        assert!(left.is_cancelled(), "its agent was elsewhere since");
    })
    .await;
}

#[tokio::test]
async fn whose_incidents_changed_is_told_to_those_who_look_at_the_other() {
    on_postgres(async |store| {
        let (mut one, mut other) = (Side::start(&store).await, Side::start(&store).await);
        let host = enrol(&store, "web-1", &one.app).await;
        one.round().await;
        other.round().await;
        let mut listener = store.listen().await.unwrap().unwrap();
        one.app.live.announce_incidents(&[host]);
        one.round().await;
        let heard = async {
            loop {
                if let Some(News::Incidents(news)) = listener.next().await.unwrap() {
                    return news;
                }
            }
        };
        let news = tokio::time::timeout(Duration::from_secs(10), heard).await;
        let news = news.unwrap();
        assert_eq!(news.from, one.app.leader.holder());
        assert_eq!(news.hosts, Some(vec![host]), "others' pages are left alone");
    })
    .await;
}

#[tokio::test]
async fn after_the_tables_were_emptied_everything_is_told_anew() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        // As a crash of the database does: they are not logged.
        execute(&store, "DELETE FROM controllers").await;
        execute(&store, "DELETE FROM host_sessions").await;
        for _ in 0..2 {
            other.round().await;
            assert_eq!(other.state(host), "online", "nothing says that it is not");
        }
        one.later(30);
        other.later(30);
        one.deliver(host, 900).await;
        one.round().await;
        other.round().await;
        assert_eq!(
            other.detail(host).unwrap().host,
            one.detail(host).unwrap().host
        );
    })
    .await;
}

#[tokio::test]
async fn hosts_of_a_controller_that_is_not_heard_of_are_offline_until_it_is_back() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        execute(&store, "UPDATE controllers SET seen_at = seen_at - 15001").await;
        other.round().await;
        assert_eq!(other.state(host), "offline");
        assert_eq!(other.app.company.views(&other.app).len(), 1);
        // It was stopped for a while, and goes on.
        one.round().await;
        other.round().await;
        assert_eq!(other.state(host), "online");
        assert_eq!(other.app.company.views(&other.app).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn one_decides_for_all_unless_the_leader_sees_its_own_hosts_alone() {
    on_postgres(async |store| {
        let (mut one, mut other) = (Side::start(&store).await, Side::start(&store).await);
        one.round().await;
        other.round().await;
        let decide = [one.app.decides(), other.app.decides()];
        assert_eq!(decide, [true, false], "the first one leads");
        let mut tx = store.begin().await.unwrap();
        tx.controller_leave(one.app.leader.holder()).await.unwrap();
        tx.commit().await.unwrap();
        other.round().await;
        assert!(!other.app.decides(), "it has only just gone");
        // To whoever never saw it on the list it is of a release that tells nothing.
        let third = Side::start(&store).await;
        assert!(third.app.decides());
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_kept_during_an_outage_is_seen_by_every_controllers_detectors() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        for side in [&one, &other] {
            side.later(4 * 86_400);
        }
        // Up to this moment: each stands for the five minutes before the next.
        let until = Duration::from_secs(300);
        let kept = leaky_samples(one.app.clock.now().saturating_add(until));
        let records = kept.into_iter().map(Record::Sample).collect();
        made_up::deliver_records(&one.app, host, records).await;
        one.round().await;
        other.round().await;
        let stands = one.forecast(host);
        assert_eq!(stands.road, Some(Road::Leak), "{}", stands.explanation);
        assert_eq!(other.forecast(host).road, None, "it knows the newest alone");
        assert_eq!(fill_gaps(&other.app).await, 0, "more may come");
        other.later(60);
        one.later(60);
        assert_eq!(fill_gaps(&other.app).await, 1);
        let (stands, filled) = (one.forecast(host), other.forecast(host));
        assert_eq!(filled.road, stands.road, "{}", filled.explanation);
        assert_eq!(filled.culprit, stands.culprit);
        // What comes one by one leaves no gap.
        for _ in 0..3 {
            later([&one, &other]);
            one.deliver(host, 900).await;
            one.round().await;
            other.round().await;
        }
        other.later(60);
        assert_eq!(fill_gaps(&other.app).await, 0);
    })
    .await;
}

#[tokio::test]
async fn ports_that_were_refused_count_at_the_other_too_and_once() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        let mut times = Vec::new();
        for count in [3, 2] {
            later([&one, &other]);
            let at = one.app.clock.now();
            let refused = EventHit {
                at,
                source: "Tcpip".into(),
                code: 4_231,
                count,
                text: "no port".into(),
                log: None,
            };
            let records = vec![Record::Event(refused), Record::Sample(sample(at, 300, 40))];
            made_up::deliver_records(&one.app, host, records).await;
            for _ in 0..2 {
                one.round().await;
                other.round().await;
            }
            let (here, there) = (one.forecast(host), other.forecast(host));
            assert_eq!(here.road, Some(Road::Saturated), "{}", here.explanation);
            assert_eq!(there, here);
            times.push(there.explanation);
        }
        assert!(
            times[0].contains('3') && times[1].contains('5'),
            "{times:?}"
        );
    })
    .await;
}

/// Time that only the controllers know of: the database's goes on.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn after_the_database_was_away_for_all_the_others_have_time_to_say_that_they_are_there() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        // Nobody could write for 20 s.
        let aged = "UPDATE controllers SET seen_at = seen_at - 20000";
        execute(&store, aged).await;
        pass(20).await;
        other.round().await;
        assert_eq!(other.state(host), "online", "the one may be there");
        one.round().await;
        other.round().await;
        assert_eq!(other.state(host), "online");
        // The same again, and the one died meanwhile.
        execute(&store, aged).await;
        pass(20).await;
        let mut seconds = 0;
        while other.state(host) == "online" {
            assert!(seconds < 20, "it is not there any more");
            other.round().await;
            pass(5).await;
            seconds += 5;
        }
        assert!(seconds >= 15, "after {seconds} s");
    })
    .await;
}

#[tokio::test]
async fn how_far_its_clock_is_from_the_databases_is_told() {
    on_postgres(async |store| {
        let mut one = Side::start(&store).await;
        // The database is on this machine.
        let machine = Clock::System.now();
        for seconds in [0, 3_600] {
            one.later(seconds);
            one.round().await;
            let apart = one.app.clock.now().ms_since(machine).unsigned_abs();
            let told = one.app.metrics.clock_apart_ms.get();
            assert!(told.abs_diff(apart) < 60_000, "{told} {apart}");
        }
    })
    .await;
}
