//! The herd from the first enrolment to the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::view::{DeliveryView, HostView, Page};
use tidemark_model::{HostId, Secret};
use tidemark_runtime::Lifecycle;
use tidemark_runtime::lifecycle::shutdown_signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::args::Arguments;
use super::asking::{Askable, Asked};
use super::blow::{Blow, Struck, strike};
use super::field::Field;
use super::flock::{self, Flock};
use super::load::{family_cpu, resident_mb};
use super::report::{Account, HerdReport, Records, Restart, Steady, goals_of};
use super::timeline::{Span, Timeline, acked, cpu, reconnects};
use crate::fleetsim::agent::HostOutcome;
use crate::fleetsim::controller_api::ControllerApi;
use crate::fleetsim::limits;
use crate::fleetsim::meter::{Latency, LatencySpan, Meter};
use crate::fleetsim::report::disagreements_of;
use crate::harness::{Controller, Machine};

/// Files of the database, the API and pipes beside the agents' sockets.
const OTHER_FILES: usize = 256;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A blow that no agent has noticed by then took no session.
const NOTICE_PATIENCE: Duration = Duration::from_secs(60);
/// How long after agents could connect again all acks are counted, unless the watch is shorter.
const MINUTE: Duration = Duration::from_secs(60);
/// How long a controller may take to end in order at the end.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Askers at the end, each with a token of its own: one may ask 100 times a second.
const ASKERS: usize = 4;
const DISAGREEMENTS_MAX: usize = 10;

/// Everything that runs.
struct Herd<'m> {
    arguments: Arguments,
    field: Field<'m>,
    flock: Flock,
    timeline: Timeline,
    asked: Asked,
    began: Instant,
    steady: Option<Steady>,
    restarts: Vec<Restart>,
}

/// Runs it on the machine.
///
/// # Errors
/// When something does not start, end or answer.
pub async fn run(machine: &Machine, arguments: Arguments) -> anyhow::Result<HerdReport> {
    limits::raise_open_files(arguments.hosts() + OTHER_FILES)?;
    let life = Lifecycle::new(Duration::ZERO);
    let field = Field::start(machine, &arguments.layout()).await?;
    let token = field.join_token(arguments.agents).await?;
    let settings = flock::settings(&field.agents_address(), &token.token, &arguments)?;
    let network = field.agents_network()?;
    let flock = Flock::gather(&life, network, settings, &arguments).await?;
    let mut herd = Herd {
        arguments,
        field,
        flock,
        timeline: Timeline::default(),
        asked: Asked::default(),
        began: Instant::now(),
        steady: None,
        restarts: Vec::new(),
    };
    let following = {
        let (timeline, meter) = (herd.timeline.clone(), Arc::clone(herd.meter()));
        timeline.follow(meter, herd.field.loads().clone())
    };
    let askable = Askable::of("herd", &herd.field, &herd.flock).await?;
    let asking = herd.asked.clone().ask(askable, herd.arguments.questions);
    tokio::select! {
        measured = Box::pin(herd.measure()) => measured?,
        () = shutdown_signal() => say("asked to end: no more restarts, every record is accounted for"),
        () = following => anyhow::bail!("the timeline ended"),
        ended = asking => return Err(ended.err().context("the questions ended")?),
    };
    let steady = herd.steady.take();
    herd.report(steady.context("asked to end before anything was measured")?)
        .await
}

impl Herd<'_> {
    fn meter(&self) -> &Arc<Meter> {
        self.flock.fleet.meter()
    }

    fn all(&self) -> u64 {
        u64::from(self.arguments.agents)
    }

    async fn measure(&mut self) -> anyhow::Result<()> {
        // The rush of enrolments is over when each agent has reported once.
        sleep(self.arguments.interval).await;
        let steady = self.steady().await?;
        say(&format!("steady: {steady:?}"));
        self.steady = Some(steady.clone());
        for nth in 0..self.arguments.restarts {
            let restart = self.restart(nth, &steady).await?;
            say(&format!("{restart:?}"));
            self.restarts.push(restart);
        }
        Ok(())
    }

    async fn steady(&self) -> anyhow::Result<Steady> {
        drop(self.asked.take());
        let meter = self.meter();
        let (from, missed) = (Instant::now(), meter.missed.get());
        let span = meter.follow(from);
        let (points, agents_cpu) = (self.points().await?, limits::cpu_time());
        let database_cpu = self.field.database().map(family_cpu);
        sleep(self.arguments.steady).await;
        let answers = self.asked.take();
        let moments = self.timeline.span(from, Instant::now());
        let seconds = from.elapsed().as_secs_f64();
        let points = self.points().await?.saturating_sub(points);
        let cores = moments.mean(cpu).unwrap_or(0.0);
        let agents = f64::from(self.arguments.agents);
        let used =
            |before: Duration, now: Duration| now.saturating_sub(before).as_secs_f64() / seconds;
        let (leaking, forecast) = self.forecast().await?;
        Ok(Steady {
            seconds,
            missed_samples: meter.missed.get() - missed,
            acked_per_s: moments.mean(acked).unwrap_or(0.0),
            acked_per_s_peak: moments.peak(acked).unwrap_or(0.0),
            latency: span.latency(),
            cpu_s_per_1000_agent_minutes: cores * 60.0 / agents * 1_000.0,
            points,
            cpu_s_per_million_points: cores * seconds / as_f64(points) * 1_000_000.0,
            cpu_cores: cores,
            agents_cpu_cores: used(agents_cpu, limits::cpu_time()),
            database_cpu_cores: self
                .field
                .database()
                .zip(database_cpu)
                .map(|(database, before)| used(before, family_cpu(database))),
            resident_mb: self.resident_mb(),
            sessions: self.sessions().await?,
            answers,
            leaking,
            forecast,
        })
    }

    async fn restart(&mut self, nth: u32, steady: &Steady) -> anyhow::Result<Restart> {
        let (kind, victim) = (self.arguments.kind_of(nth), self.arguments.victim_of(nth));
        drop(self.asked.take());
        let (disconnects, refused) = (
            self.meter().disconnects(),
            self.refused(kind, victim).await?,
        );
        let struck = strike(&mut self.field, kind, victim, &self.arguments).await?;
        let minute = self.meter().follow(self.began);
        let (lag, minute) = tokio::join!(self.all_back(&struck), async {
            sleep_until(struck.open_at + MINUTE.min(self.arguments.watch)).await;
            minute.latency()
        });
        let back_at = Instant::now();
        sleep(self.arguments.watch).await;
        let moments = self.timeline.span(struck.at, Instant::now());
        let back = Back::of(&moments, self.all(), &struck, self.arguments.controllers);
        let echo_from = back.all_but_few_at.unwrap_or(back_at) + self.arguments.interval / 2;
        let echo = self
            .timeline
            .span(echo_from, echo_from + self.arguments.interval);
        let rush = self.timeline.span(struck.at, back_at);
        let since_open = self
            .timeline
            .span(struck.open_at, back.all_at.unwrap_or(back_at));
        let answers = self.asked.take();
        let is_cut = kind == Blow::Cut;
        Ok(Restart {
            number: nth + 1,
            kind,
            victim: (!is_cut).then_some(victim + 1),
            lost: back.lost,
            exit_s: struck.ended.map(|(took, _)| took.as_secs_f64()),
            ended_well: struck.ended.map(|(_, well)| well),
            listens_s: struck.came_up.map(|up| up.listens_after.as_secs_f64()),
            serves_s: struck.came_up.map(|up| up.serves_after.as_secs_f64()),
            back_50_s: back.half_s,
            back_99_s: back.all_but_few_s,
            back_100_s: back.all_s,
            missing: self.all().saturating_sub(self.meter().connected.get()),
            sessions_per_s_peak: rush.peak(reconnects).unwrap_or(0.0),
            refused: self.refused_now().await?.saturating_sub(refused),
            disconnects: grown(&disconnects, &self.meter().disconnects()),
            minute,
            lag: lag.map_or_else(Latency::default, |span| span.latency()),
            echo_sessions_per_s: echo.peak(reconnects).unwrap_or(0.0),
            echo_acked: echo.peak(acked).unwrap_or(0.0) / steady.acked_per_s,
            echo_cpu: echo.peak(cpu).unwrap_or(0.0) / steady.cpu_cores,
            cpu_s: since_open.mean(cpu).unwrap_or(0.0) * since_open.seconds(),
            resident_mb: self.resident_mb(),
            sessions: self.sessions().await?,
            unanswered: answers.values().map(|one| one.failed).sum(),
            slowest_answer_ms: answers.values().map(|one| one.max_ms).fold(0.0, f64::max),
        })
    }

    /// Waits until every session is back or patience ends; follows what is produced once nearly all are.
    async fn all_back(&self, struck: &Struck) -> Option<Arc<LatencySpan>> {
        let (all, meter) = (self.all(), self.meter());
        let mut lag = None;
        while struck.open_at.elapsed() < self.arguments.patience {
            let now = Instant::now();
            let fewest = self.timeline.span(struck.at, now).fewest().unwrap_or(all);
            let connected = meter.connected.get();
            if fewest < all || struck.open_at.elapsed() >= NOTICE_PATIENCE {
                if connected >= all_but_few(all, fewest) && lag.is_none() {
                    lag = Some(meter.follow(now));
                }
                if connected >= all {
                    break;
                }
            }
            sleep(LOOK_EVERY).await;
        }
        lag
    }

    /// Hosts that leak, and of them those of which a date is known.
    async fn forecast(&self) -> anyhow::Result<(u64, u64)> {
        let is_leak = |name: &str| name.contains("leak");
        let agents = self.flock.fleet.agents().iter();
        let leaking = agents.filter(|agent| is_leak(agent.name())).count();
        let mut forecast = 0;
        for controller in self.field.running() {
            let page: Page<HostView> = controller.get("/api/v1/forecast?limit=1000").await?;
            let dated = page.items.iter().filter(|host| {
                is_leak(&host.name) && host.port_spaces.iter().any(|space| space.eta_ms.is_some())
            });
            forecast += dated.count() as u64;
        }
        Ok((leaking as u64, forecast))
    }

    async fn sum_of(&self, metrics: &[&str], except: Option<usize>) -> anyhow::Result<u64> {
        let mut sum = 0;
        for (place, controller) in self.field.running().enumerate() {
            for metric in metrics {
                if Some(place) != except {
                    sum += controller.metric(metric).await?;
                }
            }
        }
        Ok(sum)
    }

    async fn points(&self) -> anyhow::Result<u64> {
        self.sum_of(&["tidemark_points_stored_total "], None).await
    }

    /// What was refused by controllers that will live on.
    async fn refused(&self, kind: Blow, victim: usize) -> anyhow::Result<u64> {
        let except = (kind != Blow::Cut).then_some(victim);
        self.sum_of(&REFUSED, except).await
    }

    async fn refused_now(&self) -> anyhow::Result<u64> {
        self.sum_of(&REFUSED, None).await
    }

    async fn sessions(&self) -> anyhow::Result<Vec<u64>> {
        let mut sessions = Vec::new();
        for controller in self.field.running() {
            sessions.push(controller.metric("tidemark_sessions ").await?);
        }
        Ok(sessions)
    }

    fn resident_mb(&self) -> Vec<f64> {
        let running = self.field.running();
        running
            .filter_map(|one| Some(resident_mb(one.process.pid())?.0))
            .collect()
    }

    async fn report(mut self, steady: Steady) -> anyhow::Result<HerdReport> {
        // Asked to end, it may have been between two lives.
        self.field.begin_missing().await?;
        let outcomes = self.flock.end().await?;
        self.field.end_all(END_PATIENCE).await?;
        // What it says is what is durable, and nothing that a former life remembered.
        self.field.begin(0).await?;
        let delivered = delivered(self.field.controller(0)?, &outcomes).await?;
        let account = account(&outcomes, &delivered);
        Ok(HerdReport {
            agents: u64::from(self.arguments.agents),
            interval_s: self.arguments.interval.as_secs_f64(),
            controllers: self.arguments.controllers,
            database: if self.arguments.controllers > 1 {
                "postgres"
            } else {
                "sqlite"
            },
            steady,
            goals: goals_of(&self.restarts),
            restarts: self.restarts,
            account: Account {
                database_bytes: self.field.database_bytes(),
                ..account
            },
            agents_cpu_s: limits::cpu_time().as_secs_f64(),
        })
    }
}

const REFUSED: [&str; 2] = [
    "tidemark_tls_handshakes_failed_total ",
    "tidemark_connections_refused_total ",
];

/// When the sessions were back.
struct Back {
    lost: u64,
    half_s: Option<f64>,
    all_but_few_s: Option<f64>,
    all_s: Option<f64>,
    all_but_few_at: Option<Instant>,
    all_at: Option<Instant>,
}

impl Back {
    /// With several controllers somebody listens all the time, so time runs from the blow.
    fn of(moments: &Span, all: u64, struck: &Struck, controllers: u8) -> Self {
        let fewest = moments.fewest().unwrap_or(all).min(all);
        let lowest = moments.0.iter().rposition(|one| one.connected == fewest);
        let rising = Span(
            moments
                .0
                .get(lowest.unwrap_or(0)..)
                .unwrap_or_default()
                .to_vec(),
        );
        let from = if controllers > 1 {
            struck.at
        } else {
            struck.open_at
        };
        let lost = all - fewest;
        let [half, few, whole] = [all - lost / 2, all_but_few(all, fewest), all]
            .map(|sessions| rising.first_with(sessions));
        let after = |at: Option<Instant>| Some(at?.saturating_duration_since(from).as_secs_f64());
        Self {
            lost,
            half_s: after(half),
            all_but_few_s: after(few),
            all_s: after(whole),
            all_but_few_at: few,
            all_at: whole,
        }
    }
}

/// How many sessions there are when 99 in a hundred of the lost ones are back.
const fn all_but_few(all: u64, fewest: u64) -> u64 {
    all - all.saturating_sub(fewest) / 100
}

fn grown(
    before: &BTreeMap<&'static str, u64>,
    now: &BTreeMap<&'static str, u64>,
) -> BTreeMap<&'static str, u64> {
    let growth = |(kind, count): (&&'static str, &u64)| {
        (*kind, count - before.get(kind).copied().unwrap_or(0))
    };
    now.iter()
        .map(growth)
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// The controller's word on each host's records.
async fn delivered(
    controller: &Controller,
    outcomes: &[HostOutcome],
) -> anyhow::Result<BTreeMap<HostId, DeliveryView>> {
    let mut asking = JoinSet::new();
    for (asker, share) in outcomes
        .chunks(outcomes.len().div_ceil(ASKERS).max(1))
        .enumerate()
    {
        let token = controller
            .token_of(&format!("herd-{asker}"), "viewer")
            .await?;
        let api = ControllerApi::new(&controller.ready.http, Secret::new(token))?;
        let hosts: Vec<HostId> = share.iter().map(|outcome| outcome.host).collect();
        asking.spawn(async move {
            let mut delivered = Vec::new();
            for host in hosts {
                delivered.push((host, api.host(host).await?.delivery));
            }
            anyhow::Ok(delivered)
        });
    }
    let mut all = BTreeMap::new();
    while let Some(share) = asking.join_next().await {
        all.extend(share??);
    }
    Ok(all)
}

fn account(outcomes: &[HostOutcome], delivered: &BTreeMap<HostId, DeliveryView>) -> Account {
    let of = |outcome| disagreements_of(outcome, Some(delivered));
    let mut disagreements: Vec<String> = outcomes.iter().flat_map(of).collect();
    let conserved = disagreements.is_empty();
    disagreements.truncate(DISAGREEMENTS_MAX);
    let (mut records, unknown) = (Records::default(), DeliveryView::default());
    for one in outcomes {
        let delivery = delivered.get(&one.host).unwrap_or(&unknown);
        records.add(one.produced, &one.counts, delivery);
    }
    Account {
        records,
        conserved,
        disagreements,
        database_bytes: None,
    }
}

fn say(line: &str) {
    use std::io::Write as _;
    // Progress that nobody can read is no reason to fail.
    writeln!(std::io::stderr(), "{line}").ok();
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of points are far below 2^53"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}
