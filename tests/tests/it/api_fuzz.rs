//! The API as its description says: a fuzzer (schemathesis) makes requests from it, legal and illegal ones, and holds
//! every answer against it. `tests/schemathesis.toml` says what it does not ask.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::view::ActionView;
use tidemark_tests::harness::{Controller, Finished, Machine, SOON, Up, on_own_network};
use tokio::process::Command;

/// Over 6,000 requests at less than the API's rate; some machines are slow.
const PATIENCE: Duration = Duration::from_secs(480);

const BUDGET: &str = "[[budget]]\nname = \"eaters\"\nhosts = [\"host=*\"]\nprocess = \"eater*\"\nallow = { ports = 2000 }\n";

const WINDOW: &str = "[[window]]\nname = \"saturday-night\"\nrecurrence = \"FREQ=WEEKLY;BYDAY=SA\"\nstart = \"2026-12-05T02:00\"\n\
duration = \"4h\"\ntime_zone = \"UTC\"\nhosts = [\"host=*\"]\n";

const POLICY: &str = "[[policy]]\nname = \"full\"\nhosts = [\"host=*\"]\ncondition = { level = 90 }\n\
[[policy.ladder]]\naction = \"restart_service\"\nwith = [\"service=appsvc\"]\n";

/// Something of each kind, so that requests about it find it.
async fn filled(machine: &Machine, controller: &Controller) -> anyhow::Result<ActionView> {
    let path = machine.folder().join("document.toml");
    let file = path.display().to_string();
    for document in [BUDGET, WINDOW, POLICY] {
        fs::write(&path, document)?;
        controller.cli(&["apply", "-f", &file]).await?.succeeded()?;
    }
    let host = controller.first_sample(SOON).await?.name;
    let propose = [
        "action",
        "propose",
        &host,
        "collect_evidence",
        "seconds=5",
        "--reason",
        "a look",
        "--dry-run",
    ];
    controller.cli_json(&propose).await
}

/// Python's packages of `tests/requirements.txt`, where tests/run puts them.
fn schemathesis() -> anyhow::Result<Command> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python");
    let program: PathBuf = packages.join("bin/schemathesis");
    anyhow::ensure!(
        program.is_file(),
        "{} is missing: tests/run installs it",
        program.display()
    );
    let mut command = Command::new("python3");
    command.arg(program).env("PYTHONPATH", packages);
    command.kill_on_drop(true);
    Ok(command)
}

#[test]
fn the_api_is_as_its_description_says_whatever_a_fuzzer_sends() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::with_agent()).await?;
        let action = filled(machine, &controller).await?;
        let token = controller.token_of("fuzzer", "admin").await?;
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
        let mut fuzzer = schemathesis()?;
        fuzzer
            .current_dir(machine.folder())
            .env("TIDEMARK_HOST", controller.only_host().await?.name)
            .env("TIDEMARK_ACTION", &action.id)
            .arg("--config-file")
            .arg(config)
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", controller.ready.http))
            .arg("--header")
            .arg(format!("Authorization: Bearer {token}"))
            .args(["--max-examples", "15", "--workers", "1"])
            .args([
                "--continue-on-failure",
                "--no-color",
                "--generation-deterministic",
            ]);
        let ran = Finished::within(fuzzer, PATIENCE).await?;
        let report = ran.succeeded().context("what does not hold is below")?;
        anyhow::ensure!(report.contains("generated"), "nothing was asked: {report}");
        // It is still there, and well.
        assert_eq!(controller.get_text("/readyz").await?, "ready\n");
        controller.only_host().await?;
        Ok(())
    })
}
