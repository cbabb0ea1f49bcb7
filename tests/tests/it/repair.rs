//! A damaged SQLite database is repaired: what can be read is there again, what cannot is counted, hosts go on, and nothing is
//! deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidemark_model::view::{AuditEntryView, HostDetail, Page};
use tidemark_runtime::Clock;
use tidemark_store::testing::trees;
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::{
    AgentFolder, Controller, Machine, Peer, Process, SOON, STARTING, Up, on_own_network, until,
};

const PAGE: usize = 4_096;
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// A host that was told to stay away comes again after a minute.
const STAYING_AWAY: Duration = Duration::from_secs(120);

/// The database of a controller that is stopped.
struct Database {
    up: Up,
    path: PathBuf,
    whole: Vec<u8>,
}

impl Database {
    fn of(up: &Up, machine: &Machine) -> anyhow::Result<Self> {
        let path = up.data_dir(machine).join("tidemark.db");
        Ok(Self {
            up: up.clone(),
            whole: fs::read(&path)?,
            path,
        })
    }

    /// A controller served a host whose records are stored, and was stopped.
    async fn of_a_host(machine: &Machine) -> anyhow::Result<Self> {
        let up = Up::alone();
        let controller = Controller::up(machine, &up).await?;
        let peer = Peer::enrolled(&controller, "host").await?;
        peer.deliver(1, async |mut session| {
            let now = Clock::System.now();
            for seq in 1..=5 {
                session.samples(seq, &[sample(now, 5)]).await?;
                session.acked(seq).await?;
            }
            Ok(())
        })
        .await?;
        assert_eq!(controller.stop().await?.code(), Some(0));
        Self::of(&up, machine)
    }

    /// Zeros the last page of that tree, as a power cut leaves blocks that were never written; answers what is left.
    async fn zero_last_page_of(&self, tree: &str) -> anyhow::Result<Vec<u8>> {
        let pages = trees(&self.path).await;
        let page = pages.iter().rposition(|name| name == tree);
        let page = page.with_context(|| format!("no page of {tree}"))?;
        let mut damaged = fs::read(&self.path)?;
        let part = damaged.get_mut(page * PAGE..(page + 1) * PAGE);
        part.context("the database is smaller")?.fill(0);
        fs::write(&self.path, &damaged)?;
        Ok(damaged)
    }

    /// The names of what is beside the database and begins as it does.
    fn beside(&self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path.parent().unwrap_or(Path::new(".")))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with("tidemark.db") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The only damaged database that is kept.
    fn kept(&self) -> anyhow::Result<PathBuf> {
        let names = self.beside()?;
        let mut kept = names
            .iter()
            .filter(|name| name.contains(".damaged-") && name.ends_with('Z'));
        let (Some(one), None) = (kept.next(), kept.next()) else {
            anyhow::bail!("not one damaged database: {names:?}");
        };
        Ok(self.path.with_file_name(one))
    }
}

/// The line of a table in what a repair says.
fn line<'a>(said: &'a str, table: &str) -> anyhow::Result<&'a str> {
    let mut lines = said.lines();
    lines
        .find(|line| line.split_whitespace().next() == Some(table))
        .with_context(|| format!("no word about {table}: {said}"))
}

async fn detail(controller: &Controller) -> anyhow::Result<HostDetail> {
    let host = controller.only_host().await?;
    controller.host(&host.id).await
}

#[test]
fn a_damaged_database_is_repaired_and_its_hosts_go_on() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "agent", &token.controller, &token.token)?;
        let mut agent = folder.run()?;
        controller.first_sample(STARTING).await?;
        let stored = until("some history", STARTING, async || {
            let stored = detail(&controller).await?.delivery.stored;
            Ok((stored > 8).then_some(stored))
        })
        .await?;
        assert_eq!(controller.stop().await?.code(), Some(0));

        let database = Database::of(&up, machine)?;
        let damaged = database.zero_last_page_of("recent").await?;
        let mut refused = up.start(machine)?;
        let ended = refused.wait(STOP_TIMEOUT).await?;
        assert_eq!(ended.code(), Some(1), "{}", refused.said());
        let said = refused.stderr()?;
        assert!(said.contains("tidemark-controller repair"), "{said}");

        let said = database.up.run(machine, &["repair"]).await?.succeeded()?;
        let recent = line(&said, "recent")?;
        assert!(!recent.contains("unknown"), "{said}");
        assert!(
            recent.contains("after") || recent.contains("anywhere"),
            "{said}"
        );
        assert!(line(&said, "hosts")?.ends_with("1  0"), "{said}");
        assert!(said.contains("history between"), "{said}");
        assert!(said.contains("lost after their ack"), "{said}");
        assert_eq!(fs::read(database.kept()?)?, damaged, "kept byte for byte");
        assert_eq!(database.beside()?.len(), 2, "{:?}", database.beside());
        let verified = database.up.run(machine, &["verify"]).await?.succeeded()?;
        assert!(verified.contains("stored or counted"), "{verified}");

        let controller = Controller::up(machine, &up).await?;
        let after = until("the host to go on", STAYING_AWAY, async || {
            let host = detail(&controller).await?;
            Ok((host.delivery.stored > stored + 3).then_some(host))
        })
        .await?;
        assert!(after.delivery.dropped.contains_key("lost_after_ack"));
        let told = controller.cli(&["get", "events"]).await?.succeeded()?;
        assert!(told.contains("was damaged, and repaired"), "{told}");
        let log: Page<AuditEntryView> = controller.get("/api/v1/audit-log?what=restore").await?;
        let record = serde_json::to_string(&log.items)?;
        assert!(record.contains("tidemark-controller repair"), "{record}");
        assert!(record.contains("recent: "), "{record}");
        assert_accounted_for(&controller, &folder, &mut agent).await
    })
}

/// produced = stored + dropped + in the spool, by the agent's last word and the controller's.
async fn assert_accounted_for(
    controller: &Controller,
    folder: &AgentFolder,
    agent: &mut Process,
) -> anyhow::Result<()> {
    let spool = folder.end(agent).await?;
    let delivery = detail(controller).await?.delivery;
    let dropped: u64 = delivery.dropped.values().sum();
    assert_eq!(
        spool.produced,
        delivery.stored + dropped + spool.held,
        "{delivery:?}, {spool:?}"
    );
    Ok(())
}

#[test]
fn what_is_lost_is_told_table_by_table_and_only_that() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let database = Database::of_a_host(machine).await?;
        // An index has nothing of its own.
        database.zero_last_page_of("notices_by_host").await?;
        let said = database.up.run(machine, &["repair"]).await?.succeeded()?;
        for table in ["hosts", "recent", "notices", "audit_log", "cursors"] {
            assert!(line(&said, table)?.ends_with("  0"), "{table}: {said}");
        }
        assert!(said.contains("nothing is lost; what is wrong"), "{said}");
        database.up.run(machine, &["verify"]).await?.succeeded()?;

        // A host's row: what refers to it goes too, and all of it is told.
        fs::write(&database.path, &database.whole)?;
        database.zero_last_page_of("hosts").await?;
        let dry = database
            .up
            .run(machine, &["repair", "--dry-run"])
            .await?
            .succeeded()?;
        assert!(line(&dry, "hosts")?.contains("0  1"), "{dry}");
        assert!(
            line(&dry, "cursors")?.contains("belonged to rows that are lost"),
            "{dry}"
        );
        assert!(dry.contains("without --dry-run"), "{dry}");
        let said = database.up.run(machine, &["repair"]).await?.succeeded()?;
        let kept = database.beside()?;
        let kept = kept.iter().filter(|name| name.contains(".damaged-"));
        assert_eq!(kept.count(), 2, "{:?}", database.beside());
        assert!(said.contains("enrol them again"), "{said}");
        database.up.run(machine, &["verify"]).await?.succeeded()?;
        let controller = Controller::up(machine, &database.up).await?;
        assert!(controller.hosts().await?.is_empty());
        Peer::enrolled(&controller, "host").await?;
        Ok(())
    })
}

#[test]
fn a_lost_entry_ends_the_audit_log_before_it_and_what_is_behind_is_kept() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let controller = Controller::up(machine, &up).await?;
        for _ in 0..40 {
            controller.join_token().await?;
        }
        assert_eq!(controller.stop().await?.code(), Some(0));
        let database = Database::of(&up, machine)?;
        let pages = trees(&database.path).await;
        let of_log: Vec<usize> = (0..pages.len())
            .filter(|page| pages.get(*page).is_some_and(|tree| tree == "audit_log"))
            .collect();
        ensure!(of_log.len() > 3, "the log has {} pages", of_log.len());
        // Neither the first page, which leads to the others, nor the last one.
        let middle = of_log.get(of_log.len() / 2).copied().unwrap_or_default();
        let mut damaged = database.whole.clone();
        damaged
            .get_mut(middle * PAGE..(middle + 1) * PAGE)
            .context("the database is smaller")?
            .fill(0xa5);
        fs::write(&database.path, &damaged)?;

        let said = database.up.run(machine, &["repair"]).await?.succeeded()?;
        assert!(said.contains("the audit log ends with entry"), "{said}");
        let rest = database.beside()?;
        let rest = rest
            .iter()
            .find(|name| name.ends_with(".audit-log.jsonl"))
            .context("no rest")?;
        let rest = fs::read_to_string(database.path.with_file_name(rest))?;
        assert!(rest.lines().count() > 1, "{rest}");
        assert!(rest.contains("join_token_create"), "{rest}");
        database.up.run(machine, &["verify"]).await?.succeeded()?;
        let controller = Controller::up(machine, &up).await?;
        until("the log to be followed", SOON, async || {
            let status: serde_json::Value = controller.get("/api/v1/audit-log/status").await?;
            ensure!(status["fault"].is_null(), "{status}");
            Ok(status["size"].as_u64().filter(|size| *size > 0))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn a_repair_changes_nothing_where_nothing_is_to_be_repaired_or_nothing_can_be() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let database = Database::of_a_host(machine).await?;
        let said = database.up.run(machine, &["repair"]).await?.succeeded()?;
        assert!(said.contains("nothing is wrong"), "{said}");
        assert_eq!(fs::read(&database.path)?, database.whole);
        assert_eq!(database.beside()?, ["tidemark.db"]);

        // The first page says where everything is.
        let mut headless = database.whole.clone();
        headless.get_mut(..PAGE).context("no page")?.fill(0);
        fs::write(&database.path, &headless)?;
        let refused = database.up.run(machine, &["repair"]).await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("restore a backup"), "{refused:?}");
        assert_eq!(fs::read(&database.path)?, headless);
        assert_eq!(database.beside()?, ["tidemark.db"]);

        fs::write(&database.path, &database.whole)?;
        let controller = Controller::up(machine, &database.up).await?;
        let refused = database.up.run(machine, &["repair"]).await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("another controller"), "{refused:?}");
        assert_eq!(controller.hosts().await?.len(), 1);
        Ok(())
    })
}

#[test]
fn a_repair_that_was_cut_off_is_refused_by_the_controller_and_done_again() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let database = Database::of_a_host(machine).await?;
        let damaged = database.zero_last_page_of("notices_by_host").await?;
        // As it is between the two last steps.
        let kept = "tidemark.db.damaged-20261130T021500Z";
        fs::rename(&database.path, database.path.with_file_name(kept))?;
        fs::write(&database.path, format!("Tidemark repair of {kept}\n"))?;
        let mut refused = database.up.start(machine)?;
        let ended = refused.wait(STOP_TIMEOUT).await?;
        assert_eq!(ended.code(), Some(1), "{}", refused.said());
        let said = refused.stderr()?;
        assert!(
            said.contains("`tidemark-controller repair` again"),
            "{said}"
        );

        database.up.run(machine, &["repair"]).await?.succeeded()?;
        assert_eq!(fs::read(database.kept()?)?, damaged);
        let controller = Controller::up(machine, &database.up).await?;
        assert_eq!(controller.only_host().await?.name, "host");
        Ok(())
    })
}
