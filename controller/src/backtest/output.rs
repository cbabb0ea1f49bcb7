//! Lines out, an account of one host, and progress on a terminal. Knows no source.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidemark_detect::backtest::{Backtest, Told};
use tidemark_model::Timestamp;

/// Where verdicts go.
pub(super) struct Answers {
    to: Option<Box<dyn Write>>,
    path: Option<PathBuf>,
    lines: u64,
}

impl Answers {
    /// A file; without one verdicts are only counted.
    pub(super) fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let to = match path {
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("cannot create {}", path.display()))?;
                Some(Box::new(BufWriter::new(file)) as Box<dyn Write>)
            }
            None => None,
        };
        Ok(Self {
            to,
            path: path.map(Path::to_path_buf),
            lines: 0,
        })
    }

    pub(super) fn to_stdout() -> Self {
        Self {
            to: Some(Box::new(BufWriter::new(io::stdout().lock()))),
            path: None,
            lines: 0,
        }
    }

    pub(super) fn tell(&mut self, told: &Told) -> anyhow::Result<()> {
        self.lines += 1;
        if let Some(to) = &mut self.to {
            serde_json::to_writer(&mut *to, told).context("cannot write a verdict")?;
            to.write_all(b"\n").context("cannot write a verdict")?;
        }
        Ok(())
    }

    /// Ends the answer to a tick, so that the other side may go on.
    pub(super) fn tick_done(&mut self, tick: i64) -> io::Result<()> {
        if let Some(to) = &mut self.to {
            writeln!(to, "{{\"tick_done\":{tick}}}")?;
            to.flush()?;
        }
        Ok(())
    }

    /// Why `host` is reported or not at `now`, on standard output.
    pub(super) fn explain(
        &mut self,
        backtest: &Backtest,
        host: &str,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let mut to = io::stdout().lock();
        writeln!(to, "{}", account(backtest, host, now)?).context("cannot write the account")
    }

    /// Says what was done, on standard error, unless nobody looks.
    pub(super) fn summary(&self, what: &str) {
        let Some(path) = &self.path else { return };
        // Nobody is left to tell when standard error is closed.
        writeln!(
            io::stderr(),
            "{what}: {} lines in {}",
            self.lines,
            path.display()
        )
        .ok();
    }

    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        match &mut self.to {
            Some(to) => to.flush().context("cannot write the verdicts"),
            None => Ok(()),
        }
    }
}

/// In lock step standard output belongs to the protocol.
pub(super) fn explain_to_stderr(
    backtest: &Backtest,
    host: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let text = account(backtest, host, now)?;
    writeln!(io::stderr(), "{text}").context("cannot write the account")
}

fn account(backtest: &Backtest, host: &str, now: Timestamp) -> anyhow::Result<String> {
    let lines = backtest.account(host, now).with_context(|| {
        format!("there is no sample of host {host:?} until then: check the name and the time")
    })?;
    let when = jiff::Timestamp::from_millisecond(now.unix_ms())
        .map_or_else(|_| now.unix_ms().to_string(), |at| at.to_string());
    Ok(format!("{host} at {when}\n{}", lines.join("\n")))
}

/// A bar on a terminal; nothing elsewhere.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn of_bytes(total: u64) -> Self {
        Self::new(total, "{bar:40} {bytes}/{total_bytes} {elapsed} left {eta}")
    }

    pub(super) fn of_hosts(total: u64) -> Self {
        Self::new(total, "{bar:40} {pos}/{len} hosts {elapsed} left {eta}")
    }

    fn new(total: u64, template: &str) -> Self {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        Self(bar.with_style(style))
    }

    pub(super) fn at_bytes(&self, position: u64) {
        self.0.set_position(position);
    }

    pub(super) fn host_done(&self) {
        self.0.inc(1);
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
