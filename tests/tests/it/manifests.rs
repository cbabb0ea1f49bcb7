//! What is deployed without a package manager is what the programs know: schemas, and every port, path, variable and flag by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_controller::api::routes::ROUTES;
use tidemark_controller::settings::KEYS;
use tidemark_tests::harness::process::program;
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{Finished, on_own_network};
use tokio::process::Command;

const COMPOSE: &str = "deploy/docker/compose.yaml";
const CONTAINERFILE: &str = "deploy/docker/Containerfile";
const KUBERNETES: &str = "deploy/kubernetes";

fn read(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = workspace().join(path);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Python with the packages of `tests/requirements.txt`.
pub(crate) fn python() -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", workspace().join("target/python"));
    python
}

/// The manifests, without the kustomization that lists them.
fn manifests() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace().join(KUBERNETES))? {
        let path = entry?.path();
        if !path.ends_with("kustomization.yaml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A YAML file's documents as JSON.
async fn documents(path: &Path) -> anyhow::Result<Vec<Value>> {
    let script =
        "import sys, yaml, json; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut read = python();
    read.args(["-c", script]).arg(path);
    Ok(serde_json::from_str(
        &Finished::of(read).await?.succeeded()?,
    )?)
}

/// Every value of that key, wherever it stands.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if name == key {
                    found.push(inner);
                }
                all(inner, key, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| all(inner, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Words of a text that begin so, up to what no variable's name has.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        .filter(|word| word.starts_with(prefix))
        .collect()
}

#[test]
fn manifests_are_as_their_schemas_say() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut validate = python();
        validate.args(["-m", "kubernetes_validate", "--strict"]);
        validate.args(manifests()?);
        let validated = Finished::of(validate).await?.succeeded()?;
        for kind in ["statefulset", "networkpolicy", "poddisruptionbudget"] {
            ensure!(validated.contains(kind), "{validated}");
        }
        let check = async |path: &Path| {
            let mut check = python();
            check
                .arg(workspace().join("tests/compose_check.py"))
                .arg(path);
            Finished::of(check).await
        };
        check(&workspace().join(COMPOSE)).await?.succeeded()?;
        let wrong = machine.folder().join("compose.yaml");
        fs::write(&wrong, read(COMPOSE)?.replace("read_only:", "read_olny:"))?;
        let refused = check(&wrong).await?;
        assert!(refused.stderr.contains("read_olny"), "{}", refused.stderr);
        Ok(())
    })
}

#[test]
fn the_kustomization_lists_every_manifest() -> anyhow::Result<()> {
    on_own_network(async |_| {
        let kustomization = workspace().join(KUBERNETES).join("kustomization.yaml");
        let read = documents(&kustomization).await?;
        let listed = read[0]["resources"].as_array().context("resources")?;
        let listed: BTreeSet<_> = listed.iter().filter_map(Value::as_str).collect();
        let there = manifests()?;
        let there = there.iter().filter_map(|path| path.file_name()?.to_str());
        assert_eq!(listed, there.collect());
        Ok(())
    })
}

#[test]
fn variables_and_probes_are_ones_that_the_controller_knows() -> anyhow::Result<()> {
    let known: BTreeSet<String> = KEYS
        .iter()
        .map(|key| format!("TIDEMARK_{}", key.replace('.', "_").to_uppercase()))
        .collect();
    let kubernetes = read(format!("{KUBERNETES}/controller.yaml"))?;
    for text in [read(COMPOSE)?, read(CONTAINERFILE)?, kubernetes.clone()] {
        let named = words(&text, "TIDEMARK_");
        assert!(!named.is_empty());
        for name in named {
            assert!(known.contains(name), "{name}");
        }
    }
    let paths: Vec<&str> = kubernetes
        .split("path: /")
        .skip(1)
        .filter_map(|rest| rest.split(',').next())
        .collect();
    assert_eq!(paths, ["healthz", "healthz", "readyz"]);
    for path in paths {
        let served = ROUTES.iter().any(|route| route.path == format!("/{path}"));
        assert!(served, "{path}");
    }
    Ok(())
}

#[test]
fn ports_are_those_that_the_image_listens_on() -> anyhow::Result<()> {
    on_own_network(async |_| {
        let image = read(CONTAINERFILE)?;
        for setting in [
            "TIDEMARK_HTTP=0.0.0.0:7080",
            "TIDEMARK_GRPC=0.0.0.0:7443",
            "EXPOSE 7080 7443",
        ] {
            assert!(image.contains(setting), "{setting}");
        }
        let mut named = Vec::new();
        let of_pod = documents(&workspace().join(KUBERNETES).join("controller.yaml")).await?;
        let of_pod = Value::from(of_pod);
        let mut ports = Vec::new();
        all(&of_pod, "containerPort", &mut ports);
        assert_eq!(ports, [&Value::from(7443), &Value::from(7080)]);
        all(&of_pod, "port", &mut named);
        let services = documents(&workspace().join(KUBERNETES).join("services.yaml")).await?;
        let services = Value::from(services);
        all(&services, "targetPort", &mut named);
        assert!(named.len() >= 6);
        for port in named {
            let is_named = port
                .as_str()
                .is_some_and(|name| matches!(name, "http" | "agents"));
            assert!(is_named, "{port}");
        }
        let compose = Value::from(documents(&workspace().join(COMPOSE)).await?);
        let published = &compose[0]["services"]["controller"]["ports"];
        assert_eq!(published[0], "7443:7443");
        assert_eq!(published[1], "127.0.0.1:7080:7080");
        Ok(())
    })
}

/// What a unit, an image or a manifest has a program do, up to its flags.
fn called() -> anyhow::Result<Vec<(&'static str, Vec<String>)>> {
    let mut called = Vec::new();
    for name in ["tidemark-agent", "tidemark-controller"] {
        let unit = read(format!("deploy/linux/{name}.service"))?;
        let start = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let words = start.context("ExecStart")?.split(' ').skip(1);
        called.push((name, words.map(str::to_owned).collect()));
    }
    // The health check and the command are JSON lists in the same form everywhere.
    let image = read(CONTAINERFILE)?;
    let compose = read(COMPOSE)?;
    let kubernetes = read(format!("{KUBERNETES}/controller.yaml"))?;
    for (text, said) in [
        (&image, "\", \"ready\"]"),
        (&compose, "\", \"ready\"]"),
        (&image, "CMD [\"serve\"]"),
        (&compose, "command: [\"serve\"]"),
        (&kubernetes, "args: [\"serve\"]"),
    ] {
        ensure!(text.contains(said), "{said}");
    }
    for verb in ["ready", "serve"] {
        called.push(("tidemark-controller", vec![verb.to_owned()]));
    }
    Ok(called)
}

#[test]
fn what_is_called_is_a_command_with_those_flags() -> anyhow::Result<()> {
    on_own_network(async |_| {
        for (name, arguments) in called()? {
            let (verb, flags) = arguments.split_first().context("a command")?;
            let mut help = program(name)?;
            help.args([verb, "--help"]);
            let help = Finished::of(help).await?.succeeded()?;
            for flag in flags.iter().filter(|word| word.starts_with("--")) {
                assert!(words(&help, "--").contains(&**flag), "{name} {verb} {flag}");
            }
        }
        Ok(())
    })
}
