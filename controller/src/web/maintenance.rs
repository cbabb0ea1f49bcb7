//! `/maintenance`: runs with their progress, windows with their next times, and hosts whose ports will not last until theirs.

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::response::Response;
use tidemark_model::view::{HostView, WindowView};
use tidemark_model::window::Survival;
use tidemark_model::{ActionKind, Role, Timestamp};

use super::plan::PlanForm;
use super::runs::{self, RunRow};
use super::standing::{self, EtaWords};
use super::window::WindowWords;
use super::{Frame, for_person, page as respond, words};
use crate::access::Horizon;
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::api::windows;

/// Hosts that are listed; the others are counted.
const HOSTS_MAX: usize = 200;

/// `GET /maintenance`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        with_form(&horizon, &asking, PlanForm::default()).await
    };
    for_person(shown.await)
}

/// The page with this in its form.
pub(super) async fn with_form(
    horizon: &Horizon,
    asking: &Asking,
    form: PlanForm,
) -> Answer<Response> {
    let app = horizon.app();
    let now = app.clock.now();
    let book = app.windows.load_full();
    // Windows are of all teams; which come to a host is told with it.
    let windows: Option<Vec<WindowRow>> = horizon.scope().is_all().then(|| {
        let views = windows::views(app, &book.windows, now);
        let rows = views.into_iter().map(|view| WindowRow::new(view, now));
        rows.collect()
    });
    let of_all = windows
        .iter()
        .flatten()
        .map(|row| row.view.spec.name.clone());
    let mut window_names: BTreeSet<String> = of_all.collect();
    let (mut in_danger, mut without_window) = (Vec::new(), 0_usize);
    for id in horizon.hosts() {
        let Some(view) = app.live.read(id, |host| host.view(now)) else {
            continue;
        };
        if view.state == "revoked" {
            continue;
        }
        window_names.extend(view.window.iter().map(|window| window.name.clone()));
        match HostRow::of(&view, now) {
            Some(row) => in_danger.push(row),
            None => without_window += usize::from(view.window.is_none()),
        }
    }
    in_danger.sort_by_key(|row| (row.is_likely, row.eta.at_ms.unwrap_or(i64::MAX)));
    let left_out = in_danger.len().saturating_sub(HOSTS_MAX);
    in_danger.truncate(HOSTS_MAX);
    Ok(respond(&MaintenancePage {
        frame: Frame::new("maintenance", asking),
        runs: runs::rows(horizon, now).await?,
        can_stop: asking.may(Role::Operator),
        kinds: ActionKind::ALL.iter().map(|kind| kind.as_str()).collect(),
        form,
        windows,
        window_names,
        in_danger,
        left_out,
        without_window: match without_window {
            0 => String::new(),
            1 => "1 host has no window.".to_owned(),
            more => format!("{} hosts have no window.", words::count(more as u64)),
        },
    }))
}

#[derive(Template)]
#[template(path = "maintenance.html")]
struct MaintenancePage {
    frame: Frame,
    runs: Vec<RunRow>,
    can_stop: bool,
    kinds: Vec<&'static str>,
    form: PlanForm,
    /// `None` for whoever sees a part of the fleet.
    windows: Option<Vec<WindowRow>>,
    /// Those that a run can be planned for.
    window_names: BTreeSet<String>,
    in_danger: Vec<HostRow>,
    left_out: usize,
    /// How many hosts have none, in words; empty when every host has one.
    without_window: String,
}

/// One window as a line.
#[derive(Clone, Debug)]
struct WindowRow {
    view: WindowView,
    tone: &'static str,
    next: String,
    local: String,
    hosts: String,
    applied: String,
}

impl WindowRow {
    fn new(view: WindowView, now: Timestamp) -> Self {
        let next = view.next.as_ref();
        let is_open = next.is_some_and(|next| next.starts_ms <= now.unix_ms());
        let when = next.map(|next| {
            if is_open {
                let end = Timestamp::from_unix_ms(next.ends_ms);
                format!("open until {}", words::instant(end, now))
            } else {
                words::relative(Timestamp::from_unix_ms(next.starts_ms), now)
            }
        });
        Self {
            tone: match (view.hosts_in_danger, view.hosts_without_zone) {
                (0, 0) => "calm",
                (0, _) => "watch",
                (_, _) => "urgent",
            },
            next: when.unwrap_or_else(|| "does not come again".to_owned()),
            local: next.map_or_else(String::new, |next| {
                format!("{} {}", next.starts_local, next.time_zone)
            }),
            hosts: words::count(view.hosts),
            applied: words::relative(Timestamp::from_unix_ms(view.applied_ms), now),
            view,
        }
    }
}

/// A host that will not, or may not, last.
#[derive(Clone, Debug)]
struct HostRow {
    id: String,
    name: String,
    is_likely: u8,
    window: WindowWords,
    against: String,
    eta: EtaWords,
    culprit: String,
}

impl HostRow {
    /// `None` for a host that lasts, or of which nothing is known.
    fn of(view: &HostView, now: Timestamp) -> Option<Self> {
        let window = view.window.as_ref()?;
        let is_likely = match Survival::from_name(window.survives.as_deref()?)? {
            Survival::WillNot => 0,
            Survival::May => 1,
            Survival::Will => return None,
        };
        let worst = standing::worst(view);
        let eta = worst.and_then(|space| space.eta_ms);
        Some(Self {
            id: view.id.clone(),
            name: view.name.clone(),
            is_likely,
            window: WindowWords::of(window, now),
            against: WindowWords::against(window, eta.map(Timestamp::from_unix_ms), now),
            eta: EtaWords::of(worst, now),
            culprit: worst
                .and_then(|space| space.culprit.clone())
                .unwrap_or_default(),
        })
    }
}
