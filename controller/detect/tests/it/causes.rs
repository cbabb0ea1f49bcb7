//! What a fleet's leaks have in common, and what only seems to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_detect::causes::{AttributeChange, CommonCause, Fleet, FleetHost, LeakSeen};
use tidemark_model::Timestamp;

use crate::simulation::{Dice, at};

const DAY: f64 = 86_400.0;

/// A host of a fleet that is made up.
#[derive(Clone)]
struct Member {
    name: String,
    attributes: BTreeMap<String, String>,
    processes: Vec<&'static str>,
    leaks: bool,
    changes: Vec<AttributeChange>,
}

impl Member {
    fn new(number: usize, attributes: &[(&str, &str)]) -> Self {
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self {
            name: format!("host-{number:05}"),
            attributes: attributes.iter().map(text).collect(),
            processes: vec!["sqlservr.exe", "svchost.exe"],
            leaks: false,
            changes: Vec::new(),
        }
    }

    fn leaking(mut self, leaks: bool) -> Self {
        self.leaks = leaks;
        self
    }

    fn changed(mut self, attribute: &str, value: &str) -> Self {
        self.changes.push(AttributeChange {
            at: at(9.0 * DAY),
            attribute: attribute.to_owned(),
            value: value.to_owned(),
        });
        self
    }
}

fn causes(members: &[Member]) -> Vec<CommonCause> {
    let mut fleet = Fleet::default();
    for member in members {
        fleet.add(&FleetHost {
            name: &member.name,
            attributes: member
                .attributes
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect(),
            processes: member.processes.clone(),
            leak: member.leaks.then(|| LeakSeen {
                culprit: Arc::from("sqlservr.exe"),
                since: at(10.0 * DAY),
            }),
            changes: &member.changes,
        });
    }
    fleet.causes()
}

/// Twelve of fourteen hosts with EDR 7.0 leak, one of forty without.
fn edr_fleet() -> Vec<Member> {
    let site = |number: usize| {
        if number.is_multiple_of(2) {
            "berlin"
        } else {
            "oslo"
        }
    };
    let with = (0..14).map(|number| {
        Member::new(number, &[("edr", "7.0"), ("site", site(number))]).leaking(number < 12)
    });
    let without = (14..54).map(|number| {
        Member::new(number, &[("edr", "6.9"), ("site", site(number))]).leaking(number == 20)
    });
    with.chain(without).collect()
}

#[test]
fn the_version_that_leaking_hosts_share_is_named_with_counts_both_ways() {
    let found = causes(&edr_fleet());
    let [cause] = &found[..] else {
        panic!("one cause: {found:?}");
    };
    assert_eq!((&*cause.attribute, &*cause.value), ("edr", "7.0"));
    assert_eq!((cause.hosts.len(), cause.having), (12, 14));
    assert_eq!((cause.leaking, cause.compared), (13, 54));
    let text = cause.text();
    assert!(
        text.contains(
            "sqlservr.exe leaks on 12 of 14 hosts with edr 7.0 and on 1 of 40 other hosts"
        ),
        "{text}"
    );
}

#[test]
fn thousands_of_attributes_by_chance_are_no_cause() {
    let mut dice = Dice::new(4);
    let members: Vec<Member> = (0..300)
        .map(|number| {
            let mut member = Member::new(number, &[]).leaking(number < 12);
            for attribute in 0..120 {
                let value = (dice.unit() * 30.0) as u32;
                member
                    .attributes
                    .insert(format!("attribute-{attribute}"), format!("value-{value}"));
            }
            member
        })
        .collect();
    assert_eq!(causes(&members), []);
    // The same noise does not hide a true one.
    let mut members = members;
    for (number, member) in members.iter_mut().enumerate() {
        let driver = if number < 14 { "13.0" } else { "12.3" };
        member
            .attributes
            .insert("nic_driver".to_owned(), driver.to_owned());
    }
    let found = causes(&members);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].attribute, "nic_driver");
}

#[test]
fn of_two_that_explain_the_same_the_one_that_changed_before_is_told_first() {
    let members: Vec<Member> = edr_fleet()
        .into_iter()
        .map(|mut member| {
            let ring = if member.attributes["edr"] == "7.0" {
                "1"
            } else {
                "2"
            };
            member
                .attributes
                .insert("a-ring".to_owned(), ring.to_owned());
            if member.leaks {
                member.changed("edr", "7.0")
            } else {
                member
            }
        })
        .collect();
    let found = causes(&members);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&*found[0].attribute, found[0].changed_before), ("edr", 12));
    let without_changes: Vec<Member> = members
        .into_iter()
        .map(|member| Member {
            changes: Vec::new(),
            ..member
        })
        .collect();
    let found = causes(&without_changes);
    assert_eq!(found[0].alike.len(), 1, "both are named: {found:?}");
}

#[test]
fn a_change_before_the_leaks_is_believed_at_fewer_hosts() {
    // Seven of ten that got the version leak, and none of eight that did not: too few among a thousand values by themselves.
    let fleet = |is_told: bool| -> Vec<Member> {
        (0..18)
            .map(|number| {
                let version = if number < 10 { "2.3" } else { "2.2" };
                let mut member =
                    Member::new(number, &[("svc:orders", version)]).leaking(number < 7);
                for other in 0..100 {
                    let value = (number * (other + 3)) % 5;
                    member
                        .attributes
                        .insert(format!("x{other}"), value.to_string());
                }
                if is_told && number < 10 {
                    member.changed("svc:orders", "2.3")
                } else {
                    member
                }
            })
            .collect()
    };
    assert_eq!(causes(&fleet(false)), []);
    let found = causes(&fleet(true));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].value, "2.3");
}

#[test]
fn where_every_host_with_the_process_has_the_value_the_rest_of_the_fleet_tells() {
    let members: Vec<Member> = (0..200)
        .map(|number| {
            let is_search = number < 12;
            let role = if is_search { "search" } else { "other" };
            let mut member = Member::new(number, &[("role", role)]).leaking(number < 10);
            if !is_search {
                member.processes = vec!["nginx"];
            }
            member
        })
        .collect();
    let found = causes(&members);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].is_among_runners);
    assert_eq!((&*found[0].value, found[0].compared), ("search", 200));
}

#[test]
fn two_causes_of_one_process_are_both_found() {
    let members: Vec<Member> = (0..120)
        .map(|number| {
            let edr = if number < 12 { "7.0" } else { "6.9" };
            let driver = if (50..62).contains(&number) {
                "13.0"
            } else {
                "12.3"
            };
            let leaks = number < 11 || (50..61).contains(&number);
            Member::new(number, &[("edr", edr), ("nic_driver", driver)]).leaking(leaks)
        })
        .collect();
    let named: Vec<String> = causes(&members)
        .into_iter()
        .map(|cause| cause.value)
        .collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named.contains(&"7.0".to_owned()) && named.contains(&"13.0".to_owned()));
}

#[test]
fn a_leak_that_was_put_right_is_a_witness_for_a_fortnight() {
    let mut witnesses = tidemark_detect::causes::Witnesses::default();
    let leak = LeakSeen {
        culprit: Arc::from("java"),
        since: Timestamp::EPOCH,
    };
    witnesses.note("db-1", at(0.0), leak.clone());
    witnesses.forget(at(13.9 * DAY), |_| true);
    assert_eq!(witnesses.leak_of(&"db-1"), Some(&leak));
    witnesses.forget(at(14.1 * DAY), |_| true);
    assert_eq!(witnesses.leak_of(&"db-1"), None);
}
