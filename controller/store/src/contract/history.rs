//! Recent batches, segments and hourly rows.

use std::collections::HashMap;
use std::ops::ControlFlow;

use tidemark_model::{PortSpaceKey, Protocol};

use super::*;
use crate::{
    HistoryHeads, HourlyRow, NewRecent, NewSegment, Recent, RecentId, Replacement, Segment,
    SegmentId, Span, StoreError, Tier, Tx,
};

contract!(
    batches_are_read_as_they_were_written,
    a_batch_that_ends_before_it_begins_is_refused,
    the_compactor_finds_who_has_old_batches,
    compaction_replaces_exactly_what_it_read,
    segments_are_found_by_overlap,
    heads_say_what_there_is_without_the_bytes,
    heads_of_many_hosts_are_answered_whole_or_left_for_another_call,
    bodies_come_for_every_id_or_not_at_all,
    segments_are_summed_by_tier_and_day,
    hours_are_replaced_when_written_again,
);

fn span(from: i64, to: i64) -> Span {
    Span {
        from: at(from),
        to: at(to),
    }
}

fn batch(host: u32, first: i64, last: i64) -> NewRecent {
    NewRecent {
        host: host_id(host),
        first_at: at(first),
        last_at: at(last),
        points: 20,
        body: format!("{host} {first} {last}").into_bytes(),
    }
}

fn segment(host: u32, tier: Tier, from: i64, to: i64) -> NewSegment {
    NewSegment {
        host: host_id(host),
        tier,
        span: span(from, to),
        points: 5_000_000_000,
        body: format!("{host} {from} {to}").into_bytes(),
    }
}

async fn recent_of(tx: &mut Tx, host: u32, within: Span) -> Vec<Recent> {
    let mut found = Vec::new();
    let visit = |recent| {
        found.push(recent);
        ControlFlow::Continue(())
    };
    tx.recent_each(host_id(host), within, visit).await.unwrap();
    found
}

async fn segments_of(tx: &mut Tx, host: u32, tier: Tier, within: Span) -> Vec<Segment> {
    let mut found = Vec::new();
    let visit = |segment| {
        found.push(segment);
        ControlFlow::Continue(())
    };
    tx.segments_each(host_id(host), tier, within, visit)
        .await
        .unwrap();
    found
}

async fn batches_are_read_as_they_were_written(store: Store) {
    // More than a piece of each size that a statement takes.
    let given: Vec<NewRecent> = (0..147)
        .map(|n| batch(n % 3, i64::from(n) * 10, i64::from(n) * 10 + 9))
        .collect();
    let mut tx = store.begin().await.unwrap();
    tx.recent_append(&given).await.unwrap();
    tx.recent_append::<Vec<u8>>(&[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    for host in 0..3 {
        let found = recent_of(&mut tx, host, span(i64::MIN, i64::MAX)).await;
        let bodies: Vec<&[u8]> = found.iter().map(|recent| &recent.body[..]).collect();
        let expected: Vec<&[u8]> = given
            .iter()
            .filter(|batch| batch.host == host_id(host))
            .map(|batch| &batch.body[..])
            .collect();
        assert_eq!(bodies, expected);
    }
    let within = recent_of(&mut tx, 0, span(39, 60)).await;
    let times: Vec<_> = within
        .iter()
        .map(|one| (one.first_at, one.last_at))
        .collect();
    assert_eq!(times, [(at(30), at(39))]);
    assert_eq!((within[0].host, within[0].points), (host_id(0), 20));

    let mut first = None;
    let visit = |recent: Recent| {
        first = Some(recent.first_at);
        ControlFlow::Break(())
    };
    tx.recent_each(host_id(1), span(0, 10_000), visit)
        .await
        .unwrap();
    assert_eq!(first, Some(at(10)));
}

async fn heads_say_what_there_is_without_the_bytes(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.recent_append(&[batch(0, 50, 59), batch(0, 10, 19), batch(1, 0, 99)])
        .await
        .unwrap();
    let given = [
        segment(0, Tier::Hour, 0, 40),
        segment(0, Tier::Raw, 0, 20),
        segment(0, Tier::Raw, 20, 40),
        segment(1, Tier::Raw, 0, 40),
    ];
    tx.segments_put(&given).await.unwrap();
    let both = [host_id(0), host_id(1)];
    let bounds = tx.recent_bounds(&both, span(20, 50)).await.unwrap();
    assert_eq!(bounds, HashMap::from([(host_id(1), (at(0), at(99)))]));
    let bounds = tx.recent_bounds(&both, span(0, 100)).await.unwrap();
    assert_eq!(bounds[&host_id(0)], (at(10), at(59)));
    let heads = tx.segment_heads(&both, span(20, 30)).await.unwrap();
    assert_eq!(heads[&host_id(1)].len(), 1);
    let found: Vec<_> = heads[&host_id(0)]
        .iter()
        .map(|head| (head.tier, head.span, head.size_bytes))
        .collect();
    assert_eq!(
        found,
        [(Tier::Hour, span(0, 40), 6), (Tier::Raw, span(20, 40), 7)]
    );
}

async fn heads_of_many_hosts_are_answered_whole_or_left_for_another_call(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut hosts: Vec<HostId> = (0..4).map(host_id).collect();
    hosts.sort_by_key(ToString::to_string);
    let of = |host: HostId, last| NewRecent {
        host,
        ..batch(0, 0, last)
    };
    // The first has nothing, the second two batches, the third three.
    let given = [
        of(hosts[2], 1),
        of(hosts[1], 2),
        of(hosts[2], 3),
        of(hosts[1], 4),
        of(hosts[2], 5),
    ];
    tx.recent_append(&given).await.unwrap();
    let within = span(i64::MIN, i64::MAX);
    let all = tx.history_heads(&hosts, within, 6).await.unwrap();
    assert_eq!(all.len(), 4);
    let times = |heads: &HistoryHeads| -> Vec<Timestamp> {
        heads.recent.iter().map(|head| head.last_at).collect()
    };
    assert_eq!(times(&all[&hosts[2]]), [at(1), at(3), at(5)]);
    assert_eq!(all[&hosts[1]].recent[0].size_bytes, 5);
    assert_eq!(all[&hosts[3]], HistoryHeads::default());
    // The limit cuts the third one off: what is answered of hosts before it is whole.
    let some = tx.history_heads(&hosts, within, 4).await.unwrap();
    assert_eq!(some.len(), 2);
    assert_eq!(times(&some[&hosts[1]]), [at(2), at(4)]);
    assert!(some[&hosts[0]].recent.is_empty());
    // Nobody waits forever for a host that has more than the limit.
    let one = tx.history_heads(&hosts[2..], within, 2).await.unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(times(&one[&hosts[2]]), [at(1), at(3)]);
}

async fn bodies_come_for_every_id_or_not_at_all(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.recent_append(&[batch(0, 1, 2), batch(0, 3, 4), batch(1, 5, 6)])
        .await
        .unwrap();
    tx.segments_put(&[segment(0, Tier::Raw, 0, 20)])
        .await
        .unwrap();
    let both = [host_id(0), host_id(1)];
    let heads = tx.history_heads(&both, span(0, 100), 10).await.unwrap();
    let of_recent: Vec<_> = both
        .iter()
        .flat_map(|host| heads[host].recent.iter().map(|head| (*host, head.id)))
        .collect();
    let bodies = tx.recent_bodies(of_recent.clone()).await.unwrap();
    let found: Vec<&[u8]> = of_recent.iter().map(|(_, id)| &bodies[id][..]).collect();
    assert_eq!(found, [b"0 1 2", b"0 3 4", b"1 5 6"]);
    let foreign = tx.recent_bodies([(host_id(1), of_recent[0].1)]).await;
    assert!(matches!(foreign, Err(StoreError::Stale { .. })));
    let segment = heads[&host_id(0)].segments[0].id;
    let bodies = tx.segment_bodies([(host_id(0), segment)]).await.unwrap();
    assert_eq!(bodies[&segment], b"0 0 20");
    let gone = [
        (host_id(0), segment),
        (host_id(0), SegmentId::of_number(77)),
    ];
    let gone = tx.segment_bodies(gone).await;
    assert!(matches!(gone, Err(StoreError::Stale { .. })));
}

async fn a_batch_that_ends_before_it_begins_is_refused(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let refused = tx.recent_append(&[batch(0, 0, 1), batch(0, 5, 4)]).await;
    assert!(matches!(refused, Err(StoreError::InvalidValue { .. })));
    let refused = tx.segments_put(&[segment(0, Tier::Raw, 5, 5)]).await;
    assert!(matches!(refused, Err(StoreError::InvalidValue { .. })));
    assert!(recent_of(&mut tx, 0, span(0, 100)).await.is_empty());
}

async fn the_compactor_finds_who_has_old_batches(store: Store) {
    enrol(&store, 12).await;
    let mut tx = store.begin().await.unwrap();
    for host in 0..12 {
        let last = if host % 2 == 0 { 100 } else { 200 };
        tx.recent_append(&[batch(host, 0, last), batch(host, 300, 310)])
            .await
            .unwrap();
    }
    let mut expected: Vec<HostId> = (0..12).step_by(2).map(host_id).collect();
    expected.sort_by_key(ToString::to_string);
    let first = tx.recent_hosts_older_than(at(200), None, 4).await.unwrap();
    assert_eq!(first, expected[..4]);
    let rest = tx
        .recent_hosts_older_than(at(200), first.last().copied(), 4)
        .await
        .unwrap();
    assert_eq!(rest, expected[4..]);
    let newest = tx.recent_newest_of(host_id(1)).await.unwrap();
    assert_eq!(newest, Some(at(310)));
    assert_eq!(tx.recent_newest_of(host_id(77)).await.unwrap(), None);
}

async fn compaction_replaces_exactly_what_it_read(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.recent_append(&[batch(0, 0, 9), batch(0, 10, 19)])
        .await
        .unwrap();
    tx.segments_put(&[segment(0, Tier::Raw, 0, 5)])
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    let read: Vec<RecentId> = recent_of(&mut tx, 0, span(0, 100))
        .await
        .iter()
        .map(|recent| recent.id)
        .collect();
    let old = segments_of(&mut tx, 0, Tier::Raw, span(0, 100)).await;
    // Comes between the compactor's read and its write.
    tx.recent_append(&[batch(0, 3, 4)]).await.unwrap();
    let put = vec![segment(0, Tier::Raw, 0, 20), segment(0, Tier::Hour, 0, 20)];
    tx.recent_append(&[batch(1, 0, 9)]).await.unwrap();
    let of_another: Vec<RecentId> = recent_of(&mut tx, 1, span(0, 100))
        .await
        .iter()
        .map(|recent| recent.id)
        .collect();
    let changes = [
        Replacement {
            host: host_id(0),
            recent: read,
            segments: vec![old[0].id],
            put: put.clone(),
        },
        Replacement {
            host: host_id(1),
            recent: of_another,
            segments: vec![],
            put: vec![segment(1, Tier::Raw, 0, 20)],
        },
    ];
    tx.history_replace(&changes).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    let left = recent_of(&mut tx, 0, span(0, 100)).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].last_at, at(4));
    let raw = segments_of(&mut tx, 0, Tier::Raw, span(0, 100)).await;
    assert_eq!(raw.len(), 1);
    assert_eq!((raw[0].span, &raw[0].body), (span(0, 20), &put[0].body));
    assert_eq!(raw[0].points, 5_000_000_000);
    assert_eq!(
        segments_of(&mut tx, 0, Tier::Hour, span(0, 100))
            .await
            .len(),
        1
    );
    assert!(recent_of(&mut tx, 1, span(0, 100)).await.is_empty());
    let of_another = segments_of(&mut tx, 1, Tier::Raw, span(0, 100)).await;
    assert_eq!(of_another[0].body, b"1 0 20");
    let again = tx.history_replace(&changes).await;
    assert!(matches!(again, Err(StoreError::Stale { .. })));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let of_another = Replacement {
        host: host_id(1),
        recent: vec![],
        segments: vec![],
        put,
    };
    let refused = tx.history_replace(&[of_another]).await;
    assert!(matches!(refused, Err(StoreError::InvalidValue { .. })));
}

async fn segments_are_found_by_overlap(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let given = [
        segment(0, Tier::Raw, 20, 30),
        segment(0, Tier::Raw, 0, 10),
        segment(0, Tier::Raw, 10, 20),
        segment(0, Tier::FiveMinutes, 0, 30),
        segment(1, Tier::Raw, 0, 30),
    ];
    tx.segments_put(&given).await.unwrap();
    let spans = |found: Vec<Segment>| found.iter().map(|one| one.span).collect::<Vec<_>>();
    assert_eq!(
        spans(segments_of(&mut tx, 0, Tier::Raw, span(0, 30)).await),
        [span(0, 10), span(10, 20), span(20, 30)]
    );
    assert_eq!(
        spans(segments_of(&mut tx, 0, Tier::Raw, span(10, 20)).await),
        [span(10, 20)]
    );
    assert_eq!(
        spans(segments_of(&mut tx, 0, Tier::Raw, span(9, 11)).await),
        [span(0, 10), span(10, 20)]
    );
    assert!(
        segments_of(&mut tx, 0, Tier::Raw, span(30, 40))
            .await
            .is_empty()
    );
}

async fn segments_are_summed_by_tier_and_day(store: Store) {
    const DAY: i64 = 86_400_000;
    let mut tx = store.begin().await.unwrap();
    assert!(tx.segment_days().await.unwrap().is_empty());
    let given = [
        segment(0, Tier::Raw, 0, 10),
        segment(1, Tier::Raw, 5, DAY),
        segment(1, Tier::Raw, 5, DAY + 1),
        segment(1, Tier::Hour, 0, 10),
    ];
    tx.segments_put(&given).await.unwrap();
    let days = tx.segment_days().await.unwrap();
    let seen: Vec<_> = days
        .iter()
        .map(|day| (day.tier, day.until, day.size_bytes))
        .collect();
    let [first, second, third, fourth] = given.map(|segment| segment.body.len() as u64);
    assert_eq!(
        seen,
        [
            (Tier::Raw, at(DAY), first + second),
            (Tier::Raw, at(2 * DAY), third),
            (Tier::Hour, at(DAY), fourth),
        ]
    );
}

async fn hours_are_replaced_when_written_again(store: Store) {
    let row = |hour: i64, protocol, most| HourlyRow {
        host: host_id(0),
        hour_at: at(hour * 3_600_000),
        space: PortSpaceKey::own(protocol),
        capacity: 16_384,
        in_use_min: 1,
        in_use_avg: 1.5,
        in_use_max: most,
        in_use_last: 2,
        strong_max: 3,
        time_wait_max: 4,
        bound_max: (protocol == Protocol::Tcp).then_some(5),
    };
    let mut tx = store.begin().await.unwrap();
    tx.host_hourly_upsert(&[row(0, Protocol::Tcp, 10), row(0, Protocol::Udp, 11)])
        .await
        .unwrap();
    tx.host_hourly_upsert(&[row(1, Protocol::Tcp, 12), row(0, Protocol::Tcp, 20)])
        .await
        .unwrap();
    let all = tx
        .host_hourly_of(host_id(0), span(0, i64::MAX), 10)
        .await
        .unwrap();
    assert_eq!(
        all,
        [
            row(0, Protocol::Tcp, 20),
            row(0, Protocol::Udp, 11),
            row(1, Protocol::Tcp, 12)
        ]
    );
    let first = tx
        .host_hourly_of(host_id(0), span(0, 3_600_000), 10)
        .await
        .unwrap();
    assert_eq!(first, all[..2]);
    assert_eq!(
        tx.host_hourly_delete_before(at(3_600_000), 10)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        tx.host_hourly_delete_before(at(3_600_000), 10)
            .await
            .unwrap(),
        0
    );
}
