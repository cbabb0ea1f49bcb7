//! The siege from the first enrolment to the report.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use tidemark_model::JoinToken;
use tidemark_model::token::TokenId;
use tidemark_runtime::Lifecycle;
use tidemark_runtime::tls;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::args::Arguments;
use super::attack::{Attack, FROM, Tally, Target, attack};
use super::honest::Newcomers;
use super::report::{SiegeReport, Stretch};
use crate::fleetsim::limits;
use crate::harness::Machine;
use crate::harness::peer::{Peer, facts};
use crate::herd::Arguments as HerdArguments;
use crate::herd::asking::{Askable, Asked};
use crate::herd::field::{Field, add_address};
use crate::herd::flock::{self, Flock};
use crate::herd::load::resident_mb;
use crate::herd::timeline::{Timeline, cpu};

/// Files beside the agents' and attackers' sockets.
const OTHER_FILES: usize = 512;
/// Newcomers that there may be.
const NEWCOMERS_MAX: u32 = 10_000;
/// Questions a second to the API.
const QUESTIONS: u32 = 5;
/// An attack may have been building up for as long before it counts.
const BUILD_UP: Duration = Duration::from_secs(2);

/// Everything that runs beside the attackers.
struct Siege<'m> {
    arguments: Arguments,
    field: Field<'m>,
    flock: Flock,
    timeline: Timeline,
    asked: Asked,
    newcomers: Newcomers,
    target: Arc<Target>,
}

/// Runs it on the machine.
///
/// # Errors
/// When something does not start, end or answer.
pub async fn run(machine: &Machine, arguments: Arguments) -> anyhow::Result<SiegeReport> {
    let sockets = usize::try_from(arguments.agents + arguments.connections)?;
    limits::raise_open_files(sockets + OTHER_FILES)?;
    let herd = herd_arguments(&arguments)?;
    let life = Lifecycle::new(Duration::ZERO);
    let field = Field::start(machine, &herd.layout()).await?;
    add_address(FROM).await?;
    let token = field.join_token(arguments.agents + NEWCOMERS_MAX).await?;
    let settings = flock::settings(&field.agents_address(), &token.token, &herd)?;
    let flock = Flock::gather(&life, field.agents_network()?, settings, &herd).await?;
    let siege = Siege {
        target: Arc::new(target(&field, &arguments).await?),
        arguments,
        field,
        flock,
        timeline: Timeline::default(),
        asked: Asked::default(),
        newcomers: Newcomers::default(),
    };
    let following = {
        let meter = Arc::clone(siege.flock.fleet.meter());
        siege
            .timeline
            .clone()
            .follow(meter, siege.field.loads().clone())
    };
    let controller = siege.field.controller(0)?;
    let newcomers = siege.newcomers.clone();
    let coming = newcomers.bring(controller, &token.token);
    let askable = Askable::of("siege", &siege.field, &siege.flock).await?;
    let asking = siege.asked.clone().ask(askable, QUESTIONS);
    let stretches = tokio::select! {
        stretches = Box::pin(siege.measure()) => stretches?,
        () = following => anyhow::bail!("the timeline ended"),
        () = coming => anyhow::bail!("the newcomers ended"),
        ended = asking => return Err(ended.err().context("the questions ended")?),
    };
    Ok(SiegeReport {
        agents: siege.arguments.agents,
        stretches,
    })
}

fn herd_arguments(arguments: &Arguments) -> anyhow::Result<HerdArguments> {
    Ok(HerdArguments {
        agents: arguments.agents,
        interval: arguments.interval,
        ..HerdArguments::try_parse_from(["herd"])?
    })
}

async fn target(field: &Field<'_>, arguments: &Arguments) -> anyhow::Result<Target> {
    let controller = field.controller(0)?;
    let token = field.join_token(1).await?.token;
    let peer = Peer::enrolled_with(controller, &token, facts("broken-into")).await?;
    let (identity, trust) = peer.credentials()?;
    let token: JoinToken = token.parse()?;
    let api = controller.ready.http.trim_start_matches("http://");
    Ok(Target {
        gateway: resolved(&controller.ready.grpc)?,
        api: resolved(api)?,
        stranger: tls::client_config(trust.clone(), None)?,
        host: tls::client_config(trust, Some(identity))?,
        peer,
        token: JoinToken {
            id: TokenId::from_bytes([7; 10]),
            ..token
        },
        connections: arguments.connections,
        rate: arguments.rate,
    })
}

fn resolved(address: &str) -> anyhow::Result<SocketAddr> {
    let address = address.trim_end_matches('/');
    address
        .parse()
        .with_context(|| format!("{address} is no address"))
}

impl Siege<'_> {
    async fn measure(&self) -> anyhow::Result<Vec<Stretch>> {
        // The rush of enrolments is over when each agent has reported once.
        sleep(self.arguments.interval).await;
        let mut stretches = vec![self.stretch(None).await?];
        for kind in self.arguments.attacks.clone() {
            stretches.push(self.stretch(Some(kind)).await?);
        }
        Ok(stretches)
    }

    async fn stretch(&self, kind: Option<Attack>) -> anyhow::Result<Stretch> {
        let tally = Arc::new(Tally::default());
        let attackers = kind.map(|kind| Attackers::set_on(kind, &self.target, &tally));
        let attackers = attackers.transpose()?;
        sleep(BUILD_UP).await;
        drop((self.asked.take(), self.newcomers.take()));
        let meter = self.flock.fleet.meter();
        let (from, produced, acked) = (Instant::now(), meter.produced.get(), meter.acked.get());
        let span = meter.follow(from);
        sleep(self.arguments.lasts).await;
        let (made, through) = (meter.produced.get() - produced, meter.acked.get() - acked);
        let moments = self.timeline.span(from, Instant::now());
        let answers = self.asked.take();
        let controller = self.field.controller(0)?;
        let stretch = Stretch {
            attack: kind,
            seconds: from.elapsed().as_secs_f64(),
            goodput: share(through, made),
            latency: span.latency(),
            sessions_fewest: moments.fewest().unwrap_or(0),
            newcomers: self.newcomers.take(),
            answered: answers.values().map(|one| one.answered).sum(),
            unanswered: answers.values().map(|one| one.failed).sum(),
            slowest_answer_ms: answers.values().map(|one| one.max_ms).fold(0.0, f64::max),
            resident_mb: resident_mb(controller.process.pid()).map_or(0.0, |(now, _)| now),
            cpu_cores: moments.mean(cpu).unwrap_or(0.0),
            attackers: tally.figures(),
        };
        if let Some(attackers) = attackers {
            attackers.call_off().await?;
        }
        Ok(stretch)
    }
}

/// Attackers on a thread of their own, so that they do not sit on that of those who are honest.
struct Attackers {
    thread: JoinHandle<()>,
    stop: DropGuard,
}

impl Attackers {
    fn set_on(kind: Attack, target: &Arc<Target>, tally: &Arc<Tally>) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (target, tally, stopped) = (Arc::clone(target), Arc::clone(tally), stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = tokio::task::spawn_blocking(move || {
            let attacking = Box::pin(attack(kind, target, tally));
            runtime.block_on(stopped.run_until_cancelled(attacking));
        });
        Ok(Self {
            thread,
            stop: stop.drop_guard(),
        })
    }

    async fn call_off(self) -> anyhow::Result<()> {
        drop(self.stop);
        Ok(self.thread.await?)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of records are far below 2^53"
)]
fn share(of: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    of as f64 / all as f64
}
