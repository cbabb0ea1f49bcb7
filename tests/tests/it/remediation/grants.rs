//! A host that takes only what its operators signed is put right by a standing policy with nobody at hand: they signed a grant
//! beforehand, and the host sees for itself that its time has come.

use tidemark_model::signing::PublicKey;
use tidemark_model::view::{GrantDetail, GrantView};
use tidemark_tests::harness::keyring::{Keyring, listed};

use super::*;

/// Asks without anybody's approval; `ENABLED` decides whether it looks at hosts yet.
const POLICY: &str = r#"
[[policy]]
name = "night"
enabled = ENABLED
hosts = ["host=*"]
condition = { level = 60 }
for = "5s"
approval = "by_policy"
limits = { cooldown = "0s", per_day = 5 }

[[policy.ladder]]
action = "restart_service"
with = ["service=leaky"]
"#;

/// The host lists that key alone from now on.
fn trust(machine: &Machine, public: &PublicKey) -> anyhow::Result<()> {
    let key = listed("k", public, 1);
    let text = format!("profile = \"safe\"\n[limits]\ncooldown = \"1s\"\n{key}");
    Ok(fs::write(machine.folder().join("policy.toml"), text)?)
}

async fn apply(machine: &Machine, controller: &Controller, enabled: &str) -> anyhow::Result<()> {
    let file = machine.folder().join("night.toml");
    fs::write(&file, POLICY.replace("ENABLED", enabled))?;
    let file = file.display().to_string();
    controller.cli(&["apply", "-f", &file]).await?.succeeded()?;
    Ok(())
}

/// The newest action of the policy, once there are so many.
async fn action_number(controller: &Controller, count: usize) -> anyhow::Result<ActionView> {
    until("an action of the policy", MEASURED, async || {
        let page: Page<ActionView> = controller.get("/api/v1/actions").await?;
        Ok((page.items.len() == count)
            .then(|| page.items.into_iter().next())
            .flatten())
    })
    .await
}

/// Waits until exactly these hosts say that the grant holds.
async fn holds_on(controller: &Controller, id: &str, hosts: &[&str]) -> anyhow::Result<()> {
    until("the hosts' word about the grant", MEASURED, async || {
        let detail: GrantDetail = controller.get(&format!("/api/v1/grants/{id}")).await?;
        Ok((detail.holds_on == hosts).then_some(()))
    })
    .await
}

async fn leak_again(scene: &Scene) -> anyhow::Result<()> {
    fs::write(scene.services.file("leaky", "sockets"), "700")?;
    scene.services.run("leaky", "stop").await?;
    scene.services.run("leaky", "start").await
}

/// What the action waits for, once its host wants a signature.
async fn waits_for_a_signature(controller: &Controller, id: &str) -> anyhow::Result<ActionDetail> {
    until(
        "an action that waits for a signature",
        MEASURED,
        async || {
            let detail: ActionDetail = controller.get(&format!("/api/v1/actions/{id}")).await?;
            anyhow::ensure!(!detail.action.state.is_final(), "it ended: {detail:#?}");
            let waits = detail.action.waits_for.as_deref().unwrap_or_default();
            Ok(waits.contains("wants a signature").then(|| detail.clone()))
        },
    )
    .await
}

/// A grant for what the policy does on that host, signed by ann.
async fn grant(
    keyring: &Keyring,
    controller: &Controller,
    host: &str,
) -> anyhow::Result<GrantView> {
    let mut words = vec!["grant", "new", "night", "--host", host, "--per-hour", "2"];
    words.extend(["--reason", "leaky leaks", "--key", "ann"]);
    let made = keyring.sign(controller, &words).await?;
    anyhow::ensure!(made.contains("60 % of tcp ports"), "{made}");
    let mut grants: Vec<GrantView> = controller.cli_json(&["get", "grants"]).await?;
    anyhow::ensure!(grants.len() == 1, "one grant, not {grants:?}");
    grants.pop().context("a grant")
}

/// Withdrawn with a signature it holds nowhere.
async fn withdraw(keyring: &Keyring, controller: &Controller, id: &str) -> anyhow::Result<()> {
    let end = [
        "grant",
        "withdraw",
        id,
        "--key",
        "ann",
        "--passphrase-file",
        keyring.file(),
    ];
    controller.cli(&end).await?.succeeded()?;
    holds_on(controller, id, &[]).await?;
    let detail: GrantDetail = controller.cli_json(&["describe", "grant", id]).await?;
    anyhow::ensure!(
        detail.holds_on.is_empty() && detail.grant.has_signed_end,
        "{detail:?}"
    );
    Ok(())
}

#[test]
fn a_grant_lets_a_policy_act_while_every_operator_sleeps_and_only_then() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let scene = Scene::up(machine).await?;
        let controller = &scene.controller;
        let keyring = Keyring::create(machine)?;
        let (ann, bob) = (
            keyring.make(controller, "ann").await?,
            keyring.make(controller, "bob").await?,
        );
        trust(machine, &ann)?;
        apply(machine, controller, "false").await?;
        let host = controller.only_host().await?;
        let grant = grant(&keyring, controller, &host.name).await?;
        holds_on(controller, &grant.id, &[&host.name]).await?;

        apply(machine, controller, "true").await?;
        let first = action_number(controller, 1).await?;
        let first = ended(controller, &first.id).await?;
        assert_eq!(first.action.state, ActionState::Verified, "{first:#?}");
        assert!(first.signatures.is_empty(), "{first:#?}");
        assert_eq!(first.action.requester, "policy:night@2");
        let by_grant = format!("under grant {}", grant.id);
        assert!(
            first.life.iter().any(|step| step.text == by_grant),
            "{first:#?}"
        );
        assert!(in_use(controller).await? < 200);

        // The key goes from the host, and with it the grant: nothing is done any more.
        trust(machine, &bob)?;
        holds_on(controller, &grant.id, &[]).await?;
        leak_again(&scene).await?;
        let second = action_number(controller, 2).await?;
        waits_for_a_signature(controller, &second.id).await?;
        assert!(in_use(controller).await? > 600);

        // It comes back, and the grant with it.
        trust(machine, &ann)?;
        // Its effect is measured against minutes before the leak, so only that it was done is looked at.
        let second = ended(controller, &second.id).await?;
        assert!(
            matches!(
                second.action.state,
                ActionState::Verified | ActionState::NotEffective
            ),
            "{second:#?}"
        );
        assert!(second.signatures.is_empty(), "{second:#?}");
        assert!(second.life.iter().any(|step| step.text == by_grant));

        withdraw(&keyring, controller, &grant.id).await?;
        scene.down().await
    })
}
