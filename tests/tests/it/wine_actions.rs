//! Actions on a Windows host, by real orders over the wire: the Windows agent under Wine, real services of Wine's service
//! control manager, a real registry. What Wine cannot do is refused, and said.

mod host;

use std::collections::BTreeMap;
use std::fs;

use anyhow::ensure;
use tidemark_model::action::spec::{
    EventLevel, IpFamily, Lasting, NicOffload, OnHang, ResetStep, TcpGlobal, TcpParameter,
};
use tidemark_model::action::{Change, Refusal, StepState};
use tidemark_model::{ActionReport, ActionSpec, ActionState, Protocol};
use tidemark_tests::harness::{Process, SOON, STARTING, on_own_network, until};

use self::host::{Host, restart};

fn set(parameter: TcpParameter, value: Option<u32>) -> ActionSpec {
    ActionSpec::SetTcpParameter { parameter, value }
}

fn run_hook(name: &str, pool: &str) -> ActionSpec {
    ActionSpec::RunHook {
        name: name.to_owned(),
        arguments: BTreeMap::from([("pool".to_owned(), pool.to_owned())]),
    }
}

/// Steps that came out so, in order.
fn steps(report: &ActionReport, state: StepState) -> Vec<&str> {
    let steps = report.steps.iter().filter(|step| step.state == state);
    steps.map(|step| step.what.as_str()).collect()
}

const RESTART: [&str; 4] = [
    "stop TideWeb",
    "stop TideApp",
    "start TideApp",
    "start TideWeb",
];

#[test]
fn a_windows_service_is_restarted_with_what_depends_on_it() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        host.service("TideApp", "service", &[]).await?;
        host.service("TideWeb", "service", &["depend=", "TideApp"])
            .await?;
        host.clear_log()?;

        let answered = host.ask(restart("tideapp", OnHang::Fail)).await?;
        ensure!(answered.state == ActionState::Answered, "{answered:#?}");
        let planned = steps(&answered, StepState::Planned);
        let alike = planned
            .iter()
            .zip(RESTART)
            .all(|(planned, step)| planned.eq_ignore_ascii_case(step));
        ensure!(planned.len() == RESTART.len() && alike, "{answered:#?}");
        ensure!(host.log().is_empty(), "{:?}", host.log());

        let done = host.order(restart("TideApp", OnHang::Fail)).await?;
        ensure!(done.state == ActionState::Verifying, "{done:#?}");
        ensure!(steps(&done, StepState::Done) == RESTART, "{done:#?}");
        ensure!(host.log() == RESTART, "{:?}", host.log());

        host.refused(
            restart("NoSuchService", OnHang::Fail),
            Refusal::NoSuchTarget,
            "key name",
        )
        .await?;
        nothing_is_stopped_that_must_not_be(&host).await
    })
}

async fn nothing_is_stopped_that_must_not_be(host: &Host) -> anyhow::Result<()> {
    host.clear_log()?;
    let key = r"HKLM\SYSTEM\CurrentControlSet\Services\TideWeb";
    let start = |value: &'static str| {
        [
            "add",
            key,
            "/v",
            "Start",
            "/t",
            "REG_DWORD",
            "/d",
            value,
            "/f",
        ]
    };
    host.windows("reg", &start("4")).await?;
    let refused = restart("TideApp", OnHang::Fail);
    host.refused(refused.clone(), Refusal::Unsafe, "TideWeb is disabled")
        .await?;
    host.windows("reg", &start("3")).await?;

    let resource = r"HKLM\Cluster\Resources\0c1d";
    let kind = ["add", resource, "/v", "Type", "/d", "Generic Service", "/f"];
    host.windows("reg", &kind).await?;
    let parameters = format!(r"{resource}\Parameters");
    let service = [
        "add",
        &parameters,
        "/v",
        "ServiceName",
        "/d",
        "TideApp",
        "/f",
    ];
    host.windows("reg", &service).await?;
    host.refused(refused.clone(), Refusal::Unsafe, "failover cluster")
        .await?;
    host.windows("reg", &["delete", r"HKLM\Cluster", "/f"])
        .await?;

    // What is never restarted is not restarted along with another service either.
    host.start_service("gpsvc", "service", &["depend=", "TideApp"])
        .await?;
    host.refused(refused, Refusal::Protected, "gpsvc depends on it")
        .await?;
    ensure!(host.log() == ["start gpsvc"], "{:?}", host.log());
    Ok(())
}

#[test]
fn a_windows_service_that_hangs_fails_the_action_or_is_ended_as_ordered() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        host.service("TideHang", "hang", &[]).await?;
        host.clear_log()?;
        let failed = host.order(restart("TideHang", OnHang::Fail)).await?;
        ensure!(failed.state == ActionState::Failed, "{failed:#?}");
        ensure!(
            steps(&failed, StepState::Failed) == ["stop TideHang"],
            "{failed:#?}"
        );
        ensure!(host.log().is_empty(), "{:?}", host.log());

        // It hangs already, and is ended all the same.
        let ended = host.order(restart("TideHang", OnHang::EndProcess)).await?;
        ensure!(ended.state == ActionState::Verifying, "{ended:#?}");
        let done = ["end the process of TideHang", "start TideHang"];
        ensure!(steps(&ended, StepState::Done) == done, "{ended:#?}");
        ensure!(host.log() == ["start TideHang"], "{:?}", host.log());
        Ok(())
    })
}

#[test]
fn a_windows_process_is_ended_only_if_all_three_match() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        let mut waiting = host.wine.program(r"C:\subject.exe");
        waiting.arg("wait");
        let mut victim = Process::start("victim", waiting, &host.machine_folder)?;
        let (pid, started_at_ms) = until("the victim's number", STARTING, async || {
            let said = victim.stdout()?;
            let mut words = said.split_whitespace();
            let both = words.next().zip(words.next());
            let Some((pid, at)) = both else {
                return Ok(None);
            };
            Ok(Some((pid.parse::<u32>()?, at.parse::<i64>()?)))
        })
        .await?;
        let end = |pid, started_at_ms, image: &str| ActionSpec::EndProcess {
            pid,
            started_at_ms,
            image: image.to_owned(),
        };
        for (other, words) in [
            (end(pid, started_at_ms, "other.exe"), "not other.exe"),
            (
                end(pid, started_at_ms - 60_000, "subject.exe"),
                "another time",
            ),
            (
                end(0xFFF0, started_at_ms, "subject.exe"),
                "there is no process",
            ),
        ] {
            host.refused(other, Refusal::NoSuchTarget, words).await?;
        }
        ensure!(victim.ended()?.is_none(), "{}", victim.said());
        let done = host.order(end(pid, started_at_ms, "Subject.EXE")).await?;
        ensure!(done.state == ActionState::Verifying, "{done:#?}");
        victim.wait(SOON).await?;
        Ok(())
    })
}

#[test]
fn a_parameter_of_windows_is_set_and_undone_by_what_was_reported() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        let delay = TcpParameter::TcpTimedWaitDelay;
        let change = |before: Option<&str>, after: Option<&str>| Change {
            what: delay.as_str().to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        ensure!(host.parameter("TcpTimedWaitDelay").await?.is_none());
        let asked = host.ask(set(delay, Some(60))).await?;
        ensure!(asked.state == ActionState::Answered, "{asked:#?}");
        ensure!(asked.changes == [change(None, Some("60"))], "{asked:#?}");
        ensure!(host.parameter("TcpTimedWaitDelay").await?.is_none());

        let first = host.order(set(delay, Some(60))).await?;
        ensure!(
            first.state == ActionState::Verifying && first.needs_reboot,
            "{first:#?}"
        );
        let value = host.parameter("TcpTimedWaitDelay").await?;
        ensure!(value.as_deref() == Some("0x3c"), "{value:?}");
        let second = host.order(set(delay, Some(30))).await?;
        ensure!(
            second.changes == [change(Some("60"), Some("30"))],
            "{second:#?}"
        );
        // Undone from the last one to the first, by their own pre-images.
        for report in [second, first] {
            let [Change { before, .. }] = report.changes.as_slice() else {
                anyhow::bail!("{report:#?}");
            };
            let before = before.as_deref().map(str::parse).transpose()?;
            let undone = host.order(set(delay, before)).await?;
            ensure!(undone.state == ActionState::Verifying, "{undone:#?}");
        }
        let value = host.parameter("TcpTimedWaitDelay").await?;
        ensure!(value.is_none(), "{value:?}");
        let linux = set(TcpParameter::TcpTwReuse, Some(1));
        host.refused(linux, Refusal::Unsupported, "parameter of Linux")
            .await
    })
}

#[test]
fn the_limit_of_dotnet_is_set_and_the_file_as_it_was_is_kept() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        let limit = |connections| ActionSpec::SetDotnetConnectionLimit { connections };
        host.refused(limit(100), Refusal::NoSuchTarget, "no .NET Framework 4")
            .await?;
        let framework = "windows/Microsoft.NET/Framework64/v4.0.30319/Config";
        let folder = host.wine.drive().join(framework);
        fs::create_dir_all(&folder)?;
        let config = folder.join("machine.config");
        let shipped = "<configuration>\r\n  <system.net><a/></system.net>\r\n</configuration>\r\n";
        fs::write(&config, shipped)?;
        let first = host.order(limit(100)).await?;
        ensure!(first.state == ActionState::Verifying, "{first:#?}");
        let second = host.order(limit(200)).await?;
        let [change] = second.changes.as_slice() else {
            anyhow::bail!("{second:#?}");
        };
        ensure!(change.before.as_deref() == Some("100"), "{change:#?}");
        let text = fs::read_to_string(&config)?;
        ensure!(
            text.contains("<add address=\"*\" maxconnection=\"200\" />") && text.contains("<a/>"),
            "{text}"
        );
        let kept = fs::read_to_string(folder.join("machine.config.before-tidemark"))?;
        ensure!(kept == shipped, "{kept}");

        fs::write(&config, "<configuration>")?;
        host.refused(limit(300), Refusal::Unsafe, "not well-formed")
            .await?;
        ensure!(fs::read_to_string(&config)? == "<configuration>");
        Ok(())
    })
}

#[test]
fn a_switch_of_a_network_card_is_set_in_the_registry() -> anyhow::Result<()> {
    const CLASS: &str =
        r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}\0042";
    const NETWORK: &str =
        r"HKLM\SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}";
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        let guid = "{6C1B7F1A-0000-4000-8000-00000000C1D0}";
        let connection = format!(r"{NETWORK}\{guid}\Connection");
        for (key, name, kind, value) in [
            (CLASS, "Characteristics", "REG_DWORD", "4"),
            (CLASS, "NetCfgInstanceId", "REG_SZ", guid),
            (CLASS, "*LsoV2IPv4", "REG_SZ", "1"),
            (connection.as_str(), "Name", "REG_SZ", "Ethernet 2"),
        ] {
            let words = ["add", key, "/v", name, "/t", kind, "/d", value, "/f"];
            host.windows("reg", &words).await?;
        }
        let lso = |adapter: &str, offload| ActionSpec::SetNicOffload {
            adapter: adapter.to_owned(),
            offload,
            enabled: false,
        };
        let done = host.order(lso("ethernet 2", NicOffload::LsoIpv4)).await?;
        ensure!(
            done.state == ActionState::Verifying && done.needs_reboot,
            "{done:#?}"
        );
        let [change] = done.changes.as_slice() else {
            anyhow::bail!("{done:#?}");
        };
        let values = (change.before.as_deref(), change.after.as_deref());
        ensure!(values == (Some("1"), Some("0")), "{change:#?}");
        let words = ["query", CLASS, "/v", "*LsoV2IPv4"];
        let stored = host.windows("reg", &words).await?;
        ensure!(stored.trim_end().ends_with("REG_SZ    0"), "{stored}");
        let other = lso("Ethernet 3", NicOffload::LsoIpv4);
        host.refused(other, Refusal::NoSuchTarget, "there are: Ethernet 2")
            .await?;
        let unknown = lso("Ethernet 2", NicOffload::LsoIpv6);
        host.refused(unknown, Refusal::Unsupported, "no keyword *LsoV2IPv6")
            .await
    })
}

#[test]
fn a_hook_of_windows_gets_its_arguments_and_nothing_of_the_agents() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        host.hook("drain.exe", 0o700)?;
        let hostile = "a\" & calc.exe | %PATH% $(x)";
        let done = host.order(run_hook("drain.exe", hostile)).await?;
        ensure!(done.state == ActionState::Verifying, "{done:#?}");
        let [step] = done.steps.as_slice() else {
            anyhow::bail!("{done:#?}");
        };
        let said = format!("pool: {hostile} secret: none");
        ensure!(step.text == said, "{step:#?}");
        let failed = host.order(run_hook("drain.exe", "fail")).await?;
        ensure!(
            failed.state == ActionState::Failed && failed.text.contains("exit code: 7"),
            "{failed:#?}"
        );

        host.hook("open.exe", 0o755)?;
        host.hook("plain.txt", 0o700)?;
        host.hook("script.ps1", 0o700)?;
        for (name, refusal, words) in [
            ("open.exe", Refusal::Unsafe, "S-1-1-0"),
            ("plain.txt", Refusal::NoSuchTarget, "no .exe and no .ps1"),
            ("drain.exe.", Refusal::NoSuchTarget, "there is no hook"),
            (
                "drain.exe::$DATA",
                Refusal::NoSuchTarget,
                "there is no hook",
            ),
            ("script.ps1", Refusal::Unsupported, "no PowerShell"),
        ] {
            host.refused(run_hook(name, "x"), refusal, words).await?;
        }
        Ok(())
    })
}

#[test]
fn what_wine_cannot_do_is_refused_and_said() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        let range = ActionSpec::SetDynamicPortRange {
            protocol: Protocol::Tcp,
            family: IpFamily::Ipv4,
            first: 30_000,
            last: 60_000,
            lasting: Lasting::UntilReboot,
            confirm_within_s: 30,
        };
        let event = ActionSpec::WriteEvent {
            log: None,
            source: None,
            id: 5001,
            level: EventLevel::Error,
            text: "ports above 30000".to_owned(),
        };
        let reboot = ActionSpec::Reboot {
            grace_s: 60,
            reason: "ports ran out".to_owned(),
            force: true,
        };
        let pool = ActionSpec::RecycleAppPool {
            pool: "Default Pool".to_owned(),
        };
        let switch = ActionSpec::SetTcpGlobal {
            switch: TcpGlobal::Rss,
            enabled: false,
        };
        let reset = ActionSpec::ResetTcpStack {
            steps: vec![ResetStep::Winsock],
            lose_addresses: true,
        };
        for (spec, words) in [
            (reset, "prints no settings"),
            (pool, "has no IIS"),
            (switch, "could not be read back"),
            (range, "prints no range"),
            (event, "keeps no event log"),
            (reboot, "restarts no host"),
        ] {
            host.refused(spec, Refusal::Unsupported, words).await?;
        }
        Ok(())
    })
}

#[test]
fn a_reset_of_the_stack_is_planned_and_spares_addresses_that_were_given_by_hand()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let host = Host::prepare(machine).await?;
        let reset = |steps: &[ResetStep], lose_addresses| ActionSpec::ResetTcpStack {
            steps: steps.to_vec(),
            lose_addresses,
        };
        let only_service = reset(&[ResetStep::RemoteAccess], false);
        let planned = host.ask(only_service.clone()).await?;
        ensure!(planned.state == ActionState::Answered, "{planned:#?}");
        ensure!(
            steps(&planned, StepState::Planned) == ["restart RemoteAccess"],
            "{planned:#?}"
        );
        let skipped = host.order(only_service.clone()).await?;
        ensure!(
            steps(&skipped, StepState::Skipped) == ["restart RemoteAccess"],
            "{skipped:#?}"
        );
        host.service("RemoteAccess", "service", &[]).await?;
        host.clear_log()?;
        let done = host.order(only_service).await?;
        ensure!(
            done.state == ActionState::Verifying && !done.needs_reboot,
            "{done:#?}"
        );
        let restart = ["stop RemoteAccess", "start RemoteAccess"];
        ensure!(steps(&done, StepState::Done) == restart, "{done:#?}");
        ensure!(host.log() == restart, "{:?}", host.log());

        let key = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces\{6C1B7F1A-0000-4000-8000-00000000C1D1}";
        for (name, kind, value) in [
            ("EnableDHCP", "REG_DWORD", "0"),
            ("IPAddress", "REG_MULTI_SZ", "10.9.8.7"),
        ] {
            let words = ["add", key, "/v", name, "/t", kind, "/d", value, "/f"];
            host.windows("reg", &words).await?;
        }
        let all = ResetStep::ALL;
        host.refused(reset(all, false), Refusal::Unsafe, "10.9.8.7")
            .await?;
        // The catalog of Winsock has no addresses to lose.
        let winsock = reset(&[ResetStep::Winsock], false);
        host.refused(winsock, Refusal::Unsupported, "prints no settings")
            .await?;
        let asked = host.ask(reset(all, true)).await?;
        let plan = [
            "keep the settings that it loses",
            "restart RemoteAccess",
            "netsh int ipv4 reset",
            "netsh int ipv6 reset",
            "netsh winsock reset",
        ];
        ensure!(steps(&asked, StepState::Planned) == plan, "{asked:#?}");
        ensure!(asked.needs_reboot, "{asked:#?}");
        // What netsh does not print cannot be kept: nothing is reset, and RemoteAccess runs on.
        host.clear_log()?;
        let refused = host.order(reset(all, true)).await?;
        ensure!(
            refused.refusal == Some(Refusal::Unsupported)
                && refused.text.contains("nothing was reset")
                && refused.text.contains("settings of the interfaces")
                && refused.text.contains("netsh -c interface dump"),
            "{refused:#?}"
        );
        ensure!(host.log().is_empty(), "{:?}", host.log());
        Ok(())
    })
}
