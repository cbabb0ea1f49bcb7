//! What a stolen controller makes of the grants that a host's operators signed: what they allow, as often as they allow it,
//! when the host sees for itself that it is time.

use std::net::UdpSocket;

use tidemark_model::grant::{
    ActionTemplate, Grant, GrantEnd, GrantId, GrantList, Scope, SignedGrant, SignedGrantEnd,
    Trigger,
};
use tidemark_model::{ActionSpec, Protocol, Timestamp};
use tidemark_proto::convert::grant::list_to_wire;

use super::*;

const DAY_MS: i64 = 86_400_000;
/// Sockets that the test holds, of a hundred ports.
const HELD: u16 = 60;

/// A grant for the hook that leaves a line, once an hour, while half of the UDP ports are in use.
fn grant(number: u128, mark: &str) -> anyhow::Result<Grant> {
    let now = Clock::System.now();
    let spec: ActionSpec = serde_json::from_value(hook("count", mark))?;
    Ok(Grant {
        id: GrantId::from_random(number),
        policy: "night".to_owned(),
        rule: "ab".repeat(32),
        action: ActionTemplate::of(&spec),
        hosts: Scope {
            ids: Vec::new(),
            names: vec!["*".to_owned()],
        },
        trigger: level(50),
        per_hour: 1,
        per_day: 2,
        issued_at_ms: now,
        not_before_ms: now,
        expires_at_ms: Timestamp::from_unix_ms(now.unix_ms() + DAY_MS),
        issuer: "ann".to_owned(),
        reason: "a leak".to_owned(),
    })
}

fn level(percent: u8) -> Trigger {
    Trigger::Level {
        percent,
        protocol: Protocol::Udp,
        namespace: "default".to_owned(),
        held_s: 0,
        culprit: None,
    }
}

fn signed(grant: &Grant, key: &PrivateKey) -> SignedGrant {
    let bytes = grant.to_bytes();
    SignedGrant {
        signatures: vec![key.sign(Purpose::Grant, &bytes)],
        bytes,
    }
}

/// A thief's list and an order under one grant of it.
struct Attempt {
    grants: Vec<SignedGrant>,
    ends: Vec<SignedGrantEnd>,
    under: GrantId,
    order: Order,
}

impl Site {
    async fn lists(&self, attempt: &Attempt) -> anyhow::Result<()> {
        let list = GrantList {
            grants: attempt.grants.clone(),
            ends: attempt.ends.clone(),
        };
        let frame = Kind::Grants(list_to_wire(&list));
        self.thief.send_frame(frame, PATIENCE).await
    }

    async fn orders(&self, attempt: &Attempt) -> anyhow::Result<ActionReport> {
        let bytes = attempt.order.to_bytes();
        let unsigned = SignedOrder {
            id: attempt.order.id,
            bytes,
            signatures: Vec::new(),
        };
        self.thief
            .deliver_under(&unsigned, attempt.under, PATIENCE)
            .await
    }

    async fn refuses_grant(
        &self,
        attempt: &Attempt,
        (refusal, words): (Refusal, &str),
    ) -> anyhow::Result<()> {
        self.lists(attempt).await?;
        let report = self.orders(attempt).await?;
        anyhow::ensure!(
            report.refusal == Some(refusal) && report.text.contains(words),
            "{words}: {report:?}"
        );
        self.nothing_else_happened(words)
    }

    /// One good grant of another action under each variation.
    fn attempt(
        &self,
        change: impl FnOnce(&mut Grant),
        key: &PrivateKey,
    ) -> anyhow::Result<Attempt> {
        let mut grant = grant(77, "hostile")?;
        change(&mut grant);
        Ok(Attempt {
            grants: vec![signed(&grant, key)],
            ends: Vec::new(),
            under: grant.id,
            order: self.forge.hook(),
        })
    }
}

#[test]
fn a_stolen_controller_gains_no_more_than_what_the_grants_allow() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_099)?;
        let _held = (0..HELD)
            .map(|port| UdpSocket::bind(("127.0.0.1", 20_000 + port)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut site = Site::start(machine).await?;

        // The grant itself, once: so every refusal below is that clause's own.
        let good = grant(7, "granted")?;
        let mut once = Attempt {
            grants: vec![signed(&good, &site.forge.ann)],
            ends: Vec::new(),
            under: good.id,
            order: site.forge.order(hook("count", "granted")),
        };
        site.lists(&once).await?;
        let taken = until("a sample that shows the ports", PATIENCE, async || {
            let report = site.orders(&once).await?;
            // Its policy wants a pause after what the host did for its honest controller.
            let waits = matches!(
                report.refusal,
                Some(Refusal::NotGranted | Refusal::TooOften)
            );
            Ok((!waits).then_some(report))
        })
        .await?;
        assert_eq!(taken.state, ActionState::Verifying, "{taken:?}");
        site.honest.push("granted".to_owned());
        site.nothing_else_happened("the grant")?;
        once.order = site.forge.order(hook("count", "granted"));
        let too_often = (Refusal::TooOften, "within an hour");
        site.refuses_grant(&once, too_often).await?;
        site.restart_with(&[], |_| Ok(())).await?;
        // A host that has just begun to sample sees nothing yet; then the count of before its restart holds.
        site.lists(&once).await?;
        let after = until("a sample after the restart", PATIENCE, async || {
            let report = site.orders(&once).await?;
            Ok((report.refusal != Some(Refusal::NotGranted)).then_some(report))
        })
        .await?;
        assert_eq!(after.refusal, Some(too_often.0), "{after:?}");
        site.nothing_else_happened("a restart")?;

        clauses(&site).await?;
        ends_stay(&site).await?;

        // The key goes, and with it all that it signed.
        let keys = site.forge.policy_keys();
        let without: String = keys.split_inclusive("[[key]]").skip(2).collect();
        site.folder.allow(&format!("{POLICY}[[key]]{without}"))?;
        let attempt = site.attempt(|_| {}, &site.forge.ann)?;
        site.refuses_grant(&attempt, (Refusal::NotGranted, "is not listed"))
            .await
    })
}

/// Each clause in turn.
async fn clauses(site: &Site) -> anyhow::Result<()> {
    let forge = &site.forge;
    let not = |words: &'static str| (Refusal::NotGranted, words);
    let unknown = site.attempt(|_| {}, &forge.stranger)?;
    site.refuses_grant(&unknown, not("is not listed")).await?;
    let junior = site.attempt(|_| {}, &forge.junior)?;
    site.refuses_grant(&junior, not("may sign up to tier 1"))
        .await?;
    let mut widened = site.attempt(|_| {}, &forge.ann)?;
    let mut more = grant(77, "hostile")?;
    more.per_day = 24;
    if let Some(one) = widened.grants.first_mut() {
        one.bytes = more.to_bytes();
    }
    site.refuses_grant(&widened, not("does not match")).await?;
    let other = site.attempt(|one| one.hosts.names = vec!["db-*".to_owned()], &forge.ann)?;
    site.refuses_grant(&other, not("for other hosts")).await?;
    let long_ago = |one: &mut Grant| {
        let ago = |days: i64| Timestamp::from_unix_ms(one.issued_at_ms.unix_ms() - days * DAY_MS);
        (one.not_before_ms, one.expires_at_ms) = (ago(3), ago(1));
        one.issued_at_ms = ago(3);
    };
    let expired = site.attempt(
        |one| {
            long_ago(one);
            one.id = GrantId::from_random(78);
        },
        &forge.ann,
    )?;
    site.refuses_grant(&expired, not("it is over")).await?;
    let later = site.attempt(
        |one| {
            one.not_before_ms = Timestamp::from_unix_ms(one.issued_at_ms.unix_ms() + 3_600_000);
        },
        &forge.ann,
    )?;
    site.refuses_grant(&later, not("does not hold yet")).await?;
    let calm = site.attempt(|one| one.trigger = level(90), &forge.ann)?;
    site.refuses_grant(&calm, not("sees otherwise")).await?;
    let mut another = site.attempt(|_| {}, &forge.ann)?;
    another.order = forge.order(hook("count", "wider"));
    site.refuses_grant(&another, not("bounds arguments"))
        .await?;
    let mut missing = site.attempt(|_| {}, &forge.ann)?;
    missing.under = GrantId::from_random(99);
    site.refuses_grant(&missing, not("was not given it"))
        .await?;
    let mut reboots = site.attempt(|_| {}, &forge.ann)?;
    reboots.order = forge.order(forge::reboot());
    site.refuses_grant(&reboots, not("it is about run_hook"))
        .await
}

/// What operators ended stays ended, whatever is listed later.
async fn ends_stay(site: &Site) -> anyhow::Result<()> {
    let mut ended = site.attempt(|one| one.id = GrantId::from_random(79), &site.forge.ann)?;
    let end = GrantEnd {
        grant: ended.under,
        issued_at_ms: Clock::System.now(),
    }
    .to_bytes();
    ended.ends.push(SignedGrantEnd {
        signature: site.forge.bob.sign(Purpose::GrantEnd, &end),
        bytes: end,
    });
    let over = (Refusal::NotGranted, "it is over");
    site.refuses_grant(&ended, over).await?;
    ended.ends.clear();
    site.refuses_grant(&ended, over).await
}
