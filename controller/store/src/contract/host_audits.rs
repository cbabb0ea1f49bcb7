//! Audits of hosts: the newest one stands, changes are paged by time and bounded.

use tidemark_model::HostAudit;
use tidemark_model::audit::{
    AuditFact, FactKey, FactName, FactState, FactValue, StandingFacts, TopicState,
};

use super::*;
use crate::{DriftQuery, StoredDrift, Tx};

contract!(
    the_newest_audit_of_a_host_stands,
    changes_are_paged_by_time_for_one_host_or_all,
    only_so_many_changes_of_a_host_are_kept,
    retention_takes_the_oldest_changes,
);

fn audit(at_ms: i64, max_user_port: u64) -> HostAudit {
    let name = FactName::MaxUserPort;
    let mut audit = HostAudit::empty(at(at_ms));
    audit.topics.insert(name.topic(), TopicState::Read);
    audit.facts.push(AuditFact {
        key: FactKey::of(name),
        state: FactState::Known(FactValue::Number(max_user_port)),
    });
    audit.facts.push(AuditFact {
        key: FactKey::of_item(FactName::NicDriver, "'; DROP TABLE hosts; --\u{1b}"),
        state: FactState::unknown("no right"),
    });
    audit
}

/// Takes audits of a host in, one a time of `times`, each with another value.
async fn take(tx: &mut Tx, host: HostId, times: &[i64], drift_max: u32) {
    for (number, at_ms) in (1..).zip(times) {
        let audit = audit(*at_ms, number);
        let (standing, drifts) = match tx.host_audit(host).await.unwrap() {
            None => (StandingFacts::first(&audit), Vec::new()),
            Some(before) => before.followed_by(&audit),
        };
        tx.host_audit_put(host, &standing, &drifts, drift_max)
            .await
            .unwrap();
    }
}

fn query(host: Option<HostId>) -> DriftQuery {
    DriftQuery {
        host,
        before: None,
        since: None,
        limit: 100,
    }
}

fn times(page: &[StoredDrift]) -> Vec<i64> {
    page.iter().map(|drift| drift.at.unix_ms()).collect()
}

async fn the_newest_audit_of_a_host_stands(store: Store) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.host_audit(host_id(0)).await.unwrap(), None);
    take(&mut tx, host_id(0), &[10, 20], 100).await;
    let standing = tx.host_audit(host_id(0)).await.unwrap().unwrap();
    assert_eq!(standing.audit().number(FactName::MaxUserPort), Some(2));
    assert_eq!(standing.audit(), {
        let mut expected = audit(20, 2);
        // The one that could not be read is of a topic of which that is all there is.
        expected.topics = standing.audit().topics;
        expected
    });
    assert_eq!(tx.host_audit(host_id(1)).await.unwrap(), None);
    let page = tx.drift_page(&query(Some(host_id(0)))).await.unwrap();
    let told: Vec<_> = page
        .iter()
        .map(|drift| {
            (
                drift.fact.as_str(),
                drift.was.as_str(),
                drift.became.as_str(),
            )
        })
        .collect();
    assert_eq!(told, [("max_user_port", "1", "2")]);
}

async fn changes_are_paged_by_time_for_one_host_or_all(store: Store) {
    let mut tx = store.begin().await.unwrap();
    take(&mut tx, host_id(0), &[10, 20, 30, 40], 100).await;
    take(&mut tx, host_id(1), &[15, 25], 100).await;
    let mut asked = query(Some(host_id(0)));
    asked.limit = 2;
    let first = tx.drift_page(&asked).await.unwrap();
    assert_eq!(times(&first), [40, 30]);
    asked.before = first.last().map(|drift| (drift.at, drift.id));
    assert_eq!(times(&tx.drift_page(&asked).await.unwrap()), [20]);
    let all = tx.drift_page(&query(None)).await.unwrap();
    assert_eq!(times(&all), [40, 30, 25, 20]);
    assert_eq!(all[2].host, host_id(1));
    let since = DriftQuery {
        since: Some(at(25)),
        ..query(None)
    };
    assert_eq!(times(&tx.drift_page(&since).await.unwrap()), [40, 30, 25]);
}

async fn only_so_many_changes_of_a_host_are_kept(store: Store) {
    let mut tx = store.begin().await.unwrap();
    take(&mut tx, host_id(1), &[1, 2], 100).await;
    take(&mut tx, host_id(0), &[10, 20, 30, 40, 50], 2).await;
    let page = tx.drift_page(&query(None)).await.unwrap();
    assert_eq!(times(&page), [50, 40, 2]);
}

async fn retention_takes_the_oldest_changes(store: Store) {
    let mut tx = store.begin().await.unwrap();
    take(&mut tx, host_id(0), &[10, 20, 30, 40, 50], 100).await;
    assert_eq!(tx.drift_delete_before(at(50), 2).await.unwrap(), 2);
    assert_eq!(tx.drift_delete_before(at(50), 2).await.unwrap(), 1);
    assert_eq!(tx.drift_delete_before(at(50), 2).await.unwrap(), 0);
    let left = tx.drift_page(&query(Some(host_id(0)))).await.unwrap();
    assert_eq!(times(&left), [50]);
}
