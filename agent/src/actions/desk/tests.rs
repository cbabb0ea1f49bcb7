//! What becomes of orders on a host, through restarts and lockdowns.

use std::fs;
use std::path::Path;

use tidemark_model::action::spec::{OnHang, TcpParameter};
use tidemark_model::action::{Change, Profile};
use tidemark_model::{ActionId, ActionSpec, signing::PrivateKey};

use super::*;
use crate::actions::feed::Outgoing;

const PATIENCE: Duration = Duration::from_secs(30);

fn host() -> HostId {
    HostId::of_identity_spki(b"host")
}

/// A host that counts how often its hook ran.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn with(policy: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(place.path().join("policy.toml"), policy).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self) -> Desk {
        self.start_seeing(Witness::default())
    }

    fn start_seeing(&self, witness: Witness) -> Desk {
        Desk::start(DeskParts {
            host: host(),
            policy: PolicyFile::at(
                self.path().join("policy.toml"),
                Profile::Observe,
                self.path(),
            ),
            folder: self.path().to_owned(),
            hooks: self.path().join("hooks"),
            collect: CollectSettings::shipped(Duration::from_secs(30)),
            clock: Clock::System,
            host_name: "web-1".to_owned(),
            witness,
        })
        .unwrap()
    }

    #[cfg(unix)]
    fn add_hook(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let hooks = self.path().join("hooks");
        fs::create_dir_all(&hooks).unwrap();
        let path = hooks.join("count");
        let ran = self.path().join("ran");
        let text = format!("#!/bin/sh\necho x >> {}\n{script}\n", ran.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn runs(&self) -> usize {
        let ran = fs::read_to_string(self.path().join("ran"));
        ran.unwrap_or_default().lines().count()
    }
}

fn order(number: u128, spec: ActionSpec) -> Order {
    let now = Clock::System.now();
    // Made after the journal: a host that is new takes no older ones.
    let issued_at = now.saturating_add(Duration::from_secs(1));
    Order {
        id: ActionId::from_random(number),
        host: host(),
        spec,
        dry_run: false,
        issued_at_ms: issued_at,
        not_before_ms: issued_at,
        expires_at_ms: now.saturating_add(Duration::from_secs(600)),
        requester: "ann".to_owned(),
        reason: "leak".to_owned(),
        undo_within_s: None,
    }
}

fn hook() -> ActionSpec {
    ActionSpec::RunHook {
        name: "count".to_owned(),
        arguments: Default::default(),
    }
}

fn unsigned(order: &Order) -> Message {
    Message::Order(SignedOrder {
        id: order.id,
        bytes: order.to_bytes(),
        signatures: Vec::new(),
    })
}

/// As a controller tells it that does not say which report it stored.
fn acked(action: ActionId, state: ActionState) -> Message {
    Message::Acked(StoredReport {
        action,
        state,
        at: None,
    })
}

/// The first report of that action in that state.
async fn told(feed: &ActionFeed, id: ActionId, state: ActionState) -> ActionReport {
    let wait = async {
        loop {
            let Outgoing { reports, .. } = feed.take();
            if let Some(report) = reports.get(&id)
                && report.state == state
            {
                return report.clone();
            }
            feed.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn an_order_is_carried_out_once_however_often_it_comes() {
    let place = Place::with("profile = \"full\"");
    place.add_hook("echo did it");
    let desk = place.start();
    let feed = desk.feed();
    let order = order(1, hook());
    assert!(feed.hand(unsigned(&order)));
    let report = told(&feed, order.id, ActionState::Verifying).await;
    assert_eq!(report.steps.last().unwrap().text, "did it");
    assert!(feed.hand(unsigned(&order)));
    told(&feed, order.id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    // A restart tells it once more, until the controller has stored it.
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(Message::Opened);
    told(&feed, order.id, ActionState::Verifying).await;
    feed.hand(acked(order.id, ActionState::Verifying));
    feed.hand(unsigned(&order));
    told(&feed, order.id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(Message::Opened);
    let other = self::order(2, ActionSpec::CollectEvidence { seconds: 61 });
    feed.hand(unsigned(&other));
    // What comes after it in the queue is there, and it is not.
    let waiting = loop {
        let waiting = feed.take();
        if waiting.reports.contains_key(&other.id) {
            break waiting;
        }
        feed.changed().await;
    };
    assert!(!waiting.reports.contains_key(&order.id));
    desk.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn what_was_being_done_when_the_agent_died_is_told_and_not_repeated() {
    let place = Place::with("profile = \"full\"");
    place.add_hook("");
    let (running, waiting) = (order(1, hook()), order(2, hook()));
    {
        let path = place.path().join("actions.journal");
        let now = Clock::System.now();
        let (mut journal, _, _) = Journal::open(&path, now).unwrap();
        for order in [&running, &waiting] {
            let began = JournalRecord::Began {
                order: order.clone(),
                at_ms: now,
                signers: Vec::new(),
                grant: None,
            };
            journal.append(&began).unwrap();
        }
        let report = ActionReport::new(running.id, ActionState::Running, now, "running");
        let reported = JournalRecord::Reported { report };
        journal.append(&reported).unwrap();
    }
    let desk = place.start();
    let feed = desk.feed();
    let failed = told(&feed, running.id, ActionState::Failed).await;
    assert!(failed.text.contains("not repeated"), "{}", failed.text);
    // What had not begun is carried out: nobody else will.
    told(&feed, waiting.id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let place = Place::with("profile = \"full\"");
    place.add_hook("");
    let desk = place.start();
    let feed = desk.feed();
    let mut order = order(1, hook());
    order.dry_run = true;
    feed.hand(unsigned(&order));
    let answer = told(&feed, order.id, ActionState::Answered).await;
    assert_eq!(answer.text, "would run hook count");
    assert!(answer.steps[0].text.ends_with("hooks/count"));
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_lockdown_holds_through_a_restart_and_ends_by_a_signature() {
    let key = PrivateKey::from_seed([1; 32]);
    let public = key.public();
    let place = Place::with(&format!(
        "profile = \"full\"\n[[key]]\nname = \"ann\"\npublic = \"{public}\""
    ));
    place.add_hook("");
    let signed = |number| {
        let order = order(number, hook());
        let bytes = order.to_bytes();
        let signature = key.sign(tidemark_model::signing::Purpose::Order, &bytes);
        let message = Message::Order(SignedOrder {
            id: order.id,
            bytes,
            signatures: vec![signature],
        });
        (order.id, message)
    };
    let desk = place.start();
    desk.feed().hand(Message::Stop);
    let (id, message) = signed(1);
    desk.feed().hand(message);
    let refused = told(&desk.feed(), id, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::Lockdown));
    desk.stop().await.unwrap();
    let desk = place.start();
    let feed = desk.feed();
    let go_on = |signatures| Message::GoOn {
        unlock: format!(
            "{{\"host\":\"{}\",\"issued_at_ms\":{}}}",
            host(),
            Clock::System.now().unix_ms() + 1_000
        )
        .into_bytes(),
        signatures,
    };
    feed.hand(go_on(Vec::new()));
    let (id, message) = signed(2);
    feed.hand(message);
    told(&feed, id, ActionState::Refused).await;
    let Message::GoOn { unlock, .. } = go_on(Vec::new()) else {
        unreachable!("made above");
    };
    let signature = key.sign(tidemark_model::signing::Purpose::Unlock, &unlock);
    feed.hand(Message::GoOn {
        unlock,
        signatures: vec![signature],
    });
    let (id, message) = signed(3);
    feed.hand(message);
    told(&feed, id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[tokio::test]
async fn a_change_of_the_policy_holds_for_the_next_order() {
    let place = Place::with("profile = \"observe\"");
    let desk = place.start();
    let feed = desk.feed();
    let restart = |number| {
        let spec = ActionSpec::RestartService {
            service: "no-such-service".to_owned(),
            stop_timeout_s: 5,
            on_hang: OnHang::Fail,
        };
        order(number, spec)
    };
    let one = restart(1);
    feed.hand(unsigned(&one));
    let refused = told(&feed, one.id, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::NotAllowed));
    fs::write(place.path().join("policy.toml"), "profile = \"safe\"").unwrap();
    let two = restart(2);
    feed.hand(unsigned(&two));
    let refused = told(&feed, two.id, ActionState::Refused).await;
    assert_ne!(
        refused.refusal,
        Some(Refusal::NotAllowed),
        "{}",
        refused.text
    );
    fs::write(place.path().join("policy.toml"), "profile = \"everything\"").unwrap();
    let three = restart(3);
    feed.hand(unsigned(&three));
    let refused = told(&feed, three.id, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::PolicyUnusable));
    desk.stop().await.unwrap();
}

#[tokio::test]
async fn the_policy_is_told_when_a_session_begins() {
    let place = Place::with("profile = \"safe\"");
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(Message::Opened);
    let wait = async {
        loop {
            if let Some(policy) = feed.take().policy {
                return policy;
            }
            feed.changed().await;
        }
    };
    let policy = tokio::time::timeout(PATIENCE, wait).await.unwrap();
    assert_eq!(policy.profile, Some(Profile::Safe));
    desk.stop().await.unwrap();
}

/// A host on which a setting was changed, with the first `records` of what its journal says then.
fn changed(place: &Place, change: Change, records: usize) -> Order {
    changed_under(place, None, (change, records))
}

/// One on which it was changed under a grant.
fn changed_under(
    place: &Place,
    grant: Option<GrantId>,
    (change, records): (Change, usize),
) -> Order {
    let spec = ActionSpec::SetTcpParameter {
        parameter: TcpParameter::TcpFinTimeout,
        value: Some(119),
    };
    let order = Order {
        undo_within_s: Some(600),
        ..order(1, spec)
    };
    let now = Clock::System.now();
    let (mut journal, _, _) = Journal::open(&place.path().join("actions.journal"), now).unwrap();
    let mut report = ActionReport::new(order.id, ActionState::Verifying, now, "done");
    report.changes.push(change);
    let all = [
        JournalRecord::Began {
            order: order.clone(),
            signers: Vec::new(),
            grant,
            at_ms: now,
        },
        JournalRecord::Reported { report },
        JournalRecord::Acked { id: order.id },
        JournalRecord::Undoing {
            id: order.id,
            at_ms: now,
        },
    ];
    for record in all.iter().take(records) {
        journal.append(record).unwrap();
    }
    order
}

fn fin_timeout(before: &str, after: &str) -> Change {
    Change {
        what: "tcp_fin_timeout".to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_left_as_it_is() {
    let place = Place::with("profile = \"safe\"");
    let order = changed(&place, fin_timeout("118", "119"), 3);
    let desk = place.start();
    let feed = desk.feed();
    assert!(feed.hand(Message::Undo(order.id)));
    let report = told(&feed, order.id, ActionState::Verifying).await;
    let why = report.undo_refused.unwrap();
    assert!(why.contains("somebody else"), "{why}");
    desk.stop().await.unwrap();
    // It is told until it is stored, and not tried again.
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(Message::Opened);
    let report = told(&feed, order.id, ActionState::Verifying).await;
    assert!(report.undo_refused.is_some(), "{report:?}");
    desk.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_being_undone_when_the_agent_died_is_brought_to_its_end() {
    let is = fs::read_to_string("/proc/sys/net/ipv4/tcp_fin_timeout").unwrap();
    let place = Place::with("profile = \"safe\"");
    // The value was put back, and that was not written down any more.
    let order = changed(&place, fin_timeout(is.trim(), "119"), 4);
    let desk = place.start();
    let feed = desk.feed();
    let report = told(&feed, order.id, ActionState::RolledBack).await;
    assert!(report.text.contains("again"), "{}", report.text);
    feed.hand(acked(order.id, ActionState::RolledBack));
    feed.hand(Message::Undo(order.id));
    let again = told(&feed, order.id, ActionState::RolledBack).await;
    assert_eq!(again.steps.len(), 1, "{again:?}");
    desk.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_late_word_about_an_earlier_report_does_not_keep_a_refused_undo_from_being_told() {
    let place = Place::with("profile = \"safe\"");
    let order = changed(&place, fin_timeout("118", "119"), 2);
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(Message::Opened);
    let done = told(&feed, order.id, ActionState::Verifying).await;
    feed.hand(Message::Undo(order.id));
    let refused = told(&feed, order.id, ActionState::Verifying).await;
    assert!(refused.undo_refused.is_some(), "{refused:?}");
    let stored = |report: &ActionReport| {
        Message::Acked(StoredReport {
            action: report.id,
            state: report.state,
            at: Some(report.at_ms),
        })
    };
    feed.hand(stored(&done));
    feed.hand(Message::Opened);
    let again = told(&feed, order.id, ActionState::Verifying).await;
    assert_eq!(again, refused);
    feed.hand(stored(&again));
    desk.stop().await.unwrap();
    let path = place.path().join("actions.journal");
    let ledger = Journal::look(&path).unwrap();
    assert!(ledger.get(order.id).unwrap().is_acked);
}

#[tokio::test]
async fn of_more_than_can_be_taken_up_none_that_had_begun_is_told_as_untouched() {
    let place = Place::with("profile = \"safe\"");
    let left = WORK_MAX + 8;
    {
        let path = place.path().join("actions.journal");
        let now = Clock::System.now();
        let (mut journal, _, _) = Journal::open(&path, now).unwrap();
        for number in 0..left as u128 {
            let order = order(number, hook());
            let report = ActionReport::new(order.id, ActionState::Running, now, "running");
            let began = JournalRecord::Began {
                order,
                at_ms: now,
                signers: Vec::new(),
                grant: None,
            };
            journal.append(&began).unwrap();
            journal.append(&JournalRecord::Reported { report }).unwrap();
        }
    }
    let desk = place.start();
    let feed = desk.feed();
    for number in (0..left as u128).rev() {
        feed.hand(Message::Opened);
        let report = told(&feed, ActionId::from_random(number), ActionState::Failed).await;
        assert!(report.text.contains("not repeated"), "{}", report.text);
    }
    desk.stop().await.unwrap();
}

#[tokio::test]
async fn a_lockdown_stops_an_undo_too() {
    let place = Place::with("profile = \"safe\"");
    let order = changed(&place, fin_timeout("118", "119"), 3);
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(Message::Stop);
    feed.hand(Message::Undo(order.id));
    let report = told(&feed, order.id, ActionState::Verifying).await;
    let why = report.undo_refused.unwrap();
    assert!(why.contains("stopped on this host"), "{why}");
    desk.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_undo_that_was_begun_waits_for_no_lockdown_to_pass() {
    let place = Place::with("profile = \"safe\"");
    let desk = place.start();
    desk.feed().hand(Message::Stop);
    keys::told_policy(&desk.feed(), |view| view.lockdown).await;
    desk.stop().await.unwrap();
    let order = changed(&place, fin_timeout("118", "119"), 4);
    let desk = place.start();
    let report = told(&desk.feed(), order.id, ActionState::Verifying).await;
    let why = report.undo_refused.unwrap();
    assert!(why.contains("stopped on this host"), "{why}");
    desk.stop().await.unwrap();
}

#[cfg(unix)]
mod grants;
mod keys;
