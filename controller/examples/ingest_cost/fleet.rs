//! The fleet: hosts with a daily load, one in fifty leaking, and their sessions' encoders and decoders.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tidemark_controller::app::App;
use tidemark_controller::app::identities::profile_of;
use tidemark_controller::ingest::{Delivered, Lane, OpenLane};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts, OwnerSample,
    PortSpaceSample, ProcessIdentity, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{
    Epoch, HostFacts, HostId, PortRange, PortSpaceKey, Protocol, Sample, Seq, Timestamp,
};
use tidemark_proto::convert::record::{
    BatchDecoder, BatchEncoder, BatchLimits, Record, encode_stored,
};
use tidemark_proto::v1::RecordBatch;
use tidemark_store::{HostCertificate, NewHost};

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(30);

const LIMITS: BatchLimits = BatchLimits {
    records_max: 256,
    bytes_max: 1024 * 1024,
};

struct Host {
    id: HostId,
    lane: Lane,
    encoder: BatchEncoder,
    decoder: BatchDecoder,
    next: Seq,
    at: Timestamp,
    load: Load,
}

struct Load {
    rng: StdRng,
    base: f64,
    swing: f64,
    leak_per_hour: f64,
    leaked: f64,
    names: Vec<Arc<str>>,
    watch: Vec<Arc<str>>,
}

/// All hosts and what they have sent.
pub struct Fleet {
    hosts: Vec<Host>,
    /// Samples sent.
    pub samples: u64,
    /// Bytes of the batches that carried them.
    pub wire_bytes: u64,
}

impl Fleet {
    /// Stores `count` hosts and opens their lanes.
    pub async fn enrol(app: &App, count: usize, start: Timestamp) -> anyhow::Result<Self> {
        let mut hosts = Vec::with_capacity(count);
        for number in 0..count {
            let spki = format!("host {number}").into_bytes();
            let id = HostId::of_identity_spki(&spki);
            store_host(app, id, spki, number, start).await?;
            let wish = OpenLane {
                host: id,
                epoch: Epoch::new(1),
                skew_ms: 0,
            };
            hosts.push((id, number, wish));
        }
        let opened =
            futures::future::try_join_all(hosts.iter().map(|(_, _, wish)| app.ingest.open(*wish)))
                .await?;
        let hosts = hosts
            .into_iter()
            .zip(opened)
            .map(|((id, number, _), opened)| Host {
                id,
                lane: opened.lane,
                encoder: BatchEncoder::default(),
                decoder: BatchDecoder::default(),
                next: Seq::new(1),
                at: start,
                load: Load::new(number as u64),
            });
        Ok(Self {
            hosts: hosts.collect(),
            samples: 0,
            wire_bytes: 0,
        })
    }

    /// Host ids, in the order of their numbers.
    pub fn ids(&self) -> Vec<HostId> {
        self.hosts.iter().map(|host| host.id).collect()
    }

    /// The next `round` of every host's samples, as its agent would send them.
    pub fn encode_round(&mut self, round: Duration) -> anyhow::Result<Vec<RecordBatch>> {
        let mut batches = Vec::with_capacity(self.hosts.len());
        for host in &mut self.hosts {
            let count = round.as_secs() / INTERVAL.as_secs();
            let mut stored = Vec::new();
            for _ in 0..count {
                host.at = host.at.saturating_add(INTERVAL);
                stored.push(encode_stored(&Record::Sample(host.load.sample(host.at))));
            }
            let encoded = host.encoder.encode(host.next, &stored, LIMITS)?;
            anyhow::ensure!(
                encoded.taken == stored.len(),
                "a round does not fit into a batch"
            );
            host.next = Seq::new(host.next.get() + count);
            self.samples += count;
            self.wire_bytes += encoded.batch.body_zstd.len() as u64;
            batches.push(encoded.batch);
        }
        Ok(batches)
    }

    /// Decodes the batches, hands them to ingest and waits until all of them are durable.
    pub async fn deliver(&mut self, app: &App, batches: Vec<RecordBatch>) -> anyhow::Result<()> {
        for (host, batch) in self.hosts.iter_mut().zip(batches) {
            let decoded = host.decoder.decode(&batch, LIMITS)?;
            anyhow::ensure!(decoded.refused.is_empty(), "a sample was refused");
            host.lane.reserve().await?.send(Delivered::Records(decoded));
        }
        for host in &mut self.hosts {
            while host.lane.acked().await.next() < host.next {}
        }
        anyhow::ensure!(
            app.metrics.records_stored.get() == self.samples,
            "samples are missing"
        );
        Ok(())
    }
}

async fn store_host(
    app: &App,
    id: HostId,
    spki: Vec<u8>,
    number: usize,
    start: Timestamp,
) -> anyhow::Result<()> {
    let host = NewHost {
        id,
        identity_spki: spki,
        facts: HostFacts {
            name: format!("web-{number:04}").into(),
            os: "Linux 6.12 (Debian 13)".into(),
            agent_version: "0.1.0".into(),
            boot_id: "1".into(),
            time_zone: None,
            capabilities: Vec::new(),
            labels: BTreeMap::new(),
        },
        token_labels: BTreeMap::new(),
        enrolled_at: start,
        certificate: HostCertificate {
            generation: 1,
            not_after: start.saturating_add(Duration::from_secs(72 * 3_600)),
            spki_hash: [0; 32],
        },
    };
    let mut tx = app.store.begin().await?;
    tx.host_insert(&host).await?;
    let stored = tx
        .host_find(id)
        .await?
        .ok_or_else(|| anyhow::anyhow!("the host is gone"))?;
    tx.commit().await?;
    app.live.put(profile_of(&stored));
    Ok(())
}

impl Load {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            base: rng.random_range(50.0..1_500.0),
            swing: rng.random_range(0.1..0.7),
            leak_per_hour: if seed.is_multiple_of(50) {
                rng.random_range(20.0..200.0)
            } else {
                0.0
            },
            leaked: 0.0,
            names: ["java", "nginx", "postgres", "svc"].map(Arc::from).to_vec(),
            watch: ["sql", "http"].map(Arc::from).to_vec(),
            rng,
        }
    }

    fn sample(&mut self, at: Timestamp) -> Sample {
        let hour = at.unix_ms().rem_euclid(86_400_000) as f64 / 3_600_000.0;
        let day = 1.0 + self.swing * ((hour - 8.0) / 24.0 * std::f64::consts::TAU).sin();
        let noise = 1.0 + self.rng.random_range(-0.03..0.03);
        self.leaked += self.leak_per_hour * INTERVAL.as_secs_f64() / 3_600.0;
        let established = (self.base * day * noise) as u32;
        let time_wait = (self.base * 0.6 * day * (1.0 + self.rng.random_range(-0.1..0.1))) as u32;
        let bound = self.leaked as u32 + 3;
        Sample {
            at,
            booted_at: Timestamp::from_unix_ms(1_779_000_000_000),
            interval_ms: 30_000,
            port_spaces: vec![self.space(established, time_wait, bound)],
            rates: CounterRates {
                tcp_active_opens: Some(u64::from(time_wait) * 16 + self.rng.random_range(0..500)),
                tcp_passive_opens: Some(u64::from(established) * 3),
                tcp_attempt_fails: Some(0),
                tcp_estab_resets: Some(self.rng.random_range(0..3) * 33),
                tcp_in_segs: Some(u64::from(established) * 900 + self.rng.random_range(0..9_000)),
                tcp_out_segs: Some(u64::from(established) * 800 + self.rng.random_range(0..9_000)),
                tcp_retrans_segs: Some(self.rng.random_range(0..10) * 33),
                ..CounterRates::default()
            },
            host_handles: Some(u64::from(established) * 3 + 2_000),
            probes: Vec::new(),
            cost: AgentCost {
                cpu_us: 2_000 + self.rng.random_range(0..500),
                resident_bytes: 9_000_000,
                collect_us: 1_500 + self.rng.random_range(0..300),
                own_ports: 1,
                own_sockets: 2,
            },
        }
    }

    fn space(&mut self, established: u32, time_wait: u32, bound: u32) -> PortSpaceSample {
        let strong = established + bound;
        let in_use = strong + time_wait;
        let mut states = StateCounts::default();
        for (state, count) in [
            (TcpState::Established, established),
            (TcpState::TimeWait, time_wait),
            (TcpState::Bound, bound),
            (TcpState::Listen, 40),
        ] {
            states.set(state, count);
        }
        PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Tcp),
            range: PortRange::new(32_768, 60_999).expect("a legal range"),
            capacity: 28_232,
            strong,
            time_wait_only: time_wait,
            bound: Some(bound),
            quality: CountQuality::Counted,
            light: Some(LightCount {
                min: in_use.saturating_sub(self.rng.random_range(0..20)),
                max: in_use + self.rng.random_range(0..40),
                last: in_use,
                counts: 6,
            }),
            states_v4: states,
            states_v6: StateCounts::default(),
            owners: self.owners(established, bound),
            owners_other: OwnerCounts {
                ports: established / 10,
                sockets: established / 8,
                ..OwnerCounts::default()
            },
            ports_without_owner: time_wait,
            destinations: vec![
                destination(1, 5_432, established / 2, time_wait / 2),
                destination(2, 443, established / 4, time_wait / 3),
            ],
            destinations_other_ports: established / 4,
            watch_groups: self
                .watch
                .iter()
                .map(|name| WatchGroupSample {
                    name: Arc::clone(name),
                    connections: established / 3,
                    time_wait: time_wait / 3,
                })
                .collect(),
        }
    }

    fn owners(&mut self, established: u32, bound: u32) -> Vec<OwnerSample> {
        let mut owners = Vec::new();
        for (rank, name) in self.names.iter().enumerate() {
            let leaks = if rank == 0 { bound } else { 0 };
            let ports = established / (2 + rank as u32) + leaks;
            owners.push(OwnerSample {
                process: ProcessIdentity {
                    pid: 1_000 + rank as u32,
                    started_at: Timestamp::from_unix_ms(1_779_000_100_000),
                    name: Arc::clone(name),
                    executable: None,
                    service: None,
                },
                counts: OwnerCounts {
                    ports,
                    bound: leaks,
                    close_wait: 0,
                    sockets: ports + 4,
                },
                handles: Some(ports + 120),
            });
        }
        owners
    }
}

fn destination(last: u8, port: u16, ports: u32, time_wait: u32) -> DestinationSample {
    DestinationSample {
        local_address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
        remote_address: IpAddr::V4(Ipv4Addr::new(10, 0, 1, last)),
        remote_port: port,
        ports: ports + time_wait,
        time_wait,
    }
}
