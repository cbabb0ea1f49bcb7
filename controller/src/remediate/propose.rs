//! Asking for an action: every value is checked, the order is written once, and nothing changes it afterwards.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::action::order::{REASON_CHARS_MAX, VALID_MAX};
use tidemark_model::action::{Action, ActionId, ActionSpec, ActionState, Order};
use tidemark_model::view::ActionRequest;
use tidemark_model::{HostId, HostState, Timestamp};
use tidemark_store::{ActionQuery, Host, StoreError, Tx};

use super::{ActionError, OwnHost, step, tell, undo};
use crate::access::Horizon;
use crate::app::App;
use crate::audit_log;
use crate::incidents::text::clean;

/// How long an order is valid when nobody says.
const VALID_DEFAULT: Duration = Duration::from_secs(3_600);
/// Actions of one host that have not ended.
const OPEN_MAX: u32 = 50;
/// Longest key of a request, in characters.
const KEY_CHARS_MAX: usize = 64;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// In whose name.
    pub requester: &'a str,
    /// What they see; `None` for the controller itself.
    pub horizon: Option<&'a Horizon>,
    /// For which host.
    pub host: HostId,
    /// What.
    pub request: &'a ActionRequest,
    /// The requester's own name for the request, so that asking twice makes one action.
    pub key: Option<&'a str>,
}

impl Asked<'_> {
    fn sees(&self, host: HostId) -> bool {
        self.horizon.is_none_or(|horizon| horizon.sees(host))
    }
}

/// Makes the action, approved already where nobody needs to approve it. Answers it, and whether it was made before.
///
/// # Errors
/// [`ActionError`]; nothing is made then.
pub async fn propose(app: &App, asked: Asked<'_>) -> Result<(Action, Made), ActionError> {
    let (order, mut problems) = order_of(app, &asked);
    problems.extend(asked.key.and_then(key_problem));
    let request_hash = hash_of(asked.request);
    let request_key = asked
        .key
        .map(|key| format!("{}/{key}", clean(asked.requester)));
    let mut tx = app.store.begin().await?;
    if let Some(key) = &request_key
        && let Some(before) = tx.action_of_request(key).await?
    {
        let is_theirs = asked.sees(before.order.host);
        return if before.body.request_hash == request_hash && is_theirs {
            Ok((before, Made::Before))
        } else {
            Err(ActionError::RequestDiffers)
        };
    }
    if let Some(incident) = asked.request.incident
        && !tx.incident_find(incident).await?.is_some_and(|found| {
            let hosts = &found.problem.hosts;
            asked.horizon.is_none_or(|horizon| horizon.sees_any(hosts))
        })
    {
        problems.push(format!(
            "incident is {incident}; there is no such incident, leave it out or take a number of the list"
        ));
    }
    let (Some(mut order), true) = (order, problems.is_empty()) else {
        return Err(ActionError::Limits(problems));
    };
    if !order.dry_run && asked.request.undo_if_worse != Some(false) {
        order.undo_within_s = undo::consent(app, &mut tx, (order.host, &order.spec)).await?;
    }
    check_host(app, &mut tx, &order).await?;
    let mut action = Action::proposed(order);
    action.incident = asked.request.incident;
    action.request_key = request_key;
    action.body.request_hash = request_hash;
    action.number = tx.action_insert(&action).await?;
    let mut told = vec![action.first_step()];
    if super::decide::approvals_needed(&action) == 0 {
        let approved = step(
            app,
            &mut action,
            ActionState::Approved,
            (
                None,
                "it disturbs nobody, so that nobody needs to approve it",
            ),
        )?;
        tx.action_update(&mut action, std::slice::from_ref(&approved))
            .await?;
        told.push(approved);
    }
    audit_log::keep_steps(app, &mut tx, (&action, &told)).await?;
    tx.commit().await?;
    for step in &told {
        tell(app, &action, step);
    }
    app.remediation.changed.notify_one();
    Ok((action, Made::Now))
}

/// What is wrong with a requester's own name for a request; `None` when nothing is.
fn key_problem(key: &str) -> Option<String> {
    let is_fine =
        (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_fine)
        .then(|| format!("Idempotency-Key must be 1 to {KEY_CHARS_MAX} visible ASCII characters"))
}

/// Whether asking made the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It did.
    Now,
    /// The same request had made it before.
    Before,
}

/// The order that a request asks for, and everything that is wrong with it.
fn order_of(app: &App, asked: &Asked<'_>) -> (Option<Order>, Vec<String>) {
    let request = asked.request;
    let mut problems = Vec::new();
    let spec = match serde_json::from_value::<ActionSpec>(request.spec.clone()) {
        Ok(spec) => {
            problems.extend(
                spec.problems()
                    .iter()
                    .map(|problem| format!("spec.{problem}")),
            );
            Some(spec)
        }
        Err(error) => {
            problems.push(format!("spec: {error}"));
            None
        }
    };
    let length = request.reason.chars().count();
    if !(1..=REASON_CHARS_MAX).contains(&length) || request.reason.chars().any(char::is_control) {
        problems.push(format!(
            "reason must be 1 to {REASON_CHARS_MAX} characters without control characters: say why, it is signed and kept"
        ));
    }
    if request.undo_if_worse == Some(true)
        && spec.as_ref().is_some_and(|spec| !spec.can_be_undone())
    {
        problems.push(
            "undo_if_worse is true; this kind of action cannot be undone, leave it out".to_owned(),
        );
    }
    let now = app.clock.now();
    let not_before = request.not_before_ms.map_or(now, Timestamp::from_unix_ms);
    let expires = request.expires_ms.map_or_else(
        || not_before.saturating_add(VALID_DEFAULT),
        Timestamp::from_unix_ms,
    );
    let latest = now.saturating_add(VALID_MAX);
    if not_before > latest {
        problems.push(format!(
            "not_before_ms is {}; it must be within 14 d from now",
            not_before.unix_ms()
        ));
    } else if expires <= not_before.max(now) || expires > latest {
        problems.push(format!(
            "expires_ms is {}; it must lie after not_before_ms and now, and at most 14 d from now",
            expires.unix_ms()
        ));
    }
    let order = spec.map(|spec| Order {
        id: ActionId::from_random(
            u128::from(app.entropy.u64()) << 64 | u128::from(app.entropy.u64()),
        ),
        host: asked.host,
        spec,
        dry_run: request.dry_run,
        issued_at_ms: now,
        not_before_ms: not_before.max(now),
        expires_at_ms: expires,
        requester: clean(asked.requester),
        reason: request.reason.clone(),
        undo_within_s: None,
    });
    if problems.is_empty()
        && let Some(Err(error)) = order.as_ref().map(Order::check)
    {
        problems.push(error.to_string());
    }
    (order, problems)
}

/// Whether that host may be a target at all.
pub(crate) async fn check_host(app: &App, tx: &mut Tx, order: &Order) -> Result<(), ActionError> {
    let host = tx.host_find(order.host).await?;
    let host = host.ok_or(StoreError::NotFound { what: "host" })?;
    if host.state != HostState::Enrolled {
        return Err(ActionError::HostOut);
    }
    if is_own(app, &host) && order.disturbs() {
        return Err(ActionError::OwnHost);
    }
    let open = tx
        .actions_page(&ActionQuery {
            only_open: true,
            host: Some(order.host),
            limit: OPEN_MAX,
            ..ActionQuery::default()
        })
        .await?;
    if open.len() >= OPEN_MAX as usize {
        return Err(ActionError::TooMany(open.len()));
    }
    Ok(())
}

/// Whether this controller runs on that host.
pub(crate) fn is_own(app: &App, host: &Host) -> bool {
    is_own_host(app, host.id, (&host.facts.name, &host.facts.boot_id))
}

/// Whether this controller runs on the host of that id, name and boot.
pub(crate) fn is_own_host(app: &App, id: HostId, (name, boot): (&str, &str)) -> bool {
    match &app.remediation.rules.own_host {
        OwnHost::None => false,
        OwnHost::Named(own) => own == name || *own == id.to_string(),
        OwnHost::Detect => app.remediation.own_boot.as_deref() == Some(boot),
    }
}

fn hash_of(request: &ActionRequest) -> String {
    // Strings, numbers and JSON values always serialise.
    let text = serde_json::to_vec(request).unwrap_or_default();
    HEXLOWER.encode(&Sha256::digest(text))
}
