//! What the forms of `/upgrades` do. Whatever has hosts change their program is asked once more, with the rings and their hosts
//! by name.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use tidemark_model::duration::parse_duration;
use tidemark_model::upgrade::{HostStage, Tally, UpgradeState, hosts_at};
use tidemark_model::view::UpgradeRequest;
use tidemark_store::{StoreError, Tx, Upgrade, UpgradeHost};

use super::with_form;
use crate::api::guard::Asking;
use crate::api::problem::Answer;
use crate::api::upgrades::upgrade_of;
use crate::app::App;
use crate::incidents::text::host_name;
use crate::upgrades::UpgradeError;
use crate::upgrades::roll_out::{self, Prepared, Word};
use crate::web::incident::{Fields, field};
use crate::web::plan::shown_again;
use crate::web::{Frame, for_person, page as respond, words};

/// Hosts of each ring, or of those that failed, that are named.
const NAMED_MAX: u32 = 20;

/// Asked before hosts change their program.
#[derive(Template)]
#[template(path = "upgrades_sure.html")]
struct Sure<'a> {
    frame: Frame,
    question: String,
    /// What comes of it, in sentences.
    effects: Vec<String>,
    /// Hosts by what becomes of them.
    groups: Vec<Group>,
    /// Where the form goes, and what it says there.
    action: String,
    fields: Vec<(&'a str, &'a str)>,
    yes: &'a str,
    back: String,
}

/// Hosts by name, as far as they are few.
#[derive(Clone, Debug)]
struct Group {
    title: String,
    hosts: String,
    named: Vec<(String, String)>,
    left: u64,
}

impl Group {
    fn new(app: &App, title: String, all: u64, hosts: &[UpgradeHost]) -> Self {
        let named = hosts.iter().take(NAMED_MAX as usize);
        let named: Vec<_> = named
            .map(|host| (host.host.to_string(), host_name(app, host.host)))
            .collect();
        Self {
            title,
            hosts: words::hosts(all),
            left: all.saturating_sub(named.len() as u64),
            named,
        }
    }
}

/// Each ring with its hosts, which come in the order of their turns.
fn rings_of(app: &App, hosts: &[UpgradeHost]) -> Vec<Group> {
    let rings = hosts.chunk_by(|one, other| one.ring == other.ring);
    rings
        .map(|ring| {
            let number = ring.first().map_or(0, |host| host.ring).saturating_add(1);
            Group::new(app, format!("Ring {number}"), ring.len() as u64, ring)
        })
        .collect()
}

/// `POST /upgrades`: shows what a roll-out would be, and starts it once somebody who saw that is sure. A form that is refused
/// comes again as it was typed, with what is wrong.
pub async fn start(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Form(fields): Fields,
) -> Response {
    match looked_at(&app, &asking, &fields).await {
        Ok(response) => response,
        Err(refused) => shown_again(refused, fields, |form| with_form(&app, &asking, form)).await,
    }
}

async fn looked_at(app: &App, asking: &Asking, fields: &[(String, String)]) -> Answer<Response> {
    let wanted = wanted_in(fields)?;
    let seen = Some(field(fields, "sure")).filter(|sure| !sure.is_empty());
    if seen.is_some() {
        match roll_out::start(app, &wanted, asking.name(), seen).await {
            Ok(number) => {
                return Ok(Redirect::to(&format!("/upgrades/{number}")).into_response());
            }
            Err(UpgradeError::Changed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut tx = app.store.read().await?;
    let prepared = roll_out::prepare(app, &mut tx, &wanted).await?;
    drop(tx);
    let fingerprint = prepared.fingerprint();
    let mut effects = effects_of(&prepared);
    if seen.is_some() {
        effects.insert(
            0,
            "The hosts or the release have changed since you looked: look again.".to_owned(),
        );
    }
    let mut kept = vec![("sure", &*fingerprint)];
    for name in ["release", "hosts", "soak", "wait", "failures_max"] {
        kept.push((name, field(fields, name)));
    }
    Ok(respond(&Sure {
        frame: Frame::new("upgrades", asking),
        question: format!(
            "Roll release {} ({}) out to {}?",
            wanted.release,
            prepared.release.manifest.version,
            words::hosts(prepared.hosts.len() as u64)
        ),
        effects,
        groups: rings_of(app, &prepared.hosts),
        action: "/upgrades".to_owned(),
        fields: kept,
        yes: "Start the roll-out",
        back: "/upgrades".to_owned(),
    }))
}

fn effects_of(prepared: &Prepared) -> Vec<String> {
    let span = |ms: u64| words::span(i64::try_from(ms).unwrap_or(i64::MAX));
    let plan = &prepared.plan;
    vec![
        "Each host judges the release by its own policy, restarts its agent as the new version, and goes back by itself when that does not get well.".to_owned(),
        format!(
            "A ring begins when the one before it has ended and {} have passed. With more than {} failed hosts it halts.",
            span(plan.soak_ms),
            plan.failures_max
        ),
        format!(
            "A host that is away is passed over {} after its ring began.",
            span(plan.wait_ms)
        ),
    ]
}

/// What is left out is as with the command line.
fn wanted_in(fields: &[(String, String)]) -> Result<UpgradeRequest, UpgradeError> {
    let text = |name: &str| Some(field(fields, name).trim()).filter(|text| !text.is_empty());
    let mut problems = Vec::new();
    let release = text("release").unwrap_or_default().parse();
    if release.is_err() {
        problems.push("release must be the number of a release".to_owned());
    }
    let failures_max = text("failures_max").map(str::parse).transpose();
    if failures_max.is_err() {
        problems.push("failures_max must be a whole number, as in 0".to_owned());
    }
    let mut seconds = |name: &str| {
        let span = text(name).map(parse_duration).transpose();
        span.unwrap_or_else(|error| {
            problems.push(format!("{name}: {error}"));
            None
        })
        .map(|span| span.as_secs())
    };
    let (soak_s, wait_s) = (seconds("soak"), seconds("wait"));
    match (release, failures_max) {
        (Ok(release), Ok(failures_max)) if problems.is_empty() => Ok(UpgradeRequest {
            release,
            hosts: text("hosts").map(str::to_owned),
            soak_s,
            failures_max,
            wait_s,
        }),
        (_, _) => Err(UpgradeError::Limits(problems)),
    }
}

/// `POST /upgrades/{upgrade}/pause`: no host begins any more, until it is resumed.
pub async fn pause(
    State(app): State<Arc<App>>,
    Path(upgrade): Path<String>,
    Form(_): Fields,
) -> Response {
    for_person(say(&app, &upgrade, Word::Pause).await)
}

/// `POST /upgrades/{upgrade}/resume`: has it go on, once somebody is sure.
pub async fn resume(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(upgrade): Path<String>,
    Form(fields): Fields,
) -> Response {
    for_person(once_sure(&app, &asking, &upgrade, (Word::Resume, &fields)).await)
}

/// `POST /upgrades/{upgrade}/stop`: ends it for good, once somebody is sure.
pub async fn stop(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(upgrade): Path<String>,
    Form(fields): Fields,
) -> Response {
    for_person(once_sure(&app, &asking, &upgrade, (Word::Stop, &fields)).await)
}

async fn once_sure(
    app: &App,
    asking: &Asking,
    upgrade: &str,
    (word, fields): (Word, &[(String, String)]),
) -> Answer<Response> {
    if field(fields, "sure") == "yes" {
        return say(app, upgrade, word).await;
    }
    ask(app, asking, upgrade_of(upgrade)?, word).await
}

async fn say(app: &App, upgrade: &str, word: Word) -> Answer<Response> {
    let number = upgrade_of(upgrade)?;
    roll_out::say(app, number, word).await?;
    Ok(Redirect::to(&format!("/upgrades/{number}")).into_response())
}

/// Asks whether it is to go on, or to stop for good.
async fn ask(app: &App, asking: &Asking, number: i64, word: Word) -> Answer<Response> {
    let mut tx = app.store.read().await?;
    let found = tx.upgrade_find(number).await?;
    let upgrade = found.ok_or(UpgradeError::UnknownUpgrade)?;
    let tallies = tx.upgrade_tallies(number).await?;
    let (title, stages): (_, &[HostStage]) = if word == Word::Resume {
        ("Failed, and forgiven", &HostStage::FAILURES)
    } else {
        ("Under way, and go on", &HostStage::UNDER_WAY)
    };
    let mut groups = Vec::new();
    let all = hosts_at(&tallies, |stage| stages.contains(&stage));
    if all > 0 {
        let mut hosts = Vec::new();
        for stage in stages {
            let found = tx.upgrade_hosts_at(number, *stage, 0..=u8::MAX, NAMED_MAX);
            hosts.extend(found.await?);
        }
        groups.push(Group::new(app, title.to_owned(), all, &hosts));
    }
    groups.extend(waiting(app, &mut tx, number, &tallies).await?);
    drop(tx);
    let asked = Asked::of(word, &upgrade);
    Ok(respond(&Sure {
        frame: Frame::new("upgrades", asking),
        question: asked.question,
        effects: vec![asked.effect],
        groups,
        action: format!("/upgrades/{number}/{}", asked.deed),
        fields: vec![("sure", "yes")],
        yes: asked.yes,
        back: format!("/upgrades/{number}"),
    }))
}

/// Each ring with those of its hosts that wait.
async fn waiting(
    app: &App,
    tx: &mut Tx,
    number: i64,
    tallies: &[Tally],
) -> Result<Vec<Group>, StoreError> {
    let mut groups = Vec::new();
    for tally in tallies {
        if tally.stage == HostStage::Waiting {
            let ring = tally.ring..=tally.ring;
            let hosts = tx.upgrade_hosts_at(number, tally.stage, ring, NAMED_MAX);
            let title = format!("Ring {}, wait", tally.ring.saturating_add(1));
            groups.push(Group::new(app, title, tally.hosts, &hosts.await?));
        }
    }
    Ok(groups)
}

/// What is asked.
struct Asked {
    question: String,
    effect: String,
    deed: &'static str,
    yes: &'static str,
}

impl Asked {
    fn of(word: Word, upgrade: &Upgrade) -> Self {
        let number = upgrade.number;
        if word == Word::Resume {
            let was = if upgrade.state == UpgradeState::Halted {
                "What failed until now is forgiven: it halts when as many fail again."
            } else {
                "It goes on where it was paused, and what failed until now is forgiven."
            };
            Self {
                question: format!("Resume roll-out {number}?"),
                effect: format!("{was} Hosts that wait get their turn, ring by ring."),
                deed: "resume",
                yes: "Resume it",
            }
        } else {
            Self {
                question: format!("Stop roll-out {number}?"),
                effect: "It ends for good. Hosts that wait are left as they are; those that have begun go on by themselves."
                    .to_owned(),
                deed: "stop",
                yes: "Stop it",
            }
        }
    }
}
