//! Further machines beside the test's own: each a network namespace with a host name, an address, and a cable to the test's
//! machine. They go with the processes in them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use tokio::process::Command;

use super::process::wrapping;
use super::{AgentFolder, Finished, Machine, Process, SOON, program, until};

/// Takes the name $1, then stays for as long as the machine is there.
const STAY: &str = r#"hostname "$1" && exec sleep infinity"#;
/// Lays a cable from the test's machine to that of process $1; the near end is called $2 and has address $3.
const NEAR_END: &str = r#"ip link add "$2" type veth peer name eth0 netns "$1" && ip address add "$3/24" dev "$2" && ip link set "$2" up"#;
/// Gives the far end address $1, and the dynamic ports $2.
const FAR_END: &str = r#"ip link set lo up && ip address add "$1/24" dev eth0 && ip link set eth0 up && echo "$2" > /proc/sys/net/ipv4/ip_local_port_range"#;

/// A machine with a cable to the test's own.
#[derive(Debug)]
pub struct Neighbour {
    name: String,
    number: u8,
    folder: PathBuf,
    holder: Process,
}

/// How a cable is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// In its place.
    Plugged,
    /// Out.
    Pulled,
}

impl Cable {
    const fn word(self) -> &'static str {
        match self {
            Self::Plugged => "up",
            Self::Pulled => "down",
        }
    }
}

impl Neighbour {
    /// Makes the machine with that name and those dynamic ports; `number` tells it from the others of the test.
    ///
    /// # Errors
    /// When the namespace or the cable cannot be made.
    pub async fn start(
        machine: &Machine,
        (number, name): (u8, &str),
        (first, last): (u16, u16),
    ) -> anyhow::Result<Self> {
        let mut stay = Command::new("unshare");
        stay.args(["--net", "--uts", "sh", "-c", STAY, "sh", name]);
        let holder = Process::start(name, stay, machine.folder())?;
        let pid = holder.pid().as_raw_pid().to_string();
        until("the machine", SOON, async || {
            let running = fs::read_to_string(format!("/proc/{pid}/comm"))?;
            Ok((running.trim() == "sleep").then_some(()))
        })
        .await?;
        let made = Self {
            name: name.to_owned(),
            number,
            folder: machine.folder().to_owned(),
            holder,
        };
        let near = made.near_address().to_string();
        let cable = format!("cable-{number}");
        finished(shell(NEAR_END, &[&pid, &cable, &near])).await?;
        let ports = format!("{first} {last}");
        made.shell(FAR_END, &[&made.address().to_string(), &ports])
            .await?;
        Ok(made)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, as the test's machine reaches it.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, 2)
    }

    /// The address of the test's machine, as this one reaches it.
    #[must_use]
    pub const fn near_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, 1)
    }

    /// The file that is its network, for programs that are told where to be.
    #[must_use]
    pub fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.pid().as_raw_pid())
    }

    /// Keeps ports out of the dynamic ones, as in `20000-20399`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn reserve_ports(&self, ports: &str) -> anyhow::Result<()> {
        let set = r#"echo "$1" > /proc/sys/net/ipv4/ip_local_reserved_ports"#;
        self.shell(set, &[ports]).await
    }

    /// Enrols it at the controller that listens on `grpc_port` of every address of the test's machine, and starts its agent.
    ///
    /// # Errors
    /// When the agent was not built or cannot be started.
    pub fn join(&self, machine: &Machine, grpc_port: u16, token: &str) -> anyhow::Result<Process> {
        let controller = format!("{}:{grpc_port}", self.near_address());
        let folder = format!("{}-agent", self.name);
        let folder = AgentFolder::create(machine, &folder, &controller, token)?;
        self.run("agent", folder.command("run")?)
    }

    /// Starts `port_eater` on it with `mode`, as in `leak --per-second 12 --to 127.0.0.1:9000`.
    ///
    /// # Errors
    /// When it was not built.
    pub fn eat(&self, name: &str, mode: &str) -> anyhow::Result<Process> {
        let mut command = program("port_eater")?;
        command.args(mode.split(' '));
        self.run(name, command)
    }

    /// Starts a program on it; `name` tells its files from those of its others.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, name: &str, command: Command) -> anyhow::Result<Process> {
        let name = format!("{}-{name}", self.name);
        Process::start(&name, self.inside(&command), &self.folder)
    }

    /// Runs a script on it to its end.
    async fn shell(&self, script: &str, args: &[&str]) -> anyhow::Result<()> {
        finished(self.inside(&shell(script, args))).await
    }

    /// Pulls the cable, or puts it back.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn cable(&self, is_to_be: Cable) -> anyhow::Result<()> {
        let mut ip = Command::new("ip");
        let name = format!("cable-{}", self.number);
        ip.args(["link", "set", &name, is_to_be.word()]);
        finished(ip).await
    }

    /// The same program on this machine.
    #[must_use]
    pub fn inside(&self, command: &Command) -> Command {
        let mut wrapper = Command::new("nsenter");
        let pid = self.holder.pid().as_raw_pid().to_string();
        wrapper.args(["--target", &pid, "--net", "--uts", "--"]);
        wrapping(wrapper, command)
    }
}

fn shell(script: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args(args);
    command
}

async fn finished(command: Command) -> anyhow::Result<()> {
    Finished::of(command).await?.succeeded().map(drop)
}
