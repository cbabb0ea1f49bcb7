//! Findings and common causes as incidents: one for each trouble, whoever sees it, also over a restart.

use std::sync::Arc;
use std::time::Duration;

use tidemark_controller::notify::NotifySettings;
use tidemark_controller::notify::dispatch::Dispatcher;
use tidemark_controller::tasks::causes::CauseFinder;
use tidemark_controller::tasks::findings::FindingsWatch;
use tidemark_model::forecast::Road;
use tidemark_model::incident::IncidentRules;
use tidemark_model::tcp::StateCounts;
use tidemark_model::view::{IncidentDetail, IncidentView, NotificationView, Page};
use tidemark_model::{HostId, Sample, Timestamp};

use crate::causes::four_minutes;
use crate::incidents::{get, incidents, look, nobody};
use crate::made_up::{MadeUp, sample};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the incidents that are not over are as wanted; everything is looked at in between.
async fn until(
    fleet: &MadeUp,
    what: &str,
    is_so: impl Fn(&[IncidentView]) -> bool,
) -> Vec<IncidentView> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let watch = FindingsWatch::new(Arc::clone(&fleet.started.app));
        watch.activate().await.unwrap();
        look(fleet).await;
        let active = incidents(fleet, "?state=active").await;
        if is_so(&active) {
            return active;
        }
        let is_late = tokio::time::Instant::now() > deadline;
        assert!(!is_late, "{what}: {active:#?}");
    }
}

/// Two seconds instead of minutes.
fn hasty() -> IncidentRules {
    IncidentRules {
        clear_after: Duration::from_secs(2),
        raise_after: Duration::from_secs(2),
        ..IncidentRules::default()
    }
}

/// A receiver that is told of every incident, and is not there.
fn told_of_all() -> NotifySettings {
    let mut settings = nobody();
    settings.routes[0].matchers.clear();
    settings
}

async fn notifications(fleet: &MadeUp) -> usize {
    let dispatcher = Dispatcher::new(Arc::clone(&fleet.started.app));
    dispatcher.activate().await.unwrap();
    let told: Page<NotificationView> = get(fleet, "/api/v1/notifications?limit=1000").await;
    told.items.len()
}

fn is_the_cause(active: &[IncidentView]) -> bool {
    matches!(active, [cause] if cause.kind == "common_cause")
}

/// Eight hosts with EDR 7.0 leak, sixteen with 6.9 do not. The leaking ones.
async fn edr_fleet(fleet: &MadeUp) -> Vec<HostId> {
    let mut leaking = Vec::new();
    for number in 0..8 {
        leaking.push(four_minutes(fleet, &format!("new-{number}"), "7.0", 40).await);
    }
    for number in 0..16 {
        four_minutes(fleet, &format!("old-{number}"), "6.9", 0).await;
    }
    for id in &leaking {
        fleet.connect(*id);
    }
    leaking
}

fn leaks(fleet: &MadeUp, id: HostId) -> bool {
    let road = |live: &tidemark_controller::live::HostLive| {
        let now = fleet.started.app.clock.now();
        let is_leak = live
            .spaces
            .values()
            .any(|space| space.forecast.road == Some(Road::Leak));
        is_leak && live.state(now) == "online"
    };
    fleet.started.app.live.read(id, road).unwrap_or(false)
}

fn assert_says_all(cause: &IncidentView) {
    for part in [
        "and 3 more: w3wp.exe takes ports and does not give them back where label:edr is 7.0",
        "Since ",
        "Ports run out ",
        "This is 99 % sure.",
        "Do: Restart w3wp.exe where ports run out first",
        "Runbook: https://t.example/docs/runbooks/common_cause.html",
    ] {
        assert!(cause.sentence.contains(part), "{part}: {}", cause.sentence);
    }
}

/// Since the restart, with the cause's incident as it was `before`.
async fn assert_nothing_happened(fleet: &MadeUp, before: &IncidentDetail) {
    let path = format!("/api/v1/incidents/{}", before.incident.id);
    assert_eq!(incidents(fleet, "").await.len(), 9, "nothing was opened");
    let metrics = &fleet.started.app.metrics;
    let changes = [
        metrics.incidents_opened.get(),
        metrics.incidents_reopened.get(),
        metrics.incidents_resolved.get(),
    ];
    assert_eq!(changes, [0, 0, 0]);
    let after: IncidentDetail = get(fleet, &path).await;
    assert_eq!(after.incident.state, "open");
    assert_eq!(after.incident.host_count, 8);
    let own = |detail: &IncidentDetail| {
        detail
            .timeline
            .iter()
            .filter(|one| one.host.is_none())
            .count()
    };
    assert_eq!(own(&after), own(before), "{:#?}", after.timeline);
}

#[tokio::test]
async fn hosts_that_leak_alike_are_one_incident_over_a_restart_until_the_cause_is_gone() {
    let fleet = MadeUp::start_by(hasty(), told_of_all()).await;
    let leaking = edr_fleet(&fleet).await;
    until(&fleet, "one for each host", |active| active.len() == 8).await;
    let mut finder = CauseFinder::new(Arc::clone(&fleet.started.app));
    assert_eq!(finder.activate().await.causes, 1);
    let cause = until(&fleet, "the cause's alone", is_the_cause)
        .await
        .remove(0);
    assert_eq!((cause.host_count, &*cause.severity), (8, "critical"));
    assert_says_all(&cause);
    let over = incidents(&fleet, "?state=resolved").await;
    let part = format!("it is part of incident {}", cause.id);
    assert_eq!(over.len(), 8);
    assert!(
        over.iter()
            .all(|one| one.resolution.as_ref() == Some(&part))
    );
    let told = notifications(&fleet).await;
    let path = format!("/api/v1/incidents/{}", cause.id);
    let before: IncidentDetail = get(&fleet, &path).await;

    let fleet = fleet.restart().await;
    let now = fleet.started.app.clock.now();
    for id in fleet.started.app.live.ids() {
        fleet.connect(id);
        let ports = if leaking.contains(&id) { 9_940 } else { 300 };
        fleet.deliver(id, vec![sample(now, ports, 40)]).await;
    }
    let is_rebuilt = |_: &[IncidentView]| leaking.iter().all(|id| leaks(&fleet, *id));
    until(&fleet, "the leaks after the restart", is_rebuilt).await;
    for _ in 0..2 {
        look(&fleet).await;
    }
    assert_nothing_happened(&fleet, &before).await;
    assert_eq!(notifications(&fleet).await, told, "nobody is told again");

    let mut finder = CauseFinder::new(Arc::clone(&fleet.started.app));
    assert_eq!(finder.activate().await.causes, 1);
    let found = until(&fleet, "the same incident", is_the_cause).await;
    assert_eq!(found[0].id, cause.id);

    // Everybody gets the new version, and the others do not leak: it was something else.
    for id in fleet.started.app.live.ids() {
        fleet.started.app.live.update(id, |host| {
            let edr = host.profile.labels.get_mut("edr").unwrap();
            "7.0".clone_into(edr);
        });
    }
    assert_eq!(finder.activate().await.causes, 0);
    let alone = until(&fleet, "each on its own", |active| active.len() == 8).await;
    assert!(
        alone
            .iter()
            .all(|one| one.kind == "leak" && one.reopened == 1)
    );
}

/// A host whose range is mostly reserved: 1,000 ports are left.
fn reserved(at: Timestamp, in_use: u32) -> Sample {
    let mut shrunk = sample(at, in_use, 0);
    let space = &mut shrunk.port_spaces[0];
    space.capacity = 1_000;
    space.bound = Some(0);
    space.states_v4 = StateCounts::default();
    for owner in &mut space.owners {
        (owner.counts.bound, owner.counts.close_wait, owner.handles) = (0, 0, None);
    }
    shrunk
}

#[tokio::test]
async fn a_finding_that_stands_is_one_incident_until_the_ports_run_out_and_tell_of_it() {
    let fleet = MadeUp::start_by(hasty(), told_of_all()).await;
    let id = fleet.host("web-1").await;
    fleet.connect(id);
    let now = || fleet.started.app.clock.now();
    fleet.deliver(id, vec![reserved(now(), 300)]).await;
    let seen = async |at_least: usize| {
        for _ in 0..at_least {
            let watch = FindingsWatch::new(Arc::clone(&fleet.started.app));
            watch.activate().await.unwrap();
            look(&fleet).await;
        }
        incidents(&fleet, "").await
    };
    assert!(
        seen(3).await.is_empty(),
        "a setting of a quiet host is advice"
    );
    fleet.deliver(id, vec![reserved(now(), 600)]).await;
    let found = until(&fleet, "the finding", |active| !active.is_empty()).await;
    let [found] = found.as_slice() else {
        panic!("one incident: {found:#?}");
    };
    assert_eq!(
        (&*found.kind, &*found.severity),
        ("excluded_range_shrink", "warning")
    );
    assert_eq!(found.confidence, Some(90));
    for part in [
        "web-1: 93 % of the dynamic tcp range is reserved.",
        "Since ",
        "It lasts until somebody acts",
        "This is 90 % sure.",
        "Do: See what is reserved and why: sysctl net.ipv4.ip_local_reserved_ports;",
        "Runbook: https://t.example/docs/runbooks/excluded_range_shrink.html",
    ] {
        assert!(found.sentence.contains(part), "{part}: {}", found.sentence);
    }
    assert_eq!(seen(3).await.len(), 1, "it is opened once");
    assert_eq!(notifications(&fleet).await, 1);
    assert_eq!(notifications(&fleet).await, 1, "it is told once");

    fleet.deliver(id, vec![sample(now(), 300, 0)]).await;
    until(&fleet, "the end", <[_]>::is_empty).await;
    assert_eq!(notifications(&fleet).await, 2, "and once that it is over");
    fleet.deliver(id, vec![reserved(now(), 600)]).await;
    let back = until(&fleet, "it again", |active| !active.is_empty()).await;
    assert_eq!((back[0].id, back[0].reopened), (found.id, 1));

    fleet.deliver(id, vec![reserved(now(), 1_000)]).await;
    let is_full = |active: &[IncidentView]| matches!(active, [one] if one.kind == "saturated" && one.sentence.contains("Diagnosis, 90 % sure"));
    let full = until(&fleet, "the ports' incident alone", is_full).await;
    let part = format!("it is part of incident {}", full[0].id);
    let over = incidents(&fleet, "?state=resolved").await;
    assert_eq!(over.len(), 1, "{over:#?}");
    assert_eq!(over[0].resolution.as_ref(), Some(&part));
}
