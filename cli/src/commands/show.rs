//! Shows a report in the format that was asked for, once or again and again.

use std::pin::pin;
use std::time::Duration;

use tidemark_runtime::lifecycle::shutdown_signal;

use super::Ctx;
use crate::args::Format;
use crate::failure::Failure;
use crate::render::document::{self, Layout};
use crate::render::sheet::Heading;
use crate::render::text::visible_lines;
use crate::render::{Chartable, Report};

/// How often `--watch` asks again.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Shows what `fetch` gets. With `--watch` it is fetched and shown again until a signal; what would pass is waited out.
pub async fn show<R: Report>(
    ctx: &Ctx<'_>,
    fetch: impl AsyncFn() -> Result<R, Failure>,
) -> Result<(), Failure> {
    let format = format_of::<R>(ctx)?;
    if ctx.global.watch {
        return watch(ctx, format, fetch).await;
    }
    once(ctx, format, &fetch().await?)
}

/// Shows a report that cannot be watched.
pub fn show_once<R: Report>(ctx: &Ctx<'_>, report: &R) -> Result<(), Failure> {
    let format = format_of::<R>(ctx)?;
    once(ctx, format, report)
}

/// The format that was asked for, or the one that fits where the output goes.
pub fn format_of<R: Report>(ctx: &Ctx<'_>) -> Result<Format, Failure> {
    match (ctx.global.output, R::CHART) {
        (Some(Format::Chart), Chartable::Never) => Err(Failure::usage(
            "this cannot be drawn as a chart; use -o table, json, yaml or csv",
        )),
        (Some(format), _) => Ok(format),
        (None, Chartable::First) if ctx.console.is_terminal() => Ok(Format::Chart),
        (None, Chartable::First | Chartable::Never) => Ok(Format::Table),
    }
}

fn once<R: Report>(ctx: &Ctx<'_>, format: Format, report: &R) -> Result<(), Failure> {
    ctx.console
        .write(&written(ctx, format, report, Turn::Only)?)?;
    let scope = ctx.scope_seen.sentence();
    for note in report.notes().iter().chain(&scope) {
        ctx.console.note(note);
    }
    Ok(())
}

/// Which showing of a report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There is only one.
    Only,
    /// The first of many.
    First,
    /// A later one.
    Later,
}

fn written<R: Report>(
    ctx: &Ctx<'_>,
    format: Format,
    report: &R,
    turn: Turn,
) -> Result<String, Failure> {
    let screen = ctx.screen();
    Ok(match format {
        Format::Table => report.table(&screen),
        Format::Chart => report.chart(&screen),
        Format::Csv => {
            let heading = if turn == Turn::Later {
                Heading::Without
            } else {
                Heading::With
            };
            for_reader(ctx, report.sheet(&screen).write(heading)?)
        }
        Format::Json if turn == Turn::Only => document::json(report, Layout::Indented)?,
        Format::Json => document::json(report, Layout::Line)?,
        Format::Yaml => {
            let document = for_reader(ctx, document::yaml(report)?);
            if turn == Turn::Only {
                document
            } else {
                format!("---\n{document}")
            }
        }
    })
}

/// A program gets every character; at a terminal a person must not be deceived.
pub fn for_reader(ctx: &Ctx<'_>, text: String) -> String {
    if ctx.console.is_terminal() {
        visible_lines(&text)
    } else {
        text
    }
}

async fn watch<R: Report>(
    ctx: &Ctx<'_>,
    format: Format,
    fetch: impl AsyncFn() -> Result<R, Failure>,
) -> Result<(), Failure> {
    let mut stop = pin!(shutdown_signal());
    let (mut turn, mut shown) = (Turn::First, String::new());
    let redraws = matches!(format, Format::Table | Format::Chart);
    if redraws {
        ctx.console.clear()?;
    }
    loop {
        let fetched = tokio::select! {
            fetched = fetch() => fetched,
            () = &mut stop => return Ok(()),
        };
        match fetched {
            Ok(report) => {
                let text = written(ctx, format, &report, turn)?;
                if text != shown && redraws {
                    ctx.console.rewrite(&text)?;
                } else if text != shown {
                    ctx.console.write(&text)?;
                }
                (turn, shown) = (Turn::Later, text);
            }
            Err(failure) if failure.is_passing() => ctx.console.explain(&failure),
            Err(failure) => return Err(failure),
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            () = &mut stop => return Ok(()),
        }
    }
}
