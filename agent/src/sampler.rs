//! Takes samples on a thread of its own, at aligned times, and puts them into the outbox. What fails, hangs or is missed
//! is counted and reported as an event.
//!
//! Knows when to collect, not what: that is the source's business.

pub mod report;
pub mod schedule;
pub mod watchdog;

pub use report::SamplerStatus;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_agent_core::SamplingInterval;
use tidemark_model::{Sample, Timestamp};
use tidemark_proto::convert::record::{Record, encode_stored};
use tidemark_runtime::Clock;
use tokio::time::Instant;

use crate::collect::{CollectError, Collector};
use crate::outbox::OutboxHandle;
use crate::owned_thread::{Joined, OwnedThread};
use report::{Report, Reporter};
use schedule::{Due, Schedule};

/// How long a stop waits for the collection that is under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Between any sample and an extra one: a log that is full of events must not make the agent sample without end.
pub const EXTRA_PAUSE: Duration = Duration::from_secs(2);
/// A wall clock that moves this much more or less than time itself was set, or the host was suspended.
const CLOCK_JUMP_MIN_MS: u64 = 5_000;

/// Where samples come from.
pub trait SampleSource: Send + 'static {
    /// Why there is no sample.
    type Error: std::error::Error;

    /// Takes one sample; may block.
    ///
    /// # Errors
    /// When there is none this time.
    fn sample(&mut self, now: Timestamp) -> Result<Sample, Self::Error>;

    /// Counts ports in use between two samples; may block.
    ///
    /// # Errors
    /// When they cannot be counted this time.
    fn light_count(&mut self, now: Timestamp) -> Result<(), Self::Error>;

    /// How long to wait between light counts.
    fn light_interval(&self) -> Duration;

    /// Why samples have no port spaces for as long as this source is used; `None` when they have.
    fn hindrance(&self) -> Option<Arc<str>> {
        None
    }
}

impl SampleSource for Collector {
    type Error = CollectError;

    fn sample(&mut self, now: Timestamp) -> Result<Sample, CollectError> {
        Self::sample(self, now)
    }

    fn light_count(&mut self, now: Timestamp) -> Result<(), CollectError> {
        Self::light_count(self, now)
    }

    fn light_interval(&self) -> Duration {
        Self::light_interval(self)
    }

    fn hindrance(&self) -> Option<Arc<str>> {
        Some(self.hazard()?.to_string().into())
    }
}

/// How often to sample.
#[derive(Clone, Copy, Debug)]
pub struct SamplerSettings {
    /// Time between samples, unless the controller wishes another one.
    pub interval: SamplingInterval,
    /// Time between light counts; `None` leaves it to the source.
    pub light_interval: Option<Duration>,
    /// Bytes that the outbox may hold: sampling slows down as it fills.
    pub outbox_bytes_max: u64,
}

/// The running sampler.
#[derive(Debug)]
pub struct Sampler {
    thread: OwnedThread,
    control: SamplerControl,
}

/// Steers a sampler and tells how it does.
#[derive(Clone, Debug)]
pub struct SamplerControl {
    shared: Arc<Shared>,
}

/// A sampler that ended otherwise than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// Its thread panicked.
    #[error("the sampler's thread panicked: this is a bug; the agent must be started again")]
    Panicked,
}

#[derive(Debug)]
struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
    status: Mutex<SamplerStatus>,
}

#[derive(Clone, Copy, Debug)]
struct Orders {
    stop: bool,
    /// The controller's wish, in milliseconds; 0 for none.
    wish_ms: u32,
    /// A sample is wanted at once.
    extra: bool,
}

impl Sampler {
    /// Starts the thread. The first sample is taken at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        source: impl SampleSource,
        settings: SamplerSettings,
        outbox: OutboxHandle,
        clock: Clock,
    ) -> io::Result<Self> {
        let control = SamplerControl {
            shared: Arc::new(Shared {
                orders: Mutex::new(Orders {
                    stop: false,
                    wish_ms: 0,
                    extra: false,
                }),
                changed: Condvar::new(),
                status: Mutex::new(SamplerStatus::new(settings.interval.get())),
            }),
        };
        let worker = Worker {
            reporter: Reporter::new(outbox.clone()),
            shared: Arc::clone(&control.shared),
            source,
            settings,
            outbox,
            clock,
            sampled: None,
        };
        let thread = OwnedThread::start("sampler", move || worker.run())?;
        Ok(Self { thread, control })
    }

    /// Steers it from elsewhere.
    #[must_use]
    pub fn control(&self) -> SamplerControl {
        self.control.clone()
    }

    /// Completes when the thread has ended, which it does not by itself.
    pub async fn ended(&self) {
        self.thread.ended().await;
    }

    /// Stops it. A collection that hangs is left behind after two seconds: the process is about to end anyway.
    ///
    /// # Errors
    /// [`SamplerError::Panicked`] when the thread had panicked.
    pub async fn stop(self) -> Result<(), SamplerError> {
        self.control.order(|orders| orders.stop = true);
        match self.thread.join_within(STOP_TIMEOUT).await {
            Joined::Ended => Ok(()),
            Joined::Panicked => Err(SamplerError::Panicked),
            Joined::LeftBehind => {
                tracing::warn!("collection hangs and is left behind");
                Ok(())
            }
        }
    }
}

impl SamplerControl {
    /// Takes the controller's wish for the time between samples; `None` goes back to the agent's own.
    pub fn wish_interval(&self, wish: Option<Duration>) {
        let wish_ms = wish.map_or(0, |wish| {
            u32::try_from(wish.as_millis()).unwrap_or(u32::MAX)
        });
        self.order(|orders| orders.wish_ms = wish_ms);
    }

    /// Asks for a sample at once, beside the scheduled ones: something happened that only the tables of this moment explain.
    /// Asked too soon after another sample, it is taken when [`EXTRA_PAUSE`] is over.
    pub fn sample_now(&self) {
        self.order(|orders| orders.extra = true);
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> SamplerStatus {
        self.shared.status().clone()
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.shared.orders());
        self.shared.changed.notify_all();
    }

    /// Notes a change of the status.
    fn note(&self, change: impl FnOnce(&mut SamplerStatus)) {
        change(&mut self.shared.status());
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MutexGuard<'_, SamplerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or until there is a new order.
    fn wait(&self, time: Duration, known: Orders) -> Orders {
        let orders = self.orders();
        let is_known = |orders: &mut Orders| {
            !orders.stop && orders.wish_ms == known.wish_ms && orders.extra == known.extra
        };
        let (orders, _) = self
            .changed
            .wait_timeout_while(orders, time, is_known)
            .unwrap_or_else(PoisonError::into_inner);
        *orders
    }
}

/// The thread's side.
struct Worker<S> {
    source: S,
    settings: SamplerSettings,
    outbox: OutboxHandle,
    clock: Clock,
    shared: Arc<Shared>,
    reporter: Reporter,
    /// When the last sample was begun.
    sampled: Option<Instant>,
}

impl<S: SampleSource> Worker<S> {
    fn run(mut self) {
        let mut orders = *self.shared.orders();
        let mut schedule = Schedule::new(self.clock.now());
        let mut watch = ClockWatch::start(&self.clock);
        if let Some(reason) = self.source.hindrance() {
            self.reporter
                .report(self.clock.now(), Report::ProbesOnly { reason });
        }
        while !orders.stop {
            let interval = self.interval(orders.wish_ms);
            let light = self
                .settings
                .light_interval
                .unwrap_or_else(|| self.source.light_interval());
            schedule.set_intervals(interval, light);
            if let Some(jump_ms) = watch.jump(&self.clock) {
                self.reporter
                    .report(self.clock.now(), Report::ClockJumped { jump_ms });
            }
            let now = self.clock.now();
            let extra_in = self.extra_in(orders);
            match schedule.due(now) {
                Due::Sample { missed } => self.sample(now, missed),
                Due::Light => self.light_count(now),
                Due::Nothing(_) if extra_in == Some(Duration::ZERO) => self.sample(now, 0),
                Due::Nothing(wait) => {
                    let wait = extra_in.map_or(wait, |extra| wait.min(extra));
                    orders = self.shared.wait(wait, orders);
                }
            }
            orders = if orders.stop {
                orders
            } else {
                *self.shared.orders()
            };
        }
    }

    /// The agent's own interval or the controller's wish, slower as the outbox fills.
    fn interval(&mut self, wish_ms: u32) -> Duration {
        let own = self.settings.interval;
        let wished = own.with_settings(wish_ms).unwrap_or_else(|error| {
            self.reporter.illegal_wish(wish_ms, &error);
            own
        });
        let held_bytes = self.outbox.counts().held_bytes;
        let interval = wished
            .slowed_for(held_bytes, self.settings.outbox_bytes_max)
            .get();
        let before = std::mem::replace(&mut self.shared.status().interval, interval);
        if before != interval {
            tracing::info!(
                interval_ms = interval.as_millis(),
                "time between samples changed"
            );
        }
        interval
    }

    /// How long until the extra sample that is wanted, if one is.
    fn extra_in(&self, orders: Orders) -> Option<Duration> {
        let since = self
            .sampled
            .map_or(EXTRA_PAUSE, |sampled| sampled.elapsed());
        orders.extra.then(|| EXTRA_PAUSE.saturating_sub(since))
    }

    fn sample(&mut self, now: Timestamp, missed: u64) {
        // What is asked for from here on happened too late for this one.
        self.shared.orders().extra = false;
        self.sampled = Some(Instant::now());
        if missed > 0 {
            self.shared.status().missed += missed;
            self.reporter
                .report(now, Report::Missed { samples: missed });
        }
        self.shared.status().collecting_since = Some(Instant::now());
        let sampled = self.source.sample(now);
        self.finish_collection();
        match sampled {
            Ok(sample) => {
                self.append(sample, now);
                if let Some(failed) = self.reporter.recovered() {
                    self.reporter.report(now, Report::Recovered { failed });
                }
            }
            Err(error) => {
                let text = crate::session::chain(&error);
                {
                    let mut status = self.shared.status();
                    status.failed += 1;
                    status.last_error = Some(Arc::clone(&text));
                }
                self.reporter.failed(now, &text);
            }
        }
    }

    fn append(&self, sample: Sample, now: Timestamp) {
        let stored = encode_stored(&Record::Sample(sample));
        let appended = self.outbox.append(&stored, now);
        let mut status = self.shared.status();
        match appended {
            Ok(_) => {
                status.taken += 1;
                status.last_sample_at = Some(now);
                status.last_error = None;
            }
            // It is counted by the outbox and told as a gap; the words are for whoever asks this agent.
            Err(error) => status.last_error = Some(crate::session::chain(&error)),
        }
    }

    fn light_count(&mut self, now: Timestamp) {
        self.shared.status().collecting_since = Some(Instant::now());
        let counted = self.source.light_count(now);
        self.finish_collection();
        if let Err(error) = counted {
            self.shared.status().light_failed += 1;
            tracing::debug!(error = %crate::session::chain(&error), "light count failed");
        }
    }

    fn finish_collection(&mut self) {
        let mut status = self.shared.status();
        status.collecting_since = None;
        let hung = std::mem::take(&mut status.hangs_reported);
        drop(status);
        if hung {
            self.reporter.report(self.clock.now(), Report::HangEnded);
        }
    }
}

/// Compares the wall clock with time itself.
struct ClockWatch {
    wall: Timestamp,
    instant: Instant,
}

impl ClockWatch {
    fn start(clock: &Clock) -> Self {
        Self {
            wall: clock.now(),
            instant: Instant::now(),
        }
    }

    /// By how many milliseconds the wall clock jumped since the last look; `None` when it did not.
    fn jump(&mut self, clock: &Clock) -> Option<i64> {
        let next = Self::start(clock);
        let passed = tidemark_model::time::duration_ms(next.instant - self.instant);
        let jump_ms = next.wall.ms_since(self.wall).saturating_sub(passed);
        // Without a clock to follow (tests hold its hands) there is nothing to compare.
        let is_followed = matches!(clock, Clock::System);
        *self = next;
        (is_followed && jump_ms.unsigned_abs() >= CLOCK_JUMP_MIN_MS).then_some(jump_ms)
    }
}

#[cfg(test)]
mod tests;
