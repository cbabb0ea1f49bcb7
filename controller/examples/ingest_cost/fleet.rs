//! The fleet: hosts with their loads, and their sessions' encoders and decoders.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_controller::app::App;
use tidemark_controller::app::identities::profile_of;
use tidemark_controller::ingest::{Delivered, Lane, OpenLane};
use tidemark_model::{Epoch, HostFacts, HostId, Seq, Timestamp};
use tidemark_proto::convert::record::{
    BatchDecoder, BatchEncoder, BatchLimits, Record, encode_stored,
};
use tidemark_proto::v1::RecordBatch;
use tidemark_store::{HostCertificate, NewHost};

use crate::load::{INTERVAL, Load, host_name};

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
            name: host_name(number).into(),
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
