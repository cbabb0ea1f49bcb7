//! Plans when each host is in maintenance, from the book and what is known of the host. Every look is cheap where nothing
//! changed; a window is evaluated once for each time zone.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_calendar::{WindowZone, Zone};
use tidemark_model::window::Occurrence;
use tidemark_model::{HostId, Timestamp};

use super::{Agenda, Book, Entry};
use crate::app::App;

/// Times of a window that an agenda keeps.
const TIMES: usize = 2;

/// Brings the agenda of every host up to date that is not. Answers how many were not.
pub fn plan(app: &App, now: Timestamp) -> usize {
    let book = app.windows.load();
    let mut planner = Planner {
        book: &book,
        now,
        zones: HashMap::new(),
        times: HashMap::new(),
    };
    let is_due = |id: &HostId| {
        let good = app
            .live
            .read(*id, |host| host.agenda.is_good(book.edition, now));
        good == Some(false)
    };
    let mut planned = 0_usize;
    for id in app.live.ids().into_iter().filter(is_due) {
        let known = app
            .live
            .read(id, |host| (host.labels(), host.profile.time_zone.clone()));
        let Some((labels, zone)) = known else {
            continue;
        };
        let mut entries = Vec::new();
        let mut without_zone = Vec::new();
        for (place, held) in book.windows.iter().enumerate() {
            if held.window.is_for(&labels) {
                match planner.times(place, zone.as_ref()) {
                    Some(times) => entries.push(Entry {
                        window: held.window.name().into(),
                        times,
                        silences: held.window.spec().silences_incidents,
                    }),
                    None => without_zone.push(held.window.name().into()),
                }
            }
        }
        let agenda = Agenda::new(entries, without_zone, book.edition, now);
        app.live.update(id, |host| host.agenda = agenda);
        planned = planned.saturating_add(1);
    }
    planned
}

/// One pass over the hosts.
struct Planner<'a> {
    book: &'a Book,
    now: Timestamp,
    zones: HashMap<Arc<str>, Option<Zone>>,
    /// By the window's place and the zone's name, empty where the window has its own.
    times: HashMap<(usize, String), Vec<Occurrence>>,
}

impl Planner<'_> {
    /// The next times of a window for hosts in that zone; `None` when it needs the zone and tzdata has none of that name.
    fn times(&mut self, place: usize, host_zone: Option<&Arc<str>>) -> Option<Vec<Occurrence>> {
        let window = &self.book.windows.get(place)?.window;
        let host_zone = host_zone.and_then(|name| {
            let known = self.zones.entry(Arc::clone(name));
            known.or_insert_with(|| Zone::named(name)).as_ref()
        });
        let zone = window.zone().on(host_zone)?;
        let key = match window.zone() {
            WindowZone::Fixed(_) => (place, String::new()),
            WindowZone::HostLocal => (place, zone.name().to_owned()),
        };
        let times = self.times.entry(key);
        let times = times.or_insert_with(|| window.times(zone, self.now).take(TIMES).collect());
        Some(times.clone())
    }
}
