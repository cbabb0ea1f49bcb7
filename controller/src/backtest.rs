//! `backtest`: the detectors over a recorded fleet, a stream in lock step, or the own history; the same code as serves.
//!
//! Answers with the benchmark's lines, or says why one host was reported or not. Changes nothing.

mod history;
mod input;
mod output;

use std::path::PathBuf;

use anyhow::Context as _;
use tidemark_detect::backtest::Backtest;
use tidemark_model::Timestamp;
use tidemark_store::DatabaseUrl;

use input::{Input, Lines};
use output::{Answers, Progress};

/// The controller's clock ticks this often, as in the benchmark.
const TICK_MS: i64 = 900_000;
/// More hosts than this are refused: their state would need 40 GB.
const HOSTS_MAX: usize = 1_000_000;

/// What to replay and what to say of it.
#[derive(Debug, clap::Args)]
pub struct BacktestArgs {
    /// Recorded samples, one JSON object a line in order of receipt; `.gz` is unpacked
    #[arg(long, value_name = "FILE", group = "source")]
    samples: Option<PathBuf>,
    /// Samples, inventory and ticks on standard input, in lock step: each tick is answered before the next is read
    #[arg(long, group = "source")]
    stdin: bool,
    /// The history of this controller's own database, host by host
    #[arg(long, group = "source")]
    pub from_history: bool,
    /// Attributes of the hosts, one JSON object a line: {"host", "attrs"}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stdin", "from_history"])]
    inventory: Option<PathBuf>,
    /// Where the verdicts go, one JSON object a line
    #[arg(long, value_name = "FILE", required_unless_present_any = ["stdin", "explain"], conflicts_with = "stdin")]
    predictions: Option<PathBuf>,
    /// Say why this host was reported or not
    #[arg(long, value_name = "HOST", requires = "at")]
    explain: Option<String>,
    /// When: 2026-01-19T14:00:00Z, or Unix milliseconds; the tick at or before it counts
    #[arg(long, value_name = "TIME", requires = "explain", value_parser = parse_moment)]
    at: Option<Timestamp>,
    /// Configuration file that names the database, with --from-history
    #[arg(long, env = "TIDEMARK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides data_dir, with --from-history
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Overrides database, with --from-history
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

/// A host and a time to be explained.
#[derive(Clone, Debug)]
struct Question {
    host: String,
    at: Timestamp,
}

fn parse_moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(unix_ms) = text.parse::<i64>() {
        return Ok(Timestamp::from_unix_ms(unix_ms));
    }
    text.parse::<jiff::Timestamp>()
        .map(|instant| Timestamp::from_unix_ms(instant.as_millisecond()))
        .map_err(|_| {
            "write a time with its offset, as in 2026-01-19T14:00:00Z, or Unix milliseconds"
                .to_owned()
        })
}

impl BacktestArgs {
    fn question(&self) -> Option<Question> {
        let (host, at) = self.explain.clone().zip(self.at)?;
        Some(Question { host, at })
    }
}

/// Replays a file or standard input.
///
/// # Errors
/// What cannot be read or written; for a bad line its number, the field and what to do.
pub fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    if args.stdin {
        return lock_step(args.question().as_ref());
    }
    let Some(samples) = &args.samples else {
        anyhow::bail!("say what to replay: --samples FILE, --stdin or --from-history");
    };
    let mut backtest = Backtest::default();
    if let Some(inventory) = &args.inventory {
        let mut lines = Lines::open(inventory)?;
        while let Some(line) = lines.next_line()? {
            backtest.inventory(line.inventory()?);
        }
    }
    let mut answers = Answers::create(args.predictions.as_deref())?;
    replay_file(&mut backtest, samples, &mut answers, args.question())?;
    answers.finish()
}

/// Replays the history of the database at `url`.
///
/// # Errors
/// When there is no such database, it cannot be read, or the answer cannot be written.
pub async fn run_from_history(args: &BacktestArgs, url: &DatabaseUrl) -> anyhow::Result<()> {
    let mut answers = Answers::create(args.predictions.as_deref())?;
    history::replay(url, &mut answers, args.question()).await?;
    answers.finish()
}

fn replay_file(
    backtest: &mut Backtest,
    samples: &std::path::Path,
    answers: &mut Answers,
    question: Option<Question>,
) -> anyhow::Result<()> {
    let mut lines = Lines::open(samples)?;
    let progress = Progress::of_bytes(lines.bytes_total());
    let mut clock: Option<Clock> = None;
    let mut count = 0u64;
    while let Some(line) = lines.next_line()? {
        let sample = line.sample()?;
        let received = sample.recv_unix_ms;
        let clock = clock.get_or_insert_with(|| Clock::before(received));
        if received < clock.received {
            return Err(line.problem(
                "recv_unix_ms",
                &format!("is {received}, before the {} of the line before: sort the lines by recv_unix_ms", clock.received),
            ));
        }
        clock.received = received;
        while received >= clock.next {
            if clock.tick(backtest, answers, question.as_ref())? {
                return Ok(());
            }
        }
        backtest.sample(&sample);
        line.limit_hosts(backtest.hosts(), HOSTS_MAX)?;
        count += 1;
        if count.is_multiple_of(4_096) {
            progress.at_bytes(line.bytes_read());
        }
    }
    let Some(mut clock) = clock else {
        anyhow::bail!("{} holds no sample", samples.display());
    };
    let ended = clock.tick(backtest, answers, question.as_ref())?;
    progress.finish();
    if let Some(question) = question.filter(|_| !ended) {
        return answers.explain(backtest, &question.host, clock.next_before());
    }
    answers.summary(&format!("{count} samples of {} hosts", backtest.hosts()));
    Ok(())
}

/// The controller's clock over a file.
struct Clock {
    next: i64,
    received: i64,
}

impl Clock {
    const fn before(received: i64) -> Self {
        let next = (received.div_euclid(TICK_MS) + 1).saturating_mul(TICK_MS);
        Self { next, received }
    }

    /// The tick that was made last.
    const fn next_before(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.next.saturating_sub(TICK_MS))
    }

    /// Makes the next tick; says whether the question was answered at it.
    fn tick(
        &mut self,
        backtest: &mut Backtest,
        answers: &mut Answers,
        question: Option<&Question>,
    ) -> anyhow::Result<bool> {
        let now = Timestamp::from_unix_ms(self.next);
        for told in backtest.tick(now) {
            answers.tell(&told)?;
        }
        self.next = self.next.saturating_add(TICK_MS);
        let due = question.filter(|question| question.at.unix_ms() < self.next);
        if let Some(question) = due {
            answers.explain(backtest, &question.host, now)?;
        }
        Ok(due.is_some())
    }
}

fn lock_step(question: Option<&Question>) -> anyhow::Result<()> {
    let mut lines = Lines::of_stdin();
    let mut answers = Answers::to_stdout();
    let mut backtest = Backtest::default();
    let mut last = i64::MIN;
    while let Some(line) = lines.next_line()? {
        match line.any()? {
            Input::Inventory(inventory) => backtest.inventory(inventory),
            Input::Sample(sample) => {
                backtest.sample(&sample);
                line.limit_hosts(backtest.hosts(), HOSTS_MAX)?;
            }
            Input::Tick(tick) => {
                if tick <= last {
                    return Err(line.problem(
                        "tick_unix_ms",
                        &format!("is {tick}, not after the tick before ({last}): ticks go forward"),
                    ));
                }
                last = tick;
                let now = Timestamp::from_unix_ms(tick);
                for told in backtest.tick(now) {
                    answers.tell(&told)?;
                }
                if let Some(question) = question.filter(|question| question.at.unix_ms() == tick) {
                    output::explain_to_stderr(&backtest, &question.host, now)?;
                }
                answers
                    .tick_done(tick)
                    .context("cannot write to standard output")?;
            }
        }
    }
    Ok(())
}
