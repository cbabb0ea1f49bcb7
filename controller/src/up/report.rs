//! What the quick start says on the terminal: one line a step, and what to type next.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use tidemark_model::HostId;

use crate::app::App;
use crate::boot::Started;
use crate::settings::Settings;

/// Writes to standard output, in colour on a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    colour: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            colour: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }
}

/// Width of the first column.
const LABEL_WIDTH: usize = 12;

impl Report {
    pub(super) fn begin(self, settings: &Settings) {
        self.print(&format!(
            "{} {}\n",
            self.strong("Tidemark"),
            env!("CARGO_PKG_VERSION")
        ));
        self.line("data", &settings.data_dir.display().to_string());
        self.line("database", &settings.database.to_string());
    }

    /// One step.
    pub(super) fn line(self, label: &str, text: &str) {
        let padding = " ".repeat(LABEL_WIDTH.saturating_sub(label.len()));
        self.print(&format!("  {}{padding} {text}\n", self.dim(label)));
    }

    /// The first sample of this machine.
    pub(super) fn sampled(self, started: &Started, host: HostId) {
        let text = started.app.live.read(host, |host| {
            let tcp = host.spaces.values().next();
            let usage = tcp.map(|space| {
                let (in_use, capacity) = (space.level.in_use(), space.level.capacity);
                let percent = f64::from(in_use) * 100.0 / f64::from(capacity.max(1));
                format!(", {in_use} of {capacity} TCP ports in use ({percent:.1} %)")
            });
            format!(
                "{} enrolled and sampled{}",
                host.profile.name,
                usage.unwrap_or_default()
            )
        });
        self.line("agent", &text.unwrap_or_default());
    }

    pub(super) fn ready(self, started: &Started, sign_in: &str, context: &str) {
        let host = first_host(&started.app).unwrap_or_else(|| "HOST".to_owned());
        let cli = cli_command();
        let next = [
            (
                format!("{cli} get hosts"),
                "headroom, time to exhaustion and culprit of each host",
            ),
            (
                format!("{cli} history {host} --metric in_use --since 1h"),
                "what happened, as a chart",
            ),
            (format!("{cli} top"), "live, full screen"),
            (
                format!("{cli} token create --uses 1"),
                "adds a second host: prints what to run there",
            ),
        ];
        let width = next
            .iter()
            .map(|(command, _)| command.len())
            .max()
            .unwrap_or(0);
        let mut text = format!("\n  {}  {}\n\n", self.strong("Open"), self.accent(sign_in));
        text.push_str(&format!(
            "  {}  (context {context:?} is set up for the command line)\n",
            self.strong("Type")
        ));
        for (command, what) in next {
            text.push_str(&format!("    {command:width$}  {}\n", self.dim(what)));
        }
        text.push_str(&format!(
            "\n  {}\n",
            self.dim(
                "Ctrl-C stops everything; the data stays, and the same command goes on with it."
            )
        ));
        self.print(&text);
    }

    fn print(self, text: &str) {
        let mut out = io::stdout().lock();
        // Nobody reads any more: the controller goes on all the same.
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }

    fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn accent(self, text: &str) -> String {
        self.paint("4;36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn first_host(app: &App) -> Option<String> {
    let id = app.live.ids().into_iter().next()?;
    app.live.read(id, |host| {
        let is_plain = host
            .profile
            .name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter));
        if is_plain {
            host.profile.name.to_string()
        } else {
            id.to_string()
        }
    })
}

/// How the command line is called from here: by its name where the shell finds it, or by its path beside this program.
fn cli_command() -> String {
    let name = format!("tidemark{}", std::env::consts::EXE_SUFFIX);
    let is_found = |folder: PathBuf| folder.join(&name).is_file();
    let on_path =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(is_found));
    if on_path {
        return "tidemark".to_owned();
    }
    let Some(beside) = std::env::current_exe()
        .ok()
        .map(|exe| exe.with_file_name(&name))
        .filter(|path| path.is_file())
    else {
        return "tidemark".to_owned();
    };
    let relative = std::env::current_dir()
        .ok()
        .and_then(|here| beside.strip_prefix(here).ok().map(PathBuf::from));
    relative.unwrap_or(beside).display().to_string()
}
