//! For whom windows are: their hosts by time zone, and those on which ports do not last. One pass over the hosts for all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_calendar::{Window, WindowZone, Zone};
use tidemark_model::Timestamp;
use tidemark_model::window::Survival;

use crate::app::App;
use crate::live::HostLive;

/// The hosts of one window.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The zones that it is in, that of most hosts first, each with how many hosts.
    pub zones: Vec<(Zone, u64)>,
    /// Hosts whose zone it needs and nobody knows.
    pub without_zone: u64,
    /// Hosts whose next window it is, and on which ports will not, or may not, last until then.
    pub in_danger: u64,
}

impl Survey {
    /// All hosts that it is for.
    #[must_use]
    pub fn hosts(&self) -> u64 {
        let with: u64 = self.zones.iter().map(|(_, hosts)| *hosts).sum();
        with.saturating_add(self.without_zone)
    }
}

/// Surveys each of these windows, in their order.
#[must_use]
pub fn survey(app: &App, windows: &[&Window], now: Timestamp) -> Vec<Survey> {
    let mut tallies: Vec<Tally> = windows.iter().map(|window| Tally::of(window)).collect();
    let mut known: HashMap<Arc<str>, Option<Zone>> = HashMap::new();
    for id in app.live.ids() {
        let seen = app.live.read(id, |host| {
            let zone = host.profile.time_zone.clone();
            (host.labels(), zone, endangered_by(host, now))
        });
        let Some((labels, zone, endangered)) = seen else {
            continue;
        };
        let zone = zone.and_then(|name| {
            let entry = known.entry(Arc::clone(&name));
            entry.or_insert_with(|| Zone::named(&name)).clone()
        });
        for (window, tally) in windows.iter().zip(&mut tallies) {
            if window.is_for(&labels) {
                tally.count(window.zone().on(zone.as_ref()));
                let is_next = endangered.as_deref() == Some(window.name());
                tally.in_danger = tally.in_danger.saturating_add(u64::from(is_next));
            }
        }
    }
    tallies.into_iter().map(Tally::finish).collect()
}

/// The window until which the host's ports will not, or may not, last.
fn endangered_by(host: &HostLive, now: Timestamp) -> Option<Arc<str>> {
    let (entry, at) = host.agenda.standing(now)?;
    match host.survival(at.deadline(now))? {
        Survival::May | Survival::WillNot => Some(Arc::clone(&entry.window)),
        Survival::Will => None,
    }
}

#[derive(Default)]
struct Tally {
    by_name: BTreeMap<String, (Zone, u64)>,
    without_zone: u64,
    in_danger: u64,
}

impl Tally {
    /// A window in a zone of its own is in that, also before it has a host.
    fn of(window: &Window) -> Self {
        let mut tally = Self::default();
        if let WindowZone::Fixed(zone) = window.zone() {
            let name = zone.name().to_owned();
            tally.by_name.insert(name, (zone.clone(), 0));
        }
        tally
    }

    fn count(&mut self, zone: Option<&Zone>) {
        let Some(zone) = zone else {
            self.without_zone = self.without_zone.saturating_add(1);
            return;
        };
        let found = self.by_name.entry(zone.name().to_owned());
        let (_, hosts) = found.or_insert_with(|| (zone.clone(), 0));
        *hosts = hosts.saturating_add(1);
    }

    fn finish(self) -> Survey {
        let mut zones: Vec<(Zone, u64)> = self.by_name.into_values().collect();
        zones.sort_by_key(|(_, hosts)| Reverse(*hosts));
        Survey {
            zones,
            without_zone: self.without_zone,
            in_danger: self.in_danger,
        }
    }
}
