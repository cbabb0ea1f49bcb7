//! A backup that is made while the controller serves, verified, and restored: hosts go on, and nothing comes back that was over.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_agent::status::AgentStatus;
use tidemark_model::view::HostDetail;
use tidemark_tests::harness::agent::age_certificate;
use tidemark_tests::harness::peer::facts;
use tidemark_tests::harness::postgres::Postgres;
use tidemark_tests::harness::{
    AgentFolder, Controller, Machine, Peer, Process, SOON, STARTING, Up, on_own_network, until,
};

/// A host that was told to stay away comes again after a minute.
const STAYING_AWAY: Duration = Duration::from_secs(120);

const POLICY: &str = r#"
[[policy]]
name = "evidence"
hosts = ["host=*"]
condition = { level = 90 }
ladder = [{ action = "collect_evidence", with = ["seconds=5"] }]
"#;

/// A controller with a host, and what its operators made.
struct Place {
    up: Up,
    controller: Controller,
    folder: AgentFolder,
    agent: Process,
    /// Of a viewer, whose name is `ci`.
    api_token: String,
    /// Nobody has used it.
    join_token: String,
}

impl Place {
    async fn start(machine: &Machine, up: Up) -> anyhow::Result<Self> {
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "agent", &token.controller, &token.token)?;
        let agent = folder.run()?;
        controller.first_sample(STARTING).await?;
        let policies = machine.folder().join("policies.toml");
        fs::write(&policies, POLICY)?;
        let policies = policies.display().to_string();
        controller
            .cli(&["apply", "-f", &policies])
            .await?
            .succeeded()?;
        Ok(Self {
            up,
            api_token: controller.token_of("ci", "viewer").await?,
            join_token: controller.join_token().await?.token,
            controller,
            folder,
            agent,
        })
    }

    async fn detail(&self) -> anyhow::Result<HostDetail> {
        detail(&self.controller).await
    }

    /// The agent renews its certificate and delivers what a backup of before does not know.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        self.folder.end(&mut self.agent).await?;
        let first = age_certificate(&self.folder.data_dir().join("identity"))?;
        let before = self.detail().await?.delivery.stored;
        self.agent = self.folder.run()?;
        until(
            "another certificate and more samples",
            STARTING,
            async || {
                let said = self.agent.said();
                let is_renewed = certificate(&self.folder)? > first;
                let stored = self.detail().await.context(said)?.delivery.stored;
                Ok((is_renewed && stored > before + 3).then_some(()))
            },
        )
        .await
    }
}

/// The generation of the certificate that the agent holds.
fn certificate(folder: &AgentFolder) -> anyhow::Result<u64> {
    let status = fs::read(folder.data_dir().join("status.json"))?;
    let status: AgentStatus = serde_json::from_slice(&status)?;
    Ok(status.link.certificate.map_or(0, |held| held.generation))
}

async fn detail(controller: &Controller) -> anyhow::Result<HostDetail> {
    let host = controller.only_host().await?;
    controller.host(&host.id).await
}

async fn back_up(up: &Up, machine: &Machine) -> anyhow::Result<PathBuf> {
    let to = machine.folder().join("backups").display().to_string();
    let said = up
        .run(machine, &["backup", "--to", &to])
        .await?
        .succeeded()?;
    let folder = PathBuf::from(said.trim());
    ensure!(folder.is_dir(), "{said}");
    Ok(folder)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}

#[test]
fn a_restored_controller_goes_on_with_its_hosts_and_brings_nothing_back() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut place = Place::start(machine, Up::alone()).await?;
        let up = place.up.clone();
        let backup = back_up(&up, machine).await?;
        let mode = fs::metadata(&backup)?.permissions().mode() & 0o777;
        ensure!(mode == 0o700, "others may read the keys: {mode:o}");
        let verified = up
            .run(machine, &["verify", text(&backup)?])
            .await?
            .succeeded()?;
        for good in [
            "1 hosts",
            "pages and references are whole",
            "entries follow one another",
            "can be read",
        ] {
            ensure!(verified.contains(good), "{good}: {verified}");
        }
        ensure!(
            !verified.contains(": 0 points"),
            "nothing was read: {verified}"
        );
        place.go_on().await?;
        let delivered = place.detail().await?.delivery.stored;

        let refused = up.run(machine, &["restore", text(&backup)?]).await?;
        ensure!(
            refused.stderr.contains("another controller uses"),
            "{refused:?}"
        );
        let Place {
            controller,
            mut agent,
            folder,
            api_token,
            join_token,
            ..
        } = place;
        controller.stop().await?;
        let refused = up.run(machine, &["restore", text(&backup)?]).await?;
        ensure!(refused.stderr.contains("is there already"), "{refused:?}");
        let (data, left_behind) = (up.data_dir(machine), machine.folder().join("left-behind"));
        fs::rename(&data, &left_behind)?;
        let restored = up
            .run(machine, &["restore", text(&backup)?])
            .await?
            .succeeded()?;
        for told in [
            "incarnation",
            "policies disabled",
            "join tokens ended",
            "API tokens ended",
        ] {
            ensure!(restored.contains(told), "{told}: {restored}");
        }

        let controller = Controller::up(machine, &up).await?;
        until_it_goes_on(&controller, &agent, delivered).await?;
        assert_nothing_is_back(&controller, &api_token, &join_token).await?;
        assert_it_renews(&controller, (&folder, &mut agent)).await?;
        up.run(machine, &["verify"]).await?.succeeded()?;

        controller.stop().await?;
        fs::rename(&data, machine.folder().join("restored"))?;
        fs::rename(&left_behind, &data)?;
        assert_it_gets_nothing(machine, &up, (&folder, &mut agent)).await
    })
}

/// The copy that was left behind is started by mistake.
async fn assert_it_gets_nothing(
    machine: &Machine,
    up: &Up,
    (folder, agent): (&AgentFolder, &mut Process),
) -> anyhow::Result<()> {
    let stale = Controller::up(machine, up).await?;
    let before = detail(&stale).await?.delivery.stored;
    agent
        .complains_of("a copy that was left behind", STAYING_AWAY)
        .await?;
    let after = detail(&stale).await?;
    ensure!(
        after.delivery.stored == before,
        "it took records: {after:?}"
    );
    let ended = folder.end(agent).await?;
    ensure!(ended.held > 0, "what was not taken is kept: {ended:?}");
    Ok(())
}

/// The next renewal goes on from a certificate that the database had not known.
async fn assert_it_renews(
    controller: &Controller,
    (folder, agent): (&AgentFolder, &mut Process),
) -> anyhow::Result<()> {
    folder.end(agent).await?;
    let held = age_certificate(&folder.data_dir().join("identity"))?;
    *agent = folder.run()?;
    until("another renewal", STARTING, async || {
        let is_renewed = certificate(folder)? > held;
        let state = detail(controller).await?.host.state;
        Ok((is_renewed && state == "online").then_some(()))
    })
    .await
    .with_context(|| agent.said())
}

/// The host is back under its own identity, and all that it had delivered is there again or counted as lost: what it trimmed
/// after the acks of before cannot come again.
async fn until_it_goes_on(
    controller: &Controller,
    agent: &Process,
    delivered: u64,
) -> anyhow::Result<()> {
    let mut last = None;
    until("the host to go on", STARTING, async || {
        let detail = detail(controller).await?;
        let lost = detail.delivery.dropped.get("lost_after_ack").copied();
        let counted = detail.delivery.stored + lost.unwrap_or(0);
        let is_back = counted > delivered && detail.host.state == "online";
        last = Some(detail);
        Ok(is_back.then_some(()))
    })
    .await
    .with_context(|| format!("{delivered} were delivered; {last:#?}; {}", agent.said()))
}

/// Credentials and policies of before the backup are over, and the audit log says so.
async fn assert_nothing_is_back(
    controller: &Controller,
    api_token: &str,
    join_token: &str,
) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(SOON).build()?;
    let asked = client.get(format!("{}/api/v1/hosts", controller.ready.http));
    let answer = asked.bearer_auth(api_token).send().await?;
    ensure!(answer.status() == 401, "the API token is back: {answer:?}");
    let enrolled = Peer::enrolled_with(controller, join_token, facts("late")).await;
    ensure!(enrolled.is_err(), "the join token is back");
    let policies: Value = controller.get("/api/v1/policies").await?;
    let enabled = policies
        .pointer("/items/0/spec/enabled")
        .context("a policy")?;
    ensure!(enabled == &Value::Bool(false), "{policies}");
    let log: Value = controller.get("/api/v1/audit-log?limit=50").await?;
    ensure!(
        log.to_string().contains("tidemark-controller restore"),
        "{log}"
    );
    Ok(())
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_of_it_is_put_in_place() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let controller = Controller::up(machine, &up).await?;
        let backup = back_up(&up, machine).await?;
        controller.stop().await?;
        let data = up.data_dir(machine);
        fs::rename(&data, machine.folder().join("aside"))?;
        let file = backup.join("database.db");
        let whole = fs::read(&file)?;
        let mut flipped = whole.clone();
        *flipped.get_mut(whole.len() / 2).context("a byte")? ^= 1;
        let cut = whole.get(..whole.len() - 4_096).context("a page")?.to_vec();
        for damaged in [flipped, cut] {
            fs::write(&file, damaged)?;
            for verb in ["verify", "restore"] {
                let refused = up.run(machine, &[verb, text(&backup)?]).await?;
                ensure!(refused.code == Some(1), "{verb}: {refused:?}");
                ensure!(
                    refused.stderr.contains("database.db"),
                    "{verb}: {refused:?}"
                );
            }
            ensure!(!fs::exists(data.join("tidemark.db"))? && !fs::exists(data.join("pki"))?);
        }
        fs::write(&file, whole)?;
        up.run(machine, &["restore", text(&backup)?])
            .await?
            .succeeded()
            .map(drop)
    })
}

#[test]
fn old_backups_are_deleted_only_after_a_new_one_and_only_backups() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let _controller = Controller::up(machine, &up).await?;
        let to = machine.folder().join("backups");
        fs::create_dir(&to)?;
        for other in ["tidemark-notes", "holiday"] {
            fs::create_dir(to.join(other))?;
        }
        let mut made = Vec::new();
        for _ in 0..3 {
            let at = text(&to)?.to_owned();
            let backup = until("another second", SOON, async || {
                let made = up
                    .run(machine, &["backup", "--to", &at, "--keep", "2"])
                    .await?;
                Ok((made.code == Some(0)).then_some(made.stdout))
            });
            made.push(PathBuf::from(backup.await?.trim()));
        }
        let [oldest, kept @ ..] = made.as_slice() else {
            anyhow::bail!("none was made");
        };
        ensure!(!fs::exists(oldest)?, "the oldest is there");
        ensure!(kept.iter().all(|backup| backup.is_dir()), "{kept:?}");
        ensure!(to.join("tidemark-notes").is_dir() && to.join("holiday").is_dir());
        Ok(())
    })
}

#[test]
fn a_server_database_is_restored_into_an_empty_one() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let postgres = Postgres::start(machine).await?;
        let up = Up::alone().arg("--database").arg(postgres.url());
        let mut place = Place::start(machine, up.clone()).await?;
        let backup = back_up(&up, machine).await?;
        up.run(machine, &["verify", text(&backup)?])
            .await?
            .succeeded()?;
        up.run(machine, &["verify"]).await?.succeeded()?;
        place.go_on().await?;
        let delivered = place.detail().await?.delivery.stored;
        let another = postgres.another("restored").await?;
        let up = Up::alone().arg("--database").arg(another);
        let refused = place.up.run(machine, &["restore", "--in-place"]).await?;
        ensure!(
            refused.stderr.contains("another controller uses"),
            "{refused:?}"
        );
        let Place {
            controller,
            agent,
            api_token,
            join_token,
            ..
        } = place;
        controller.stop().await?;
        let restored = up
            .run(machine, &["restore", text(&backup)?])
            .await?
            .succeeded()?;
        ensure!(restored.contains("policies disabled"), "{restored}");

        let controller = Controller::up(machine, &up).await?;
        until_it_goes_on(&controller, &agent, delivered).await?;
        assert_nothing_is_back(&controller, &api_token, &join_token).await
    })
}
