//! Common causes over a replay: each is told once for each set of hosts. Knows no detector.

use std::collections::BTreeMap;

use tidemark_model::Timestamp;

use super::lines::GroupLine;
use crate::causes::{AttributeChange, Fleet, FleetHost, LeakSeen, Witnesses};

/// Changes remembered of a host; the oldest make room.
const CHANGES_MAX: usize = 32;

/// What is known of a host beside its readings.
#[derive(Default)]
struct Known {
    attributes: BTreeMap<String, String>,
    changes: Vec<AttributeChange>,
}

/// Watches what leaking hosts have in common.
#[derive(Default)]
pub struct CauseWatch {
    known: BTreeMap<String, Known>,
    witnesses: Witnesses<String>,
    /// Hosts of each cause that was told, by attribute, value and culprit.
    told: BTreeMap<(String, String, String), Vec<String>>,
}

impl CauseWatch {
    /// What is known of a host.
    pub fn attributes(&mut self, host: String, attributes: BTreeMap<String, String>) {
        self.known.entry(host).or_default().attributes = attributes;
    }

    /// An attribute of a host took another value.
    pub fn change(&mut self, host: &str, change: AttributeChange) {
        let known = self.known.entry(host.to_owned()).or_default();
        known
            .attributes
            .insert(change.attribute.clone(), change.value.clone());
        if known.changes.len() >= CHANGES_MAX {
            known.changes.remove(0);
        }
        known.changes.push(change);
    }

    /// A host leaks at `now`.
    pub fn note(&mut self, host: &str, now: Timestamp, leak: LeakSeen) {
        self.witnesses.note(host.to_owned(), now, leak);
    }

    /// The causes at `now` that were not told of the same hosts; `hosts` is the whole fleet, each with its processes.
    pub fn sweep<'a>(
        &mut self,
        now: Timestamp,
        hosts: impl Iterator<Item = (&'a str, Vec<&'a str>)>,
    ) -> Vec<GroupLine> {
        self.witnesses.forget(now, |_| true);
        if self.witnesses.is_empty() {
            return Vec::new();
        }
        let nothing = Known::default();
        let mut fleet = Fleet::default();
        for (name, processes) in hosts {
            let known = self.known.get(name).unwrap_or(&nothing);
            let attributes = known.attributes.iter();
            fleet.add(&FleetHost {
                name,
                attributes: attributes
                    .map(|(name, value)| (&**name, &**value))
                    .collect(),
                processes,
                leak: self.witnesses.leak_of(&name.to_owned()).cloned(),
                changes: &known.changes,
            });
        }
        let mut told = Vec::new();
        for cause in fleet.causes() {
            let key = (
                cause.attribute.clone(),
                cause.value.clone(),
                cause.culprit.clone(),
            );
            if self.told.get(&key) != Some(&cause.hosts) {
                self.told.insert(key, cause.hosts.clone());
                told.push(GroupLine {
                    ts_unix_ms: now.unix_ms(),
                    text: cause.text(),
                    group: cause,
                });
            }
        }
        told
    }
}
