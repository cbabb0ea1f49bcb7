//! A new user's first minutes: one command from an empty folder, every first look, Ctrl-C, and the same command again.

use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::view::{
    EventView, HistoryView, HostDetail, HostView, PortSpaceView, StatusView,
};
use tidemark_tests::harness::controller::{Ready, tcp};
use tidemark_tests::harness::process::is_running;
use tidemark_tests::harness::{Controller, Machine, SOON, Up, on_own_network, until};

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// What the README shows, and what a script would ask; HOST stands for the host's name.
const FIRST_LOOKS: [&str; 10] = [
    "get hosts",
    "get events --since 1d",
    "get tokens",
    "describe host HOST",
    "history HOST --metric in_use --since 1h --step 1m --agg max",
    "forecast",
    "forecast HOST",
    "compare HOST --metric in_use --since 10m --with 10m",
    "status",
    "version",
];

#[test]
fn one_command_shows_this_machines_ports_and_goes_on_with_its_history_after_ctrl_c()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::with_agent();
        let controller = Controller::up(machine, &up).await?;
        let first = sampled_twice(&controller).await?;
        assert_eq!(first.state, "online");
        let ports = tcp(&first)?;
        assert_eq!(ports.capacity, 28_232, "Linux's default range");
        assert!(ports.in_use > 0 && ports.in_use < 200, "{ports:#?}");
        assert_eq!(ports.eta_ms, None, "{}", ports.explanation);
        let before = ports_in_use(&controller, &first.id).await?;
        assert!(!before.is_empty(), "no history after two samples");

        let ready = controller.ready.clone();
        let status = controller.stop().await?;
        assert_eq!(status.code(), Some(0), "Ctrl-C is a clean end");
        assert_gone(&ready, &up, machine)?;

        let again = Controller::up(machine, &up).await?;
        let host = sampled_twice(&again).await?;
        assert_eq!(host.id, first.id, "the same host");
        let after = ports_in_use(&again, &first.id).await?;
        for (at_ms, value) in &before {
            let kept = after.iter().find(|(kept_ms, _)| kept_ms == at_ms);
            let kept = kept.with_context(|| format!("the step at {at_ms} is lost"))?;
            assert!(kept.1 >= *value, "{kept:?} instead of {value}");
        }
        let events = again.events().await?;
        let count = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
        assert_eq!(count("host_enrolled"), 1, "{events:#?}");
        assert_eq!(count("controller"), 2, "{events:#?}");
        assert_eq!(again.stop().await?.code(), Some(0));
        Ok(())
    })
}

/// A list that the command line asks for and the controller does not know shows nowhere else.
#[test]
fn every_list_of_the_command_line_is_answered() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let help = controller.cli(&["get", "--help"]).await?;
        let help = help.succeeded()?;
        let (_, lists) = help.split_once("Commands:\n").context("no commands")?;
        let lists: Vec<&str> = lists
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|list| *list != "help")
            .collect();
        assert!(lists.len() >= 17, "{lists:?}");
        for list in lists {
            let answer = controller.cli(&["get", list]).await?;
            answer.succeeded().with_context(|| list.to_owned())?;
        }
        Ok(())
    })
}

#[test]
fn every_first_look_answers_in_each_format() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::with_agent()).await?;
        let host = sampled_twice(&controller).await?;
        for look in FIRST_LOOKS {
            let look = look.replace("HOST", &host.name);
            let args: Vec<&str> = look.split(' ').collect();
            for format in ["table", "json", "yaml", "csv"] {
                let args = [&args[..], &["-o", format]].concat();
                let answer = controller.cli(&args).await?;
                let printed = answer.succeeded().with_context(|| look.clone())?;
                assert!(printed.lines().count() >= 1, "{look} -o {format}");
                match format {
                    "json" => drop(serde_json::from_str::<serde_json::Value>(&printed)?),
                    "csv" => assert_is_csv(&look, &printed),
                    _ => {}
                }
            }
        }
        assert_shapes(&controller, &host).await
    })
}

#[test]
fn the_page_and_the_api_are_for_those_who_signed_in() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::with_agent()).await?;
        let (status, page) = controller.get_as_stranger("/").await?;
        assert_eq!(status, 401);
        assert!(page.contains("Sign in"), "{page}");
        let (status, answer) = controller.get_as_stranger("/api/v1/hosts").await?;
        assert_eq!(status, 401, "{answer}");

        let host = controller.only_host().await?;
        let operator = controller.sign_in().await?;
        assert!(operator.get("/").await?.contains(&host.name));
        let (status, _) = controller.get_as_stranger("/login?code=wrong").await?;
        assert_eq!(status, 401);
        Ok(())
    })
}

#[test]
fn a_second_controller_on_the_same_folder_or_port_says_what_to_do() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let _controller = Controller::up(machine, &up).await?;
        let same_ports = Up {
            name: "same-ports",
            data: "other-data",
            ..up.clone()
        };
        let said = refused_start(machine, &same_ports).await?;
        assert!(said.contains("127.0.0.1:7443 is in use"), "{said}");
        assert!(said.contains("--grpc"), "{said}");

        let same_folder = Up {
            data: up.data,
            ..up.another()
        };
        let said = refused_start(machine, &same_folder).await?;
        assert!(said.contains("another controller uses"), "{said}");
        assert!(said.contains("--data-dir"), "{said}");
        let ready = same_folder.data_dir(machine).join("ready.json");
        assert!(ready.try_exists()?, "the one that runs still answers");
        Ok(())
    })
}

/// Starts a controller that must not come up; its complaint.
async fn refused_start(machine: &Machine, up: &Up) -> anyhow::Result<String> {
    let mut process = up.start(machine)?;
    let ended = process.wait(STOP_TIMEOUT).await?;
    anyhow::ensure!(ended.code() == Some(1), "{ended}: {}", process.said());
    process.stderr()
}

/// Waits until the host has two samples, so that a rate and a step exist.
async fn sampled_twice(controller: &Controller) -> anyhow::Result<HostView> {
    let first = controller.only_host().await?.sampled_ms;
    until("a second sample", SOON, async || {
        let host = controller.only_host().await?;
        Ok((host.sampled_ms > first).then_some(host))
    })
    .await
}

/// The steps with data, as `[start, most ports in use]`.
async fn ports_in_use(controller: &Controller, id: &str) -> anyhow::Result<Vec<(i64, f64)>> {
    let asked = "history ID --metric in_use --since 1h --step 1m --agg max".replace("ID", id);
    let args: Vec<&str> = asked.split(' ').collect();
    let history: HistoryView = controller.cli_json(&args).await?;
    let points = history.series.iter().flat_map(|series| &series.points);
    Ok(points
        .filter_map(|(at_ms, value)| Some((*at_ms, (*value)?)))
        .collect())
}

fn assert_gone(ready: &Ready, up: &Up, machine: &Machine) -> anyhow::Result<()> {
    assert!(!is_running(ready.pid));
    let agent = ready.agent_pid.context("there was a local agent")?;
    assert!(!is_running(agent));
    let ready = up.data_dir(machine).join("ready.json");
    assert!(!ready.try_exists()?, "nothing answers any more");
    Ok(())
}

/// Each line has as many columns as the header; quotes keep a comma in its column.
fn assert_is_csv(look: &str, printed: &str) {
    let columns = |line: &str| {
        let outside = line.split('"').step_by(2);
        outside.map(|part| part.matches(',').count()).sum::<usize>()
    };
    let header = printed.lines().next().unwrap_or_default();
    for line in printed.lines() {
        assert_eq!(columns(line), columns(header), "{look}: {line}");
    }
}

/// The shapes that scripts rely on.
async fn assert_shapes(controller: &Controller, host: &HostView) -> anyhow::Result<()> {
    let hosts: Vec<HostView> = controller.cli_json(&["get", "hosts"]).await?;
    assert_eq!(hosts.len(), 1);
    let detail: HostDetail = controller
        .cli_json(&["describe", "host", &host.name])
        .await?;
    let owners: Vec<&str> = detail
        .sample
        .iter()
        .flat_map(|sample| &sample.port_spaces)
        .flat_map(|space| &space.owners)
        .map(|owner| &*owner.process.name)
        .collect();
    assert!(owners.contains(&"tidemark-agent"), "{owners:?}");
    let status: StatusView = controller.cli_json(&["status"]).await?;
    assert_eq!(status.database, "sqlite");
    assert!(status.database_ready && status.delivery.stored > 0);
    let events: Vec<EventView> = controller.cli_json(&["get", "events"]).await?;
    assert!(events.iter().any(|event| event.kind == "host_connected"));
    let spaces: &[PortSpaceView] = &hosts.first().context("a host")?.port_spaces;
    let protocols: Vec<&str> = spaces.iter().map(|space| &*space.protocol).collect();
    assert_eq!(protocols, ["tcp", "udp"]);
    Ok(())
}
