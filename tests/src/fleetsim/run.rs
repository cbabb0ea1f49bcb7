//! `fleetsim run`: a fleet of made-up servers that report at an interval for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::HostFacts;
use tidemark_proto::convert::record::Record;
use tidemark_runtime::{Clock, Entropy};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::agent::{Agent, facts};
use super::fleet::Fleet;
use super::meter::Meter;
use super::progress::Progress;
use super::scenario::Scenario;
use super::server::Server;

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// What a made-up fleet does.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// How many hosts.
    pub hosts: usize,
    /// What they are like.
    pub scenario: Scenario,
    /// Time between two samples of a host.
    pub interval: Duration,
    /// How long samples are taken.
    pub duration: Duration,
    /// Gives the same servers again; identities are new each time.
    pub seed: u64,
}

impl RunPlan {
    /// The facts of every host, named by what it does.
    #[must_use]
    pub fn facts(&self) -> Vec<HostFacts> {
        (0..self.hosts)
            .map(|index| {
                let behaviour = self
                    .scenario
                    .kind_of(index, self.hosts)
                    .behaviour
                    .to_string();
                let name = format!("sim-{behaviour}-{index:05}");
                let labels = BTreeMap::from([("fleetsim".to_owned(), behaviour)]);
                facts(&name, "Linux 6.12 (simulated)", labels)
            })
            .collect()
    }

    /// Takes samples on every host until the duration is over or `stop`.
    pub async fn produce(&self, fleet: &Fleet, progress: &Progress, stop: &CancellationToken) {
        let until = Instant::now() + self.duration;
        let mut producers = JoinSet::new();
        for agent in fleet.agents() {
            let producer = Producer {
                server: self.server_of(agent),
                agent: Arc::clone(agent),
                meter: Arc::clone(fleet.meter()),
                interval: self.interval,
                until,
            };
            producers.spawn(producer.run(stop.clone()));
        }
        let began = Instant::now();
        let mut show = tokio::time::interval(SHOW_EVERY);
        loop {
            tokio::select! {
                ended = producers.join_next() => match ended {
                    Some(Ok(())) => {}
                    Some(Err(error)) => tracing::error!(%error, "a simulated host broke off"),
                    None => break,
                },
                _ = show.tick() => {
                    progress.reach(began.elapsed().as_secs());
                    progress.note(fleet.meter());
                }
            }
        }
    }

    /// The server behind an agent; by its name, since hosts that were refused leave no holes.
    fn server_of(&self, agent: &Agent) -> Server {
        let index = agent
            .name()
            .rsplit('-')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        let kind = self.scenario.kind_of(index, self.hosts);
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ index as u64;
        Server::new(kind, seed, Clock::System.now())
    }
}

struct Producer {
    server: Server,
    agent: Arc<Agent>,
    meter: Arc<Meter>,
    interval: Duration,
    until: Instant,
}

impl Producer {
    /// Hosts begin at different moments of the interval, as real ones do.
    async fn run(mut self, stop: CancellationToken) {
        let interval_ms = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        let offset = Duration::from_millis(Entropy::System.below(interval_ms));
        let mut next = Instant::now() + offset;
        while next < self.until {
            tokio::select! {
                () = sleep_until(next) => {}
                () = stop.cancelled() => return,
            }
            let sample = self.server.sample(Clock::System.now());
            self.agent.produce(&Record::Sample(sample));
            next += self.interval;
            // A sample that comes when the next is due would say nothing that this one does not.
            while next < Instant::now() && next < self.until {
                next += self.interval;
                self.meter.missed.add(1);
            }
        }
    }
}
