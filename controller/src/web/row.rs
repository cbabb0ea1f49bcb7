//! One host as one line of the fleet.

use askama::Template;
use tidemark_model::view::{HostView, PortSpaceView};
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use super::picture::{Bar, spark};
use super::standing::{self, EtaWords};
use super::window::WindowWords;
use super::words;
use crate::access::Horizon;

/// One line of the fleet.
#[derive(Clone, Debug, Template)]
#[template(path = "row.html")]
pub struct Row {
    /// Host id.
    pub id: String,
    /// Its name; hostile.
    pub name: String,
    /// Its system; hostile.
    pub os: String,
    /// Its state.
    pub state: String,
    /// When it was last heard from, in words; empty while it is online.
    pub silence: String,
    /// Its place in the order of attention.
    pub rank: i64,
    /// The port space that matters most.
    pub space: Option<SpaceCell>,
    /// When that runs out.
    pub eta: EtaWords,
    /// How that stands to its maintenance window; empty without either.
    pub against: String,
    /// What eats the ports; hostile.
    pub culprit: String,
}

/// A port space in a line.
#[derive(Clone, Debug)]
pub struct SpaceCell {
    /// Its short name.
    pub name: String,
    /// Ports in use and capacity, in words.
    pub in_use: String,
    /// See there.
    pub capacity: String,
    /// Free ports, in words.
    pub headroom: String,
    /// Share in use, in words.
    pub percent: String,
    /// Why the count is not exact, in a few words; empty when every socket was seen.
    pub doubt: &'static str,
    /// The bar.
    pub bar: Bar,
    /// The sparkline's path; empty without a value.
    pub spark: String,
}

impl SpaceCell {
    /// Of a port space whose last hour is `minutes`.
    #[must_use]
    pub fn new(space: &PortSpaceView, minutes: &[Option<u32>]) -> Self {
        Self {
            name: standing::space_name(&space.protocol, &space.namespace),
            in_use: words::count(space.in_use),
            capacity: words::count(space.capacity),
            headroom: words::count(space.capacity.saturating_sub(space.in_use)),
            percent: words::percent(space.in_use, space.capacity),
            doubt: words::doubt(&space.quality),
            bar: Bar::of(space),
            spark: spark(minutes, space.capacity),
        }
    }
}

impl Row {
    /// The line of a host; `None` when it is unknown, or not seen.
    #[must_use]
    pub fn of(horizon: &Horizon, id: HostId) -> Option<Self> {
        if !horizon.sees(id) {
            return None;
        }
        let app = horizon.app();
        let now = app.clock.now();
        app.live.read(id, |host| {
            let view = host.view(now);
            let minutes = |space: &PortSpaceView| {
                let key = PortSpaceKey {
                    protocol: space.protocol.parse().ok()?,
                    namespace: space.namespace.as_str().into(),
                };
                host.spaces.get(&key).map(|live| live.last_hour.until(now))
            };
            let space = standing::worst(&view)
                .map(|space| SpaceCell::new(space, &minutes(space).unwrap_or([None; 60])));
            Self::new(&view, space, now)
        })
    }

    fn new(view: &HostView, space: Option<SpaceCell>, now: Timestamp) -> Self {
        let worst = standing::worst(view);
        let silence = view
            .last_seen_ms
            .filter(|_| view.state != "online")
            .map(|at_ms| format!("{} ago", words::span(now.unix_ms().saturating_sub(at_ms))));
        Self {
            id: view.id.clone(),
            name: view.name.clone(),
            os: view.os.clone(),
            state: view.state.clone(),
            silence: silence.unwrap_or_default(),
            rank: standing::rank(view, now),
            eta: EtaWords::of(worst, now),
            against: view
                .window
                .as_ref()
                .map(|window| {
                    let eta = worst.and_then(|space| space.eta_ms);
                    WindowWords::against(window, eta.map(Timestamp::from_unix_ms), now)
                })
                .unwrap_or_default(),
            culprit: worst
                .and_then(|space| space.culprit.clone())
                .unwrap_or_default(),
            space,
        }
    }
}
