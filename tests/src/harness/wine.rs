//! The Windows agent under Wine, in a Wine prefix of the test's own.
//!
//! Wine's socket tables are those of the Linux below it, so the test's network is the agent's. It shows neither
//! the processes of sockets nor bound ones, and has no event log.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as BlockingCommand, Stdio};

use anyhow::Context as _;
use tokio::process::Command;

use super::{AgentFolder, Finished, Machine, Process};

/// Variables that keep Wine from asking for what a server lacks: a screen, Mono, Gecko.
const QUIET: [(&str, &str); 2] = [
    ("WINEDEBUG", "-all"),
    ("WINEDLLOVERRIDES", "mscoree,mshtml="),
];

/// A Wine prefix, and the agent for Windows. Whatever runs in the prefix ends with it.
#[derive(Debug)]
pub struct Wine {
    prefix: PathBuf,
    agent: PathBuf,
    test_folder: PathBuf,
}

impl Wine {
    /// Makes a prefix, which takes half a minute the first time, and next to nothing later.
    ///
    /// # Errors
    /// When the agent was not built, or Wine is missing.
    pub fn prepare(machine: &Machine) -> anyhow::Result<Self> {
        let agent = built_agent()?;
        let shared = target().join("wine");
        let template = shared.join("template");
        if !template.is_dir() {
            make_template(&shared, &template)?;
        }
        let prefix = shared.join(format!("of-{}", std::process::id()));
        // Programs of Windows are never changed in place, so links do: copies would take 700 MB a test.
        run(BlockingCommand::new("cp")
            .arg("-al")
            .arg(&template)
            .arg(&prefix))?;
        // The registry is: Wine writes a file that has several names where it lies.
        for name in ["system.reg", "user.reg", "userdef.reg"] {
            fs::remove_file(prefix.join(name))?;
            fs::copy(template.join(name), prefix.join(name))?;
        }
        Ok(Self {
            prefix,
            agent,
            test_folder: machine.folder().to_owned(),
        })
    }

    /// One of the agent's commands with a folder's configuration.
    #[must_use]
    pub fn command(&self, name: &str, folder: &AgentFolder) -> Command {
        let mut command = self.program(&self.agent);
        command
            .arg(name)
            .arg("--config")
            .arg(folder.config())
            // Paths without a drive are on the working folder's, which is Linux's root.
            .current_dir(folder.path());
        command
    }

    /// A program of Windows, by name or by its path on Linux.
    #[must_use]
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("wine");
        for (variable, _) in tidemark_runtime::config::process_environment() {
            command.env_remove(variable);
        }
        command
            .arg(program)
            .env("WINEPREFIX", &self.prefix)
            .envs(QUIET)
            .env_remove("DISPLAY")
            .env_remove("RUST_LOG")
            .kill_on_drop(true);
        command
    }

    /// The agent, as it was built.
    #[must_use]
    pub fn agent(&self) -> &Path {
        &self.agent
    }

    /// Drive C:.
    #[must_use]
    pub fn drive(&self) -> PathBuf {
        self.prefix.join("drive_c")
    }

    /// Runs the agent; it stops when its standard input is closed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_agent(&self, folder: &AgentFolder) -> anyhow::Result<Process> {
        let mut command = self.command("run", folder);
        command.arg("--stop-on-stdin-eof");
        Process::start("windows-agent", command, &self.test_folder)
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // The server of this prefix ends every program in it. Nothing may run in it, which is as well.
        end_server(&self.prefix).ok();
        fs::remove_dir_all(&self.prefix).ok();
    }
}

/// Where `deploy/windows/build.sh` puts the agent.
///
/// # Errors
/// When it was not built.
pub fn built_agent() -> anyhow::Result<PathBuf> {
    let agent = target().join("x86_64-win7-windows-gnu/debug/tidemark-agent.exe");
    anyhow::ensure!(
        agent.is_file(),
        "{} is missing: run deploy/windows/build.sh first, as tests/run does",
        agent.display()
    );
    Ok(agent)
}

/// A program for Windows without what is for debuggers alone, which is left as `stripped` in a folder.
///
/// # Errors
/// When the tool is missing, or the program is none.
pub async fn stripped(program: &Path, folder: &Path) -> anyhow::Result<Vec<u8>> {
    let small = folder.join("stripped");
    let mut strip = Command::new("x86_64-w64-mingw32-strip");
    strip.arg("-o").arg(&small).arg(program);
    Finished::of(strip).await?.succeeded()?;
    Ok(fs::read(small)?)
}

/// Makes the prefix that the tests' prefixes are made of, whole or not at all.
fn make_template(shared: &Path, template: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(shared)?;
    let making = shared.join(format!("making-{}", std::process::id()));
    run(BlockingCommand::new("wine")
        .args(["wineboot", "--init"])
        .env("WINEPREFIX", &making)
        .envs(QUIET)
        .env_remove("DISPLAY"))?;
    end_server(&making)?;
    let made = fs::rename(&making, template);
    if made.is_err() && template.is_dir() {
        // Another test made it meanwhile.
        return Ok(fs::remove_dir_all(&making)?);
    }
    Ok(made?)
}

/// Ends every program in a prefix, and waits until its registry is written.
fn end_server(prefix: &Path) -> anyhow::Result<()> {
    let server = |argument: &str| {
        let mut command = BlockingCommand::new("wineserver");
        command.arg(argument).env("WINEPREFIX", prefix);
        command
    };
    // Without a server there is nothing to end.
    server("--kill").status()?;
    run(&mut server("--wait"))
}

fn run(command: &mut BlockingCommand) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}: tests/run installs what is missing"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn target() -> PathBuf {
    workspace().join("target/windows")
}

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}
