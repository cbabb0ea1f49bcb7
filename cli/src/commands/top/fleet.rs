//! What `top` knows and what keys do to it: pure state, without a terminal or a network.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tidemark_model::view::{EventView, HistoryView, HostDetail, HostView};

use super::spark::Spark;
use crate::args::Order;
use crate::commands::hosts;
use crate::failure::Failure;
use crate::render::standing;

/// Most hosts that are kept; a hundred times what fits any screen, and the largest fleet of a controller.
pub const HOSTS_MAX: usize = 200_000;

/// Longest filter, in characters.
const FILTER_CHARS_MAX: usize = 64;

/// Hosts whose past is asked for at once.
const SPARKS_AT_ONCE: usize = 50;

/// What the loop is to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Stay,
    /// End.
    Quit,
}

/// How the stream is.
#[derive(Debug)]
pub enum Link {
    /// Not yet open.
    Opening,
    /// Changes come as they happen.
    Live,
    /// Broken; what is shown grows old.
    Lost {
        /// Why.
        reason: String,
        /// How long until it is opened again.
        retry_in: Duration,
    },
}

/// What the keys act on.
#[derive(Debug)]
pub enum Mode {
    /// The list.
    List,
    /// The filter's text, until Enter or Escape.
    Filter,
    /// One host.
    Detail(Box<Detail>),
    /// What the keys are.
    Help,
}

/// One host, looked at closely.
#[derive(Debug)]
pub struct Detail {
    /// Which.
    pub id: String,
    /// What is known of it; `None` until it came.
    pub known: Option<Result<HostDetail, Failure>>,
    /// Lines scrolled down.
    pub scroll: usize,
    /// Whether something newer is to be had.
    stale: bool,
    asked: bool,
}

/// A host in the list.
#[derive(Debug)]
pub struct Row {
    /// As the controller last said.
    pub host: HostView,
    /// The past of its worst port space.
    pub spark: Spark,
    /// Which port space that is: a change starts the past anew.
    spark_of: Option<(String, String)>,
    seeded: bool,
}

/// Hosts whose past is wanted, all of one port space.
#[derive(Debug, PartialEq, Eq)]
pub struct WantedSparks {
    /// Ids.
    pub hosts: Vec<String>,
    /// Protocol of their port space.
    pub protocol: String,
    /// Namespace of it.
    pub namespace: String,
}

/// All hosts, and how they are shown.
#[derive(Debug)]
pub struct Fleet {
    rows: HashMap<String, Row>,
    /// Ids in the order shown; `None` when it must be made again.
    shown: Option<Vec<String>>,
    /// Order of the list.
    pub order: Order,
    /// Only hosts that match it are shown.
    pub filter: String,
    /// What keys act on.
    pub mode: Mode,
    /// The selected row.
    pub selected: usize,
    selected_id: Option<String>,
    /// First row on the screen.
    pub offset: usize,
    /// Rows that the screen has.
    pub page: usize,
    /// How the stream is.
    pub link: Link,
    /// The newest notice.
    pub notice: Option<EventView>,
    /// Events that could not be read.
    pub garbled: u64,
    /// Hosts beyond [`HOSTS_MAX`], which are not shown.
    pub left_out: u64,
    sparks_asked: bool,
    /// Hosts that changed since the list was asked for; no more than there are rows.
    newer_than_list: HashSet<String>,
}

impl Fleet {
    /// No hosts yet.
    pub fn new(order: Order, filter: String) -> Self {
        Self {
            rows: HashMap::new(),
            shown: None,
            order,
            filter,
            mode: Mode::List,
            selected: 0,
            selected_id: None,
            offset: 0,
            page: 20,
            link: Link::Opening,
            notice: None,
            garbled: 0,
            left_out: 0,
            sparks_asked: false,
            newer_than_list: HashSet::new(),
        }
    }

    /// The whole list is asked for: what changes from here on is newer than the answer.
    pub fn expect_list(&mut self) {
        self.newer_than_list.clear();
    }

    /// Takes the whole list: hosts that are not in it are gone, and those that changed since it was asked for stay.
    pub fn replace(&mut self, hosts: Vec<HostView>) {
        let newer = std::mem::take(&mut self.newer_than_list);
        let present: HashSet<&str> = hosts.iter().map(|host| host.id.as_str()).collect();
        self.rows
            .retain(|id, _| present.contains(id.as_str()) || newer.contains(id));
        self.left_out = 0;
        for host in hosts.into_iter().filter(|host| !newer.contains(&host.id)) {
            self.put(host);
        }
        self.newer_than_list.clear();
    }

    /// Takes one host as it is.
    pub fn put(&mut self, host: HostView) {
        if !self.rows.contains_key(&host.id) && self.rows.len() >= HOSTS_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        if let Mode::Detail(detail) = &mut self.mode
            && detail.id == host.id
        {
            detail.stale = true;
        }
        self.shown = None;
        self.newer_than_list.insert(host.id.clone());
        let row = self.rows.entry(host.id.clone()).or_insert_with(|| Row {
            host: host.clone(),
            spark: Spark::default(),
            spark_of: None,
            seeded: false,
        });
        row.host = host;
        row.follow();
    }

    /// Hosts by state, in all.
    pub fn states(&self) -> Vec<(&str, usize)> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for row in self.rows.values() {
            match counts
                .iter_mut()
                .find(|(state, _)| *state == row.host.state)
            {
                Some((_, count)) => *count += 1,
                None => counts.push((&row.host.state, 1)),
            }
        }
        counts.sort_unstable_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
        counts
    }

    /// How many hosts match the filter.
    pub fn matching(&mut self) -> usize {
        self.arrange();
        self.shown.as_ref().map_or(0, Vec::len)
    }

    /// The rows on the screen, with their positions.
    pub fn visible(&mut self) -> Vec<(usize, &Row)> {
        self.arrange();
        let ids = self.shown.as_deref().unwrap_or_default();
        let window = ids.iter().enumerate().skip(self.offset).take(self.page);
        window
            .filter_map(|(position, id)| Some((position, self.rows.get(id)?)))
            .collect()
    }

    /// Sorts again when something changed; the selection stays on its host.
    fn arrange(&mut self) {
        if self.shown.is_none() {
            let mut rows: Vec<&Row> = self
                .rows
                .values()
                .filter(|row| matches(&row.host, &self.filter))
                .collect();
            rows.sort_by(|left, right| hosts::compare(&left.host, &right.host, self.order));
            let ids: Vec<String> = rows.into_iter().map(|row| row.host.id.clone()).collect();
            if let Some(position) = ids
                .iter()
                .position(|id| Some(id) == self.selected_id.as_ref())
            {
                self.selected = position;
            }
            self.shown = Some(ids);
        }
        let count = self.shown.as_ref().map_or(0, Vec::len);
        self.selected = self.selected.min(count.saturating_sub(1));
        self.offset = self
            .offset
            .min(self.selected)
            .max((self.selected + 1).saturating_sub(self.page.max(1)));
    }

    fn select(&mut self, position: usize) {
        self.selected = position;
        self.arrange();
        self.selected_id = self
            .shown
            .as_ref()
            .and_then(|ids| ids.get(self.selected))
            .cloned();
    }

    /// Does what a key means.
    pub fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Quit;
        }
        match &mut self.mode {
            Mode::Filter => self.press_in_filter(key.code),
            Mode::Help => self.mode = Mode::List,
            Mode::Detail(detail) => {
                let page = self.page;
                if detail.press(key.code, page) == Wish::Quit {
                    self.mode = Mode::List;
                }
            }
            Mode::List => return self.press_in_list(key.code),
        }
        Wish::Stay
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a keyboard has many other keys"
    )]
    fn press_in_list(&mut self, key: KeyCode) -> Wish {
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Wish::Quit,
            KeyCode::Esc => self.set_filter(String::new()),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('s') => {
                self.order = match self.order {
                    Order::Eta => Order::Headroom,
                    Order::Headroom => Order::Name,
                    Order::Name => Order::Eta,
                };
                self.shown = None;
            }
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected.saturating_add(1)),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(self.page)),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                self.select(self.selected.saturating_add(self.page))
            }
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX - 1),
            KeyCode::Enter => {
                self.select(self.selected);
                if let Some(id) = self.selected_id.clone() {
                    self.mode = Mode::Detail(Box::new(Detail {
                        id,
                        known: None,
                        scroll: 0,
                        stale: true,
                        asked: false,
                    }));
                }
            }
            _ => {}
        }
        Wish::Stay
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a keyboard has many other keys"
    )]
    fn press_in_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.mode = Mode::List,
            KeyCode::Esc => {
                self.mode = Mode::List;
                self.set_filter(String::new());
            }
            KeyCode::Backspace => {
                let mut filter = self.filter.clone();
                filter.pop();
                self.set_filter(filter);
            }
            KeyCode::Char(character) if self.filter.chars().count() < FILTER_CHARS_MAX => {
                self.set_filter(format!("{}{character}", self.filter));
            }
            _ => {}
        }
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.shown = None;
        self.select(0);
    }

    /// Hosts on the screen whose past is unknown; `None` while some are asked for already.
    pub fn wanted_sparks(&mut self) -> Option<WantedSparks> {
        if self.sparks_asked {
            return None;
        }
        let mut wanted: Option<WantedSparks> = None;
        let mut ids = Vec::new();
        for (_, row) in self.visible() {
            let Some((protocol, namespace)) = row.spark_of.as_ref().filter(|_| !row.seeded) else {
                continue;
            };
            let group = wanted.get_or_insert_with(|| WantedSparks {
                hosts: Vec::new(),
                protocol: protocol.clone(),
                namespace: namespace.clone(),
            });
            if group.protocol == *protocol
                && group.namespace == *namespace
                && group.hosts.len() < SPARKS_AT_ONCE
            {
                group.hosts.push(row.host.id.clone());
                ids.push(row.host.id.clone());
            }
        }
        for id in ids {
            // One try is enough: a host without a past gets one from what comes.
            if let Some(row) = self.rows.get_mut(&id) {
                row.seeded = true;
            }
        }
        self.sparks_asked = wanted.is_some();
        wanted
    }

    /// Takes the past that was asked for; `None` when there was no answer.
    pub fn seed_sparks(&mut self, history: Option<HistoryView>) {
        self.sparks_asked = false;
        for series in history.into_iter().flat_map(|history| history.series) {
            let Some(row) = series.host.as_ref().and_then(|id| self.rows.get_mut(id)) else {
                continue;
            };
            for (at_ms, value) in series.points {
                if let Some(value) = value {
                    row.spark.push(at_ms, value);
                }
            }
        }
    }

    /// The host of which something newer is wanted.
    pub fn wanted_detail(&mut self) -> Option<String> {
        let Mode::Detail(detail) = &mut self.mode else {
            return None;
        };
        if detail.asked || !detail.stale {
            return None;
        }
        (detail.asked, detail.stale) = (true, false);
        Some(detail.id.clone())
    }

    /// Takes what was asked for. A passing failure does not hide what is known.
    pub fn take_detail(&mut self, known: Result<HostDetail, Failure>) {
        let Mode::Detail(detail) = &mut self.mode else {
            return;
        };
        match &known {
            Ok(found) if found.host.id != detail.id => return,
            Err(failure) if failure.is_passing() && detail.known.is_some() => detail.stale = true,
            Ok(_) | Err(_) => detail.known = Some(known),
        }
        detail.asked = false;
    }
}

impl Row {
    /// Follows the worst port space.
    fn follow(&mut self) {
        let Some(space) = standing::worst(&self.host) else {
            return;
        };
        let key = Some((space.protocol.clone(), space.namespace.clone()));
        let (in_use, sampled_ms) = (f64::from(space.in_use), self.host.sampled_ms);
        if self.spark_of != key {
            self.spark = Spark::default();
            self.spark_of = key;
            self.seeded = false;
        }
        if let Some(at_ms) = sampled_ms {
            self.spark.push(at_ms, in_use);
        }
    }
}

impl Detail {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a keyboard has many other keys"
    )]
    fn press(&mut self, key: KeyCode, page: usize) -> Wish {
        match key {
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Backspace | KeyCode::Enter => {
                return Wish::Quit;
            }
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(page),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                self.scroll = self.scroll.saturating_add(page)
            }
            KeyCode::Home | KeyCode::Char('g') => self.scroll = 0,
            _ => {}
        }
        Wish::Stay
    }
}

/// Whether a host's name, state, system, labels or culprits contain `filter`, whatever the case.
pub fn matches(host: &HostView, filter: &str) -> bool {
    let filter = filter.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&filter);
    filter.is_empty()
        || contains(&host.name)
        || contains(&host.state)
        || contains(&host.os)
        || host
            .labels
            .iter()
            .any(|(key, value)| contains(&format!("{key}={value}")))
        || host
            .port_spaces
            .iter()
            .filter_map(|space| space.culprit.as_deref())
            .any(contains)
}

#[cfg(test)]
mod tests;
