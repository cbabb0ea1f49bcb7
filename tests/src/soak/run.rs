//! The soak from the first enrolment to the report.

use std::collections::BTreeMap;
use std::fs;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::view::{ActionDetail, ActionView, DeliveryView, Page};
use tidemark_model::{ActionState, HostId, SpoolCounts};
use tidemark_runtime::entropy::Entropy;
use tidemark_runtime::lifecycle::shutdown_signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::args::Arguments;
use super::deeds::{Deeds, Patience};
use super::host::Host;
use super::people::People;
use super::report::{HostWord, SoakReport};
use crate::fleetsim::controller_api::ControllerApi;
use crate::fleetsim::report::{disagreements, imbalance};
use crate::harness::Machine;
use crate::harness::counted::TIRELESS_SETTINGS;
use crate::harness::process::built;
use crate::herd::field::Field;
use crate::herd::report::Records;

/// What a host says of an action of which its journal lost what became of it: a kill never takes that.
const LOST: &str = "journal lost";
/// Actions that are asked for at a time.
const PAGE: &str = "200";
/// How long a controller may take to end in order.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// When whom is killed.
#[derive(Clone, Debug)]
struct Moments {
    entropy: Entropy,
    every: Duration,
    down: Duration,
}

impl Moments {
    fn of(entropy: &Entropy, every: Duration, down: Duration) -> Self {
        Self {
            entropy: Entropy::seeded(entropy.u64()),
            every,
            down,
        }
    }

    fn up_for(&self) -> Duration {
        self.at_most(self.every * 2)
    }

    fn down_for(&self) -> Duration {
        self.at_most(self.down)
    }

    fn at_most(&self, longest: Duration) -> Duration {
        let ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.entropy.below(ms.saturating_add(1)))
    }
}

/// Runs it on the machine.
///
/// # Errors
/// When something does not start, end or answer, or ends by itself.
pub async fn run(machine: &Machine, arguments: Arguments) -> anyhow::Result<SoakReport> {
    // Which is needed at the end, after hours.
    built("tidemark")?;
    let settings = machine.folder().join("soak.toml");
    fs::write(&settings, TIRELESS_SETTINGS)?;
    let layout = arguments.layout(settings.display().to_string());
    let mut end = pin!(shutdown_signal());
    let mut field = or_end(&mut end, Field::start(machine, &layout)).await?;
    let token = field.join_token(arguments.agents).await?.token;
    let people = Arc::new(People::of(&field).await?);
    let entropy = Entropy::seeded(arguments.seed);
    let patience = Patience::default();
    let enough = &patience.enough;
    let (mut living, mut asking) = (JoinSet::new(), JoinSet::new());
    for number in 1..=arguments.agents {
        let joining = Host::join(machine, &field, (format!("host-{number}"), &token));
        let host = or_end(&mut end, joining).await?;
        let (name, id) = (host.name.clone(), host.id.to_string());
        let (people, patience) = (Arc::clone(&people), patience.clone());
        asking.spawn(async move {
            let deeds = Deeds::ask((&name, &id), &people, &patience).await;
            (name, deeds)
        });
        let moments = Moments::of(&entropy, arguments.agent_every, arguments.down);
        living.spawn(live(host, moments, enough.clone()));
    }
    let began = Instant::now();
    let moments = Moments::of(&entropy, arguments.controller_every, arguments.down);
    let ending = async {
        tokio::select! {
            () = sleep(arguments.lasts) => {}
            () = &mut end => {}
            () = enough.cancelled() => {}
        }
        enough.cancel();
    };
    let ((), killed) = tokio::join!(ending, kill_controllers(&mut field, &moments, enough));
    let controller_kills = killed?;
    let seconds = began.elapsed().as_secs_f64();
    let mut hosts = BTreeMap::new();
    while let Some(host) = living.join_next().await {
        let host = host??;
        hosts.insert(host.name.clone(), host);
    }
    let deeds = all_ended(asking, arguments.patience, &patience).await?;
    let soak = Soak {
        field,
        people,
        hosts,
        deeds,
    };
    let report = SoakReport {
        agents: arguments.agents,
        controllers: arguments.controllers,
        seconds,
        controller_kills,
        ..SoakReport::default()
    };
    soak.settle(report).await
}

/// Does it, unless it is asked to end: what was started ends with what is dropped.
async fn or_end<T>(
    end: &mut (impl Future<Output = ()> + Unpin),
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        () = end => anyhow::bail!("asked to end before all hosts were there: nothing was measured"),
    }
}

/// What was asked of each host, once it has ended. What takes longer is given up, and told with everything else.
async fn all_ended(
    mut asking: JoinSet<(String, Deeds)>,
    longest: Duration,
    patience: &Patience,
) -> anyhow::Result<BTreeMap<String, Deeds>> {
    let mut deeds = BTreeMap::new();
    let mut too_long = std::pin::pin!(sleep(longest));
    loop {
        tokio::select! {
            ended = asking.join_next() => match ended {
                Some(ended) => deeds.extend([ended?]),
                None => return Ok(deeds),
            },
            () = &mut too_long, if !patience.over.is_cancelled() => patience.over.cancel(),
        }
    }
}

/// Kills a host's agent again and again; it lives at the end.
async fn live(mut host: Host, moments: Moments, enough: CancellationToken) -> anyhow::Result<Host> {
    // When this ends by an error nobody waits for the hour to pass.
    let _enough_on_return = enough.clone().drop_guard();
    while enough
        .run_until_cancelled(sleep(moments.up_for()))
        .await
        .is_some()
    {
        host.kill().await?;
        sleep(moments.down_for()).await;
        host.start()?;
    }
    Ok(host)
}

/// Kills one controller after the other; all live at the end. How many it killed.
async fn kill_controllers(
    field: &mut Field<'_>,
    moments: &Moments,
    enough: &CancellationToken,
) -> anyhow::Result<u64> {
    let _enough_on_return = enough.clone().drop_guard();
    let mut kills = 0;
    let places = field.places();
    let pause = || moments.up_for() / u32::try_from(places).unwrap_or(1);
    while enough.run_until_cancelled(sleep(pause())).await.is_some() {
        let place = usize::try_from(moments.entropy.below(places as u64))?;
        field.kill(place).await?;
        kills += 1;
        sleep(moments.down_for()).await;
        field.begin(place).await?;
    }
    Ok(kills)
}

/// Everything once nobody is killed any more.
struct Soak<'m> {
    field: Field<'m>,
    people: Arc<People>,
    hosts: BTreeMap<String, Host>,
    deeds: BTreeMap<String, Deeds>,
}

impl Soak<'_> {
    /// Ends everything in order, and compares what each says.
    async fn settle(mut self, mut report: SoakReport) -> anyhow::Result<SoakReport> {
        let mut spools = BTreeMap::new();
        for (name, host) in &mut self.hosts {
            report.agent_kills += u64::from(host.lives()) - 1;
            spools.insert(name.clone(), (host.id, host.end().await?));
        }
        let mut words = Vec::new();
        for (name, host) in &self.hosts {
            let deeds = self.deeds.remove(name).context("asked of every host")?;
            report.unanswered += deeds.unanswered;
            let gave_up = deeds.last_error.iter();
            let told = gave_up.map(|error| format!("{name}: given up on an action: {error}"));
            report.violations.extend(told);
            report.violations.extend(host.damage()?);
            words.push(HostWord {
                name: name.clone(),
                asked: deeds.asked,
                ran: host.ran()?,
                journal: host.journal()?,
            });
        }
        self.field.end_all(END_PATIENCE).await?;
        // What it says is what is durable, and nothing that a former life remembered.
        self.field.begin(0).await?;
        let controller = self.field.controller(0)?;
        let api = self.people.at(controller)?;
        let told = all_actions(&api).await?;
        report.reconcile(&words, &told);
        report.reasons = reasons(&api, &told).await?;
        let lost = report.reasons.keys().filter(|why| why.contains(LOST));
        let lost: Vec<String> = lost
            .map(|why| format!("a journal lost something: {why}"))
            .collect();
        report.violations.extend(lost);
        self.account(&mut report, &spools).await?;
        let verified = controller.cli(&["audit", "verify", "--witnesses"]).await?;
        report.check("the audit log", &verified);
        self.field.end_all(END_PATIENCE).await?;
        report.check("the database", &self.field.verify().await?);
        Ok(report)
    }

    async fn account(
        &self,
        report: &mut SoakReport,
        spools: &BTreeMap<String, (HostId, SpoolCounts)>,
    ) -> anyhow::Result<()> {
        let controller = self.field.controller(0)?;
        let mut records = Records::default();
        for (name, (host, counts)) in spools {
            let delivery: DeliveryView = controller.host(&host.to_string()).await?.delivery;
            records.add(counts.produced, counts, &delivery);
            let violations = &mut report.violations;
            violations.extend(imbalance(name, counts.produced, *counts));
            violations.extend(disagreements(name, *counts, &delivery));
        }
        report.records = records;
        Ok(())
    }
}

async fn all_actions(api: &ControllerApi) -> anyhow::Result<Vec<ActionView>> {
    let mut all = Vec::new();
    let mut query = vec![("limit", PAGE.to_owned())];
    loop {
        let page: Page<ActionView> = api.get("/api/v1/actions", &query).await?;
        all.extend(page.items);
        let Some(next) = page.next_cursor else {
            return Ok(all);
        };
        query = vec![("limit", PAGE.to_owned()), ("cursor", next)];
    }
}

/// Why those of them came out otherwise than as `verified` that did, and how many for the same reason.
async fn reasons(
    api: &ControllerApi,
    actions: &[ActionView],
) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut reasons = BTreeMap::new();
    let others = actions.iter();
    for action in others.filter(|one| one.state != ActionState::Verified) {
        let path = format!("/api/v1/actions/{}", action.id);
        let detail: ActionDetail = api.get(&path, &[]).await?;
        let report = detail.report.map(|report| report.text);
        let said = report.unwrap_or_else(|| "its host said nothing".to_owned());
        let reason = format!("{}: {said}", action.state.as_str());
        *reasons.entry(reason).or_insert(0) += 1;
    }
    Ok(reasons)
}
