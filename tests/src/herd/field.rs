//! Where the herd stands: the controllers with their database on one machine, the agents on another, and the cable between.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Pid;
use serde_json::json;
use tidemark_model::view::JoinTokenCreated;
use tidemark_platform::namespace::NetworkNamespace;
use tokio::process::Command;
use tokio::time::Instant;

use super::load::Loads;
use crate::harness::neighbour::Cable;
use crate::harness::postgres::{Flush, Postgres};
use crate::harness::{Controller, Finished, Machine, Neighbour, Process, Up};

/// The name under which agents find several controllers.
pub const NAME: &str = "controllers.herd";
const GRPC_PORT: u16 = 7443;
/// Ports for agents: each needs one, and those of the connection before may be in TIME_WAIT.
const AGENTS_PORTS: (u16, u16) = (1_024, 65_535);
/// How long a controller may take to listen. It opens its database first.
const LISTEN_PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Enrolling may take as long.
const TOKEN_TTL_S: u64 = 86_400;
/// Sockets that listen stand at the beginning of the table.
const TABLE_HEAD_BYTES: u64 = 16_384;

/// Controllers, database, and the agents' machine.
pub struct Field<'m> {
    machine: &'m Machine,
    neighbour: Neighbour,
    postgres: Option<Postgres>,
    posts: Vec<Post>,
    loads: Loads,
    logs: Option<PathBuf>,
}

/// What is to stand on a field.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Controllers: one on SQLite, or several on one Postgres.
    pub controllers: u8,
    /// Keeps what each life of a controller said in this folder.
    pub logs: Option<PathBuf>,
    /// Further arguments of each controller.
    pub args: Vec<String>,
}

/// The place of one controller, through all its lives.
struct Post {
    up: Up,
    address: Ipv4Addr,
    life: u32,
    controller: Option<Controller>,
}

/// How a controller came up.
#[derive(Clone, Copy, Debug)]
pub struct CameUp {
    /// From its start until connections of agents were queued for it.
    pub listens_after: Duration,
    /// From its start until it answered everything.
    pub serves_after: Duration,
    /// When that was.
    pub listens_at: Instant,
}

/// The address of a controller on the field.
#[must_use]
pub fn address_of(place: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 98, 0, place + 1)
}

impl<'m> Field<'m> {
    /// Makes the machines and starts everything but the agents.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(machine: &'m Machine, layout: &Layout) -> anyhow::Result<Self> {
        let neighbour = Neighbour::start(machine, (1, "agents"), AGENTS_PORTS).await?;
        let mut route = Command::new("ip");
        let near = neighbour.near_address().to_string();
        route.args(["route", "add", "10.98.0.0/24", "via", &near]);
        run(neighbour.inside(&route)).await?;
        let postgres = if layout.controllers > 1 {
            Some(Postgres::start_with(machine, Flush::EachCommit).await?)
        } else {
            None
        };
        let mut field = Self {
            machine,
            neighbour,
            posts: Vec::new(),
            postgres,
            loads: Loads::default(),
            logs: layout.logs.clone(),
        };
        for place in 0..layout.controllers {
            field.add_post(place, &layout.args).await?;
        }
        Ok(field)
    }

    async fn add_post(&mut self, place: u8, args: &[String]) -> anyhow::Result<()> {
        let address = address_of(place);
        add_address(address).await?;
        let names = [
            ("controller", "data"),
            ("second", "second-data"),
            ("third", "third-data"),
        ];
        let (name, data) = names[usize::from(place)];
        let mut up = Up {
            name,
            data,
            http_port: 7_080 + 100 * u16::from(place),
            grpc_port: GRPC_PORT,
            grpc_address: address,
            ..Up::alone()
        };
        up.args.extend_from_slice(args);
        if let Some(postgres) = &self.postgres {
            up = up.arg("--database").arg(postgres.url());
        }
        if let Some(first) = self.posts.first() {
            up.share_authority_of(&first.up, self.machine)?;
        }
        self.posts.push(Post {
            up,
            address,
            life: 0,
            controller: None,
        });
        self.begin(usize::from(place)).await?;
        Ok(())
    }

    /// Begins another life of a controller.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn begin(&mut self, place: usize) -> anyhow::Result<CameUp> {
        let post = self.posts.get_mut(place).context("no such controller")?;
        let began = Instant::now();
        let mut process = post.up.start(self.machine)?;
        self.loads.add(process.pid());
        while !listens(post.address, GRPC_PORT)? {
            anyhow::ensure!(
                process.ended()?.is_none() && began.elapsed() < LISTEN_PATIENCE,
                "a controller does not listen within {LISTEN_PATIENCE:?}: {}",
                process.said()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let listens_at = Instant::now();
        post.controller = Some(Controller::when_ready(self.machine, &post.up, process).await?);
        post.life += 1;
        Ok(CameUp {
            listens_after: listens_at - began,
            serves_after: began.elapsed(),
            listens_at,
        })
    }

    /// Begins another life of every controller that is down, and puts the cable in its place.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn begin_missing(&mut self) -> anyhow::Result<()> {
        self.neighbour.cable(Cable::Plugged).await?;
        for place in 0..self.posts.len() {
            if self.controller(place).is_err() {
                self.begin(place).await?;
            }
        }
        Ok(())
    }

    /// Ends a controller as a power cut would.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        let mut controller = self.take(place)?;
        if let Some(status) = controller.process.ended()? {
            let said = controller.process.said();
            anyhow::bail!("controller {} ended by itself: {status}: {said}", place + 1);
        }
        controller.process.kill().await?;
        self.keep_log(place, &controller.process)
    }

    /// Ends a controller as a service manager does; how long it took, and whether it ended well.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub async fn terminate(
        &mut self,
        place: usize,
        patience: Duration,
    ) -> anyhow::Result<(Duration, bool)> {
        let mut controller = self.take(place)?;
        let began = Instant::now();
        controller.process.terminate()?;
        let status = controller.process.wait(patience).await?;
        let took = began.elapsed();
        self.keep_log(place, &controller.process)?;
        Ok((took, status.success()))
    }

    fn take(&mut self, place: usize) -> anyhow::Result<Controller> {
        let post = self.posts.get_mut(place).context("no such controller")?;
        post.controller.take().context("that controller is down")
    }

    /// The next life writes to the same files.
    fn keep_log(&self, place: usize, process: &Process) -> anyhow::Result<()> {
        let Some(folder) = &self.logs else {
            return Ok(());
        };
        fs::create_dir_all(folder)?;
        let life = self.posts.get(place).map_or(0, |post| post.life);
        let name = format!("controller-{}-life-{life}.log", place + 1);
        Ok(fs::write(folder.join(name), process.said())?)
    }

    /// Ends all that run, in order.
    ///
    /// # Errors
    /// When one does not end, or not well.
    pub async fn end_all(&mut self, patience: Duration) -> anyhow::Result<()> {
        for place in 0..self.posts.len() {
            if self
                .posts
                .get(place)
                .is_some_and(|post| post.controller.is_some())
            {
                let (_, is_well) = self.terminate(place, patience).await?;
                anyhow::ensure!(is_well, "controller {} did not end well", place + 1);
            }
        }
        Ok(())
    }

    /// A controller that runs.
    ///
    /// # Errors
    /// When it is down.
    pub fn controller(&self, place: usize) -> anyhow::Result<&Controller> {
        let post = self.posts.get(place).context("no such controller")?;
        post.controller.as_ref().context("that controller is down")
    }

    /// How many controllers there are, whether they run or not.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.posts.len()
    }

    /// What `verify` says of the database once no controller runs.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn verify(&self) -> anyhow::Result<Finished> {
        let post = self.posts.first().context("no controller")?;
        post.up.run(self.machine, &["verify"]).await
    }

    /// All that run.
    pub fn running(&self) -> impl Iterator<Item = &Controller> {
        self.posts
            .iter()
            .filter_map(|post| post.controller.as_ref())
    }

    /// A token that lets so many hosts in.
    ///
    /// # Errors
    /// When the controller makes none.
    pub async fn join_token(&self, hosts: u32) -> anyhow::Result<JoinTokenCreated> {
        let wanted = json!({"ttl_s": TOKEN_TTL_S, "uses": hosts});
        let (status, made) = self.controller(0)?.post("/api/v1/tokens", &wanted).await?;
        anyhow::ensure!(status == 201, "no join token: {status}: {made}");
        Ok(serde_json::from_value(made)?)
    }

    /// Where the agents find it.
    #[must_use]
    pub fn agents_address(&self) -> String {
        match self.posts.as_slice() {
            [only] => format!("{}:{GRPC_PORT}", only.address),
            _ => format!("{NAME}:{GRPC_PORT}"),
        }
    }

    /// The network that the agents are in.
    ///
    /// # Errors
    /// When it is gone.
    pub fn agents_network(&self) -> anyhow::Result<NetworkNamespace> {
        use std::os::unix::fs::MetadataExt as _;
        let inode = fs::metadata(self.neighbour.network())?.ino();
        let all = NetworkNamespace::all()?;
        let found = all.into_iter().find(|one| one.inode == inode);
        found.context("the agents' network is gone")
    }

    /// The machine of the agents.
    #[must_use]
    pub const fn neighbour(&self) -> &Neighbour {
        &self.neighbour
    }

    /// What the controllers use.
    #[must_use]
    pub const fn loads(&self) -> &Loads {
        &self.loads
    }

    /// The database's process, where it has one.
    #[must_use]
    pub fn database(&self) -> Option<Pid> {
        self.postgres.as_ref().map(Postgres::pid)
    }

    /// Bytes of the SQLite file with its log, where there is one.
    #[must_use]
    pub fn database_bytes(&self) -> Option<u64> {
        let post = self.posts.first().filter(|_| self.postgres.is_none())?;
        let folder = post.up.data_dir(self.machine);
        let files = fs::read_dir(folder).ok()?.flatten();
        let of_database = files.filter(|file| {
            file.file_name()
                .to_string_lossy()
                .starts_with("tidemark.db")
        });
        Some(
            of_database
                .filter_map(|file| Some(file.metadata().ok()?.len()))
                .sum(),
        )
    }
}

/// Whether somebody listens there on the machine of the calling thread, without disturbing them by a connection.
fn listens(address: Ipv4Addr, port: u16) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    File::open("/proc/thread-self/net/tcp")?
        .take(TABLE_HEAD_BYTES)
        .read_to_end(&mut head)?;
    let octets = u32::from_le_bytes(address.octets());
    let listening = format!("{octets:08X}:{port:04X} 00000000:0000 0A");
    Ok(String::from_utf8_lossy(&head).contains(&listening))
}

/// Gives the machine of the controllers another address.
///
/// # Errors
/// When the system refuses.
pub async fn add_address(address: Ipv4Addr) -> anyhow::Result<()> {
    let mut add = Command::new("ip");
    add.args(["address", "add", &format!("{address}/32"), "dev", "lo"]);
    run(add).await
}

async fn run(command: Command) -> anyhow::Result<()> {
    Finished::of(command).await?.succeeded().map(drop)
}
