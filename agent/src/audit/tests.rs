//! The auditor as its session meets it: news wakes, a hanging topic is given up alone, nothing too large is told.

use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_model::Timestamp;
use tidemark_model::audit::{
    AuditFact, FactKey, FactName, FactState, FactValue, Topic, TopicState,
};
use tidemark_platform::ReadError;
use tidemark_proto::convert::audit::{AUDIT_BYTES_MAX, audit_bytes};

use super::*;

fn fact(name: FactName, value: u64) -> AuditFact {
    AuditFact {
        key: FactKey::of(name),
        state: FactState::Known(FactValue::Number(value)),
    }
}

fn topics(
    topics: &'static [Topic],
    read: fn(Topic) -> Result<Vec<AuditFact>, ReadError>,
) -> Topics {
    Topics {
        topics: topics.to_vec(),
        read: Arc::new(read),
        timeout: Duration::from_millis(200),
        look_every: Duration::from_millis(5),
        has_restarted: Arc::new(|| false),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .unwrap()
}

#[tokio::test]
async fn only_an_audit_that_says_something_new_wakes_the_session() {
    static READINGS: AtomicU64 = AtomicU64::new(0);
    // The uptime moves each time, the port at the fifth.
    fn read(_: Topic) -> Result<Vec<AuditFact>, ReadError> {
        let reading = READINGS.fetch_add(1, Ordering::AcqRel);
        let uptime = fact(FactName::UptimeSeconds, reading);
        Ok(vec![uptime, fact(FactName::MaxUserPort, reading / 5)])
    }
    let reader = Reader::new(topics(&[Topic::System], read));
    let interval = Duration::from_millis(5);
    let auditor = Auditor::start(reader, interval, Clock::System, Entropy::System).unwrap();
    let mut feed = auditor.feed();
    let mut told = Vec::new();
    while told.len() < 3 {
        within(feed.changed()).await;
        let audit = feed.newest().unwrap();
        told.push(audit.number(FactName::MaxUserPort).unwrap());
    }
    assert_eq!(told, [0, 1, 2]);
    auditor.stop().await.unwrap();
}

#[tokio::test]
async fn a_program_that_was_started_again_is_told_before_the_next_audit() {
    static READINGS: AtomicU64 = AtomicU64::new(0);
    fn read(topic: Topic) -> Result<Vec<AuditFact>, ReadError> {
        if topic == Topic::System {
            return Ok(vec![fact(FactName::Processors, 4)]);
        }
        let version = |program: &str, version: &str| AuditFact {
            key: FactKey::of_item(FactName::ImageVersion, program),
            state: FactState::Known(FactValue::text(version)),
        };
        // The backup is over at the second reading.
        let versions = match READINGS.fetch_add(1, Ordering::AcqRel) {
            0 => vec![version("backup", "3"), version("server", "1")],
            _ => vec![version("server", "2")],
        };
        Ok(versions)
    }
    let topics = Topics {
        has_restarted: Arc::new(|| READINGS.load(Ordering::Acquire) == 1),
        ..topics(&[Topic::System, Topic::Programs], read)
    };
    let hour = Duration::from_secs(3_600);
    let reader = Reader::new(topics);
    let auditor = Auditor::start(reader, hour, Clock::System, Entropy::System).unwrap();
    let mut feed = auditor.feed();
    let audit = loop {
        within(feed.changed()).await;
        let audit = feed.newest().unwrap();
        let server = audit.state_of(FactName::ImageVersion, Some("server"));
        if server.and_then(FactState::text) == Some("2") {
            break audit;
        }
    };
    let backup = audit.state_of(FactName::ImageVersion, Some("backup"));
    assert_eq!(backup.and_then(FactState::text), Some("3"));
    assert_eq!(audit.number(FactName::Processors), Some(4));
    auditor.stop().await.unwrap();
}

#[test]
fn a_topic_that_hangs_is_given_up_alone_and_not_asked_again() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    fn read(topic: Topic) -> Result<Vec<AuditFact>, ReadError> {
        if topic == Topic::Nics {
            ASKED.fetch_add(1, Ordering::AcqRel);
            loop {
                std::thread::park();
            }
        }
        Ok(vec![fact(FactName::MaxUserPort, 1)])
    }
    let mut reader = Reader::new(topics(&[Topic::Nics, Topic::Tcp], read));
    let reasons: Vec<_> = (0..2)
        .map(|_| {
            let audit = reader.audit(Timestamp::EPOCH);
            assert_eq!(audit.number(FactName::MaxUserPort), Some(1));
            audit.topics.get(&Topic::Nics).cloned().unwrap()
        })
        .collect();
    assert_eq!(
        reasons,
        [
            TopicState::unread("no answer within 0 s"),
            TopicState::unread("an earlier reading has not come back")
        ]
    );
    assert_eq!(ASKED.load(Ordering::Acquire), 1);
}

#[test]
fn what_cannot_be_read_says_why_and_what_is_too_large_is_left_out() {
    fn read(topic: Topic) -> Result<Vec<AuditFact>, ReadError> {
        let text = FactState::Known(FactValue::text(&"\u{1f300}".repeat(1_000)));
        let items = |name: FactName, count: usize| {
            let fact = |number: usize| AuditFact {
                key: FactKey::of_item(name, &number.to_string()),
                state: text.clone(),
            };
            (0..count).map(fact).collect::<Vec<_>>()
        };
        let many = [
            (Topic::Hotfixes, FactName::HotfixInstalledOn, 250),
            (Topic::Nics, FactName::NicDescription, 100),
            (Topic::TcpTemplates, FactName::TemplateAutotuning, 3_000),
        ];
        match many.iter().find(|(found, _, _)| *found == topic) {
            Some((_, name, count)) => Ok(items(*name, *count)),
            None => Err(ReadError::System {
                what: "its port settings",
                source: io::Error::from(io::ErrorKind::PermissionDenied),
            }),
        }
    }
    const ALL: &[Topic] = &[
        Topic::Hotfixes,
        Topic::Nics,
        Topic::TcpTemplates,
        Topic::Ports,
    ];
    let audit = Reader::new(topics(ALL, read)).audit(Timestamp::EPOCH);
    assert!(audit_bytes(&audit) <= AUDIT_BYTES_MAX);
    assert_eq!(audit.items(FactName::NicDescription).count(), 100);
    let unread = |topic| match audit.topics.get(&topic) {
        Some(TopicState::Unread(reason)) => reason.to_string(),
        _ => String::new(),
    };
    assert_eq!(unread(Topic::Hotfixes), "its facts are too long to be sent");
    assert_eq!(unread(Topic::TcpTemplates), "more than 2048 facts in all");
    assert!(
        unread(Topic::Ports).contains("permission denied"),
        "{}",
        unread(Topic::Ports)
    );
    assert_eq!(unread(Topic::Nics), "");
}

#[test]
fn the_real_thing_finds_this_hosts_range() {
    let holders = Holders::default();
    holders.put(Vec::new());
    let audit = Reader::new(Topics::of_system(holders, DIGEST_TIME)).audit(Timestamp::EPOCH);
    assert!(audit.dynamic_range(tidemark_model::Protocol::Tcp).is_some());
}

#[test]
fn times_are_spread_around_the_interval() {
    let interval = Duration::from_secs(900);
    let times: Vec<u64> = (0..1_000)
        .map(|random| jittered(interval, random).as_secs())
        .collect();
    assert_eq!(times.iter().min(), Some(&810));
    assert_eq!(times.iter().max(), Some(&990));
}
