//! The one place that writes to the terminal or the pipe, and that knows which of the two it is.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use jiff::tz::TimeZone;
use tidemark_model::{Secret, Timestamp};

use crate::args::Global;
use crate::failure::Failure;
use crate::render::Screen;
use crate::render::paint::{Paint, Tone};

/// Standard output and standard error of this process.
#[derive(Debug)]
pub struct Console {
    terminal: bool,
    paint: Paint,
    paint_errors: Paint,
    zone: TimeZone,
}

impl Console {
    /// Finds out where the output goes. Colours need a terminal, and neither `--no-color` nor `NO_COLOR`
    /// (<https://no-color.org>: set and not empty).
    pub fn open(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = !global.no_color && !set("NO_COLOR") && !dumb && escapes_work();
        let paint = |to_terminal: bool| {
            if wanted && to_terminal {
                Paint::Colours
            } else {
                Paint::Plain
            }
        };
        Self {
            terminal,
            paint: paint(terminal),
            paint_errors: paint(io::stderr().is_terminal()),
            zone: TimeZone::system(),
        }
    }

    /// Whether a person looks at standard output.
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// What there is to draw on. `COLUMNS` and `LINES` win over the terminal's own size; a pipe without them is
    /// unlimited.
    pub fn screen(&self, now: Timestamp) -> Screen {
        let size = if self.terminal {
            terminal_size::terminal_size()
        } else {
            None
        };
        Screen {
            width: size_variable("COLUMNS").or(size.map(|(width, _)| usize::from(width.0))),
            height: size_variable("LINES").or(size.map(|(_, height)| usize::from(height.0))),
            paint: self.paint,
            zone: self.zone.clone(),
            now,
        }
    }

    /// Writes to standard output, with one line feed at the end.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        self.write_raw(text.as_bytes(), text.is_empty() || text.ends_with('\n'))
    }

    /// Writes on a cleared terminal; in a pipe, below what is there.
    pub fn rewrite(&self, text: &str) -> Result<(), Failure> {
        if self.terminal {
            // Home, the text with the rest of each line cleared, and everything below cleared: no flicker.
            let lines = text.trim_end_matches('\n').replace('\n', "\x1b[K\n");
            self.write_raw(format!("\x1b[H{lines}\x1b[K\n\x1b[J").as_bytes(), true)
        } else {
            self.write(text)
        }
    }

    /// Clears the terminal before something is written over and over.
    pub fn clear(&self) -> Result<(), Failure> {
        if self.terminal {
            self.write_raw(b"\x1b[2J\x1b[H", true)
        } else {
            Ok(())
        }
    }

    fn write_raw(&self, bytes: &[u8], ended: bool) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        out.write_all(bytes)
            .and_then(|()| if ended { Ok(()) } else { out.write_all(b"\n") })
            .and_then(|()| out.flush())
            .map_err(Failure::of_output)
    }

    /// Says something beside the output, on standard error.
    pub fn note(&self, text: &str) {
        self.say(&format!(
            "{} {text}",
            self.paint_errors.apply(Tone::Accent, "note:")
        ));
    }

    /// Asks on standard error and reads a line from standard input.
    pub fn ask(&self, question: &str) -> Result<String, Failure> {
        let mut err = io::stderr().lock();
        write!(err, "{question}")
            .and_then(|()| err.flush())
            .map_err(Failure::of_output)?;
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .map_err(|source| Failure::Io {
                action: "read the answer",
                source,
            })?;
        Ok(line.trim().to_owned())
    }

    /// Asks for a secret, which is not shown while it is typed.
    pub fn ask_secret(&self, question: &str) -> Result<Secret<String>, Failure> {
        let failed = |source| Failure::Io {
            action: "read the answer",
            source,
        };
        let mut answer = Secret::new(String::new());
        // Before the question: what is typed at once must not be shown either.
        terminal::enable_raw_mode().map_err(failed)?;
        let mut err = io::stderr().lock();
        let typed = write!(err, "{question}")
            .and_then(|()| err.flush())
            .and_then(|()| read_hidden(&mut answer));
        terminal::disable_raw_mode().map_err(failed)?;
        writeln!(err).map_err(Failure::of_output)?;
        typed.map_err(failed)?;
        Ok(answer)
    }

    /// Whether a person can answer a question.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Explains a failure on standard error: what, why, and what to do next.
    pub fn explain(&self, failure: &Failure) {
        match failure {
            Failure::PipeClosed => {}
            Failure::Partly { failures, .. } => {
                for part in failures {
                    self.explain(part);
                }
                self.say(&format!(
                    "{} {failure}",
                    self.paint_errors.apply(Tone::Bad, "error:")
                ));
            }
            Failure::Usage { .. }
            | Failure::NoContext
            | Failure::UnknownContext { .. }
            | Failure::Contexts(_)
            | Failure::Key(_)
            | Failure::File { .. }
            | Failure::NoLines { .. }
            | Failure::Tampered(_)
            | Failure::Io { .. }
            | Failure::Unreachable { .. }
            | Failure::TimedOut { .. }
            | Failure::Unusable { .. }
            | Failure::Unauthenticated { .. }
            | Failure::Refused(_)
            | Failure::UnknownHost { .. }
            | Failure::Problem(_)
            | Failure::NotUnderstood { .. } => self.explain_one(failure),
        }
    }

    fn explain_one(&self, failure: &Failure) {
        self.say(&format!(
            "{} {failure}",
            self.paint_errors.apply(Tone::Bad, "error:")
        ));
        if let Some(root) = failure.root_cause() {
            self.say(&format!(
                "  because: {}",
                crate::render::text::visible_lines(&root)
            ));
        }
        for hint in failure.hints() {
            self.say(&format!(
                "{} {hint}",
                self.paint_errors.apply(Tone::Accent, "hint:")
            ));
        }
    }

    fn say(&self, line: &str) {
        // There is nobody left to tell when standard error is gone.
        drop(writeln!(io::stderr().lock(), "{line}"));
    }
}

/// Takes keys until Enter. Ctrl-C and Escape give up.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a keyboard has many other keys"
)]
fn read_hidden(answer: &mut Secret<String>) -> io::Result<()> {
    loop {
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                KeyCode::Enter => return Ok(()),
                KeyCode::Esc => return Err(io::ErrorKind::Interrupted.into()),
                // A line feed, which a paste or a pipe into the terminal ends with.
                KeyCode::Char('j') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(());
                }
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                KeyCode::Char(character) => {
                    *answer = Secret::new(format!("{}{character}", answer.expose()))
                }
                KeyCode::Backspace => {
                    let mut shorter = answer.expose().clone();
                    shorter.pop();
                    *answer = Secret::new(shorter);
                }
                _ => {}
            },
            Event::Paste(text) => {
                *answer = Secret::new(format!("{}{}", answer.expose(), text.trim()))
            }
            _ => {}
        }
    }
}

fn size_variable(name: &str) -> Option<usize> {
    std::env::var(name)
        .ok()?
        .parse()
        .ok()
        .filter(|size| (1..=10_000).contains(size))
}

#[cfg(windows)]
fn escapes_work() -> bool {
    crossterm::ansi_support::supports_ansi()
}

#[cfg(not(windows))]
const fn escapes_work() -> bool {
    true
}
