//! How a host gets an agent: the exact lines for each way to install one, with a join token and the controller's address in them.
//!
//! What is put into the lines is checked, never quoted: whoever pastes them must not run what a controller made up.

use serde::{Deserialize, Serialize};

/// The version that the packages have.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Longest address, in characters.
const CONTROLLER_CHARS_MAX: usize = 300;
/// Longest token, in characters.
const TOKEN_CHARS_MAX: usize = 300;

/// A system that hosts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Linux with systemd.
    Linux,
    /// Windows Server.
    Windows,
}

/// A way to install an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The package for Debian and Ubuntu.
    Deb,
    /// The tarball for any Linux with systemd.
    Tar,
    /// The MSI from PowerShell.
    PowerShell,
    /// The MSI from `cmd.exe` or a batch file.
    Cmd,
    /// The MSI by a group policy.
    GroupPolicy,
    /// The MSI as an application of `ConfigMgr`, or by whatever runs a command line as SYSTEM.
    ConfigMgr,
    /// The Ansible role, for Linux and Windows.
    Ansible,
}

impl Way {
    /// Every way, the simplest first.
    pub const ALL: [Self; 7] = [
        Self::Deb,
        Self::Tar,
        Self::PowerShell,
        Self::Cmd,
        Self::GroupPolicy,
        Self::ConfigMgr,
        Self::Ansible,
    ];

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Tar => "tar",
            Self::PowerShell => "power_shell",
            Self::Cmd => "cmd",
            Self::GroupPolicy => "group_policy",
            Self::ConfigMgr => "config_mgr",
            Self::Ansible => "ansible",
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Deb => "Debian and Ubuntu",
            Self::Tar => "Any Linux with systemd",
            Self::PowerShell => "Windows, in PowerShell",
            Self::Cmd => "Windows, in cmd.exe",
            Self::GroupPolicy => "Windows by group policy",
            Self::ConfigMgr => "Windows by ConfigMgr",
            Self::Ansible => "Many hosts by Ansible",
        }
    }

    /// Whether hosts of that system are installed by it.
    #[must_use]
    pub const fn is_for(self, system: System) -> bool {
        match self {
            Self::Deb | Self::Tar => matches!(system, System::Linux),
            Self::PowerShell | Self::Cmd | Self::GroupPolicy | Self::ConfigMgr => {
                matches!(system, System::Windows)
            }
            Self::Ansible => true,
        }
    }

    /// What one has to know before, in a sentence or two.
    #[must_use]
    pub const fn note(self) -> &'static str {
        match self {
            Self::Deb => {
                "With the package in the folder that you are in. An agent.toml that is there is kept as agent.toml~."
            }
            Self::Tar => "With the tarball in the folder that you are in.",
            Self::PowerShell => {
                "As an administrator, with the MSI in the folder that you are in; also as a script of Azure Arc or Intune. \
                 Delete the folder TidemarkJoin once the host is in the fleet. The arguments are one text on purpose: \
                 PowerShell would take quotes and semicolons of separate ones as its own."
            }
            Self::Cmd => {
                "As an administrator, with the MSI in the folder that you are in. Not for PowerShell, which reads %ProgramData% and \
                 brackets otherwise. Delete the folder TidemarkJoin once the host is in the fleet."
            }
            Self::GroupPolicy => {
                "On a machine with the module GroupPolicy; SHARE is read by Domain Computers and by no user. Then assign the MSI \
                 in the same GPO: Computer Configuration, Policies, Software Settings, Software installation. Each server takes \
                 one use of the token."
            }
            Self::ConfigMgr => {
                "The installation program of an application; detect it by the service tidemark-agent. Put the join token, as it is \
                 shown above, into the file on SHARE, which Domain Computers may read and users may not. Each server takes one use \
                 of the token."
            }
            Self::Ansible => {
                "In the folder of Tidemark's sources, with your inventory. Each host takes one use of the token. A space before the line \
                 keeps it out of the history of most shells."
            }
        }
    }
}

/// Why no lines can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLines {
    /// The address would be more than an address to a shell.
    #[error(
        "the address for agents is not 1 to {CONTROLLER_CHARS_MAX} letters, digits and . : - _ [ ]; set agents_address of the \
         controller to HOST:PORT"
    )]
    Controller,
    /// The token would be more than a token to a shell.
    #[error(
        "the join token is not 1 to {TOKEN_CHARS_MAX} letters, digits and . - _; make another one"
    )]
    Token,
}

/// What the lines are about. The token is a secret: it is kept out of `Debug`.
#[derive(Clone)]
pub struct Installation {
    controller: String,
    token: String,
}

impl std::fmt::Debug for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installation")
            .field("controller", &self.controller)
            .finish_non_exhaustive()
    }
}

impl Installation {
    /// Of hosts that join this controller with this token.
    ///
    /// # Errors
    /// When either holds a character that a shell might take for more than a letter.
    pub fn new(controller: &str, token: &str) -> Result<Self, NoLines> {
        if !is_plain(controller, ".:-_[]", CONTROLLER_CHARS_MAX) {
            return Err(NoLines::Controller);
        }
        if !is_plain(token, ".-_", TOKEN_CHARS_MAX) {
            return Err(NoLines::Token);
        }
        Ok(Self {
            controller: controller.to_owned(),
            token: token.to_owned(),
        })
    }

    /// What is to be pasted, the last line without its end.
    #[must_use]
    pub fn lines(&self, way: Way) -> String {
        let template = match way {
            Way::Deb => DEB,
            Way::Tar => TAR,
            Way::PowerShell => POWER_SHELL,
            Way::Cmd => CMD,
            Way::GroupPolicy => GROUP_POLICY,
            Way::ConfigMgr => CONFIG_MGR,
            Way::Ansible => ANSIBLE,
        };
        template
            .replace("@TOKEN@", &self.token)
            .replace("@CONTROLLER@", &self.controller)
            .replace("@VERSION@", VERSION)
    }
}

fn is_plain(text: &str, marks: &str, chars_max: usize) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    // An option's beginning would be one.
    (1..=chars_max).contains(&text.len()) && text.chars().all(is_known) && !text.starts_with('-')
}

/// The token goes through a pipe: arguments are seen in the list of processes, and sudo writes them down.
const DEB: &str = r#"printf %s '@TOKEN@' | sudo install -D -m 600 /dev/stdin /etc/tidemark/join-token &&
printf 'controller = "%s"\ntoken_file = "/etc/tidemark/join-token"\n' '@CONTROLLER@' | sudo install -b -m 600 /dev/stdin /etc/tidemark/agent.toml &&
sudo apt-get install -y "./tidemark-agent_@VERSION@_$(dpkg --print-architecture).deb""#;

const TAR: &str = r#"tar -xzf "tidemark-agent-@VERSION@-linux-$(uname -m).tar.gz" &&
printf %s '@TOKEN@' | sudo "./tidemark-agent-@VERSION@-linux-$(uname -m)/install.sh" --controller '@CONTROLLER@' --token-file -"#;

/// `WriteAllText` because `Set-Content` of PowerShell 4 has no way to leave the end of the line out; groups by their SIDs because
/// their names are translated.
const POWER_SHELL: &str = r#"$folder = "$env:ProgramData\TidemarkJoin"
New-Item -ItemType Directory -Force $folder | Out-Null
icacls $folder /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
[IO.File]::WriteAllText("$folder\join-token", '@TOKEN@')
$done = Start-Process msiexec.exe -Wait -PassThru -ArgumentList "/i tidemark-agent-@VERSION@-x64.msi /qn /l*v install.log CONTROLLER=@CONTROLLER@ TOKENFILE=""$folder\join-token"""
"msiexec ended with $($done.ExitCode); 0 is success""#;

const CMD: &str = r#"mkdir "%ProgramData%\TidemarkJoin"
icacls "%ProgramData%\TidemarkJoin" /inheritance:r /grant *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F
>"%ProgramData%\TidemarkJoin\join-token" echo @TOKEN@
start /wait msiexec /i tidemark-agent-@VERSION@-x64.msi /qn /l*v install.log CONTROLLER=@CONTROLLER@ TOKENFILE="%ProgramData%\TidemarkJoin\join-token""#;

const GROUP_POLICY: &str = r"[IO.File]::WriteAllText('\\SERVER\SHARE\join-token', '@TOKEN@')
New-GPO -Name 'Tidemark agent'
$setting = @{ Name = 'Tidemark agent'; Context = 'Computer'; Action = 'Update'; Key = 'HKLM\SOFTWARE\Policies\Tidemark\Agent'; Type = 'String' }
Set-GPPrefRegistryValue @setting -ValueName Controller -Value '@CONTROLLER@'
Set-GPPrefRegistryValue @setting -ValueName TokenFile -Value '\\SERVER\SHARE\join-token'";

const CONFIG_MGR: &str = r"msiexec /i tidemark-agent-@VERSION@-x64.msi /qn CONTROLLER=@CONTROLLER@ TOKENFILE=\\SERVER\SHARE\join-token";

const ANSIBLE: &str = r"TIDEMARK_JOIN_TOKEN='@TOKEN@' ansible-playbook -i inventory.ini deploy/ansible/agents.yml -e tidemark_agent_controller=@CONTROLLER@";

#[cfg(test)]
mod tests {
    use super::{Installation, NoLines, System, Way};

    #[test]
    fn every_way_names_its_controller_and_nothing_is_left_to_fill_in() {
        let installation = Installation::new("tide.example:7443", "tm1.a.b.c").unwrap();
        for way in Way::ALL {
            let lines = installation.lines(way);
            assert!(lines.contains("tide.example:7443"), "{lines}");
            assert!(!lines.contains('@') || way == Way::GroupPolicy, "{lines}");
            assert!(!lines.ends_with('\n'), "{lines}");
            let holds_token = way != Way::ConfigMgr;
            assert_eq!(lines.contains("tm1.a.b.c"), holds_token, "{lines}");
        }
        assert!(!format!("{installation:?}").contains("tm1"));
    }

    #[test]
    fn a_token_is_no_argument_of_a_program() {
        let installation = Installation::new("[2001:db8::1]:7443", "tm1.a.b.c").unwrap();
        for way in [Way::Deb, Way::Tar] {
            let lines = installation.lines(way);
            let programs = lines.split(['|', '\n']).map(str::trim_start);
            let mut with_token = programs.filter(|line| line.contains("tm1.a.b.c"));
            assert!(
                with_token.all(|line| line.starts_with("printf ")),
                "{lines}"
            );
        }
    }

    #[test]
    fn what_a_shell_would_take_for_more_makes_no_lines() {
        for address in [
            "",
            "a:1; reboot",
            "$(reboot):1",
            "a'b:1",
            "-x:1",
            "a:1\nb",
            "a%b:1",
        ] {
            let made = Installation::new(address, "tm1.a.b.c");
            assert_eq!(made.unwrap_err(), NoLines::Controller, "{address}");
        }
        let long = "x".repeat(301);
        for token in ["", "tm1.a'b", "tm1 a", "`x`", "%x%", "-x", &long] {
            let made = Installation::new("tide.example:7443", token);
            assert_eq!(made.unwrap_err(), NoLines::Token, "{token}");
        }
    }

    #[test]
    fn each_system_has_its_ways() {
        let of = |system| Way::ALL.into_iter().filter(move |way| way.is_for(system));
        assert_eq!(of(System::Linux).count(), 3);
        assert_eq!(of(System::Windows).count(), 5);
    }
}
