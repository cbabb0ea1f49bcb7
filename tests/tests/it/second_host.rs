//! A second host: let in by a token, turned away by a wrong one, and shut out again.

use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::token::TokenId;
use tidemark_model::{JoinToken, Secret};
use tidemark_runtime::{Clock, Entropy};
use tidemark_store::{DatabaseUrl, NewJoinToken, Store};
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Machine, SOON, Up, on_own_network, until,
};

/// A revoked host is out within this, by the promise I4.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

#[test]
fn an_agent_with_a_token_enrols_and_keeps_its_identity() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "web-1", &token.controller, &token.token)?;
        folder.add_config("labels = { role = \"web\" }")?;
        let mut agent = folder.run()?;
        let host = controller.first_sample(SOON).await?;
        assert_eq!(host.labels.get("role").map(String::as_str), Some("web"));

        agent.interrupt()?;
        assert_eq!(agent.wait(STOP_TIMEOUT).await?.code(), Some(0));
        let offline = until("offline", SOON, async || {
            let host = controller.only_host().await?;
            Ok((host.state != "online").then_some(host))
        });
        let sampled_ms = offline.await?.sampled_ms;

        // The token is used up: what lets the agent back in is its identity.
        let _agent = folder.run()?;
        until("a sample after the restart", SOON, async || {
            let host = controller.only_host().await?;
            Ok((host.sampled_ms > sampled_ms).then_some(()))
        })
        .await?;
        let tokens: Vec<serde_json::Value> = controller.cli_json(&["get", "tokens"]).await?;
        assert_eq!(tokens[0]["used"], 1);
        Ok(())
    })
}

#[test]
fn a_token_that_does_not_fit_is_refused_in_words_that_say_what_to_do() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let good = controller.join_token().await?;
        let parsed: JoinToken = good.token.parse()?;
        let wrong = JoinToken {
            secret: Secret::new([7; 32]),
            ..parsed.clone()
        };
        let refused = enrol(machine, "wrong", &controller, &wrong.expose_text()).await?;
        assert_refused(&refused, &["not valid here", "tidemark token create"]);

        let taken = enrol(machine, "first", &controller, &good.token).await?;
        assert_eq!(taken.code, Some(0), "{}", taken.stderr);
        let used_up = enrol(machine, "second", &controller, &good.token).await?;
        assert_refused(&used_up, &["used up", "--uses"]);

        let expired = expired_token(&controller, &parsed).await?;
        let refused = enrol(machine, "late", &controller, &expired.expose_text()).await?;
        assert_refused(&refused, &["expired", "tidemark token create"]);

        let cut = good.token.get(..40).context("a token is longer")?;
        let damaged = enrol(machine, "damaged", &controller, cut).await?;
        assert!(damaged.code.is_some_and(|code| code != 0));
        assert!(damaged.stderr.contains("join token"), "{}", damaged.stderr);

        let hosts = controller.hosts().await?;
        assert_eq!(hosts.len(), 1, "only the good token let a host in");
        until("three refusals among the events", SOON, async || {
            let events = controller.events().await?;
            let refusals = events
                .iter()
                .filter(|event| event.kind == "enrolment_refused");
            Ok((refusals.count() == 3).then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn a_running_agent_says_why_it_is_refused_and_enrols_when_the_token_is_replaced()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let other = Controller::up(machine, &Up::alone().another()).await?;
        let foreign = other.join_token().await?;

        // Another controller's token, brought to this one: nothing secret leaves the host.
        let folder = AgentFolder::create(machine, "lost", &token.controller, &foreign.token)?;
        let mut agent = folder.run()?;
        agent.complains_of("host not enrolled", SOON).await?;
        let said = agent.stderr()?;
        assert!(
            said.contains("does not hold the CA that the join token pins"),
            "{said}"
        );
        assert!(said.contains("make a token on this controller"), "{said}");
        assert!(controller.hosts().await?.is_empty());
        agent.kill().await?;

        folder.put_token(&token.token)?;
        let _agent = folder.run()?;
        controller.first_sample(SOON).await?;
        assert!(other.hosts().await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_revoked_host_is_cut_off_at_once_and_cannot_come_back() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "web-1", &token.controller, &token.token)?;
        let mut agent = folder.run()?;
        let host = controller.first_sample(SOON).await?;
        let revoked = controller
            .cli(&["revoke", "host", &host.id, "--yes"])
            .await?;
        revoked.succeeded()?;
        agent.complains_of("revoked", REVOKED_WITHIN).await?;
        until("the end of the session", REVOKED_WITHIN, async || {
            Ok((controller.status().await?.sessions == 0).then_some(()))
        })
        .await?;
        let last = controller.only_host().await?;
        assert_eq!(last.state, "revoked");

        agent.kill().await?;
        let mut agent = folder.run()?;
        agent.complains_of("revoked", SOON).await?;
        assert_eq!(controller.only_host().await?.sampled_ms, last.sampled_ms);
        Ok(())
    })
}

/// Runs `tidemark-agent enroll` on a new host.
async fn enrol(
    machine: &Machine,
    name: &str,
    controller: &Controller,
    token: &str,
) -> anyhow::Result<Finished> {
    let folder = AgentFolder::create(machine, name, &controller.ready.grpc, token)?;
    Finished::of(folder.command("enroll")?).await
}

fn assert_refused(refused: &Finished, words: &[&str]) {
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for word in words {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
}

/// A token whose time is over: the shortest that can be asked for lives a minute.
async fn expired_token(controller: &Controller, like: &JoinToken) -> anyhow::Result<JoinToken> {
    let url = DatabaseUrl::sqlite(controller.data_dir().join("tidemark.db"));
    let store = Store::open(&url).await?;
    let now = Clock::System.now();
    let token = JoinToken {
        id: TokenId::from_bytes(Entropy::System.bytes()),
        ..like.clone()
    };
    let mut tx = store.begin().await?;
    tx.join_token_insert(&NewJoinToken {
        id: token.id,
        secret_hash: JoinToken::secret_hash(token.secret.expose()),
        created_at: now.saturating_sub(Duration::from_secs(120)),
        expires_at: now.saturating_sub(Duration::from_secs(60)),
        uses_max: 1,
        labels: std::collections::BTreeMap::new(),
    })
    .await?;
    tx.commit().await?;
    store.close().await;
    Ok(token)
}
