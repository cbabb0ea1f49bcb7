//! `top`: all hosts live on the whole screen. This file moves events and keys; what they mean is in `fleet`, how it
//! looks in `view`. In a pipe it is the list of hosts, once.

mod fleet;
mod spark;
mod view;

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use ratatui::DefaultTerminal;
use tidemark_model::Timestamp;
use tidemark_model::view::{HistoryView, HostDetail, HostView};
use tidemark_runtime::lifecycle::shutdown_signal;
use tokio::time::MissedTickBehavior;

use self::fleet::{Fleet, Link, Wish};
use self::spark::{BUCKET_MS, BUCKETS};
use super::Ctx;
use super::history::series_of_space;
use super::hosts::{HostList, Rows, sort};
use super::show::show;
use crate::api::{Api, Heard, Query};
use crate::args::{Format, TopArgs};
use crate::failure::Failure;

/// How often the screen is drawn at most while changes pour in.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Shows the hosts until `q`.
pub async fn watch(ctx: &Ctx<'_>, wanted: &TopArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let plain = ctx
        .global
        .output
        .is_some_and(|format| format != Format::Chart);
    if plain || !ctx.console.is_terminal() || !ctx.console.can_ask() {
        return show(ctx, async || {
            let mut hosts = api.hosts(Query::new()).await?;
            hosts.retain(|host| fleet::matches(host, &wanted.filter));
            sort(&mut hosts, wanted.sort);
            Ok(HostList {
                hosts,
                rows: Rows::WorstSpace,
            })
        })
        .await;
    }
    // Asked for once before the screen is taken, so that a wrong token is an ordinary error.
    let hosts = api.hosts(Query::new()).await?;
    let mut fleet = Fleet::new(wanted.sort, wanted.filter.clone());
    fleet.replace(hosts);
    let mut terminal = ratatui::try_init().map_err(|source| Failure::Io {
        action: "take the screen",
        source,
    })?;
    let finished = Screenful {
        ctx,
        api: &api,
        fleet,
        fetches: FuturesUnordered::new(),
    }
    .run(&mut terminal)
    .await;
    ratatui::restore();
    finished
}

/// Something that was asked for beside the stream.
enum Fetched {
    Hosts(Result<Vec<HostView>, Failure>),
    Sparks(Result<HistoryView, Failure>),
    Detail(Box<Result<HostDetail, Failure>>),
}

struct Screenful<'a> {
    ctx: &'a Ctx<'a>,
    api: &'a Api,
    fleet: Fleet,
    /// At most one of each kind: the fleet does not ask again before the answer.
    fetches: FuturesUnordered<Pin<Box<dyn Future<Output = Fetched> + 'a>>>,
}

impl Screenful<'_> {
    async fn run(&mut self, terminal: &mut DefaultTerminal) -> Result<(), Failure> {
        let mut stop = pin!(shutdown_signal());
        let mut live = self.api.live()?;
        let mut keys = EventStream::new();
        let mut tick = tokio::time::interval(DRAW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                event = keys.next() => match event {
                    None => return Ok(()),
                    Some(Err(source)) => return Err(Failure::Io { action: "read the keyboard", source }),
                    Some(Ok(event)) => {
                        if self.press(event) == Wish::Quit {
                            return Ok(());
                        }
                        self.draw(terminal)?;
                    }
                },
                heard = live.next() => self.hear(heard?),
                Some(fetched) = self.fetches.next() => self.take(fetched)?,
                _ = tick.tick() => {
                    self.ask_for_sparks();
                    self.ask_for_detail();
                    self.draw(terminal)?;
                }
            }
        }
    }

    fn press(&mut self, event: Event) -> Wish {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.fleet.press(key),
            Event::Key(_)
            | Event::FocusGained
            | Event::FocusLost
            | Event::Mouse(_)
            | Event::Paste(_)
            | Event::Resize(..) => Wish::Stay,
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::ReadAgain => {
                self.fleet.link = Link::Live;
                self.fleet.expect_list();
                let api = self.api;
                self.fetches.push(Box::pin(async move {
                    Fetched::Hosts(api.hosts(Query::new()).await)
                }));
            }
            Heard::Host(host) => self.fleet.put(*host),
            Heard::Notice(event) => self.fleet.notice = Some(*event),
            Heard::Garbled => self.fleet.garbled = self.fleet.garbled.saturating_add(1),
            Heard::Lost { reason, retry_in } => self.fleet.link = Link::Lost { reason, retry_in },
        }
    }

    fn take(&mut self, fetched: Fetched) -> Result<(), Failure> {
        match fetched {
            Fetched::Hosts(Ok(hosts)) => self.fleet.replace(hosts),
            // The stream connects again and asks again then.
            Fetched::Hosts(Err(failure)) if failure.is_passing() => {}
            Fetched::Hosts(Err(failure)) => return Err(failure),
            Fetched::Sparks(history) => self.fleet.seed_sparks(history.ok()),
            Fetched::Detail(detail) => self.fleet.take_detail(*detail),
        }
        Ok(())
    }

    fn ask_for_sparks(&mut self) {
        let Some(wanted) = self.fleet.wanted_sparks() else {
            return;
        };
        let (api, now) = (self.api, self.ctx.clock.now());
        let back_ms = BUCKET_MS * i64::try_from(BUCKETS).unwrap_or(1);
        let from =
            Timestamp::from_unix_ms(now.unix_ms().saturating_sub(back_ms)).floor_to(BUCKET_MS);
        let mut query = series_of_space(&wanted.protocol, &wanted.namespace, from, now);
        query.retain(|(name, _)| !matches!(*name, "step_ms" | "top"));
        query.push(("step_ms", BUCKET_MS.to_string()));
        self.fetches.push(Box::pin(async move {
            Fetched::Sparks(api.history(&wanted.hosts, query).await)
        }));
    }

    fn ask_for_detail(&mut self) {
        let Some(id) = self.fleet.wanted_detail() else {
            return;
        };
        let api = self.api;
        self.fetches.push(Box::pin(async move {
            Fetched::Detail(Box::new(api.host(&id).await))
        }));
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> Result<(), Failure> {
        let screen = self.ctx.screen();
        terminal
            .draw(|frame| view::draw(frame, &mut self.fleet, &screen))
            .map(drop)
            .map_err(Failure::of_output)
    }
}
