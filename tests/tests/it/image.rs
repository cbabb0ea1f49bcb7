//! The controller's image: built as its script builds it, started as it says itself, with a volume that outlives its containers.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{
    AgentFolder, Finished, Machine, Process, SOON, STARTING, on_own_network, program, until,
};
use tokio::process::Command;

use crate::deb::PACKING;

/// Stands for the base that the Containerfile names, which is fetched from a registry.
const BASE: &str = "localhost/base";
/// What that base has of the libraries that programs ask for; `linux-vdso` is the kernel's.
const LIBRARIES: [&str; 5] = [
    "linux-vdso.so.1",
    "libgcc_s.so.1",
    "libm.so.6",
    "libc.so.6",
    "ld-linux",
];
/// Makes an image $1 of libraries alone, $2 and on.
const MAKE_BASE: &str = r#"
image=$1; shift
mkdir -p root/etc root/tmp
echo 'nonroot:x:65532:65532::/:/sbin/nologin' > root/etc/passwd
cp -L --parents "$@" root
container=$(buildah from scratch)
buildah copy -q "$container" root /
buildah commit -q "$container" "$image"
buildah rm "$container""#;
/// How the image is told what no image can know.
const AGENTS: &str = "127.0.0.1:7443";

/// The image, in a storage of the test's own.
struct Image {
    folder: PathBuf,
    name: String,
    config: Value,
}

impl Image {
    async fn build(machine: &Machine) -> anyhow::Result<Self> {
        let folder = machine.folder().join("containers");
        fs::create_dir(&folder)?;
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            folder.display()
        );
        fs::write(folder.join("storage.conf"), storage)?;
        let mut image = Self {
            folder,
            name: String::new(),
            config: Value::Null,
        };
        let controller = built("tidemark-controller")?;
        image.make_base(&controller).await?;
        let mut build = image.command(workspace().join("deploy/docker/image.sh"));
        build.args(["--builder", "buildah", "--base", BASE]);
        build.args(["--version", "1.2.3", "--programs"]);
        build.arg(controller.parent().context("a folder of programs")?);
        let named = Finished::within(build, PACKING).await?.succeeded()?;
        image.name = named.trim().to_owned();
        ensure!(named.trim() == "tidemark-controller:1.2.3", "{named}");
        let inspect = ["inspect", "--type", "image", &image.name];
        let inspected: Value = serde_json::from_str(&image.buildah(&inspect).await?)?;
        image.config = inspected["Docker"]["config"].clone();
        Ok(image)
    }

    async fn make_base(&self, controller: &Path) -> anyhow::Result<()> {
        let mut ask = Command::new("ldd");
        ask.arg(controller);
        let needs = Finished::of(ask).await?.succeeded()?;
        let unknown: Vec<&str> = needs
            .lines()
            .filter(|line| !LIBRARIES.iter().any(|library| line.contains(library)))
            .collect();
        ensure!(unknown.is_empty(), "the base lacks {unknown:?}");
        let files: BTreeSet<&str> = needs
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
            .collect();
        let mut make = self.command("sh");
        make.args(["-ec", MAKE_BASE, "sh", BASE]).args(files);
        make.current_dir(&self.folder);
        Finished::of(make).await?.succeeded().map(drop)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"));
        command.kill_on_drop(true);
        command
    }

    async fn buildah(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut buildah = self.command("buildah");
        buildah.args(args);
        let said = Finished::of(buildah)
            .await
            .context("tests/run installs it")?;
        Ok(said.succeeded()?.trim().to_owned())
    }

    /// Words of its configuration.
    fn words(&self, key: &str) -> Vec<&str> {
        let list = self.config[key].as_array();
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Where its volume goes.
    fn volume(&self) -> anyhow::Result<&str> {
        let volumes = self.config["Volumes"].as_object().context("volumes")?;
        let mut paths = volumes.keys();
        let path = paths.next().context("a volume")?;
        ensure!(paths.next().is_none(), "one volume: {volumes:?}");
        Ok(path)
    }
}

/// A container of the image, with the controller in it at work.
struct Container<'a> {
    image: &'a Image,
    name: String,
    volume: &'a Path,
    process: Process,
    controller: Pid,
}

impl<'a> Container<'a> {
    /// Starts what the image says, and waits until its own health check is content.
    async fn start(image: &'a Image, volume: &'a Path) -> anyhow::Result<Self> {
        let name = image.buildah(&["from", &image.name]).await?;
        if !volume.is_dir() {
            // As engines do: a new volume has what the image has in its place, and its owner.
            let root = image.buildah(&["mount", &name]).await?;
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(format!("{root}{}", image.volume()?));
            Finished::of({
                copy.arg(volume);
                copy
            })
            .await?
            .succeeded()?;
        }
        let words = [image.words("Entrypoint"), image.words("Cmd")].concat();
        let run = inside(image, &name, volume, &words)?;
        let process = Process::start("container", run, &image.folder)?;
        let controller = until("the controller", STARTING, async || {
            Ok(descendant(process.pid().as_raw_pid(), "tidemark-contro"))
        })
        .await
        .with_context(|| process.said())?;
        let controller = Pid::from_raw(controller).context("a process has a number")?;
        let container = Self {
            image,
            name,
            volume,
            process,
            controller,
        };
        let check = &image.config["Healthcheck"]["Test"];
        let check: Vec<&str> = check
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        ensure!(check.first() == Some(&"CMD"), "{check:?}");
        until("the health check", STARTING, async || {
            let checked = container.run(&check[1..]).await?;
            Ok((checked.code == Some(0)).then_some(()))
        })
        .await
        .with_context(|| container.process.said())?;
        Ok(container)
    }

    /// Runs a program in it beside the controller.
    async fn run(&self, words: &[&str]) -> anyhow::Result<Finished> {
        Finished::of(inside(self.image, &self.name, self.volume, words)?).await
    }

    /// Stops it as an engine does.
    async fn stop(mut self) -> anyhow::Result<()> {
        ensure!(self.image.config["StopSignal"] == "SIGTERM");
        kill_process(self.controller, Signal::TERM)?;
        let ended = self.process.wait(SOON).await?;
        ensure!(ended.code() == Some(0), "{ended}: {}", self.process.said());
        self.image.buildah(&["rm", &self.name]).await.map(drop)
    }
}

/// A program of a container, as its user and in its environment.
fn inside(
    image: &Image,
    container: &str,
    volume: &Path,
    words: &[&str],
) -> anyhow::Result<Command> {
    let mut run = image.command("buildah");
    run.args(["run", "--isolation", "chroot", "--volume"]);
    run.arg(format!("{}:{}", volume.display(), image.volume()?));
    run.args(["--env", &format!("TIDEMARK_AGENTS_ADDRESS={AGENTS}")]);
    run.arg(container).arg("--").args(words);
    Ok(run)
}

/// The process of that name below another one.
fn descendant(pid: i32, name: &str) -> Option<i32> {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    if comm.trim() == name {
        return Some(pid);
    }
    // Of every thread: any of them may have started one.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut children = tasks.filter_map(|task| {
        let listed = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        let numbers = listed
            .split_whitespace()
            .filter_map(|child| child.parse().ok());
        numbers
            .collect::<Vec<i32>>()
            .into_iter()
            .find_map(|child| descendant(child, name))
    });
    children.next()
}

/// An operator who is not in the container.
struct Operator {
    folder: PathBuf,
}

impl Operator {
    async fn tidemark(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = program("tidemark")?;
        command
            .args(words)
            .env("TIDEMARK_CONFIG_DIR", self.folder.join("config"));
        Finished::of(command).await?.succeeded()
    }

    /// The only host: its id, and when it was sampled last, once it is online and was sampled after that.
    async fn sampled_after(&self, earlier_ms: i64) -> anyhow::Result<(String, i64)> {
        until("a sample", STARTING, async || {
            let hosts = self.tidemark(&["get", "hosts", "-o", "json"]).await?;
            let hosts: Vec<Value> = serde_json::from_str(&hosts)?;
            ensure!(hosts.len() <= 1, "one host: {hosts:#?}");
            let Some(host) = hosts.first() else {
                return Ok(None);
            };
            let sampled_ms = host["sampled_ms"].as_i64().unwrap_or(0);
            let is_there = host["state"] == "online" && sampled_ms > earlier_ms;
            let id = host["id"].as_str().context("an id")?;
            Ok(is_there.then(|| (id.to_owned(), sampled_ms)))
        })
        .await
    }
}

/// That the image has what its packages have, and says which program is in it.
async fn assert_complete(image: &Image) -> anyhow::Result<()> {
    assert_eq!(image.config["User"], "65532:65532");
    let version = &image.config["Labels"]["org.opencontainers.image.version"];
    assert_eq!(version, "1.2.3");
    let container = image.buildah(&["from", &image.name]).await?;
    let root = PathBuf::from(image.buildah(&["mount", &container]).await?);
    let bill = root.join("usr/share/doc/tidemark-controller/tidemark-controller.cdx.json");
    let bill: Value = serde_json::from_str(&fs::read_to_string(bill)?)?;
    let mut digest = Command::new("sha256sum");
    digest.arg(root.join("usr/bin/tidemark-controller"));
    let digest = Finished::of(digest).await?.succeeded()?;
    let listed = &bill["metadata"]["component"]["hashes"][0]["content"];
    let listed = listed.as_str().context("the program's digest")?;
    assert!(digest.starts_with(listed), "{listed} {digest}");
    image.buildah(&["rm", &container]).await.map(drop)
}

#[test]
fn a_controller_from_the_image_keeps_its_hosts_over_its_containers() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let image = Image::build(machine).await?;
        assert_complete(&image).await?;
        let volume = machine.folder().join("volume");
        let container = Container::start(&image, &volume).await?;
        let process = format!("/proc/{}", container.controller.as_raw_pid());
        assert_eq!(fs::metadata(process)?.uid(), 65_532);

        let entry = image.words("Entrypoint");
        let admin = [&entry[..], &["admin-token", "--name", "ann"]].concat();
        let token = container.run(&admin).await?.succeeded()?;
        let token_file = machine.folder().join("admin-token");
        fs::write(&token_file, token)?;
        let operator = Operator {
            folder: machine.folder().to_owned(),
        };
        let token_file = token_file.display().to_string();
        let login = ["login", "--server", "http://127.0.0.1:7080", "--token-file"];
        operator
            .tidemark(&[&login[..], &[&token_file]].concat())
            .await?;
        let create = ["token", "create", "--uses", "1", "-o", "json"];
        let made: Value = serde_json::from_str(&operator.tidemark(&create).await?)?;
        assert_eq!(made["controller"], AGENTS);
        let token = made["token"].as_str().context("a join token")?;
        let folder = AgentFolder::create(machine, "web-1", AGENTS, token)?;
        let _agent = Process::start("web-1", folder.command("run")?, machine.folder())?;
        let (host, sampled_ms) = operator.sampled_after(0).await?;

        container.stop().await?;
        // The authority and the history are for nobody else, whatever the volume's folder allows.
        let data = fs::metadata(volume.join("data"))?;
        assert_eq!((data.uid(), data.mode() & 0o777), (65_532, 0o700));
        let another = Container::start(&image, &volume).await?;
        let (same, _) = operator.sampled_after(sampled_ms).await?;
        assert_eq!(same, host, "it enrolled anew");
        another.stop().await
    })
}
