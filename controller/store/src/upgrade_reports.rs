//! What hosts say of their agents' programs: the last word of each, and how the fleet stands by them. Decides nothing.

use std::collections::HashMap;

use sqlx::FromRow;
use tidemark_model::upgrade::UpgradeReport;
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("upgrade_reports");
const HOSTS: Table = Table("hosts");

statements! {
    PUT = "INSERT INTO upgrade_reports (host, running, seen, floor, unable, told_at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (host) DO UPDATE SET running = excluded.running, seen = excluded.seen, floor = excluded.floor, \
        unable = excluded.unable, told_at = excluded.told_at";
    FIND = "SELECT host, running, seen, floor, unable FROM upgrade_reports WHERE host = $1";
    OF_UPGRADE = "SELECT told.host, told.running, told.seen, told.floor, told.unable FROM upgrade_reports AS told \
        JOIN upgrade_hosts ON upgrade_hosts.host = told.host WHERE upgrade_hosts.upgrade = $1";
    BY_RUNNING = "SELECT running, count(*) AS hosts, min(floor) AS floor_min, max(floor) AS floor_max, max(seen) AS seen_max \
        FROM upgrade_reports AS told JOIN hosts ON hosts.id = told.host WHERE hosts.state = 'enrolled' \
        GROUP BY running ORDER BY hosts DESC, running LIMIT $1";
    BY_REASON = "SELECT unable AS text, count(*) AS hosts FROM upgrade_reports AS told JOIN hosts ON hosts.id = told.host \
        WHERE hosts.state = 'enrolled' AND unable IS NOT NULL GROUP BY unable ORDER BY hosts DESC, text LIMIT $1";
    UNABLE_FOR = "SELECT hosts.id, hosts.name FROM upgrade_reports AS told JOIN hosts ON hosts.id = told.host \
        WHERE hosts.state = 'enrolled' AND unable = $1 ORDER BY hosts.name, hosts.id LIMIT $2";
    BY_VERSION = "SELECT agent_version AS text, count(*) AS hosts FROM hosts WHERE state = 'enrolled' \
        GROUP BY agent_version ORDER BY hosts DESC, text LIMIT $1";
    TOTALS = "SELECT count(*) AS hosts, count(told.host) AS told, count(told.unable) AS unable \
        FROM hosts LEFT JOIN upgrade_reports AS told ON told.host = hosts.id WHERE hosts.state = 'enrolled'";
}

/// Enrolled hosts by what they say of releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramTotals {
    /// All of them.
    pub hosts: u64,
    /// Those that ever said something.
    pub told: u64,
    /// Those of them that take no release.
    pub unable: u64,
}

/// Enrolled hosts that run the same release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningCount {
    /// Which; 0 for the program that was installed by hand or by a package.
    pub running: u32,
    /// How many.
    pub hosts: u64,
    /// The lowest and the highest of their floors.
    pub floors: (u32, u32),
    /// The highest release that one of them has seen.
    pub seen: u32,
}

/// Enrolled hosts that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextCount {
    /// What; hostile text.
    pub text: String,
    /// How many.
    pub hosts: u64,
}

#[derive(FromRow)]
struct ReportRow {
    host: String,
    running: i64,
    seen: i64,
    floor: i64,
    unable: Option<String>,
}

#[derive(FromRow)]
struct RunningRow {
    running: i64,
    hosts: i64,
    floor_min: i64,
    floor_max: i64,
    seen_max: i64,
}

#[derive(FromRow)]
struct TextRow {
    text: String,
    hosts: i64,
}

impl ReportRow {
    fn read(self) -> Result<(HostId, UpgradeReport), StoreError> {
        let Self {
            host,
            running,
            seen,
            floor,
            unable,
        } = self;
        let running = TABLE.unsigned_32("running", running)?;
        let report = UpgradeReport {
            running: Some(running).filter(|release| *release > 0),
            seen: TABLE.unsigned_32("seen", seen)?,
            floor: TABLE.unsigned_32("floor", floor)?,
            unable,
            news: None,
        };
        Ok((TABLE.host("host", &host)?, report))
    }
}

impl RunningRow {
    fn read(&self) -> Result<RunningCount, StoreError> {
        let floor = |value| TABLE.unsigned_32("floor", value);
        Ok(RunningCount {
            running: TABLE.unsigned_32("running", self.running)?,
            hosts: TABLE.unsigned("hosts", self.hosts)?,
            floors: (floor(self.floor_min)?, floor(self.floor_max)?),
            seen: TABLE.unsigned_32("seen", self.seen_max)?,
        })
    }
}

impl TextRow {
    fn read(self) -> Result<TextCount, StoreError> {
        Ok(TextCount {
            hosts: TABLE.unsigned("hosts", self.hosts)?,
            text: self.text,
        })
    }
}

impl Tx {
    /// Keeps what a host says of its program in place of what it said before; its news are not kept here.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn upgrade_report_put(
        &mut self,
        host: HostId,
        told_at: Timestamp,
        report: &UpgradeReport,
    ) -> Result<(), StoreError> {
        let unable = report.unable.as_deref();
        let unable = unable.map(|text| columns::text("why a host takes no release", text));
        let unable = unable.transpose()?;
        on_conn!(self, conn => sqlx::query(PUT)
            .bind(host.to_string()).bind(i64::from(report.running.unwrap_or(0)))
            .bind(i64::from(report.seen)).bind(i64::from(report.floor)).bind(unable)
            .bind(told_at.unix_ms()).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// What a host said last of its program, without news; `None` when it never did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_report(
        &mut self,
        host: HostId,
    ) -> Result<Option<UpgradeReport>, StoreError> {
        let row: Option<ReportRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(host.to_string()).fetch_optional(conn).await?);
        let read = row.map(ReportRow::read).transpose()?;
        Ok(read.map(|(_, report)| report))
    }

    /// What the hosts of a roll-out said last of their programs, without news; those that never did are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_reports_of(
        &mut self,
        upgrade: i64,
    ) -> Result<HashMap<HostId, UpgradeReport>, StoreError> {
        let rows: Vec<ReportRow> = on_conn!(self, conn => sqlx::query_as(OF_UPGRADE)
            .bind(upgrade).fetch_all(conn).await?);
        rows.into_iter().map(ReportRow::read).collect()
    }

    /// How many enrolled hosts there are, and what they say of releases.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn program_totals(&mut self) -> Result<ProgramTotals, StoreError> {
        let (hosts, told, unable): (i64, i64, i64) =
            on_conn!(self, conn => sqlx::query_as(TOTALS).fetch_one(conn).await?);
        Ok(ProgramTotals {
            hosts: HOSTS.unsigned("hosts", hosts)?,
            told: TABLE.unsigned("told", told)?,
            unable: TABLE.unsigned("unable", unable)?,
        })
    }

    /// Enrolled hosts by the release that they run, the most frequent first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_by_running(&mut self, limit: u32) -> Result<Vec<RunningCount>, StoreError> {
        let rows: Vec<RunningRow> = on_conn!(self, conn => sqlx::query_as(BY_RUNNING)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.iter().map(RunningRow::read).collect()
    }

    /// Enrolled hosts by the version of their agent, the most frequent first; empty for one that did not say.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_by_version(&mut self, limit: u32) -> Result<Vec<TextCount>, StoreError> {
        let rows: Vec<TextRow> = on_conn!(self, conn => sqlx::query_as(BY_VERSION)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(TextRow::read).collect()
    }

    /// Enrolled hosts that take no release, by why, the most frequent first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_by_reason(&mut self, limit: u32) -> Result<Vec<TextCount>, StoreError> {
        let rows: Vec<TextRow> = on_conn!(self, conn => sqlx::query_as(BY_REASON)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(TextRow::read).collect()
    }

    /// Enrolled hosts that take no release for exactly this reason, with their names, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_unable(
        &mut self,
        reason: &str,
        limit: u32,
    ) -> Result<Vec<(HostId, String)>, StoreError> {
        let rows: Vec<(String, String)> = on_conn!(self, conn => sqlx::query_as(UNABLE_FOR)
            .bind(reason).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter()
            .map(|(id, name)| Ok((HOSTS.host("id", &id)?, name)))
            .collect()
    }
}
