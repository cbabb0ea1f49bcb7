//! `describe host`: everything that is known of a host, in sections.

mod allowed;
pub mod configuration;
mod sample;

use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use tidemark_model::audit::view::HostAuditView;
use tidemark_model::view::{HostDetail, HostPolicyAnswer, HostView, PortSpaceView};

use super::Ctx;
use super::one_by_one::all_or_partly;
use super::show::{show, show_once};
use super::status::delivery;
use crate::api::Api;
use crate::failure::Failure;
use crate::render::bar::bar;
use crate::render::sheet::{Sheet, Value};
use crate::render::text::visible;
use crate::render::{Report, Screen, standing, words};

/// Describes hosts by name or id. Those that are found are shown even when others are not.
pub async fn hosts(ctx: &Ctx<'_>, names: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    if let [name] = names {
        return show(ctx, async || {
            Ok(Descriptions(vec![Description::of(&api, name).await?]))
        })
        .await;
    }
    if ctx.global.watch {
        return Err(Failure::usage(
            "--watch describes one host; name only one, or use tidemark top",
        ));
    }
    let (mut found, mut outcomes) = (Vec::new(), Vec::new());
    for name in names {
        let described = Description::of(&api, name).await;
        outcomes.push(described.map(|host| found.push(host)));
    }
    if !found.is_empty() {
        show_once(ctx, &Descriptions(found))?;
    }
    all_or_partly(outcomes)
}

/// What is known of a host.
#[derive(Debug, Serialize)]
pub struct Description {
    /// Its state and its newest sample.
    #[serde(flatten)]
    pub detail: HostDetail,
    /// How it is configured; `None` from a controller that does not say yet, or cannot while its database is away.
    pub configuration: Option<HostAuditView>,
    /// What it lets be done to it; `None` from a controller that does not say yet, or cannot while its database is away.
    pub policy: Option<HostPolicyAnswer>,
    /// Why one of them cannot be told.
    #[serde(skip)]
    pub hindrance: Option<String>,
}

impl Description {
    async fn of(api: &Api, name: &str) -> Result<Self, Failure> {
        let detail = api.host(name).await?;
        let mut hindrance = None;
        let configuration = unless_away(api.audit(&detail.host.id).await, &mut hindrance)?;
        let policy = unless_away(api.host_policy(&detail.host.id).await, &mut hindrance)?;
        Ok(Self {
            detail,
            configuration,
            policy,
            hindrance,
        })
    }
}

/// What was told; nothing, and why, while the database is away: what is known without it is shown all the same.
fn unless_away<T>(
    told: Result<Option<T>, Failure>,
    hindrance: &mut Option<String>,
) -> Result<Option<T>, Failure> {
    told.or_else(|failure| {
        if !failure.is_unavailable() {
            return Err(failure);
        }
        *hindrance = Some(failure.to_string());
        Ok(None)
    })
}

/// What is known of some hosts; never empty.
#[derive(Debug)]
pub struct Descriptions(pub Vec<Description>);

/// One host is an object, several are an array.
impl Serialize for Descriptions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [host] => host.serialize(to),
            hosts => hosts.serialize(to),
        }
    }
}

impl Report for Descriptions {
    fn table(&self, screen: &Screen) -> String {
        let described: Vec<_> = self
            .0
            .iter()
            .map(|host| {
                let section = match (&host.configuration, &host.hindrance) {
                    (Some(audit), _) => configuration::section(audit, screen),
                    (None, Some(hindrance)) => configuration::unknown(hindrance, screen),
                    (None, None) => String::new(),
                };
                let policy = host.policy.as_ref();
                let policy = policy.map(|policy| allowed::section(policy, screen));
                describe(&host.detail, screen) + &policy.unwrap_or_default() + &section
            })
            .collect();
        described.join("\n")
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.iter().map(|host| &host.detail).flat_map(|host| {
            let spaces = host.sample.iter().flat_map(|sample| &sample.port_spaces);
            spaces.flat_map(move |space| {
                space.owners.iter().map(move |owner| {
                    vec![
                        Value::text(&host.host.name),
                        Value::text(space.key.protocol.as_str()),
                        Value::text(space.key.namespace.as_ref()),
                        Value::text(owner.process.name.as_ref()),
                        Value::number(owner.process.pid),
                        Value::maybe_text(owner.process.service.as_deref()),
                        Value::number(owner.counts.ports),
                        Value::number(owner.counts.bound),
                        Value::number(owner.counts.close_wait),
                        Value::number(owner.counts.sockets),
                        Value::maybe(owner.handles),
                    ]
                })
            })
        });
        Sheet {
            header: vec![
                "host",
                "protocol",
                "namespace",
                "process",
                "pid",
                "service",
                "ports",
                "bound",
                "close_wait",
                "sockets",
                "handles",
            ],
            rows: rows.collect(),
        }
    }
}

/// A description for people.
pub fn describe(detail: &HostDetail, screen: &Screen) -> String {
    let host = &detail.host;
    let state = screen.paint.apply(
        standing::state_tone(&host.state),
        &visible(&standing::state_word(&host.state)),
    );
    let mut text = format!("{}  {state}\n", screen.paint.bold(&visible(&host.name)));
    for (name, value) in identity(detail, screen) {
        push_row(&mut text, name, &value);
    }
    for (index, line) in sees(detail).iter().enumerate() {
        push_row(&mut text, if index == 0 { "sees" } else { "" }, line);
    }
    for space in &host.port_spaces {
        let sampled = detail.sample.as_ref().and_then(|sample| {
            sample.port_spaces.iter().find(|sampled| {
                sampled.key.protocol.as_str() == space.protocol
                    && *sampled.key.namespace == *space.namespace
            })
        });
        text.push('\n');
        text.push_str(&level(space, screen));
        if let Some(sampled) = sampled {
            text.push_str(&sample::port_space(sampled, screen));
        }
    }
    match &detail.sample {
        Some(sample) => text.push_str(&sample::host_wide(sample, screen)),
        None => text.push_str(
            "\nNo sample yet. The first comes within the agent's interval, 30 s by default.\n",
        ),
    }
    text
}

fn push_row(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "  {name:<13}{value}").ok();
}

fn identity(detail: &HostDetail, screen: &Screen) -> Vec<(&'static str, String)> {
    let host = &detail.host;
    let when = |at_ms: Option<i64>, never: &str| {
        at_ms.map_or_else(
            || never.to_owned(),
            |at_ms| {
                let date = words::date_time(at_ms, &screen.zone, screen.now);
                format!("{date} ({})", words::relative(at_ms, screen.now))
            },
        )
    };
    let text_of = |(key, value): (&String, &String)| visible(&format!("{key}={value}"));
    let held = &detail.controller_labels;
    let own = host
        .labels
        .iter()
        .filter(|(key, _)| !held.contains_key(*key));
    let or_dash = |list: Vec<String>| {
        if list.is_empty() {
            "-".to_owned()
        } else {
            list.join(", ")
        }
    };
    let clock = match detail.clock_skew_ms {
        None => "?".to_owned(),
        Some(skew_ms) if skew_ms.abs() < 1_000 => "agrees with the controller's".to_owned(),
        Some(skew_ms) if skew_ms > 0 => {
            format!("{} ahead of the controller's", words::span(skew_ms))
        }
        Some(skew_ms) => format!(
            "{} behind the controller's",
            words::span(skew_ms.saturating_neg())
        ),
    };
    let mut lines = vec![
        ("id", visible(&host.id)),
        ("system", visible(&host.os)),
        ("agent", visible(&host.agent_version)),
        ("labels", or_dash(held.iter().map(text_of).collect())),
        ("own labels", or_dash(own.map(text_of).collect())),
        ("seen", when(host.last_seen_ms, "never")),
        ("sampled", when(host.sampled_ms, "never")),
        ("booted", when(detail.booted_ms, "?")),
        ("enrolled", when(Some(detail.enrolled_ms), "?")),
        (
            "certificate",
            format!("ends {}", when(detail.certificate_expires_ms, "?")),
        ),
        ("clock", clock),
        (
            "time zone",
            host.time_zone
                .as_deref()
                .map_or_else(|| "?".to_owned(), visible),
        ),
        ("window", window(host, screen)),
        ("records", delivery(&detail.delivery)),
    ];
    let elsewhere = detail.controller.as_deref();
    lines.extend(elsewhere.map(|name| {
        let name = visible(name);
        ("connected", format!("to another controller, {name}"))
    }));
    lines
}

/// Its maintenance window, and those that it is never in.
fn window(host: &HostView, screen: &Screen) -> String {
    let standing = host.window.as_ref().map_or_else(
        || "-".to_owned(),
        |window| visible(&words::window(window, screen.now)),
    );
    if host.windows_without_zone.is_empty() {
        standing
    } else {
        let never = visible(&host.windows_without_zone.join(", "));
        format!("{standing}; never {never}, for its time zone is not known")
    }
}

/// What the agent sees and by which means; by name alone from a controller that tells no more.
fn sees(detail: &HostDetail) -> Vec<String> {
    if detail.capability_reports.is_empty() {
        let names = detail.capabilities.iter();
        return names.map(|name| visible(&name.replace('_', " "))).collect();
    }
    detail
        .capability_reports
        .iter()
        .map(|report| {
            let name = report.name.replace('_', " ");
            visible(&format!("{name}: {}", report.sentence()))
        })
        .collect()
}

/// The level and the forecast of a port space.
fn level(space: &PortSpaceView, screen: &Screen) -> String {
    let urgency = standing::urgency(space, screen.now);
    let share = standing::share(space);
    let name = visible(&standing::space_name(&space.protocol, &space.namespace));
    let capacity = if space.capacity > 0 {
        space.capacity.to_string()
    } else {
        "?".to_owned()
    };
    let doubt = match space.quality.as_str() {
        "counted" => "",
        "earlier" => ", bound sockets of an earlier list",
        _ => ", estimated",
    };
    let mut text = format!("{}\n", screen.paint.bold(&format!("Port space {name}")));
    let gauge = screen
        .paint
        .apply(urgency.tone(), &bar(share.unwrap_or(0.0), 24));
    let used = format!(
        "{gauge} {} of {capacity} ({}{doubt})",
        space.in_use,
        words::percent(share)
    );
    push_row(&mut text, "in use", &used);
    push_row(
        &mut text,
        "headroom",
        &format!("{} ports", standing::headroom(space)),
    );
    let bound = space
        .bound
        .map_or_else(|| "?".to_owned(), |bound| bound.to_string());
    let parts = format!(
        "{} strong (of these {bound} bound), {} in TIME_WAIT",
        space.strong, space.time_wait
    );
    push_row(&mut text, "held", &parts);
    push_row(
        &mut text,
        "floor",
        &words::ports_per_hour(space.floor_ports_per_hour),
    );
    push_row(&mut text, "runs out", &runs_out(space, screen));
    if let Some(culprit) = &space.culprit {
        push_row(&mut text, "culprit", &visible(culprit));
    }
    if !space.explanation.is_empty() {
        push_row(&mut text, "because", &visible(&space.explanation));
    }
    text
}

/// When a port space runs out, with the date of the median and the road.
pub fn runs_out(space: &PortSpaceView, screen: &Screen) -> String {
    let eta = match words::eta(space, screen.now).as_str() {
        "-" => "- (nothing says that it will)".to_owned(),
        "?" => "? (too little history to say)".to_owned(),
        words => words.to_owned(),
    };
    let date = space
        .eta_ms
        .filter(|eta_ms| *eta_ms > screen.now.unix_ms())
        .map_or_else(String::new, |eta_ms| {
            format!(", {}", words::date_time(eta_ms, &screen.zone, screen.now))
        });
    let road = space
        .road
        .as_ref()
        .map_or_else(String::new, |road| format!(", by {}", visible(road)));
    let urgency = standing::urgency(space, screen.now);
    screen.paint.apply(
        urgency.tone(),
        format!("{} {eta}{date}{road}", urgency.mark()).trim_start(),
    )
}
