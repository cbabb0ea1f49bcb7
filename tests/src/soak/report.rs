//! What was asked for, what was done, and what hosts and controllers say of it, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use tidemark_model::ActionState;
use tidemark_model::view::ActionView;

use super::host::JournalWord;
use crate::harness::Finished;
use crate::herd::report::Records;

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SoakReport {
    /// Hosts.
    pub agents: u32,
    /// Controllers.
    pub controllers: u8,
    /// How long there were kills.
    pub seconds: f64,
    /// Agents that were killed.
    pub agent_kills: u64,
    /// Controllers that were killed.
    pub controller_kills: u64,
    /// Actions that were asked for.
    pub actions: u64,
    /// How they ended and how often they were done, as in `verified, done 1x`.
    pub ends: BTreeMap<String, u64>,
    /// Why those came out otherwise than as `verified` that did.
    pub reasons: BTreeMap<String, u64>,
    /// Actions of which the journals still say how they ended.
    pub in_journals: u64,
    /// Requests of people that nobody answered, or not with success; they were made again.
    pub unanswered: u64,
    /// What became of the records.
    pub records: Records,
    /// What `verify` said of the audit log, with its witnesses, and of the database.
    pub verified: Vec<String>,
    /// Everything that does not agree; empty when all does.
    pub violations: Vec<String>,
}

/// What was asked of a host, and what is found on it.
#[derive(Clone, Debug, Default)]
pub struct HostWord {
    /// Its name.
    pub name: String,
    /// Marks by the ids of their actions.
    pub asked: BTreeMap<String, String>,
    /// How often each mark was left.
    pub ran: BTreeMap<String, u32>,
    /// What its journal says.
    pub journal: JournalWord,
}

impl SoakReport {
    /// Compares what was asked for, what was done and what the journals say with what controllers say of all actions.
    pub fn reconcile(&mut self, hosts: &[HostWord], told: &[ActionView]) {
        let states: BTreeMap<&str, ActionState> = told
            .iter()
            .map(|one| (one.id.as_str(), one.state))
            .collect();
        let asked: BTreeSet<&str> = hosts
            .iter()
            .flat_map(|host| host.asked.keys().map(String::as_str))
            .collect();
        for id in states.keys().filter(|id| !asked.contains(*id)) {
            self.violate(format!("action {id}: nobody asked for it"));
        }
        for host in hosts {
            self.compare(host, &states);
        }
        self.actions = self.ends.values().sum();
    }

    fn compare(&mut self, host: &HostWord, states: &BTreeMap<&str, ActionState>) {
        let name = &host.name;
        for (id, mark) in &host.asked {
            let runs = host.ran.get(mark).copied().unwrap_or(0);
            let Some(state) = states.get(id.as_str()).copied() else {
                self.violate(format!("{name}: action {id} is gone; it was done {runs}x"));
                continue;
            };
            let end = format!("{}, done {runs}x", state.as_str());
            if !may_have_run(state, runs) {
                self.violate(format!("{name}: action {id} ended as {end}"));
            }
            *self.ends.entry(end).or_insert(0) += 1;
            if let Some(stands) = host.journal.stands.get(id).copied() {
                self.in_journals += 1;
                if !agree(stands, state) {
                    let (stands, state) = (stands.as_str(), state.as_str());
                    self.violate(format!(
                        "{name}: action {id} is {stands} in its journal and {state} at the controller"
                    ));
                }
            }
        }
        let marks: BTreeSet<&String> = host.asked.values().collect();
        for mark in host.ran.keys().filter(|mark| !marks.contains(mark)) {
            self.violate(format!("{name}: {mark} was done and not asked for"));
        }
        let known = host.journal.began.keys().chain(host.journal.stands.keys());
        let known: BTreeSet<&String> = known.collect();
        for id in known.iter().filter(|id| !host.asked.contains_key(**id)) {
            self.violate(format!(
                "{name}: its journal has action {id}, which nobody asked of it"
            ));
        }
        for (id, times) in host.journal.began.iter().filter(|(_, times)| **times > 1) {
            self.violate(format!("{name}: its journal took action {id} {times}x"));
        }
    }

    fn violate(&mut self, what: String) {
        self.violations.push(what);
    }
}

/// Whether an action that ended so may have been done so often. Of one that failed or timed out it is said that it may have been done;
/// nothing is measured of a hook, and nothing undone.
fn may_have_run(state: ActionState, runs: u32) -> bool {
    if state == ActionState::Verified {
        runs == 1
    } else if matches!(state, ActionState::Failed | ActionState::TimedOut) {
        runs <= 1
    } else {
        state.is_final() && !state.may_have_begun() && runs == 0
    }
}

/// Whether a host's journal and the controller mean the same end.
fn agree(journal: ActionState, controller: ActionState) -> bool {
    if journal == ActionState::Verifying {
        matches!(
            controller,
            ActionState::Verified | ActionState::NotEffective
        )
    } else {
        journal.is_final() && journal == controller
    }
}

impl SoakReport {
    pub(super) fn check(&mut self, what: &str, verified: &Finished) {
        if verified.code == Some(0) {
            self.verified.push(verified.stdout.trim().to_owned());
        } else {
            let said = format!("{}{}", verified.stdout, verified.stderr);
            self.violations.push(format!("{what}: {}", said.trim()));
        }
    }

    /// Whether everything agrees.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.violations.is_empty()
    }

    /// The report as text for people.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        self.write(&mut text).ok();
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        let (agents, controllers) = (self.agents, self.controllers);
        writeln!(
            to,
            "{agents} agents, {controllers} controllers, {:.0} s",
            self.seconds
        )?;
        writeln!(
            to,
            "killed: {} agents, {} controllers; {} requests of people made again",
            self.agent_kills, self.controller_kills, self.unanswered
        )?;
        writeln!(
            to,
            "actions: {}, {} of them still in the journals",
            self.actions, self.in_journals
        )?;
        for (end, actions) in &self.ends {
            writeln!(to, "  {end:<24} {actions:>8}")?;
        }
        for (reason, actions) in &self.reasons {
            writeln!(to, "    {actions:>6} {reason}")?;
        }
        let Records {
            produced,
            stored,
            duplicates,
            dropped,
            in_spool,
        } = self.records;
        writeln!(
            to,
            "records: {produced} produced, {stored} stored, {dropped} dropped, {in_spool} in spools, {duplicates} came again"
        )?;
        for line in &self.verified {
            writeln!(to, "{line}")?;
        }
        for line in &self.violations {
            writeln!(to, "DISAGREES: {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::CountedHook;

    fn told(id: &str, state: ActionState) -> ActionView {
        let view = serde_json::json!({
            "id": id, "host": "h", "host_name": null, "summary": "", "tier": 1, "dry_run": false, "state": state, "state_ms": 0,
            "spec": CountedHook::spec("m"), "requester": "ann", "reason": "", "incident": null, "approvals_needed": 1,
            "issued_ms": 0, "not_before_ms": 0, "expires_ms": 0, "deadline_ms": null, "sent_ms": null, "begun_ms": null,
            "done_ms": null, "ended_ms": null, "waits_for": null, "effect": null
        });
        serde_json::from_value(view).unwrap()
    }

    fn host(runs: u32, stands: Option<ActionState>) -> HostWord {
        let mut host = HostWord {
            name: "host-1".to_owned(),
            asked: BTreeMap::from([("a".to_owned(), "m".to_owned())]),
            ..HostWord::default()
        };
        if runs > 0 {
            host.ran.insert("m".to_owned(), runs);
        }
        if let Some(stands) = stands {
            host.journal.began.insert("a".to_owned(), 1);
            host.journal.stands.insert("a".to_owned(), stands);
        }
        host
    }

    fn reconciled(host: HostWord, told: &[ActionView]) -> SoakReport {
        let mut report = SoakReport::default();
        report.reconcile(&[host], told);
        report
    }

    fn violations(host: HostWord, told: &[ActionView]) -> Vec<String> {
        reconciled(host, told).violations
    }

    #[test]
    fn what_agrees_is_counted_by_its_end() {
        for (state, runs, stands) in [
            (ActionState::Verified, 1, ActionState::Verifying),
            (ActionState::Failed, 0, ActionState::Failed),
            (ActionState::Failed, 1, ActionState::Failed),
            (ActionState::Refused, 0, ActionState::Refused),
        ] {
            let found = reconciled(host(runs, Some(stands)), &[told("a", state)]);
            let end = format!("{}, done {runs}x", state.as_str());
            assert_eq!(found.violations, Vec::<String>::new());
            assert_eq!((found.ends[&end], found.in_journals), (1, 1));
        }
    }

    #[test]
    fn each_way_to_disagree_is_told() {
        let verified = [told("a", ActionState::Verified)];
        for (host, told, part) in [
            (host(2, None), &verified[..], "verified, done 2x"),
            (host(0, None), &verified, "verified, done 0x"),
            (
                host(1, None),
                &[told("a", ActionState::Expired)],
                "expired, done 1x",
            ),
            (
                host(1, None),
                &[told("a", ActionState::Running)],
                "running, done 1x",
            ),
            (host(1, None), &[], "is gone"),
            (
                host(1, Some(ActionState::Failed)),
                &verified,
                "failed in its journal and verified",
            ),
            (
                host(1, Some(ActionState::Running)),
                &verified,
                "running in its journal",
            ),
        ] {
            let violations = violations(host, told);
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert!(violations[0].contains(part), "{violations:?}");
        }
    }

    #[test]
    fn an_action_that_a_journal_took_twice_is_told() {
        let mut twice = host(1, Some(ActionState::Verifying));
        twice.journal.began.insert("a".to_owned(), 2);
        let violations = violations(twice, &[told("a", ActionState::Verified)]);
        assert_eq!(violations, ["host-1: its journal took action a 2x"]);
    }

    #[test]
    fn what_nobody_asked_for_is_told() {
        let verified = [
            told("a", ActionState::Verified),
            told("b", ActionState::Verified),
        ];
        assert_eq!(
            violations(host(1, None), &verified),
            ["action b: nobody asked for it"]
        );
        let mut more = host(1, None);
        more.ran.insert("n".to_owned(), 1);
        more.journal.began.insert("c".to_owned(), 1);
        more.journal
            .stands
            .insert("d".to_owned(), ActionState::Verifying);
        let violations = violations(more, &verified[..1]);
        assert_eq!(violations.len(), 3, "{violations:?}");
    }
}
