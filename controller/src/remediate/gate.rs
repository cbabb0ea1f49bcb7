//! The last look before an action is queued and before it is sent: what was approved, by whom, for a host that still may,
//! within the limits. Decides; stores nothing.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tidemark_model::action::{Action, ActionState, HostPolicyView};
use tidemark_model::grant::GrantId;
use tidemark_model::signing::KeyId;
use tidemark_model::{HostId, HostState, Timestamp};
use tidemark_store::{SentAction, StoreError, StoredKeyStatement, Tx};

use super::decide::is_approved;
use super::propose::is_own;
use super::rules::RemediationRules;
use crate::app::App;
use crate::grants::cover;
use crate::keys::bring::newest;
use crate::keys::{count_taken, not_believed};

const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Actions that are looked back at; with more of them in a day nothing more is sent.
pub(crate) const RECENT_MAX: u32 = 10_000;
/// Actions under way that are looked at, in each state.
const UNDER_WAY_MAX: u32 = 1_000;

/// What comes of the look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may go on.
    Pass,
    /// Not yet, and what it waits for.
    Wait(String),
    /// Never, and why.
    Stop(String),
    /// Never: it was done too often, so that somebody must look for the cause.
    Escalate(String),
}

/// What was sent lately and what is under way, as of one transaction.
#[derive(Debug, Default)]
pub struct Books {
    /// Disturbing actions of the last 24 h, in any order.
    recent: Vec<SentAction>,
    /// Hosts at which something is under way.
    busy: HashSet<HostId>,
    /// Hosts at which the effect of something that disturbed is watched.
    watched: HashSet<HostId>,
    /// Disturbing actions under way.
    disturbing: usize,
}

impl Books {
    /// Reads them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(tx: &mut Tx, now: Timestamp) -> Result<Self, StoreError> {
        let mut books = Self {
            recent: tx
                .actions_sent_since(now.saturating_sub(DAY), RECENT_MAX)
                .await?,
            ..Self::default()
        };
        for state in [
            ActionState::Sent,
            ActionState::Accepted,
            ActionState::Running,
            ActionState::Verifying,
        ] {
            for action in tx.actions_in_state(state, 0, UNDER_WAY_MAX).await? {
                books.count(&action);
            }
        }
        Ok(books)
    }

    fn count(&mut self, action: &Action) {
        let host = action.order.host;
        if action.state == ActionState::Verifying {
            if action.disturbs() {
                self.watched.insert(host);
            }
            return;
        }
        self.busy.insert(host);
        if action.disturbs() {
            self.disturbing = self.disturbing.saturating_add(1);
        }
    }

    /// Takes in one that is sent now.
    pub fn sent(&mut self, action: &Action) {
        self.count(action);
        if action.disturbs() {
            self.recent.extend(as_sent(action));
        }
    }

    /// Whether limits let it be sent.
    #[must_use]
    pub fn limits(&self, action: &Action, now: Timestamp, rules: &RemediationRules) -> Gate {
        let host = action.order.host;
        if self.busy.contains(&host) {
            return Gate::Wait("another action of this host is under way".to_owned());
        }
        if !action.disturbs() {
            return Gate::Pass;
        }
        if self.watched.contains(&host) {
            return Gate::Wait("the effect of another action of this host is watched".to_owned());
        }
        let others = || self.recent.iter().filter(|one| one.id != action.id());
        let since = |age: Duration| now.saturating_sub(age);
        let is_after = |one: &SentAction, at: Timestamp| one.sent_at > at;
        let same: Vec<&SentAction> = others()
            .filter(|one| one.host == host && one.is_alike(&action.order.spec))
            .collect();
        if same.len() >= rules.fixes_per_day_max {
            return Gate::Escalate(format!(
                "it was done {} times within 24 h on this host; somebody must look for the cause",
                same.len()
            ));
        }
        if same.iter().any(|one| is_after(one, since(rules.cooldown))) {
            return Gate::Wait(format!(
                "the same was done on this host less than {} s ago",
                rules.cooldown.as_secs()
            ));
        }
        let in_hour = |one: &&SentAction| is_after(one, since(HOUR));
        let of_host = others().filter(|one| one.host == host);
        if of_host.filter(in_hour).count() >= rules.host_per_hour_max {
            return Gate::Wait(format!(
                "{} actions of this host were begun within the hour, as many as may",
                rules.host_per_hour_max
            ));
        }
        let hourly = others().filter(in_hour).count();
        if hourly >= rules.per_hour_max {
            return Gate::Wait(format!(
                "{hourly} actions were begun within the hour, as many as may"
            ));
        }
        if self.recent.len() >= RECENT_MAX as usize {
            return Gate::Wait(format!(
                "{RECENT_MAX} actions were begun within 24 h, more than a controller looks back at"
            ));
        }
        if self.disturbing >= rules.concurrent_max {
            return Gate::Wait(format!(
                "{} actions are under way, as many as may at once",
                self.disturbing
            ));
        }
        Gate::Pass
    }
}

/// What limits count of an action, if it was sent.
fn as_sent(action: &Action) -> Option<SentAction> {
    Some(SentAction {
        id: action.id(),
        host: action.order.host,
        kind: action.order.spec.kind(),
        subject: action.order.spec.subject().to_owned(),
        sent_at: action.sent_at?,
    })
}

/// What one pass over the actions reads once, for the first one that it matters to.
#[derive(Debug, Default)]
pub struct Seen {
    books: Option<Books>,
    statements: Option<Vec<StoredKeyStatement>>,
}

impl Seen {
    /// What was sent lately and what is under way.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn books(
        &mut self,
        tx: &mut Tx,
        now: Timestamp,
    ) -> Result<&mut Books, StoreError> {
        Ok(match &mut self.books {
            Some(books) => books,
            unread => unread.insert(Books::read(tx, now).await?),
        })
    }

    /// The keys whose signatures a host does not take, each with why.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn not_believed(
        &mut self,
        tx: &mut Tx,
        policy: &HostPolicyView,
    ) -> Result<BTreeMap<KeyId, String>, StoreError> {
        let statements = match &mut self.statements {
            Some(statements) => statements,
            unread => unread.insert(newest(tx).await?),
        };
        Ok(not_believed(policy, statements))
    }
}

/// Whether what was approved still may be done: who approved it, its host, and what that host's policy says; and the grant that
/// stands for a signature.
///
/// # Errors
/// When the database fails.
pub async fn standing(
    app: &App,
    (tx, seen): (&mut Tx, &mut Seen),
    action: &Action,
) -> Result<(Gate, Option<GrantId>), StoreError> {
    let stays = |gate| Ok((gate, None));
    let approvals = tx.action_approvals(action.id()).await?;
    if !is_approved(action, &approvals) {
        return stays(Gate::Stop("its approvals do not suffice".to_owned()));
    }
    let Some(host) = tx.host_find(action.order.host).await? else {
        return stays(Gate::Stop("its host is not known any more".to_owned()));
    };
    if host.state != HostState::Enrolled {
        let state = host.state.as_str();
        return stays(Gate::Stop(format!("its host is {state}")));
    }
    if is_own(app, &host) && action.disturbs() {
        return stays(Gate::Stop("this controller runs on its host".to_owned()));
    }
    let Some((_, policy)) = tx.host_policy(action.order.host).await? else {
        return stays(Gate::Pass);
    };
    if let Some(why) = &policy.unusable {
        return stays(Gate::Wait(format!("the host's policy is unusable: {why}")));
    }
    if policy.lockdown {
        return stays(Gate::Wait(
            "the host itself has stopped every action".to_owned(),
        ));
    }
    let kind = action.order.spec.kind();
    if !policy.allowed.contains(&kind) {
        let kind = kind.as_str();
        return stays(Gate::Wait(format!(
            "the host's policy does not allow {kind}"
        )));
    }
    if !policy.wants_signatures() {
        return stays(Gate::Pass);
    }
    let signatures = tx.action_signatures(action.id()).await?;
    let signers: Vec<KeyId> = signatures.iter().map(|one| one.signature.key).collect();
    let not_believed = seen.not_believed(tx, &policy).await?;
    let gate = signed(action, (&policy, &not_believed), &signers);
    if gate != Gate::Pass {
        let told = (&*host.facts.name, &policy, &not_believed);
        if let Some(grant) = cover(tx, action, told, app.clock.now()).await? {
            return Ok((Gate::Pass, Some(grant)));
        }
    }
    stays(gate)
}

/// Whether the host believes so many of the keys that signed an action as its tier needs. The host itself decides.
fn signed(
    action: &Action,
    (policy, not_believed): (&HostPolicyView, &BTreeMap<KeyId, String>),
    signers: &[KeyId],
) -> Gate {
    let tier = action.order.spec.tier();
    let holding: Vec<KeyId> = policy
        .keys
        .iter()
        .copied()
        .filter(|key| !not_believed.contains_key(key))
        .collect();
    let given = count_taken((policy, not_believed), tier, signers);
    let wanted = usize::from(tier.signatures_min());
    if given >= wanted {
        return Gate::Pass;
    }
    let keys: Vec<String> = holding.iter().take(5).map(ToString::to_string).collect();
    let mut text = match (keys.is_empty(), wanted) {
        (true, _) => "no key that the host lists is left to sign it; an administrator of the host must list another one"
            .to_owned(),
        (false, 1) => format!(
            "the host wants a signature by one of the keys {} (`tidemark action sign`)",
            keys.join(", ")
        ),
        (false, _) => format!(
            "the host wants {wanted} signatures of the keys {} and has {given} (`tidemark action sign`)",
            keys.join(", ")
        ),
    };
    let lost = signers
        .iter()
        .find_map(|key| Some((key, not_believed.get(key)?)));
    if let Some((key, why)) = lost {
        text.push_str(&format!(
            "; the signature of key {key} does not count: {why}"
        ));
    }
    Gate::Wait(text)
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::{ActionId, ActionSpec, HostKey, KeyStanding, Order, Tier};
    use tidemark_model::signing::PrivateKey;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000_000);

    fn restart(number: u8, host: u8, service: &str) -> Action {
        Action::proposed(Order {
            id: ActionId::from_bytes([number; 16]),
            host: HostId::of_identity_spki(&[host]),
            spec: ActionSpec::RestartService {
                service: service.to_owned(),
                stop_timeout_s: 30,
                on_hang: tidemark_model::action::spec::OnHang::Fail,
            },
            dry_run: false,
            issued_at_ms: NOW,
            not_before_ms: NOW,
            expires_at_ms: NOW.saturating_add(HOUR),
            requester: "ann".to_owned(),
            reason: "a leak".to_owned(),
            undo_within_s: None,
        })
    }

    fn sent(number: u8, host: u8, service: &str, minutes_ago: u64) -> SentAction {
        let mut action = restart(number, host, service);
        action.sent_at = Some(NOW.saturating_sub(Duration::from_secs(60 * minutes_ago)));
        as_sent(&action).unwrap()
    }

    fn waits(gate: &Gate, part: &str) -> bool {
        matches!(gate, Gate::Wait(text) if text.contains(part))
    }

    #[test]
    fn the_third_fix_in_a_day_escalates_and_another_one_does_not() {
        let rules = RemediationRules::default();
        let mut books = Books {
            recent: vec![sent(1, 1, "leaky", 1_300), sent(2, 1, "leaky", 300)],
            ..Books::default()
        };
        let third = restart(3, 1, "leaky");
        let gate = books.limits(&third, NOW, &rules);
        assert!(matches!(gate, Gate::Escalate(_)), "{gate:?}");
        for other in [restart(3, 1, "other"), restart(3, 2, "leaky")] {
            assert_eq!(books.limits(&other, NOW, &rules), Gate::Pass);
        }
        books.recent.pop();
        assert_eq!(books.limits(&third, NOW, &rules), Gate::Pass);
    }

    #[test]
    fn each_limit_holds_back_what_is_beyond_it() {
        let rules = RemediationRules {
            concurrent_max: 2,
            per_hour_max: 4,
            host_per_hour_max: 2,
            ..RemediationRules::default()
        };
        let asked = restart(99, 1, "leaky");
        let books = |recent: Vec<SentAction>| Books {
            recent,
            ..Books::default()
        };
        let cooling = books(vec![sent(1, 1, "leaky", 5)]);
        assert!(waits(
            &cooling.limits(&asked, NOW, &rules),
            "less than 600 s"
        ));
        let of_host = books(vec![sent(1, 1, "a", 59), sent(2, 1, "b", 1)]);
        assert!(waits(
            &of_host.limits(&asked, NOW, &rules),
            "of this host were begun"
        ));
        let of_host = books(vec![sent(1, 1, "a", 61), sent(2, 1, "b", 1)]);
        assert_eq!(of_host.limits(&asked, NOW, &rules), Gate::Pass);
        let hourly = books((10..14).map(|one| sent(one, one, "x", 30)).collect());
        assert!(waits(
            &hourly.limits(&asked, NOW, &rules),
            "4 actions were begun"
        ));
        let many = vec![sent(1, 7, "x", 120); RECENT_MAX as usize];
        assert!(waits(
            &books(many).limits(&asked, NOW, &rules),
            "begun within 24 h"
        ));
        let mut at_once = Books::default();
        for number in [10, 11] {
            let mut running = restart(number, number, "x");
            running.state = ActionState::Running;
            assert_eq!(at_once.limits(&asked, NOW, &rules), Gate::Pass);
            at_once.count(&running);
        }
        assert!(waits(&at_once.limits(&asked, NOW, &rules), "at once"));
    }

    #[test]
    fn a_host_does_one_thing_at_a_time() {
        let rules = RemediationRules::default();
        let mut books = Books::default();
        let mut running = restart(1, 1, "x");
        running.state = ActionState::Verifying;
        books.count(&running);
        let asked = restart(2, 1, "leaky");
        assert!(waits(&books.limits(&asked, NOW, &rules), "watched"));
        let mut dry = asked;
        dry.order.dry_run = true;
        assert_eq!(books.limits(&dry, NOW, &rules), Gate::Pass);
        running.state = ActionState::Running;
        books.count(&running);
        assert!(waits(&books.limits(&dry, NOW, &rules), "under way"));
    }

    #[test]
    fn only_signatures_of_keys_that_the_host_believes_count() {
        let key = |seed: u8| PrivateKey::from_seed([seed; 32]).public();
        let lost = BTreeMap::from([(key(3).id(), "k3 was revoked: lost".to_owned())]);
        let told = |seed: u8, standing| HostKey {
            name: format!("k{seed}"),
            public: key(seed),
            tier_max: Tier::Reboot,
            standing,
            rotated_from: None,
            why: "was revoked: lost".to_owned(),
        };
        let policy = HostPolicyView {
            keys: vec![key(1).id(), key(2).id()],
            all_keys: vec![
                told(1, KeyStanding::Holds),
                told(2, KeyStanding::Holds),
                told(3, KeyStanding::Revoked),
            ],
            ..HostPolicyView::default()
        };
        let gate = |action: &Action, seeds: &[u8]| {
            let signers: Vec<_> = seeds.iter().map(|seed| key(*seed).id()).collect();
            signed(action, (&policy, &lost), &signers)
        };
        let restart = restart(1, 1, "leaky");
        assert_eq!(gate(&restart, &[1]), Gate::Pass);
        assert!(waits(
            &gate(&restart, &[3]),
            "does not count: k3 was revoked: lost"
        ));
        let mut reboot = restart.clone();
        reboot.order.spec = ActionSpec::Reboot {
            grace_s: 60,
            reason: "ports".to_owned(),
            force: false,
        };
        assert!(waits(&gate(&reboot, &[1, 3]), "wants 2 signatures"));
        assert_eq!(gate(&reboot, &[1, 2]), Gate::Pass);
        let nobody = HostPolicyView {
            keys: Vec::new(),
            ..policy.clone()
        };
        let id = key(3).id();
        assert!(waits(
            &signed(&restart, (&nobody, &lost), &[id]),
            "no key that the host lists is left"
        ));
    }
}
