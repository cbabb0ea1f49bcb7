//! A Postgres server of a test's own, which can be killed and started again. It keeps what it answered for.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Pid;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Finished, Machine, Process, STARTING, until};

const USER: &str = "tidemark";
const ADDRESS: &str = "127.0.0.1:5432";

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    owner: Owner,
    flush: Flush,
    server: Process,
}

/// Whether commits wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// As shipped.
    EachCommit,
    /// Enough where processes are killed and not machines.
    Never,
}

/// Whom the server runs as: it refuses to be root.
#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Makes a server on the test's own network and starts it.
    ///
    /// # Errors
    /// When Postgres is not installed or does not start.
    pub async fn start(machine: &Machine) -> anyhow::Result<Self> {
        Self::start_with(machine, Flush::Never).await
    }

    /// The same, where it matters whether commits wait for the disk.
    ///
    /// # Errors
    /// When Postgres is not installed or does not start.
    pub async fn start_with(machine: &Machine, flush: Flush) -> anyhow::Result<Self> {
        let programs = programs()?;
        let owner = owner()?;
        let folder = machine.folder().join("postgres");
        fs::create_dir(&folder)?;
        // The server's user has to pass through the test's folder.
        fs::set_permissions(machine.folder(), Permissions::from_mode(0o711))?;
        chown(&folder, Some(owner.uid), Some(owner.gid))?;
        let mut initdb = Command::new(programs.join("initdb"));
        initdb
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-U", USER, "--auth=trust", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "--no-instructions"]);
        owner.runs(&mut initdb);
        Finished::of(initdb).await?.succeeded().context("initdb")?;
        let server = launch(&programs, &folder, (owner, flush))?;
        let mut postgres = Self {
            programs,
            folder,
            owner,
            flush,
            server,
        };
        postgres.until_ready().await?;
        Ok(postgres)
    }

    /// The process that starts all others of it.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.server.pid()
    }

    /// The address for `--database`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@{ADDRESS}/postgres")
    }

    /// Makes another, empty database on it; its address.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn another(&self, name: &str) -> anyhow::Result<String> {
        let mut createdb = Command::new(self.programs.join("createdb"));
        createdb.args(["--maintenance-db", &self.url(), name]);
        Finished::of(createdb).await?.succeeded()?;
        Ok(format!("postgres://{USER}@{ADDRESS}/{name}"))
    }

    /// Kills it and everything it forked, as the out-of-memory killer does.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill().await
    }

    /// Starts it again; it recovers by itself.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.server = launch(&self.programs, &self.folder, (self.owner, self.flush))?;
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        until("Postgres", STARTING, async || {
            if let Some(status) = self.server.ended()? {
                anyhow::bail!("Postgres ended: {status}: {}", self.server.said());
            }
            let log = self.server.stderr()?;
            let is_ready = log.contains("ready to accept connections");
            Ok((is_ready && TcpStream::connect(ADDRESS).await.is_ok()).then_some(()))
        })
        .await
    }
}

impl Owner {
    fn runs(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid).current_dir("/");
    }
}

fn launch(
    programs: &Path,
    folder: &Path,
    (owner, flush): (Owner, Flush),
) -> anyhow::Result<Process> {
    let mut command = Command::new(programs.join("postgres"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_directories="])
        .args(["-c", "shared_buffers=32MB"])
        .kill_on_drop(true);
    if flush == Flush::Never {
        command.args(["-c", "fsync=off"]);
    }
    owner.runs(&mut command);
    let logs = folder.parent().context("the folder lies in the test's")?;
    Process::start("postgres", command, logs)
}

fn owner() -> anyhow::Result<Owner> {
    let users = fs::read_to_string("/etc/passwd")?;
    let of = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        Some(Owner {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    };
    of("postgres")
        .or_else(|| of("nobody"))
        .context("there is no user postgres or nobody: useradd --system postgres")
}

/// The folder of `initdb` and `postgres`: where Debian and Red Hat put them, or in PATH.
fn programs() -> anyhow::Result<PathBuf> {
    let mut folders = Vec::new();
    for version in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        folders.push(version?.path().join("bin"));
    }
    folders.push("/usr/pgsql/bin".into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let is_complete = |folder: &PathBuf| {
        let has = |program: &str| folder.join(program).is_file();
        has("initdb") && has("postgres")
    };
    let found = folders.into_iter().find(is_complete);
    found.context("Postgres is needed: apt-get install postgresql, as tests/run does")
}
