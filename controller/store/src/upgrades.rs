//! Roll-outs of releases: each with its hosts and how far they are. Decides nothing.

use std::ops::RangeInclusive;

use sqlx::FromRow;
use tidemark_model::release::ManifestDigest;
use tidemark_model::upgrade::{HostStage, Tally, UpgradePlan, UpgradeState};
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("upgrades");
const HOSTS: Table = Table("upgrade_hosts");

/// A roll-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Its number.
    pub number: i64,
    /// Of which release.
    pub release: u32,
    /// Which manifest.
    pub manifest: ManifestDigest,
    /// Which hosts were asked for, as a scope is written.
    pub hosts: String,
    /// How.
    pub plan: UpgradePlan,
    /// Where it stands.
    pub state: UpgradeState,
    /// Failures that somebody saw who had it go on nevertheless.
    pub forgiven: u32,
    /// Why it stands there.
    pub note: String,
    /// Counts its changes.
    pub generation: i64,
    /// When it was started.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// A host in a roll-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeHost {
    /// Which.
    pub host: HostId,
    /// Its ring, from 0.
    pub ring: u8,
    /// How far it is.
    pub stage: HostStage,
    /// Since when.
    pub since: Timestamp,
    /// Why, by its own words; hostile text.
    pub text: String,
}

macro_rules! select_upgrades {
    ($rest:literal) => {
        concat!(
            "SELECT number, release, manifest, hosts, plan, state, forgiven, note, generation, created_at, created_by, changed_at \
             FROM upgrades ",
            $rest
        )
    };
}

macro_rules! select_hosts {
    ($rest:literal) => {
        concat!(
            "SELECT host, ring, stage, since, text FROM upgrade_hosts ",
            $rest
        )
    };
}

statements! {
    NEXT = "SELECT coalesce(max(number), 0) + 1 FROM upgrades";
    INSERT = "INSERT INTO upgrades (number, release, manifest, hosts, plan, state, forgiven, note, generation, created_at, created_by, changed_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING";
    UPDATE = "UPDATE upgrades SET state = $3, forgiven = $4, note = $5, changed_at = $6, generation = generation + 1 \
        WHERE number = $1 AND generation = $2";
    FIND = select_upgrades!("WHERE number = $1");
    PAGE = select_upgrades!("ORDER BY number DESC LIMIT $1");
    OPEN = select_upgrades!("WHERE state IN ('running', 'paused', 'halted') ORDER BY number");
    DELETE_BEFORE = "DELETE FROM upgrades WHERE number <= $1 AND state IN ('done', 'stopped')";
    HOST_INSERT = "INSERT INTO upgrade_hosts (upgrade, host, ring, stage, since, text) VALUES ($1, $2, $3, $4, $5, $6)";
    HOST_UPDATE = "UPDATE upgrade_hosts SET stage = $4, since = $5, text = $6 WHERE upgrade = $1 AND host = $2 AND stage = $3";
    HOSTS_MOVE = "UPDATE upgrade_hosts SET stage = $3, since = $4, text = $5 WHERE upgrade = $1 AND stage = $2";
    HOSTS_OF = select_hosts!("WHERE upgrade = $1 ORDER BY ring, host");
    HOSTS_AT = select_hosts!("WHERE upgrade = $1 AND stage = $2 AND ring BETWEEN $3 AND $4 \
        ORDER BY ring, since, host LIMIT $5");
    HOST_FIND = select_hosts!("WHERE upgrade = $1 AND host = $2");
    TALLIES = "SELECT ring, stage, count(*) AS hosts, max(since) AS since FROM upgrade_hosts WHERE upgrade = $1 \
        GROUP BY ring, stage ORDER BY ring, stage";
}

#[derive(FromRow)]
struct UpgradeRow {
    number: i64,
    release: i64,
    manifest: String,
    hosts: String,
    plan: String,
    state: String,
    forgiven: i64,
    note: String,
    generation: i64,
    created_at: i64,
    created_by: String,
    changed_at: i64,
}

#[derive(FromRow)]
struct HostRow {
    host: String,
    ring: i64,
    stage: String,
    since: i64,
    text: String,
}

#[derive(FromRow)]
struct TallyRow {
    ring: i64,
    stage: String,
    hosts: i64,
    since: i64,
}

fn ring_of(ring: i64) -> Result<u8, StoreError> {
    u8::try_from(ring).map_err(|_| HOSTS.unreadable("ring", ring))
}

fn stage_of(stage: &str) -> Result<HostStage, StoreError> {
    HostStage::from_name(stage).ok_or_else(|| HOSTS.unreadable("stage", stage))
}

impl TryFrom<TallyRow> for Tally {
    type Error = StoreError;

    fn try_from(row: TallyRow) -> Result<Self, StoreError> {
        Ok(Self {
            ring: ring_of(row.ring)?,
            stage: stage_of(&row.stage)?,
            hosts: HOSTS.unsigned("hosts", row.hosts)?,
            since: Timestamp::from_unix_ms(row.since),
        })
    }
}

impl TryFrom<UpgradeRow> for Upgrade {
    type Error = StoreError;

    fn try_from(row: UpgradeRow) -> Result<Self, StoreError> {
        let UpgradeRow {
            number,
            release,
            manifest,
            hosts,
            plan,
            state,
            forgiven,
            note,
            generation,
            created_at,
            created_by,
            changed_at,
        } = row;
        Ok(Self {
            number,
            release: TABLE.unsigned_32("release", release)?,
            manifest: manifest
                .parse()
                .map_err(|_| TABLE.unreadable("manifest", &manifest))?,
            hosts,
            plan: TABLE.json("plan", &plan)?,
            state: UpgradeState::from_name(&state)
                .ok_or_else(|| TABLE.unreadable("state", &state))?,
            forgiven: TABLE.unsigned_32("forgiven", forgiven)?,
            note,
            generation,
            created_at: Timestamp::from_unix_ms(created_at),
            created_by,
            changed_at: Timestamp::from_unix_ms(changed_at),
        })
    }
}

impl TryFrom<HostRow> for UpgradeHost {
    type Error = StoreError;

    fn try_from(row: HostRow) -> Result<Self, StoreError> {
        let HostRow {
            host,
            ring,
            stage,
            since,
            text,
        } = row;
        Ok(Self {
            host: HOSTS.host("host", &host)?,
            ring: ring_of(ring)?,
            stage: stage_of(&stage)?,
            since: Timestamp::from_unix_ms(since),
            text,
        })
    }
}

impl Tx {
    /// Adds a roll-out with its hosts under the next number, which is told.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when another one took the number meanwhile; or when the database fails, or a text holds a NUL.
    pub async fn upgrade_insert(
        &mut self,
        upgrade: &Upgrade,
        hosts: &[UpgradeHost],
    ) -> Result<i64, StoreError> {
        let number: i64 = on_conn!(self, conn => sqlx::query_scalar(NEXT).fetch_one(conn).await?);
        let plan = columns::json("plan of a roll-out", &upgrade.plan)?;
        let asked = columns::text("hosts of a roll-out", &upgrade.hosts)?;
        let note = columns::text("note of a roll-out", &upgrade.note)?;
        let by = columns::text("who started a roll-out", &upgrade.created_by)?;
        let rows = on_conn!(self, conn => sqlx::query(INSERT)
            .bind(number).bind(i64::from(upgrade.release)).bind(upgrade.manifest.to_string())
            .bind(asked).bind(plan).bind(upgrade.state.as_str()).bind(i64::from(upgrade.forgiven))
            .bind(note).bind(upgrade.generation).bind(upgrade.created_at.unix_ms()).bind(by)
            .bind(upgrade.changed_at.unix_ms()).execute(conn).await?.rows_affected());
        if rows != 1 {
            return Err(StoreError::Stale { what: "upgrade" });
        }
        for host in hosts {
            let text = columns::text("word of a host", &host.text)?;
            let rows = on_conn!(self, conn => sqlx::query(HOST_INSERT)
                .bind(number).bind(host.host.to_string()).bind(i64::from(host.ring))
                .bind(host.stage.as_str()).bind(host.since.unix_ms()).bind(text)
                .execute(conn).await?.rows_affected());
            if rows != 1 {
                return Err(StoreError::Stale { what: "upgrade" });
            }
        }
        Ok(number)
    }

    /// Keeps where a roll-out stands, if nobody changed it since it was found.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody did, or it is gone; or when the database fails, or a text holds a NUL.
    pub async fn upgrade_update(&mut self, upgrade: &Upgrade) -> Result<(), StoreError> {
        let note = columns::text("note of a roll-out", &upgrade.note)?;
        let rows = on_conn!(self, conn => sqlx::query(UPDATE)
            .bind(upgrade.number).bind(upgrade.generation).bind(upgrade.state.as_str())
            .bind(i64::from(upgrade.forgiven)).bind(note).bind(upgrade.changed_at.unix_ms())
            .execute(conn).await?.rows_affected());
        if rows == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale { what: "upgrade" })
        }
    }

    /// The roll-out of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_find(&mut self, number: i64) -> Result<Option<Upgrade>, StoreError> {
        let row: Option<UpgradeRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(number).fetch_optional(conn).await?);
        row.map(Upgrade::try_from).transpose()
    }

    /// Roll-outs of any state, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrades_page(&mut self, limit: u32) -> Result<Vec<Upgrade>, StoreError> {
        let rows: Vec<UpgradeRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Upgrade::try_from).collect()
    }

    /// Roll-outs that are not over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrades_open(&mut self) -> Result<Vec<Upgrade>, StoreError> {
        let rows: Vec<UpgradeRow> =
            on_conn!(self, conn => sqlx::query_as(OPEN).fetch_all(conn).await?);
        rows.into_iter().map(Upgrade::try_from).collect()
    }

    /// Deletes roll-outs that are over up to that number; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrades_delete_through(&mut self, number: i64) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(number).execute(conn).await?.rows_affected()))
    }

    /// The hosts of a roll-out, by ring.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_hosts(&mut self, number: i64) -> Result<Vec<UpgradeHost>, StoreError> {
        let rows: Vec<HostRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_OF)
            .bind(number).fetch_all(conn).await?);
        rows.into_iter().map(UpgradeHost::try_from).collect()
    }

    /// The hosts of a roll-out at that stage in those rings: by ring, and those that are there longest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_hosts_at(
        &mut self,
        number: i64,
        stage: HostStage,
        rings: RangeInclusive<u8>,
        limit: u32,
    ) -> Result<Vec<UpgradeHost>, StoreError> {
        let rows: Vec<HostRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_AT)
            .bind(number).bind(stage.as_str()).bind(i64::from(*rings.start()))
            .bind(i64::from(*rings.end())).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(UpgradeHost::try_from).collect()
    }

    /// A host of a roll-out; `None` when it is not one of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_host_find(
        &mut self,
        number: i64,
        host: HostId,
    ) -> Result<Option<UpgradeHost>, StoreError> {
        let row: Option<HostRow> = on_conn!(self, conn => sqlx::query_as(HOST_FIND)
            .bind(number).bind(host.to_string()).fetch_optional(conn).await?);
        row.map(UpgradeHost::try_from).transpose()
    }

    /// How many hosts of a roll-out are where, by ring.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_tallies(&mut self, number: i64) -> Result<Vec<Tally>, StoreError> {
        let rows: Vec<TallyRow> = on_conn!(self, conn => sqlx::query_as(TALLIES)
            .bind(number).fetch_all(conn).await?);
        rows.into_iter().map(Tally::try_from).collect()
    }

    /// Moves every host of a roll-out that is at `before`; how many.
    ///
    /// # Errors
    /// When the database fails, or the text holds a NUL.
    pub async fn upgrade_hosts_move(
        &mut self,
        number: i64,
        (before, after): (HostStage, HostStage),
        (since, text): (Timestamp, &str),
    ) -> Result<u64, StoreError> {
        let text = columns::text("word of a host", text)?;
        Ok(on_conn!(self, conn => sqlx::query(HOSTS_MOVE)
            .bind(number).bind(before.as_str()).bind(after.as_str()).bind(since.unix_ms()).bind(text)
            .execute(conn).await?.rows_affected()))
    }

    /// Keeps how far a host is; `false` when it was not at `before` any more.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn upgrade_host_update(
        &mut self,
        number: i64,
        before: HostStage,
        host: &UpgradeHost,
    ) -> Result<bool, StoreError> {
        let text = columns::text("word of a host", &host.text)?;
        let rows = on_conn!(self, conn => sqlx::query(HOST_UPDATE)
            .bind(number).bind(host.host.to_string()).bind(before.as_str())
            .bind(host.stage.as_str()).bind(host.since.unix_ms()).bind(text)
            .execute(conn).await?.rows_affected());
        Ok(rows == 1)
    }
}
