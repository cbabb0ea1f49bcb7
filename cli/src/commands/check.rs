//! `check`: a plugin for Nagios, Icinga and whatever runs their plugins. It prints a line with performance data, further
//! lines for people, and ends with 0 to 3, whatever happens.

mod figures;
mod perfdata;
pub mod range;
mod verdict;

use tidemark_model::duration::format_duration;

use self::verdict::{Facts, Remark, Status, Verdict, judge};
use super::Ctx;
use crate::api::Query;
use crate::args::{CheckArgs, Global, Part};
use crate::failure::Failure;
use crate::render::text::{cut, visible};

/// Incidents of one host that are looked at.
const INCIDENTS_MAX: usize = 100;

/// Remarks in the first line, and in the lines after it.
const FIRST_REMARKS_MAX: usize = 3;
/// See [`FIRST_REMARKS_MAX`].
const REMARKS_MAX: usize = 20;

/// Longest clause or detail, in columns.
const COLUMNS_MAX: usize = 300;

/// Checks a host, says what there is to say, and answers the exit code.
pub(super) async fn run(ctx: &Ctx<'_>, args: &CheckArgs) -> u8 {
    let within = args.timeout;
    let facts = match usable(&ctx.global, args) {
        Ok(()) => tokio::time::timeout(within, facts(ctx, args)).await,
        Err(failure) => Ok(Err(failure)),
    };
    let (text, status) = match facts {
        Ok(Ok(facts)) => {
            let verdict = judge(&facts, args, ctx.clock.now());
            (told(&facts.host.name, &verdict), verdict.status)
        }
        Ok(Err(failure)) => (told_of_failure(&failure), Status::Unknown),
        Err(_) => {
            let waited = format_duration(within);
            (
                unknown(&format!("no answer within {waited}"), &[]),
                Status::Unknown,
            )
        }
    };
    match ctx.console.write(&text) {
        Ok(()) => status.exit_code(),
        // Nobody read the verdict.
        Err(_) => Status::Unknown.exit_code(),
    }
}

/// The verdict on a command line that is not understood, to be told as everything else: a monitoring system takes an
/// exit code of 2 for critical.
pub fn usage(error: &clap::Error) -> (String, u8) {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("the command line is not understood");
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let rest: Vec<String> = lines.map(str::to_owned).collect();
    (unknown(first, &rest), Status::Unknown.exit_code())
}

fn usable(global: &Global, args: &CheckArgs) -> Result<(), Failure> {
    if args.watch || global.watch {
        return Err(Failure::usage(
            "check cannot be watched: a monitoring system asks again by itself",
        ));
    }
    if global.output.is_some() {
        return Err(Failure::usage(
            "check prints what monitoring systems read; leave -o out, or use: tidemark describe host",
        ));
    }
    Ok(())
}

async fn facts(ctx: &Ctx<'_>, args: &CheckArgs) -> Result<Facts, Failure> {
    let api = ctx.api()?;
    let host = api.host(&args.host).await?.host;
    let wants = |part: Part| !args.skip.contains(&part);
    let id = [host.id.clone()];
    let incidents = async {
        if !wants(Part::Incidents) {
            return Ok(Vec::new());
        }
        let query: Query = vec![("state", "active".to_owned()), ("host", host.id.clone())];
        api.incidents(query, INCIDENTS_MAX).await
    };
    let findings = async {
        if !wants(Part::Findings) {
            return Ok(Vec::new());
        }
        api.findings(&id).await
    };
    let budgets = async {
        if !wants(Part::Budgets) {
            return Ok(Vec::new());
        }
        api.budgets_of_host(&host.id).await
    };
    let (incidents, findings, budgets) = tokio::try_join!(incidents, findings, budgets)?;
    Ok(Facts {
        host,
        incidents,
        findings,
        budgets,
    })
}

fn told(host: &str, verdict: &Verdict) -> String {
    let first = verdict.remarks.iter();
    let alerting: Vec<&Remark> = first.filter(|remark| remark.status > Status::Ok).collect();
    let mut clauses: Vec<String> = alerting
        .iter()
        .take(FIRST_REMARKS_MAX)
        .map(|remark| plain(&remark.text))
        .collect();
    if alerting.len() > FIRST_REMARKS_MAX {
        clauses.push(format!("and {} more", alerting.len() - FIRST_REMARKS_MAX));
    }
    if clauses.is_empty() {
        clauses.push(plain(&verdict.summary));
    }
    let mut lines = vec![format!(
        "TIDEMARK {} - {}: {} | {}",
        verdict.status.as_str(),
        plain(host),
        clauses.join("; "),
        verdict.perfdata.line()
    )];
    if !alerting.is_empty() {
        lines.push(plain(&verdict.summary));
    }
    for remark in verdict.remarks.iter().take(REMARKS_MAX) {
        lines.push(format!(
            "[{}] {}",
            remark.status.as_str(),
            plain(&remark.text)
        ));
        lines.extend(
            remark
                .details
                .iter()
                .map(|detail| format!("  {}", plain(detail))),
        );
    }
    let more = verdict.remarks.len().saturating_sub(REMARKS_MAX);
    if more > 0 {
        lines.push(format!(
            "and {more} more: tidemark describe host {}",
            plain(host)
        ));
    }
    format!("{}\n", lines.join("\n"))
}

fn told_of_failure(failure: &Failure) -> String {
    let mut first = failure.to_string();
    if let Some(cause) = failure.root_cause() {
        first = format!("{first}: {cause}");
    }
    let hints: Vec<String> = failure
        .hints()
        .into_iter()
        .map(|hint| format!("hint: {hint}"))
        .collect();
    unknown(&first, &hints)
}

fn unknown(first: &str, rest: &[String]) -> String {
    let mut lines = vec![format!("TIDEMARK UNKNOWN - {}", plain(first))];
    lines.extend(rest.iter().map(|line| plain(line)));
    format!("{}\n", lines.join("\n"))
}

/// Text in a line without what begins performance data.
fn plain(text: &str) -> String {
    cut(&visible(text), COLUMNS_MAX).replace('|', "/")
}
