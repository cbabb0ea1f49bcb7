//! A stolen controller, with the live authority and the database of a real one, against the real agent of a host whose policy
//! lists keys: nothing happens on the host that its policy and those keys do not allow.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Signal, kill_process_group};
use serde_json::json;
use tidemark_model::action::{ActionReport, Refusal, SignedOrder};
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::{ActionId, ActionState, HostId, Order};
use tidemark_proto::convert::action::{ack_to_wire, order_to_wire, signatures_to_wire};
use tidemark_proto::v1::{ActionConfirm, Lockdown, Settings, controller_frame::Kind};
use tidemark_runtime::Clock;
use tidemark_store::{DatabaseUrl, Store};
use tidemark_tests::harness::commander::Deaf;
use tidemark_tests::harness::process::wrapping;
use tidemark_tests::harness::{
    AgentFolder, Commander, Controller, Finished, Machine, Operators, Process, SOON, STARTING, Up,
    action_ended, on_own_network, program, until,
};
use tokio::process::Command;

use forge::{Forge, hook, restart, signature_of};

mod forge;
mod grants;
mod keys;
mod replay;
mod scripts;
mod undo;

/// For hosts that come back from a session that they ended, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// For the answer of a host that is connected.
const ANSWER: Duration = Duration::from_secs(5);
/// Orders of the flood.
const FLOOD: u32 = 10_000;
/// An agent has less than this in memory, whatever is sent to it.
const RESIDENT_KB_MAX: u64 = 100 * 1024;

/// The host's policy, before its keys.
const POLICY: &str = r#"
profile = "observe"
[limits]
per_hour = 100000
per_day = 100000
cooldown = "1s"
reboot_pause = "1s"
[[allow]]
actions = ["run_hook", "reboot"]
[[allow]]
actions = ["restart_service"]
subjects = ["appsvc", "sshd", "tidemark-agent"]
[[deny]]
actions = ["run_hook"]
subjects = ["forbidden"]
"#;
/// A hook that says much more than anybody reads.
const LOUD: &str = "head -c 200000000 /dev/zero | tr '\\0' x\n";
/// Gives the agent alone services, and a `shutdown`, that do nothing but leave a line: $1 and $2 are their folders. What it keeps for
/// the next starts goes to $3.
const OWN_HOST: &str = r#"mkdir -p /etc/init.d && mount --bind "$1" /etc/init.d && mount --bind "$2" /usr/sbin && mkdir -p /etc/sysctl.d && mount --bind "$3" /etc/sysctl.d && if [ -d /run/systemd ]; then mount -t tmpfs none /run/systemd; fi && shift 3 && exec "$@""#;

/// The host, and who has stolen its controller.
struct Site {
    folder: AgentFolder,
    test_folder: PathBuf,
    agent: Process,
    thief: Commander,
    forge: Forge,
    /// What the real controller had the host do, as its database has it.
    done: SignedOrder,
    /// What the host may have done: one line each.
    honest: Vec<String>,
}

impl Site {
    /// A real controller enrols the host and has it do something; then it is stolen.
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let up = Up::configured(machine, "[remediation]\nown_host = \"none\"\n")?;
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?.token;
        let folder = AgentFolder::create(machine, "web-1", &controller.ready.grpc, &token)?;
        let ran = machine.folder().join("ran");
        leave_lines(&folder, &ran)?;
        // Its keys are known once the host has a name, which they are made without.
        let keys = Forge::of(HostId::of_identity_spki(b"nobody")).policy_keys();
        folder.allow(&format!("{POLICY}{keys}"))?;
        let agent = run(&folder, &[])?;
        let host = controller.first_sample(STARTING).await?.id;
        let forge = Forge::of(host.parse()?);
        let id = honest_action(&controller, &forge).await?;
        let address = controller.ready.grpc.parse()?;
        let data_dir = controller.data_dir().to_owned();
        controller.stop().await?;
        let done = stolen_order(&data_dir.join("tidemark.db"), id.parse()?).await?;
        Ok(Self {
            test_folder: machine.folder().to_owned(),
            thief: Commander::in_place_of(&data_dir, address, forge.host).await?,
            folder,
            agent,
            forge,
            done,
            honest: vec!["honest".to_owned()],
        })
    }

    /// Sends an order that must meet this refusal, told to the sender and shown on the host.
    async fn refuses(&self, name: &str, order: &SignedOrder, with: Refusal) -> anyhow::Result<()> {
        let report = self
            .thief
            .deliver(order, PATIENCE)
            .await
            .with_context(|| name.to_owned())?;
        anyhow::ensure!(report.refusal == Some(with), "{name}: {report:?}");
        anyhow::ensure!(!report.text.is_empty(), "{name}: without a reason");
        let said = self.agent.said();
        let shown = said
            .lines()
            .any(|line| line.contains(&order.id.to_string()) && line.contains(with.as_str()));
        // What was taken and then refused is the end of an action, and shown as such.
        let is_shown = shown || said.contains(&report.text);
        anyhow::ensure!(is_shown, "{name}: not shown on the host");
        Ok(())
    }

    /// Sends an order that is as it should be, for the line `mark`.
    async fn takes(&mut self, mark: &str) -> anyhow::Result<SignedOrder> {
        let order = self.forge.order(hook("count", mark));
        let order = self.forge.signed(&order);
        // Its policy wants a pause between two of a kind, and a flood leaves it without words for a while; however often the
        // order comes, it is done once.
        let report = until("the host's readiness", PATIENCE, async || {
            let Ok(report) = self.thief.deliver(&order, ANSWER).await else {
                return Ok(None);
            };
            let is_ready = !matches!(report.refusal, Some(Refusal::TooOften | Refusal::Busy));
            Ok(is_ready.then_some(report))
        })
        .await?;
        anyhow::ensure!(report.state == ActionState::Verifying, "{mark}: {report:?}");
        self.honest.push(mark.to_owned());
        self.nothing_else_happened(mark)?;
        Ok(order)
    }

    /// What the hooks, the services and the restart would have left behind, and the host's journal.
    fn nothing_else_happened(&self, after: &str) -> anyhow::Result<()> {
        let ran = fs::read_to_string(self.test_folder.join("ran"))?;
        let ran: Vec<&str> = ran.lines().collect();
        anyhow::ensure!(ran == self.honest, "after {after}: {ran:?}");
        Ok(())
    }

    /// Ids of the actions that the host has begun.
    fn begun(&self) -> anyhow::Result<Vec<String>> {
        let journal = fs::read_to_string(self.journal())?;
        let began = journal
            .lines()
            .filter(|line| line.contains("{\"record\":\"began\""));
        Ok(began.map(str::to_owned).collect())
    }

    fn journal(&self) -> PathBuf {
        self.folder.data_dir().join("actions.journal")
    }

    /// Ends the agent in order, does something to its files, and starts it with these variables.
    async fn restart_with(
        &mut self,
        variables: &[(&str, &str)],
        meanwhile: impl FnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        kill_process_group(self.agent.pid(), Signal::INT)?;
        self.agent.wait(SOON).await?;
        meanwhile(self)?;
        self.agent = run(&self.folder, variables)?;
        Ok(())
    }

    fn resident_kb(&self) -> anyhow::Result<u64> {
        let pid = self.agent.pid().as_raw_pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kb.context("a peak of memory")?.parse()?)
    }
}

fn run(folder: &AgentFolder, variables: &[(&str, &str)]) -> anyhow::Result<Process> {
    let mut command = folder.command("run")?;
    command.envs(variables.iter().copied());
    let mut wrapper = Command::new("unshare");
    wrapper
        .args(["--mount", "sh", "-c", OWN_HOST, "sh"])
        .arg(folder.path().join("init.d"))
        .arg(folder.path().join("sbin"))
        .arg(folder.path().join("sysctl.d"));
    let own = folder.path().parent().context("the test's folder")?;
    Process::start("web-1", wrapping(wrapper, &command), own)
}

/// Hooks, services and a restart that leave a line in `ran`.
fn leave_lines(folder: &AgentFolder, ran: &std::path::Path) -> anyhow::Result<()> {
    let script = |place: &str, name: &str, line: &str, mode: u32| -> anyhow::Result<PathBuf> {
        let path = folder.path().join(place);
        fs::create_dir_all(&path)?;
        let path = path.join(name);
        fs::write(
            &path,
            format!("#!/bin/sh\necho \"{line}\" >> {}\n", ran.display()),
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path)
    };
    fs::write(ran, "")?;
    fs::create_dir(folder.path().join("sysctl.d"))?;
    let count = script("hooks", "count", "$TIDEMARK_ARG_MARK", 0o755)?;
    script("hooks", "forbidden", "forbidden", 0o755)?;
    script("hooks", ".evil", "hidden", 0o755)?;
    script("hooks", "open", "open", 0o777)?;
    script(".", "evil", "outside", 0o755)?;
    std::os::unix::fs::symlink(count, folder.path().join("hooks/link"))?;
    for service in ["appsvc", "sshd", "tidemark-agent", "other"] {
        script("init.d", service, service, 0o755)?;
    }
    script("sbin", "shutdown", "reboot", 0o755)?;
    let loud = script("hooks", "loud", "loud", 0o755)?;
    let cries = fs::read_to_string(&loud)? + LOUD;
    fs::write(&loud, cries)?;
    Ok(())
}

/// What operators ask for, approve and sign; its id once it is done.
async fn honest_action(controller: &Controller, forge: &Forge) -> anyhow::Result<String> {
    let operators = Operators::of(controller).await?;
    let host = forge.host.to_string();
    let id = operators
        .order(controller, &host, hook("count", "honest"))
        .await?;
    let order = controller
        .get_text(&format!("/api/v1/actions/{id}/order"))
        .await?;
    let signature = forge.ann.sign(Purpose::Order, order.as_bytes());
    let body = json!({"key_id": signature.key.to_string(), "signature": signature.to_base64()});
    operators.sign(controller, &id, &body).await?;
    let ended = action_ended(controller, &id, PATIENCE).await?;
    anyhow::ensure!(ended.action.state == ActionState::Verified, "{ended:#?}");
    Ok(id)
}

async fn stolen_order(database: &std::path::Path, id: ActionId) -> anyhow::Result<SignedOrder> {
    let url: DatabaseUrl = format!("sqlite://{}", database.display()).parse()?;
    let store = Store::open_existing(&url).await?;
    let mut tx = store.read().await?;
    let action = tx.action_find(id).await?.context("the action")?;
    let signatures = tx.action_signatures(id).await?;
    Ok(SignedOrder {
        id,
        bytes: action.bytes,
        signatures: signatures.into_iter().map(|one| one.signature).collect(),
    })
}

#[test]
fn a_stolen_controller_has_nothing_done_that_policy_and_keys_do_not_allow() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        site.nothing_else_happened("the theft")?;
        let mut sent = Vec::new();
        for (name, refusal, make) in scripts::SCRIPTS {
            let order = make(&site.forge);
            site.refuses(name, &order, *refusal).await?;
            site.nothing_else_happened(name)?;
            sent.push(order.id.to_string());
        }
        // Two hooks are looked for when their orders are begun: those may be in the journal, as refused.
        let begun = site.begun()?;
        let is_begun = |id: &&String| begun.iter().any(|line| line.contains(*id));
        let looked_for = sent.iter().filter(is_begun).count();
        assert!(looked_for <= 3, "{begun:#?}");
        let count = scripts::SCRIPTS.len();
        assert!(count >= 30, "{count}");
        println!("scripts of single orders: {count}");
        site.takes("after all scripts").await?;
        // Its script leaves a line for each way it is called.
        let order = site.forge.signed(&site.forge.order(restart("appsvc")));
        site.thief.deliver(&order, PATIENCE).await?;
        let ran = fs::read_to_string(site.test_folder.join("ran"))?;
        assert!(ran.lines().any(|line| line == "appsvc"), "{ran}");
        Ok(())
    })
}

#[test]
fn a_stolen_controller_ends_no_lockdown_and_widens_no_policy() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        policy_stays(&mut site).await?;
        lockdown_stays(&mut site).await?;
        let (told, resident_kb) = floods(&mut site).await?;
        println!("{told} of {FLOOD} orders were answered; peak of memory {resident_kb} KiB");
        Ok(())
    })
}

/// Frames beside orders, and what others can do to the policy's file.
async fn policy_stays(site: &mut Site) -> anyhow::Result<()> {
    let nobody = site.forge.hook().id;
    let made_up = ActionReport::new(
        nobody,
        ActionState::Verifying,
        Clock::System.now(),
        "made up",
    );
    let done = ActionReport {
        id: site.done.id,
        ..made_up.clone()
    };
    let frames = [
        Kind::ActionConfirm(ActionConfirm {
            action_id: nobody.as_bytes().to_vec(),
        }),
        Kind::ActionConfirm(ActionConfirm {
            action_id: site.done.id.as_bytes().to_vec(),
        }),
        Kind::ActionAck(ack_to_wire(&made_up).context("a host's state")?),
        Kind::ActionAck(ack_to_wire(&done).context("a host's state")?),
        Kind::Settings(Settings {
            sample_interval_ms: 1,
        }),
    ];
    for frame in frames {
        site.thief.send_frame(frame, PATIENCE).await?;
    }
    site.nothing_else_happened("frames about nothing")?;
    let policy = site.folder.policy();
    let text = fs::read_to_string(&policy)?;
    let order = |site: &Site| site.forge.signed(&site.forge.hook());
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o666))?;
    site.refuses(
        "a policy that others may write",
        &order(site),
        Refusal::PolicyUnusable,
    )
    .await?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o644))?;
    fs::write(&policy, format!("{text}\nprofil = \"full\"\n"))?;
    site.refuses(
        "a policy with a mistake",
        &order(site),
        Refusal::PolicyUnusable,
    )
    .await?;
    // Without its keys the host must not fall back to taking what nobody signed: its profile allows nothing then.
    fs::remove_file(&policy)?;
    let unsigned = site.forge.signed_by(&[], &site.forge.hook());
    site.refuses("a policy that is gone", &unsigned, Refusal::NotAllowed)
        .await?;
    fs::write(&policy, text)?;
    site.takes("with its policy again").await.map(drop)
}

async fn lockdown_stays(site: &mut Site) -> anyhow::Result<()> {
    let tell = |stop: bool, unlock: Vec<u8>, key: Option<&PrivateKey>| {
        let signed = key.map(|key| key.sign(Purpose::Unlock, &unlock));
        Kind::Lockdown(Lockdown {
            stop,
            signatures: signatures_to_wire(signed.as_slice()),
            unlock,
        })
    };
    let unlock = |host: HostId, age_ms: i64| {
        let at = Clock::System.now().unix_ms() - age_ms;
        format!("{{\"host\":\"{host}\",\"issued_at_ms\":{at}}}").into_bytes()
    };
    let host = site.forge.host;
    let (ann, stranger) = (&site.forge.ann, &site.forge.stranger);
    let other = HostId::of_identity_spki(b"another");
    site.thief
        .send_frame(tell(true, Vec::new(), None), PATIENCE)
        .await?;
    let early = unlock(host, 1_000);
    let ends = [
        ("nobody", tell(false, Vec::new(), None)),
        ("nobody, with a text", tell(false, unlock(host, 0), None)),
        ("a stranger", tell(false, unlock(host, 0), Some(stranger))),
        ("for another host", tell(false, unlock(other, 0), Some(ann))),
        (
            "an hour ago",
            tell(false, unlock(host, 3_600_000), Some(ann)),
        ),
        ("before it began", tell(false, early, Some(ann))),
    ];
    for (name, frame) in ends {
        site.thief.send_frame(frame, PATIENCE).await?;
        let order = site.forge.signed(&site.forge.hook());
        site.refuses(name, &order, Refusal::Lockdown).await?;
    }
    let end = tell(false, unlock(host, 0), Some(&site.forge.ann));
    site.thief.send_frame(end, PATIENCE).await?;
    site.takes("after the end that ann signed").await?;
    // The host's own lockdown is the host's.
    let lockdown = async |word: &str| {
        let mut command = program("tidemark-agent")?;
        command
            .args(["lockdown", word, "--config"])
            .arg(site.folder.config());
        Finished::of(command).await?.succeeded().map(drop)
    };
    lockdown("on").await?;
    let end = tell(false, unlock(host, 0), Some(&site.forge.ann));
    site.thief.send_frame(end, PATIENCE).await?;
    let order = site.forge.signed(&site.forge.hook());
    site.refuses("the host's own lockdown", &order, Refusal::Lockdown)
        .await?;
    lockdown("off").await?;
    site.takes("after the host's own lockdown").await.map(drop)
}

/// More than a host can take, from a controller that reads no answer: it stays small, and takes what is right afterwards.
/// Answers how many orders were answered, and the peak of its memory in KiB.
async fn floods(site: &mut Site) -> anyhow::Result<(u64, u64)> {
    let before = site.thief.told();
    site.thief.turn_deaf(Deaf::Yes);
    for _ in 0..FLOOD {
        let order = site.forge.signed_by(&[], &site.forge.hook());
        let frame = Kind::Action(order_to_wire(&order));
        site.thief.send_frame(frame, PATIENCE).await?;
    }
    site.thief.turn_deaf(Deaf::No);
    site.takes("after the flood").await?;
    let told = site.thief.told() - before;
    let loud = site.forge.signed(&site.forge.order(hook("loud", "")));
    let report = site.thief.deliver(&loud, PATIENCE).await?;
    site.honest.push("loud".to_owned());
    anyhow::ensure!(report.state == ActionState::Verifying, "{report:?}");
    let resident_kb = site.resident_kb()?;
    anyhow::ensure!(told > 100, "{told}");
    // Answers that nobody reads are not kept without end: those there are were on the way, in about a MiB.
    anyhow::ensure!(told < u64::from(FLOOD / 5 * 4), "{told}");
    anyhow::ensure!(resident_kb < RESIDENT_KB_MAX, "{resident_kb} KiB");
    let drives_away = [
        ("more bytes than an order has", 40_000, 1),
        ("more bytes than a frame has", 100_000, 1),
        ("more signatures than an order has", 100, 9),
    ];
    for (name, bytes, signatures) in drives_away {
        let mut order = site.forge.signed(&site.forge.hook());
        order.bytes.resize(bytes, b' ');
        order.signatures = vec![signature_of(&order)?; signatures];
        let frame = Kind::Action(order_to_wire(&order));
        let away = site.thief.drives_away(frame, PATIENCE).await;
        away.with_context(|| name.to_owned())?;
        site.nothing_else_happened(name)?;
    }
    site.takes("after the oversized").await?;
    Ok((told, resident_kb))
}
