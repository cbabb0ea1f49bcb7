//! The contract suite: what holds on both databases, as plain `async fn`s that take a [`Store`].

use std::collections::BTreeMap;

use tidemark_model::token::TokenId;
use tidemark_model::{HostFacts, HostId, Timestamp};

use crate::{HostCertificate, NewHost, NewJoinToken, Store, contract};

mod actions;
mod audit_log;
mod backup;
mod controllers;
mod cursors;
mod distribution;
mod documents;
mod events;
mod grants;
mod history;
mod host_audits;
mod hosts;
mod incidents;
mod key_statements;
mod leases;
mod notices;
mod notifications;
mod open;
mod policies;
mod runs;
mod salvage;
mod schema;
mod silences;
mod tokens;
mod transactions;
mod upgrades;
mod users;

fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

fn host_id(number: u32) -> HostId {
    HostId::of_identity_spki(&number.to_be_bytes())
}

fn facts(name: &str) -> HostFacts {
    HostFacts {
        name: name.into(),
        os: "Linux 6.18 (Debian 12)".into(),
        agent_version: "0.1.0".into(),
        boot_id: "b-1".into(),
        time_zone: Some("Europe/Vienna".into()),
        capabilities: vec![],
        labels: BTreeMap::new(),
    }
}

fn new_host(number: u32) -> NewHost {
    NewHost {
        id: host_id(number),
        identity_spki: number.to_be_bytes().to_vec(),
        facts: facts(&format!("host-{number}")),
        token_labels: BTreeMap::new(),
        enrolled_at: at(1_000),
        certificate: HostCertificate {
            generation: 1,
            not_after: at(9_000),
            spki_hash: [7; 32],
        },
    }
}

fn token_id(number: u8) -> TokenId {
    TokenId::from_bytes([number; 10])
}

fn new_token(number: u8, uses_max: u32) -> NewJoinToken {
    NewJoinToken {
        id: token_id(number),
        secret_hash: [number; 32],
        created_at: at(0),
        expires_at: at(10_000),
        uses_max,
        labels: BTreeMap::from([("site".to_owned(), "vie".to_owned())]),
    }
}

/// Enrols hosts 0 to `count - 1`.
async fn enrol(store: &Store, count: u32) {
    let mut tx = store.begin().await.unwrap();
    for number in 0..count {
        tx.host_insert(&new_host(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
}
