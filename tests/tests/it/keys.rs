//! Operators' keys from end to end: made and rotated by the command line, revoked for a host that is away, and what each of
//! them may still sign on a real host.

use std::fs;

use anyhow::Context as _;
use tidemark_model::ActionState;
use tidemark_model::view::{ActionDetail, FleetKeyView, KeyStatementView};
use tidemark_tests::harness::keyring::{Keyring, listed};
use tidemark_tests::harness::{
    AgentFolder, Controller, CountedHook, Finished, Machine, Operators, Process, SOON, STARTING,
    Up, action_ended, on_own_network, program, until,
};

pub mod page;

const POLICY: &str = r#"
profile = "observe"
[limits]
per_hour = 1000
per_day = 1000
cooldown = "0s"
[[allow]]
actions = ["run_hook"]
"#;

/// One host whose policy lists the keys of ann and bob.
struct Site {
    controller: Controller,
    operators: Operators,
    folder: AgentFolder,
    agent: Process,
    host: String,
    keyring: Keyring,
    hook: CountedHook,
}

impl Site {
    async fn up(machine: &Machine, keys: &str) -> anyhow::Result<Self> {
        let up = Up::configured(
            machine,
            "[remediation]\nown_host = \"none\"\ncooldown = \"1s\"\n",
        )?;
        let controller = Controller::up(machine, &up).await?;
        let keyring = Keyring::create(machine)?;
        let mut policy = format!("{POLICY}{keys}");
        for name in ["ann", "bob"] {
            let public = keyring.make(&controller, name).await?;
            policy.push_str(&listed(name, &public, 2));
        }
        let token = controller.join_token().await?.token;
        let folder = AgentFolder::create(machine, "web-1", &controller.ready.grpc, &token)?;
        folder.allow(&policy)?;
        let hook = CountedHook::add_to(&folder, machine.folder().join("ran"), "")?;
        let agent = folder.run()?;
        let host = controller.first_sample(STARTING).await?.id;
        Ok(Self {
            operators: Operators::of(&controller).await?,
            controller,
            folder,
            agent,
            host,
            keyring,
            hook,
        })
    }

    /// Asks for the hook, has it approved, and signs it with that key of this machine; its id.
    async fn order(&self, mark: &str, key: &str) -> anyhow::Result<String> {
        let spec = CountedHook::spec(mark);
        let id = self
            .operators
            .order(&self.controller, &self.host, spec)
            .await?;
        self.sign(&id, key).await?;
        Ok(id)
    }

    async fn sign(&self, id: &str, key: &str) -> anyhow::Result<()> {
        self.key_command(&["action", "sign", id, "--key", key])
            .await
    }

    /// A command that signs without asking.
    async fn key_command(&self, words: &[&str]) -> anyhow::Result<()> {
        let signed = self.keyring.sign(&self.controller, words);
        signed.await.map(drop)
    }

    async fn done(&self, id: &str) -> anyhow::Result<()> {
        let ended = action_ended(&self.controller, id, SOON).await?;
        anyhow::ensure!(ended.action.state == ActionState::Verified, "{ended:#?}");
        Ok(())
    }

    /// Why an action waits, once it says this.
    async fn waits(&self, id: &str, part: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/actions/{id}");
        let mut last = None;
        let waits = until(part, SOON, async || {
            let detail: ActionDetail = self.controller.get(&path).await?;
            let says_it = |text: &String| text.contains(part);
            let found = detail.action.waits_for.as_ref().is_some_and(says_it);
            last = Some(detail.action);
            Ok(found.then_some(()))
        });
        waits.await.with_context(|| format!("{last:#?}"))
    }

    /// The keys that hosts list, once they are as wanted.
    async fn keys(&self, are_so: impl Fn(&[FleetKeyView]) -> bool) -> anyhow::Result<()> {
        let mut last = Vec::new();
        let found = until("the keys as hosts tell them", SOON, async || {
            last = self.controller.cli_json(&["get", "keys"]).await?;
            Ok(are_so(&last).then_some(()))
        });
        found.await.with_context(|| format!("{last:#?}"))
    }
}

fn named<'k>(keys: &'k [FleetKeyView], name: &str) -> Vec<&'k FleetKeyView> {
    let is_so = |key: &&FleetKeyView| key.names.iter().any(|one| one == name);
    keys.iter().filter(is_so).collect()
}

#[test]
fn a_rotated_key_signs_and_the_one_before_it_does_not() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::up(machine, "[keys]\nrotation = true\n").await?;
        site.keys(|keys| keys.len() == 2 && keys.iter().all(|key| key.holds == 1))
            .await?;
        site.done(&site.order("old", "ann").await?).await?;
        let file = site.keyring.file();
        site.key_command(&["key", "rotate", "ann", "--new-passphrase-file", file])
            .await?;
        site.keys(|keys| {
            let anns = named(keys, "ann");
            anns.len() == 2
                && anns.iter().any(|key| key.replaced == 1)
                && anns
                    .iter()
                    .any(|key| key.holds == 1 && key.rotated_from.is_some())
        })
        .await?;
        let id = site.order("new", "ann").await?;
        site.waits(&id, "was replaced by key").await?;
        site.sign(&id, "ann-2").await?;
        site.done(&id).await?;
        assert_eq!(site.hook.marks()?, ["old", "new"]);
        let mut command = program("tidemark-agent")?;
        command
            .args(["policy", "show", "--config"])
            .arg(site.folder.config());
        let shown = Finished::of(command).await?.succeeded()?;
        assert!(shown.contains("in the place of"), "{shown}");
        assert!(shown.contains("was replaced by key"), "{shown}");
        let described = site
            .controller
            .cli(&["describe", "host", &site.host])
            .await?
            .succeeded()?;
        assert!(described.contains("was replaced by key"), "{described}");
        Ok(())
    })
}

#[test]
fn a_host_that_forbids_rotation_keeps_its_keys_and_says_so() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::up(machine, "").await?;
        site.keys(|keys| keys.len() == 2).await?;
        let file = site.keyring.file();
        site.key_command(&["key", "rotate", "ann", "--new-passphrase-file", file])
            .await?;
        let refused = until("the refusal of the host", SOON, async || {
            let words = ["get", "key-statements"];
            let all: Vec<KeyStatementView> = site.controller.cli_json(&words).await?;
            let refused = all.into_iter().flat_map(|one| one.refused).next();
            Ok(refused)
        })
        .await?;
        assert!(refused.text.contains("policy.toml"), "{refused:?}");
        site.done(&site.order("old", "ann").await?).await
    })
}

#[test]
fn a_revocation_reaches_who_is_away_and_ends_what_waits() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::up(machine, "").await?;
        site.keys(|keys| keys.len() == 2).await?;
        // An order under ann's key is approved and waits for its host.
        site.folder.end(&mut site.agent).await?;
        let waiting = site.order("waiting", "ann").await?;
        site.waits(&waiting, "not connected").await?;
        site.key_command(&[
            "key",
            "revoke",
            "ann",
            "--key",
            "bob",
            "--reason",
            "left in a train",
        ])
        .await?;
        site.keys(|keys| {
            named(keys, "ann")
                .iter()
                .all(|key| key.is_revocation_brought)
        })
        .await?;
        site.agent = site.folder.run()?;
        site.keys(|keys| named(keys, "ann").iter().all(|key| key.revoked == 1))
            .await?;
        // Nobody sent it on: not in the moment of the connect, before the host had heard, either.
        site.waits(&waiting, "left in a train").await?;
        site.done(&site.order("bob", "bob").await?).await?;
        // Through a restart of the host's agent, and at once while it is connected.
        site.folder.end(&mut site.agent).await?;
        site.agent = site.folder.run()?;
        let late = site.order("late", "ann").await?;
        site.waits(&late, "left in a train").await?;
        site.key_command(&[
            "key",
            "revoke",
            "bob",
            "--key",
            "bob",
            "--reason",
            "left the company",
        ])
        .await?;
        site.keys(|keys| keys.iter().all(|key| key.revoked == 1 && key.holds == 0))
            .await?;
        // Nobody is left to sign: the host takes nothing, rather than everything.
        let unsigned = CountedHook::spec("x");
        let id = site
            .operators
            .order(&site.controller, &site.host, unsigned)
            .await?;
        site.waits(&id, "no key that the host lists is left")
            .await?;
        assert_eq!(site.hook.marks()?, ["bob"]);
        Ok(())
    })
}

#[test]
fn what_nobody_of_the_hosts_signed_is_not_even_carried() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::up(machine, "[keys]\nrotation = true\n").await?;
        site.keys(|keys| keys.len() == 2).await?;
        site.keyring.make(&site.controller, "eve").await?;
        let words = ["key", "revoke", "ann", "--key", "eve", "--reason", "mine"];
        let refused = site.key_command(&words).await;
        assert!(refused.is_err(), "a stranger's signature");
        let all: Vec<KeyStatementView> =
            site.controller.cli_json(&["get", "key-statements"]).await?;
        assert!(all.is_empty(), "{all:?}");
        site.done(&site.order("old", "ann").await?).await
    })
}
