//! The session by tables: each state and each frame, one story a test. `model` plays whole lives against a controller.

use tidemark_model::Epoch;

use super::*;

mod model;

const PROTOCOL: u32 = 1;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn view(oldest: u64, newest: u64) -> OutboxView {
    OutboxView {
        epoch: Epoch::new(7),
        oldest: Seq::new(oldest),
        newest: Seq::new(newest),
    }
}

fn welcome(acked: u64, credit: u32) -> Welcome {
    Welcome {
        protocol: PROTOCOL,
        session: SessionId::new(1),
        acked: Seq::new(acked),
        credit,
        batch_records_max: 100,
        batch_bytes_max: 1024 * 1024,
        settings: None,
    }
}

fn actions(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.poll_action()).collect()
}

/// A session whose waits are the longest possible.
fn new(oldest: u64, newest: u64) -> Session {
    let config = SessionConfig::for_protocol(PROTOCOL);
    Session::new(
        config,
        view(oldest, newest),
        Box::new(|| u64::MAX),
        Duration::ZERO,
    )
}

/// A session that has sent its hello at second 0.
fn greeting(oldest: u64, newest: u64) -> Session {
    let mut session = new(oldest, newest);
    session.handle_timeout(Duration::ZERO);
    session.handle_connected(Duration::ZERO);
    assert_eq!(
        actions(&mut session),
        [Action::Connect, Action::SendHello(view(oldest, newest))]
    );
    session
}

/// A session that was welcomed at second 0.
fn open(oldest: u64, newest: u64, welcome: Welcome) -> Session {
    let mut session = greeting(oldest, newest);
    session.handle_incoming(Duration::ZERO, Incoming::Welcome(welcome));
    session
}

fn ack(through: u64, credit: u32) -> Incoming {
    Incoming::Ack {
        through: Seq::new(through),
        credit,
    }
}

fn send(from: u64, records_max: u32) -> Action {
    Action::SendRecords {
        from: Seq::new(from),
        records_max,
        bytes_max: 1024 * 1024,
    }
}

fn records(first: u64, last: u64) -> Sent {
    Sent::Records {
        first: Seq::new(first),
        last: Seq::new(last),
    }
}

fn waits(session: &Session) -> Option<Duration> {
    match session.state() {
        SessionState::Waiting { until } => Some(until),
        SessionState::Connecting
        | SessionState::Greeting
        | SessionState::Open { .. }
        | SessionState::RestartingEpoch => None,
    }
}

#[test]
fn it_resends_from_what_is_acked_and_trims_to_there() {
    let mut session = open(3, 10, welcome(5, 100));
    let trim = Action::Trim {
        through: Seq::new(5),
    };
    assert_eq!(actions(&mut session), [trim, send(6, 100)]);
}

#[test]
fn it_sends_no_more_than_its_credit() {
    let mut session = open(1, 1_000, welcome(0, 150));
    assert_eq!(actions(&mut session), [send(1, 100)]);
    session.handle_sent(seconds(1), records(1, 100));
    assert_eq!(actions(&mut session), [send(101, 50)]);
    session.handle_sent(seconds(1), records(101, 150));
    assert_eq!(actions(&mut session), []);
    session.handle_incoming(seconds(2), ack(30, 150));
    let trim = Action::Trim {
        through: Seq::new(30),
    };
    assert_eq!(actions(&mut session), [trim, send(151, 30)]);
    session.handle_sent(seconds(2), records(151, 180));
    session.handle_incoming(seconds(3), ack(30, 0));
    assert_eq!(
        actions(&mut session),
        [],
        "a controller that cannot commit takes its credit back"
    );
    session.handle_incoming(seconds(4), ack(30, 151));
    assert_eq!(actions(&mut session), [send(181, 1)]);
}

#[test]
fn a_gap_of_any_length_costs_one_credit() {
    let mut session = open(1, 1_000_000, welcome(0, 2));
    assert_eq!(actions(&mut session), [send(1, 2)]);
    let gap = Sent::Gap {
        first: Seq::new(1),
        last: Seq::new(999_000),
    };
    session.handle_sent(seconds(1), gap);
    assert_eq!(actions(&mut session), [send(999_001, 1)]);
}

#[test]
fn an_ack_of_what_an_earlier_connection_sent_is_taken() {
    let mut session = open(1, 10, welcome(0, 100));
    assert_eq!(actions(&mut session), [send(1, 100)]);
    session.handle_incoming(seconds(1), ack(6, 100));
    session.handle_sent(seconds(1), records(1, 4));
    let trim = Action::Trim {
        through: Seq::new(6),
    };
    assert_eq!(actions(&mut session), [trim, send(7, 100)]);
}

#[test]
fn it_waits_for_an_append_when_everything_is_sent() {
    let mut session = open(1, 1, welcome(0, 100));
    assert_eq!(actions(&mut session), [send(1, 100)]);
    session.handle_appended(Seq::new(2));
    assert_eq!(actions(&mut session), [], "one frame at a time");
    session.handle_sent(seconds(1), records(1, 1));
    assert_eq!(actions(&mut session), [send(2, 99)]);
    session.handle_sent(seconds(1), Sent::Nothing);
    assert_eq!(actions(&mut session), []);
    session.handle_appended(Seq::new(3));
    assert_eq!(actions(&mut session), [send(2, 99)]);
}

#[test]
fn a_refused_record_is_given_up_and_reported_and_the_rest_goes_on() {
    let mut session = open(1, 10, welcome(0, 100));
    session.handle_sent(seconds(1), records(1, 10));
    actions(&mut session);
    let refused = |first, last| Incoming::Refused {
        first: Seq::new(first),
        last: Seq::new(last),
        reason: "sample.cost is missing".into(),
    };
    session.handle_incoming(seconds(1), ack(4, 100));
    actions(&mut session);
    session.handle_incoming(seconds(1), refused(3, 6));
    let gap = RecordGap {
        first: Seq::new(5),
        last: Seq::new(6),
        reason: GapReason::Refused,
    };
    assert_eq!(
        actions(&mut session),
        [Action::GiveUp(gap), Action::SendGap(gap)]
    );
    session.handle_incoming(seconds(1), refused(2, 4));
    assert_eq!(actions(&mut session), [], "what is acked is stored");
}

#[test]
fn a_controller_that_breaks_the_protocol_is_left() {
    type Story = (&'static str, Session, Incoming);
    let refused = Incoming::Refused {
        first: Seq::new(1),
        last: Seq::new(1),
        reason: "".into(),
    };
    let welcome_with = |change: fn(&mut Welcome)| {
        let mut changed = welcome(0, 1);
        change(&mut changed);
        Incoming::Welcome(changed)
    };
    let stories: Vec<Story> = vec![
        ("an ack before the welcome", greeting(1, 5), ack(1, 1)),
        (
            "a refusal before the welcome",
            greeting(1, 5),
            refused.clone(),
        ),
        (
            "another version",
            greeting(1, 5),
            welcome_with(|welcome| welcome.protocol = 2),
        ),
        (
            "batches of nothing",
            greeting(1, 5),
            welcome_with(|welcome| welcome.batch_records_max = 0),
        ),
        (
            "tiny batches",
            greeting(1, 5),
            welcome_with(|welcome| welcome.batch_bytes_max = 100),
        ),
        (
            "a second welcome",
            open(1, 5, welcome(0, 1)),
            Incoming::Welcome(welcome(0, 1)),
        ),
        (
            "an ack of what was not sent",
            open(1, 5, welcome(0, 1)),
            ack(6, 1),
        ),
        (
            "a refusal of what was not sent",
            open(1, 5, welcome(0, 1)),
            refused,
        ),
    ];
    for (story, mut session, incoming) in stories {
        actions(&mut session);
        session.handle_incoming(seconds(1), incoming);
        let actions = actions(&mut session);
        assert!(
            matches!(
                actions[..],
                [Action::Disconnect(DisconnectCause::Protocol(_))]
            ),
            "{story}: {actions:?}"
        );
        assert!(waits(&session) > Some(seconds(1)), "{story}");
    }
}

#[test]
fn a_controller_that_knows_more_than_this_spool_makes_it_begin_a_new_epoch() {
    let mut session = open(1, 5, welcome(6, 100));
    let restart = [
        Action::Disconnect(DisconnectCause::EpochRestart),
        Action::RestartEpoch,
    ];
    assert_eq!(actions(&mut session), restart);
    assert_eq!(
        (session.state(), session.poll_timeout()),
        (SessionState::RestartingEpoch, None)
    );
    let fresh = OutboxView {
        epoch: Epoch::new(8),
        oldest: Seq::new(1),
        newest: Seq::new(2),
    };
    session.handle_epoch_restarted(seconds(1), fresh);
    let until = waits(&session).unwrap();
    session.handle_timeout(until);
    session.handle_connected(until);
    assert_eq!(
        actions(&mut session),
        [Action::Connect, Action::SendHello(fresh)]
    );
}

#[test]
fn records_appended_after_the_hello_do_not_hide_that_the_controller_knows_more() {
    let mut session = greeting(1, 5);
    session.handle_appended(Seq::new(9));
    session.handle_incoming(seconds(1), Incoming::Welcome(welcome(6, 100)));
    assert_eq!(session.state(), SessionState::RestartingEpoch);
}

#[test]
fn records_of_a_host_that_was_put_back_are_not_taken_for_those_that_were_acked_under_their_seqs() {
    let mut session = new(1, 5);
    // The image held up to 5; these are others than those that the controller has as 6 and 7.
    session.handle_appended(Seq::new(9));
    session.handle_timeout(seconds(0));
    session.handle_connected(seconds(1));
    session.handle_incoming(seconds(1), Incoming::Welcome(welcome(7, 100)));
    assert_eq!(session.state(), SessionState::RestartingEpoch);
}

#[test]
fn what_an_earlier_connection_sent_may_be_acked_by_the_next() {
    let mut session = open(1, 5, welcome(0, 100));
    session.handle_sent(seconds(1), records(1, 5));
    session.handle_appended(Seq::new(8));
    session.handle_sent(seconds(1), records(6, 8));
    session.handle_disconnected(seconds(2), DisconnectReason::Lost);
    let until = waits(&session).unwrap();
    session.handle_timeout(until);
    session.handle_connected(until);
    session.handle_incoming(until, Incoming::Welcome(welcome(8, 100)));
    assert!(matches!(session.state(), SessionState::Open { .. }));
}

#[test]
fn a_silent_peer_is_left_in_each_state() {
    let mut connecting = new(1, 5);
    connecting.handle_timeout(Duration::ZERO);
    let mut sent = open(1, 5, welcome(0, 100));
    sent.handle_sent(Duration::ZERO, records(1, 5));
    let stories = [
        (connecting, DisconnectCause::ConnectTimeout),
        (greeting(1, 5), DisconnectCause::WelcomeTimeout),
        (sent, DisconnectCause::AckTimeout),
    ];
    for (mut session, cause) in stories {
        actions(&mut session);
        let mut left = None;
        while left.is_none() {
            let now = session
                .poll_timeout()
                .expect("it never waits without an end");
            session.handle_timeout(now);
            left = actions(&mut session)
                .into_iter()
                .find(|action| matches!(action, Action::Disconnect(_)));
        }
        assert_eq!(left, Some(Action::Disconnect(cause)));
    }
}

#[test]
fn any_frame_shows_that_a_controller_lives() {
    let mut session = open(1, 5, welcome(0, 100));
    session.handle_sent(Duration::ZERO, records(1, 5));
    for minute in 1..=30 {
        session.handle_incoming(seconds(minute * 60), ack(0, 0));
        session.handle_timeout(seconds(minute * 60 + 59));
    }
    assert!(matches!(session.state(), SessionState::Open { .. }));
}

#[test]
fn it_reports_the_spools_counts_each_minute() {
    let mut session = open(1, 0, welcome(0, 100));
    let mut reports = 0;
    while session.poll_timeout() <= Some(seconds(600)) {
        let now = session.poll_timeout().unwrap();
        session.handle_timeout(now);
        reports += actions(&mut session)
            .iter()
            .filter(|action| **action == Action::SendStatus)
            .count();
    }
    assert_eq!(reports, 10);
}

#[test]
fn a_draining_controller_gets_no_more_records_and_is_left_when_it_has_acked_the_others() {
    let mut session = open(1, 500, welcome(0, 100));
    session.handle_sent(seconds(1), records(1, 100));
    session.handle_incoming(
        seconds(2),
        Incoming::Drain {
            spread: seconds(30),
        },
    );
    actions(&mut session);
    session.handle_incoming(seconds(3), ack(60, 100));
    assert!(
        !actions(&mut session)
            .iter()
            .any(|action| matches!(action, Action::SendRecords { .. }))
    );
    session.handle_incoming(seconds(4), ack(100, 100));
    let through = Seq::new(100);
    let left = [
        Action::Trim { through },
        Action::Disconnect(DisconnectCause::Drained),
    ];
    assert_eq!(actions(&mut session), left);
    assert_eq!(waits(&session), Some(seconds(34)));
}

#[test]
fn a_draining_controller_that_acks_nothing_is_left_after_5_seconds() {
    let mut session = open(1, 500, welcome(0, 100));
    session.handle_sent(seconds(1), records(1, 100));
    session.handle_incoming(
        seconds(2),
        Incoming::Drain {
            spread: seconds(30),
        },
    );
    actions(&mut session);
    assert_eq!(session.poll_timeout(), Some(seconds(7)));
    session.handle_timeout(seconds(7));
    assert_eq!(
        actions(&mut session),
        [Action::Disconnect(DisconnectCause::Drained)]
    );
    assert_eq!(waits(&session), Some(seconds(37)));
}

#[test]
fn no_controller_can_send_an_agent_away_for_long() {
    let day = seconds(24 * 3_600);
    let mut drained = open(1, 0, welcome(0, 100));
    drained.handle_incoming(seconds(1), Incoming::Drain { spread: day });
    assert_eq!(waits(&drained), Some(seconds(1 + 15 * 60)));
    let mut refused = greeting(1, 0);
    refused.handle_disconnected(seconds(1), DisconnectReason::RetryAfter(day));
    let until = waits(&refused).unwrap();
    assert!(
        until >= seconds(1 + 15 * 60) && until < seconds(2 + 15 * 60),
        "{until:?}"
    );
}

#[test]
fn a_lost_connection_keeps_what_concerns_the_spool_alone() {
    let mut session = open(1, 10, welcome(4, 100));
    session.handle_disconnected(seconds(1), DisconnectReason::Lost);
    let through = Seq::new(4);
    assert_eq!(actions(&mut session), [Action::Trim { through }]);
    assert!(waits(&session).is_some());
    session.handle_sent(seconds(1), records(5, 10));
    session.handle_incoming(seconds(1), ack(10, 1));
    assert_eq!(
        actions(&mut session),
        [],
        "what comes late concerns a connection that is gone"
    );
}

#[test]
fn settings_are_passed_on() {
    let settings = Settings {
        sample_interval_ms: 5_000,
    };
    let mut session = open(
        1,
        0,
        Welcome {
            settings: Some(settings),
            ..welcome(0, 1)
        },
    );
    session.handle_incoming(seconds(1), Incoming::Settings(Settings::default()));
    let applied = [settings, Settings::default()].map(Action::ApplySettings);
    assert_eq!(actions(&mut session), applied);
}
