//! `/api/v1/history` and `/api/v1/compare`: a metric over time, as JSON or CSV.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tidemark_history::Window;
use tidemark_history::query::{Agg, EntityFilter, GroupBy, Limits, Query, Step, TextMatch};
use tidemark_model::entity::EntityKind;
use tidemark_model::view::{HistoryView, Problem};
use tidemark_model::{HostId, Metric, Protocol, Timestamp};

use super::fleet::{self, HostFilter};
use super::params::{ParamError, Params, invalid};
use super::problem::Answer;
use crate::access::Horizon;

mod csv;

/// Names of the parameters of both.
const PARAMS: [&str; 17] = [
    "host",
    "text",
    "state",
    "label",
    "metric",
    "kind",
    "entity",
    "protocol",
    "namespace",
    "from_ms",
    "to_ms",
    "step_ms",
    "agg",
    "group_by",
    "top",
    "format",
    "offset_ms",
];

/// What is shown without `from_ms`: the last hour.
const RANGE_DEFAULT: Duration = Duration::from_secs(3_600);

/// Longest step and offset: ten years.
pub const DURATION_MS_MAX: u64 = 3_660 * 86_400 * 1_000;

/// A metric over time.
#[utoipa::path(
    get,
    path = "/api/v1/history",
    tag = "history",
    params(
        ("host" = Option<Vec<String>>, Query, description = "Id or name; may be repeated. All hosts without it."),
        ("text" = Option<String>, Query, description = "Part of the hosts' name, id, system, a label or a culprit, in any case."),
        ("state" = Option<Vec<String>>, Query, description = "State of the hosts: online, stale, offline, quarantined or revoked; may be repeated."),
        ("label" = Option<Vec<String>>, Query, description = "KEY=VALUE of the hosts; may be repeated, and all must match."),
        ("metric" = String, Query, description = "What was measured, as in in_use."),
        ("kind" = Option<String>, Query, description = "Kind of entity, as in process; the metric's own without it."),
        ("entity" = Option<String>, Query, description = "Part of the entity's name, in any case; =NAME for exactly that name."),
        ("protocol" = Option<String>, Query, description = "tcp or udp."),
        ("namespace" = Option<String>, Query, description = "Network namespace, exactly."),
        ("from_ms" = Option<i64>, Query, description = "Start in unix milliseconds; an hour before the end without it."),
        ("to_ms" = Option<i64>, Query, description = "End in unix milliseconds; now without it."),
        ("step_ms" = Option<u64>, Query, description = "Length of a step; a round one that gives at most 300 without it."),
        ("agg" = Option<String>, Query, description = "min, avg, max, last, sum, count, p50, p95, p99, rate, slope or time_to_exhaustion; max without it."),
        ("group_by" = Option<String>, Query, description = "none, host, entity, series or label:KEY; host without it."),
        ("top" = Option<usize>, Query, description = "Only so many series, the largest."),
        ("format" = Option<String>, Query, description = "json or csv, for those who cannot say so by Accept."),
    ),
    responses(
        (status = 200, description = "The series; with Accept: text/csv the columns time_ms, time, series, value.",
            content((HistoryView = "application/json"), (String = "text/csv"))),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More than one has that name; the title names their ids.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn history(horizon: Horizon, headers: HeaderMap, params: Params) -> Answer<Response> {
    let [known @ .., _offset] = &PARAMS;
    let params = params.only(known)?;
    answer(&horizon, &headers, &params, None).await
}

/// A metric beside the same time before.
#[utoipa::path(
    get,
    path = "/api/v1/compare",
    tag = "history",
    params(
        ("host" = Option<Vec<String>>, Query, description = "As with history, and so are all other parameters of it."),
        ("metric" = String, Query, description = "What was measured, as in in_use."),
        ("offset_ms" = u64, Query, description = "How much earlier the time is that is compared with."),
    ),
    responses(
        (status = 200, description = "The series, each with its points before.",
            content((HistoryView = "application/json"), (String = "text/csv"))),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn compare(horizon: Horizon, headers: HeaderMap, params: Params) -> Answer<Response> {
    let params = params.only(&PARAMS)?;
    let offset_ms = params
        .number("offset_ms", 1..=DURATION_MS_MAX)?
        .ok_or_else(|| ParamError::Missing {
            name: "offset_ms",
            limit: format!("a whole number from 1 to {DURATION_MS_MAX}, as 604800000 for a week"),
        })?;
    let offset = Duration::from_millis(offset_ms);
    answer(&horizon, &headers, &params, Some(offset)).await
}

async fn answer(
    horizon: &Horizon,
    headers: &HeaderMap,
    params: &Params,
    offset: Option<Duration>,
) -> Answer<Response> {
    let format = params.parsed("format", || "json or csv".to_owned(), Format::from_name)?;
    let view = answer_of(horizon, params, offset).await?;
    Ok(match format.unwrap_or_else(|| Format::accepted(headers)) {
        Format::Csv => csv_response(&view),
        Format::Json => Json(view).into_response(),
    })
}

/// What history answers to these parameters, beside the same time `offset` before where that is asked for.
///
/// # Errors
/// A parameter that cannot be, a host that is not there, or a query that would cost too much.
pub async fn answer_of(
    horizon: &Horizon,
    params: &Params,
    offset: Option<Duration>,
) -> Answer<HistoryView> {
    let app = horizon.app();
    let query = query_of(params, app.clock.now(), offset)?;
    let hosts = hosts_of(horizon, params)?;
    Ok(app.query(query, &hosts).await?.into_view())
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        match accept.is_some_and(|accept| accept.contains("text/csv")) {
            true => Self::Csv,
            false => Self::Json,
        }
    }
}

fn csv_response(view: &HistoryView) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"tidemark-history.csv\"",
        ),
    ];
    (headers, csv::text_of(view)).into_response()
}

/// The hosts that are named, or all that the caller sees; of them those that pass the filter.
///
/// # Errors
/// A filter that cannot be, or a name that stands for no one host.
pub fn hosts_of(horizon: &Horizon, params: &Params) -> Answer<Vec<HostId>> {
    let filter = HostFilter::of(params)?;
    let app = horizon.app();
    let mut ids = fleet::named_hosts(horizon, params)?.unwrap_or_else(|| horizon.hosts());
    if !filter.is_empty() {
        let now = app.clock.now();
        let takes = |id: &HostId| app.live.read(*id, |host| filter.takes(host, now));
        ids.retain(|id| takes(id).unwrap_or(false));
    }
    Ok(ids)
}

fn query_of(
    params: &Params,
    now: Timestamp,
    offset: Option<Duration>,
) -> Result<Query, ParamError> {
    let to = params
        .number("to_ms", i64::MIN..=i64::MAX)?
        .map_or(now, Timestamp::from_unix_ms);
    let from = params
        .number("from_ms", i64::MIN..=i64::MAX)?
        .map_or(to.saturating_sub(RANGE_DEFAULT), Timestamp::from_unix_ms);
    let step = params
        .number("step_ms", 1..=DURATION_MS_MAX)?
        .map_or(Step::Auto, |ms| Step::Of(Duration::from_millis(ms)));
    let top: Option<usize> = params.number("top", 1..=Limits::default().series_max)?;
    Ok(Query {
        metric: metric_of(params)?,
        entities: entities_of(params)?,
        range: Window { from, to },
        step,
        agg: parsed_or(params, "agg", Agg::Max)?,
        across: None,
        group_by: parsed_or(params, "group_by", GroupBy::Host)?,
        top,
        compare_offset: offset,
        limits: Limits::default(),
    })
}

fn metric_of(params: &Params) -> Result<Metric, ParamError> {
    let names = || {
        let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        format!("one of {}", names.join(", "))
    };
    params
        .parsed("metric", names, |text| text.parse().ok())?
        .ok_or_else(|| ParamError::Missing {
            name: "metric",
            limit: names(),
        })
}

fn entities_of(params: &Params) -> Result<EntityFilter, ParamError> {
    let kinds = || {
        let names: Vec<_> = EntityKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("one of {}", names.join(", "))
    };
    Ok(EntityFilter {
        kind: params.parsed("kind", kinds, EntityKind::from_name)?,
        text: params.one("entity")?.map(TextMatch::from_text),
        protocol: params.parsed(
            "protocol",
            || "tcp or udp".to_owned(),
            |text| text.parse::<Protocol>().ok(),
        )?,
        namespace: params.one("namespace")?.map(str::to_owned),
    })
}

/// A value that says itself what is legal.
fn parsed_or<T>(params: &Params, name: &'static str, otherwise: T) -> Result<T, ParamError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    match params.one(name)? {
        None => Ok(otherwise),
        Some(text) => text
            .parse()
            .map_err(|error: T::Err| invalid(name, text, format!("another ({error})"))),
    }
}
