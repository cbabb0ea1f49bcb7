//! `forecast`: when ports run out, soonest first; for a single host as a chart.

use serde::{Serialize, Serializer};
use tidemark_model::Timestamp;
use tidemark_model::view::{HistoryView, HostView, PortSpaceView};

use super::Ctx;
use super::describe::runs_out;
use super::history::series_of_space;
use super::hosts::{HostList, Rows};
use super::show::{format_of, show};
use crate::api::Api;
use crate::args::{ForecastArgs, Format};
use crate::failure::Failure;
use crate::render::chart::{self, Chart, Fan, Line, Period, Rule};
use crate::render::sheet::Sheet;
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Chartable, Report, Screen, standing, words};

/// Shows when ports run out.
pub async fn forecast(ctx: &Ctx<'_>, wanted: &ForecastArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    if wanted.hosts.len() != 1 {
        if ctx.global.output == Some(Format::Chart) {
            return Err(Failure::usage(
                "a chart shows one host: tidemark forecast HOST -o chart",
            ));
        }
        return show(ctx, async || {
            Ok(Forecasts {
                hosts: api.forecast(&wanted.hosts).await?,
            })
        })
        .await;
    }
    let draws = format_of::<HostForecast>(ctx)? == Format::Chart;
    show(ctx, async || {
        let hosts = api.forecast(&wanted.hosts).await?;
        let history = if draws {
            history(&api, &hosts, wanted, &ctx.screen()).await?
        } else {
            None
        };
        Ok(HostForecast {
            forecasts: Forecasts { hosts },
            history,
        })
    })
    .await
}

const HOUR: i64 = 3_600_000;

/// How far a chart looks ahead, and back without `--since`: to the end of the interval, within limits that keep the
/// present visible.
fn reach_ms(space: &PortSpaceView, now: Timestamp) -> i64 {
    let end_ms = space
        .eta_hi_ms
        .or(space.eta_ms)
        .unwrap_or(now.unix_ms().saturating_add(6 * HOUR));
    let reach_ms = end_ms.saturating_sub(now.unix_ms());
    reach_ms
        .saturating_add(reach_ms / 8)
        .clamp(HOUR, 28 * 24 * HOUR)
}

async fn history(
    api: &Api,
    hosts: &[HostView],
    wanted: &ForecastArgs,
    screen: &Screen,
) -> Result<Option<HistoryView>, Failure> {
    let Some((host, space)) = hosts
        .first()
        .and_then(|host| Some((host, standing::worst(host)?)))
    else {
        return Ok(None);
    };
    let back = std::time::Duration::from_millis(reach_ms(space, screen.now).unsigned_abs());
    let from = wanted.since.as_ref().map_or_else(
        || screen.now.saturating_sub(back),
        |since| since.at(screen.now, &screen.zone),
    );
    if from >= screen.now {
        return Err(Failure::usage("--since must be before now"));
    }
    let query = series_of_space(&space.protocol, &space.namespace, from, screen.now);
    api.history(std::slice::from_ref(&host.id), query)
        .await
        .map(Some)
}

/// Hosts by when their ports run out.
#[derive(Debug)]
struct Forecasts {
    hosts: Vec<HostView>,
}

impl Serialize for Forecasts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.hosts.serialize(to)
    }
}

impl Report for Forecasts {
    fn table(&self, screen: &Screen) -> String {
        if self.hosts.is_empty() {
            return "No hosts. Add one: tidemark token create\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("HOST"),
            left("SPACE"),
            ("USED", Align::Right),
            ("HEADROOM", Align::Right),
            ("FLOOR", Align::Right),
            ("RUNS OUT", Align::Whole),
            left("CULPRIT"),
        ]);
        for host in &self.hosts {
            let mut spaces: Vec<_> = host.port_spaces.iter().collect();
            spaces.sort_by(|one, other| standing::worse(one, other));
            // Only the spaces that say something, but at least the worst.
            let shown = spaces
                .iter()
                .filter(|space| space.eta_ms.is_some())
                .count()
                .max(1);
            for space in spaces.iter().take(shown) {
                table.row(row(host, space, screen));
            }
            if spaces.is_empty() {
                let unknown = std::iter::repeat_n(Cell::from(None::<u32>), 6);
                table.row(std::iter::once(host.name.as_str().into()).chain(unknown));
            }
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        HostList {
            hosts: self.hosts.clone(),
            rows: Rows::EverySpace,
        }
        .sheet(screen)
    }
}

fn row(host: &HostView, space: &PortSpaceView, screen: &Screen) -> Vec<Cell> {
    let tone = standing::urgency(space, screen.now).tone();
    let mark = standing::urgency(space, screen.now).mark();
    let road = space
        .road
        .as_ref()
        .map_or_else(String::new, |road| format!(", {road}"));
    vec![
        host.name.as_str().into(),
        standing::space_name(&space.protocol, &space.namespace).into(),
        Cell::toned(words::percent(standing::share(space)), tone),
        if space.capacity > 0 {
            standing::headroom(space).into()
        } else {
            None::<u32>.into()
        },
        words::ports_per_hour(space.floor_ports_per_hour).into(),
        Cell::toned(
            format!("{mark} {}{road}", words::eta(space, screen.now)).trim_end(),
            tone,
        ),
        space.culprit.as_deref().unwrap_or("-").into(),
    ]
}

/// One host's forecast, with the history that leads to it when it is drawn.
#[derive(Debug)]
struct HostForecast {
    forecasts: Forecasts,
    history: Option<HistoryView>,
}

impl Serialize for HostForecast {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.forecasts.serialize(to)
    }
}

impl Report for HostForecast {
    const CHART: Chartable = Chartable::First;

    fn table(&self, screen: &Screen) -> String {
        let mut text = self.forecasts.table(screen);
        for space in self
            .forecasts
            .hosts
            .iter()
            .flat_map(|host| &host.port_spaces)
        {
            text.push_str(&in_words(space, screen));
        }
        text
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        self.forecasts.sheet(screen)
    }

    fn chart(&self, screen: &Screen) -> String {
        let worst = self
            .forecasts
            .hosts
            .first()
            .and_then(|host| Some((host, standing::worst(host)?)));
        match (worst, &self.history) {
            (Some((host, space)), Some(history)) => {
                let chart = fan_chart(host, space, history, screen).draw(screen);
                format!("{chart}{}", in_words(space, screen))
            }
            (Some(_) | None, _) => self.table(screen),
        }
    }
}

fn in_words(space: &PortSpaceView, screen: &Screen) -> String {
    let name = visible(&standing::space_name(&space.protocol, &space.namespace));
    let culprit = space.culprit.as_ref().map_or_else(String::new, |culprit| {
        format!(", most of it {}", visible(culprit))
    });
    let because = if space.explanation.is_empty() {
        String::new()
    } else {
        format!("\n  {}", visible(&space.explanation))
    };
    format!(
        "\n{name} runs out: {}{culprit}{because}\n",
        runs_out(space, screen)
    )
}

fn fan_chart(
    host: &HostView,
    space: &PortSpaceView,
    history: &HistoryView,
    screen: &Screen,
) -> Chart {
    let now_ms = screen.now.unix_ms();
    let ahead = space.eta_ms.filter(|eta_ms| *eta_ms > now_ms);
    let to_ms = if ahead.is_some() {
        now_ms.saturating_add(reach_ms(space, screen.now))
    } else {
        now_ms
    };
    let ceiling = f64::from(space.capacity);
    let lines = history
        .series
        .iter()
        .take(chart::LINES_MAX)
        .map(|series| Line {
            name: format!("in use on {}", series.name),
            remark: chart::remark(&series.points, series.overall, &history.agg, &history.unit),
            points: series.points.clone(),
            period: Period::This,
        });
    Chart {
        title: format!(
            "{} {}, {}",
            host.name,
            standing::space_name(&space.protocol, &space.namespace),
            chart::span_title(history.from_ms, to_ms, screen)
        ),
        lines: lines.collect(),
        rule: Some(Rule {
            value: ceiling,
            name: "capacity",
        })
        .filter(|rule| rule.value > 0.0),
        fan: ahead.map(|median_ms| Fan {
            start: (now_ms, f64::from(space.in_use)),
            earliest_ms: space.eta_lo_ms.unwrap_or(median_ms),
            median_ms,
            latest_ms: space.eta_hi_ms,
            ceiling,
        }),
        from_ms: history.from_ms,
        to_ms,
        unit: history.unit.clone(),
    }
}
