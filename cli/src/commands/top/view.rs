//! How `top` looks: one line a host, what needs attention first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::fleet::{Detail, Fleet, Link, Mode, Row};
use super::spark::BUCKETS;
use crate::args::Order;
use crate::commands::describe::describe;
use crate::render::bar::{bar, sparkline};
use crate::render::paint::{Paint, Tone};
use crate::render::standing::{self, Urgency};
use crate::render::text::{fit, fit_right, visible, width};
use crate::render::{Screen, words};

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, fleet: &mut Fleet, screen: &Screen) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let look = Look {
        paint: screen.paint,
    };
    frame.render_widget(headline(fleet, screen, look), head);
    if matches!(fleet.mode, Mode::Detail(_)) {
        fleet.page = usize::from(body.height);
    }
    match &mut fleet.mode {
        Mode::Detail(detail) => draw_detail(frame, body, detail, screen),
        Mode::Help => frame.render_widget(Paragraph::new(HELP), body),
        Mode::List | Mode::Filter => draw_list(frame, body, fleet, screen, look),
    }
    frame.render_widget(footline(fleet, look), foot);
}

const HELP: &str = "
  up, down, j, k      select a host          enter   what is known of it, and who holds its ports
  page up, page down  a screen up or down    s       sort by when ports run out, by headroom, by name
  g, G                first, last            /       filter by name, state, label, system or culprit
  q, escape           back, and then out     ?       this help

  ▲ needs somebody: ports run out within a day, or 95 % are in use
  △ worth watching: ports run out some day, or 80 % are in use
  ? unknown

  The sparkline is the last hour of ports in use, between its own lowest and highest value.
";

/// Colours, when there are any.
#[derive(Clone, Copy)]
struct Look {
    paint: Paint,
}

impl Look {
    fn style(self, tone: Tone) -> Style {
        match (self.paint, tone.palette_index()) {
            (Paint::Colours, Some(index)) => Style::new().fg(Color::Indexed(index)),
            (Paint::Colours, None) | (Paint::Plain, _) => Style::new(),
        }
    }

    fn span(self, text: impl Into<String>, tone: Tone) -> Span<'static> {
        Span::styled(text.into(), self.style(tone))
    }
}

fn headline(fleet: &mut Fleet, screen: &Screen, look: Look) -> Line<'static> {
    let matching = fleet.matching();
    let states: Vec<String> = fleet
        .states()
        .iter()
        .map(|(state, count)| format!("{count} {}", visible(state)))
        .collect();
    let sorted = match fleet.order {
        Order::Eta => "by when ports run out",
        Order::Headroom => "by headroom",
        Order::Name => "by name",
    };
    let (link, tone) = match &fleet.link {
        Link::Opening => ("◌ connecting".to_owned(), Tone::Muted),
        Link::Live => ("● live".to_owned(), Tone::Good),
        Link::Lost { reason, retry_in } => (
            format!("○ {reason}; again in {} s", retry_in.as_secs()),
            Tone::Bad,
        ),
    };
    let mut spans = vec![
        Span::styled(" tidemark ", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("{}  {matching} {sorted}  ", states.join(", "))),
        look.span(link, tone),
        Span::raw(format!(
            "  {}",
            words::time_of_day(screen.now.unix_ms(), &screen.zone)
        )),
    ];
    let lost = fleet.garbled.saturating_add(fleet.left_out);
    if lost > 0 {
        spans.push(look.span(format!("  {lost} changes not shown"), Tone::Watch));
    }
    Line::from(spans)
}

fn footline(fleet: &Fleet, look: Look) -> Line<'static> {
    match &fleet.mode {
        Mode::Filter => Line::from(format!(
            " filter: {}▏  enter keeps it, escape clears it",
            visible(&fleet.filter)
        )),
        Mode::Help => Line::from(" any key goes back"),
        Mode::Detail(_) => Line::from(" escape back   up, down scroll"),
        Mode::List => {
            let filter = if fleet.filter.is_empty() {
                String::new()
            } else {
                format!("filter: {}   ", visible(&fleet.filter))
            };
            let mut spans = vec![Span::raw(format!(
                " {filter}q quit   s sort   / filter   enter host   ? help"
            ))];
            if let Some(event) = &fleet.notice {
                let host = event.host_name.as_deref().unwrap_or("controller");
                spans.push(look.span(
                    format!("   {}: {}", visible(host), visible(&event.text)),
                    Tone::Muted,
                ));
            }
            Line::from(spans)
        }
    }
}

/// Columns of the list that fit a width.
struct Columns {
    name: usize,
    state: usize,
    space: usize,
    bar: usize,
    spark: usize,
    runs_out: usize,
    culprit: usize,
}

impl Columns {
    /// On a narrow screen the past goes first, then the culprit, then the state's word.
    fn fitting(width: usize) -> Self {
        let mut columns = Self {
            name: 16,
            state: 12,
            space: 8,
            bar: 10,
            spark: BUCKETS,
            runs_out: 18,
            culprit: 16,
        };
        if width < 128 {
            columns.spark = 0;
        }
        if width < 96 {
            columns.culprit = 0;
        }
        if width < 80 {
            columns.state = 1;
            columns.space = 4;
        }
        let spare = width.saturating_sub(columns.sum());
        if columns.spark > 0 && spare >= 26 {
            columns.runs_out += 26;
        }
        columns.name += width.saturating_sub(columns.sum()).min(30);
        columns.culprit += if columns.culprit > 0 {
            width.saturating_sub(columns.sum()).min(24)
        } else {
            0
        };
        columns
    }

    fn sum(&self) -> usize {
        let optional = |width: usize| if width > 0 { width + 2 } else { 0 };
        2 + self.name
            + 2
            + self.state
            + 2
            + self.space
            + 2
            + self.bar
            + 8
            + optional(self.spark)
            + self.runs_out
            + optional(self.culprit)
    }
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, fleet: &mut Fleet, screen: &Screen, look: Look) {
    let columns = Columns::fitting(usize::from(area.width));
    fleet.page = usize::from(area.height.saturating_sub(1)).max(1);
    let selected = fleet.selected;
    let mut lines = vec![Line::styled(
        heading(&columns),
        Style::new().add_modifier(Modifier::BOLD),
    )];
    let rows = fleet.visible();
    if rows.is_empty() {
        lines.push(Line::from(
            "  No host matches. Escape clears the filter; tidemark token create adds a host.",
        ));
    }
    for (position, row) in rows {
        let line = host_line(row, &columns, screen, look);
        let reversed = position == selected;
        lines.push(if reversed {
            line.style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn optional(text: &str, width: usize) -> String {
    if width > 0 {
        format!("{}  ", fit(text, width))
    } else {
        String::new()
    }
}

fn heading(columns: &Columns) -> String {
    format!(
        "  {}  {}  {}  {}  {}{}{}",
        fit("HOST", columns.name),
        fit(if columns.state > 1 { "STATE" } else { "" }, columns.state),
        fit(
            if columns.space > 4 { "SPACE" } else { "OF" },
            columns.space
        ),
        fit("USED", columns.bar + 6),
        optional("LAST HOUR", columns.spark),
        fit("RUNS OUT", columns.runs_out),
        optional("  CULPRIT", columns.culprit),
    )
}

fn host_line(row: &Row, columns: &Columns, screen: &Screen, look: Look) -> Line<'static> {
    let host = &row.host;
    let space = standing::worst(host);
    let urgency = space.map_or(Urgency::Unknown, |space| {
        standing::urgency(space, screen.now)
    });
    let share = space.and_then(standing::share);
    let runs_out = space.map_or_else(|| "?".to_owned(), |space| words::eta(space, screen.now));
    let name = space.map_or_else(
        || "?".to_owned(),
        |space| visible(&standing::space_name(&space.protocol, &space.namespace)),
    );
    let culprit = space
        .and_then(|space| space.culprit.as_deref())
        .map_or_else(|| "-".to_owned(), visible);
    let spark = sparkline(&row.spark.values(screen.now.unix_ms()));
    let gauge = share.map_or_else(|| fit("?", columns.bar), |share| bar(share, columns.bar));
    let state = visible(&standing::state_word(&host.state));
    let state = if columns.state > 1 {
        state
    } else {
        state.chars().take(1).collect()
    };
    // The interval goes where there is no room for it, rather than half of it.
    let runs_out = match runs_out.split_once(" (") {
        Some((median, _)) if width(&runs_out) > columns.runs_out => median.to_owned(),
        Some(_) | None => runs_out,
    };
    let mut spans = vec![
        look.span(format!("{} ", urgency.mark()), urgency.tone()),
        Span::raw(format!("{}  ", fit(&visible(&host.name), columns.name))),
        look.span(
            format!("{}  ", fit(&state, columns.state)),
            standing::state_tone(&host.state),
        ),
        Span::raw(format!("{}  ", fit(&name, columns.space))),
        look.span(
            format!("{gauge}{}  ", fit_right(&words::percent(share), 6)),
            urgency.tone(),
        ),
        look.span(optional(&spark, columns.spark), Tone::Accent),
        look.span(fit(&runs_out, columns.runs_out), urgency.tone()),
    ];
    if columns.culprit > 0 {
        spans.push(Span::raw(format!("  {}", fit(&culprit, columns.culprit))));
    }
    Line::from(spans)
}

fn draw_detail(frame: &mut Frame<'_>, area: Rect, detail: &mut Detail, screen: &Screen) {
    let plain = Screen {
        paint: Paint::Plain,
        width: Some(usize::from(area.width)),
        height: Some(usize::from(area.height)),
        ..screen.clone()
    };
    let text = match &detail.known {
        None => "Asking the controller ...".to_owned(),
        Some(Ok(host)) => describe(host, &plain),
        Some(Err(failure)) => failure.to_string(),
    };
    let lines = text.lines().count();
    detail.scroll = detail
        .scroll
        .min(lines.saturating_sub(usize::from(area.height)));
    let scroll = u16::try_from(detail.scroll).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(text).scroll((scroll, 0)), area);
}
