//! The detectors over the own history: host by host, so that memory does not grow with the fleet, then the fleet's common
//! causes over what each host's leaks were.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_detect::backtest::{Backtest, CauseWatch, Told};
use tidemark_detect::causes::LeakSeen;
use tidemark_model::{PortSpaceKey, Timestamp};
use tidemark_runtime::Clock;
use tidemark_store::{DatabaseUrl, Host, Span, Store};

use super::output::{Answers, Progress};
use super::{Question, TICK_MS};
use crate::app::audits::known_facts;
use crate::app::identities::profile_of;
use crate::live::HostLive;
use crate::replay::{self, Stretch, Stretches};

/// How long the 5-minute tier is kept unless it is told otherwise; what is older is too coarse to be replayed.
const REACH: Duration = Duration::from_secs(90 * 86_400);
/// Common causes are looked for at whole hours.
const HOUR_MS: i64 = 3_600_000;

/// A host that was replayed: its name, its processes, and its leak at each whole hour that it had one.
struct Episodes {
    name: String,
    processes: Vec<String>,
    leaks: BTreeMap<i64, LeakSeen>,
}

pub(super) async fn replay(
    url: &DatabaseUrl,
    answers: &mut Answers,
    question: Option<Question>,
) -> anyhow::Result<()> {
    let store = Store::open_existing(url).await?;
    let hosts = wanted_hosts(&store, question.as_ref()).await?;
    let now = Clock::System.now();
    let span = Span {
        from: now.saturating_sub(REACH),
        to: now.saturating_add(Duration::from_secs(1)),
    };
    let progress = Progress::of_hosts(hosts.len() as u64);
    let mut told: Vec<Told> = Vec::new();
    let mut causes = CauseWatch::default();
    let mut fleet = Vec::new();
    for host in &hosts {
        let mut live = HostLive::new(profile_of(host));
        live.facts = known_facts(&store, host.id, span.from)
            .await
            .with_context(|| format!("the audits of {} cannot be read", live.profile.name))?
            .unwrap_or_default();
        let history = replay::load(&store, host.id, span)
            .await
            .with_context(|| format!("the history of {} cannot be read", live.profile.name))?;
        // Hosts may share a name; verdicts of such name them by their id.
        let is_shared = hosts
            .iter()
            .filter(|other| other.facts.name == host.facts.name)
            .count()
            > 1;
        let name = if is_shared {
            host.id.to_string()
        } else {
            live.profile.name.to_string()
        };
        causes.attributes(name.clone(), live.attributes());
        for change in live.facts.changes() {
            causes.change(&name, change.clone());
        }
        let mut replayed = HostReplay::new(name, &live);
        replayed.run(&history.stretches(i64::MAX), question.as_ref(), answers)?;
        told.append(&mut replayed.told);
        fleet.push(replayed.episodes());
        progress.host_done();
    }
    progress.finish();
    store.close().await;
    if question.is_some() {
        return Ok(());
    }
    told.extend(common_causes(&mut causes, &fleet));
    told.sort_by_key(Told::at);
    for line in &told {
        answers.tell(line)?;
    }
    answers.summary(&format!("the history of {} hosts", fleet.len()));
    Ok(())
}

async fn wanted_hosts(store: &Store, question: Option<&Question>) -> anyhow::Result<Vec<Host>> {
    let mut hosts: Vec<Host> = Vec::new();
    let mut tx = store.read().await?;
    tx.hosts_each(|host| hosts.push(host)).await?;
    if let Some(Question { host: wanted, .. }) = question {
        hosts.retain(|host| *host.facts.name == **wanted || host.id.to_string() == *wanted);
        anyhow::ensure!(
            !hosts.is_empty(),
            "there is no host {wanted:?}: give its name or its id"
        );
    }
    Ok(hosts)
}

/// One host under replay.
struct HostReplay<'a> {
    name: String,
    live: &'a HostLive,
    backtest: Backtest,
    told: Vec<Told>,
    leaks: BTreeMap<i64, LeakSeen>,
}

impl<'a> HostReplay<'a> {
    fn new(name: String, live: &'a HostLive) -> Self {
        Self {
            name,
            live,
            backtest: Backtest::default(),
            told: Vec::new(),
            leaks: BTreeMap::new(),
        }
    }

    fn run(
        &mut self,
        stretches: &Stretches,
        question: Option<&Question>,
        answers: &mut Answers,
    ) -> anyhow::Result<()> {
        let settings = self.live.detector_settings();
        let mut in_order: Vec<(i64, &PortSpaceKey, &Stretch)> = stretches
            .spaces
            .iter()
            .flat_map(|(key, of_space)| {
                of_space
                    .iter()
                    .map(move |(from, stretch)| (*from, key, stretch))
            })
            .collect();
        in_order.sort_by_key(|(from, _, _)| *from);
        let mut next: Option<i64> = None;
        for (from, key, stretch) in in_order {
            let end = from.saturating_add(replay::COARSE_MS);
            let mut due = next.unwrap_or_else(|| tick_after(from));
            // A stretch is known at its end.
            while end > due {
                if self.tick(due, question, answers)? {
                    return Ok(());
                }
                due = due.saturating_add(TICK_MS);
            }
            next = Some(due);
            stretches.show(from, stretch, &mut |rollup| {
                self.backtest.rollup(&self.name, key, (settings, rollup));
            });
        }
        let last = next.unwrap_or_else(|| tick_after(0));
        if self.tick(last, question, answers)? {
            return Ok(());
        }
        match question {
            Some(_) => answers.explain(&self.backtest, &self.name, Timestamp::from_unix_ms(last)),
            None => Ok(()),
        }
    }

    /// Says whether the question was answered at this tick.
    fn tick(
        &mut self,
        tick: i64,
        question: Option<&Question>,
        answers: &mut Answers,
    ) -> anyhow::Result<bool> {
        let now = Timestamp::from_unix_ms(tick);
        self.told.extend(self.backtest.tick(now));
        if tick.rem_euclid(HOUR_MS) == 0 {
            let leak = self.backtest.leak_of(&self.name);
            self.leaks.extend(leak.map(|leak| (tick, leak)));
        }
        match question {
            Some(question) if question.at.unix_ms() < tick.saturating_add(TICK_MS) => {
                answers.explain(&self.backtest, &self.name, now)?;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn episodes(self) -> Episodes {
        Episodes {
            processes: self.backtest.processes_of(&self.name),
            name: self.name,
            leaks: self.leaks,
        }
    }
}

const fn tick_after(at: i64) -> i64 {
    (at.div_euclid(TICK_MS) + 1).saturating_mul(TICK_MS)
}

/// What the hosts had in common, hour by hour. Their processes are those known at the end.
fn common_causes(causes: &mut CauseWatch, fleet: &[Episodes]) -> Vec<Told> {
    let mut leaks: BTreeMap<i64, Vec<(&str, &LeakSeen)>> = BTreeMap::new();
    for host in fleet {
        for (hour, leak) in &host.leaks {
            leaks.entry(*hour).or_default().push((&host.name, leak));
        }
    }
    let mut told = Vec::new();
    for (hour, leaking) in leaks {
        let now = Timestamp::from_unix_ms(hour);
        for (host, leak) in leaking {
            causes.note(host, now, leak.clone());
        }
        let hosts = fleet.iter().map(|host| {
            let processes = host.processes.iter().map(String::as_str).collect();
            (host.name.as_str(), processes)
        });
        told.extend(causes.sweep(now, hosts).into_iter().map(Told::Group));
    }
    told
}
