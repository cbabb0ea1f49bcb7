//! The report as a colleague would write it down: what, how sure, the figures, what to do.

use std::fmt::Write as _;

use tidemark_model::Finding;
use tidemark_model::finding::PlaybookStep;

use super::Report;
use super::report::Verdict;

/// Letters of a line.
const WIDTH: usize = 96;

pub(super) fn render(report: &Report) -> String {
    let mut page = Page::default();
    page.line(0, &format!("{}: {}", report.host, report.os));
    page.line(0, &report.how());
    for space in &report.port_spaces {
        let bound = space
            .bound
            .map_or_else(|| "unknown".to_owned(), |bound| bound.to_string());
        page.line(
            0,
            &format!(
                "{}: {} of {} ports in use, {} by TIME_WAIT alone, {bound} bound and idle.",
                space.name, space.in_use, space.capacity, space.time_wait
            ),
        );
    }
    page.gap();
    page.line(0, summary(report));
    for (position, finding) in report.findings.iter().enumerate() {
        page.gap();
        push_finding(&mut page, position + 1, finding);
    }
    if !report.not_seen.is_empty() {
        page.gap();
        page.line(0, "What could not be seen:");
        for sentence in &report.not_seen {
            page.item(2, "- ", sentence);
        }
    }
    page.text
}

/// The report in one sentence.
pub(super) const fn summary(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::NothingFound => "Nothing was found that is wrong with its ports.",
        Verdict::Warning => "Something should be looked at in working hours:",
        Verdict::Critical => "Something should be done at once:",
        Verdict::CouldNotTell => "Too little could be seen to say anything.",
    }
}

/// `CRITICAL, 95 % sure`.
pub(super) fn standing(finding: &Finding) -> String {
    format!(
        "{}, {:.0} % sure",
        finding.severity.as_str().to_uppercase(),
        finding.confidence * 100.0
    )
}

/// What a step is beside its text: how heavy, by which action, what it disturbs, how to see that it helped.
pub(super) fn step_notes(step: &PlaybookStep) -> String {
    let action = step.action.map_or_else(String::new, |action| {
        format!(", action {}", action.as_str())
    });
    format!(
        "Tier {}{action}. Disturbs: {}. It helped when {}.",
        step.tier, step.disturbs, step.verify
    )
}

/// What it hangs together with.
pub(super) fn links(finding: &Finding) -> Vec<String> {
    let mut links = Vec::new();
    if let Some(cause) = finding.caused_by {
        links.push(format!("Follows from {}.", cause.as_str()));
    }
    if !finding.effects.is_empty() {
        let names: Vec<&str> = finding.effects.iter().map(|rule| rule.as_str()).collect();
        links.push(format!("Explains {}.", names.join(", ")));
    }
    links
}

/// Rule, port space and time.
pub(super) fn whereabouts(finding: &Finding) -> String {
    let space = finding
        .port_space
        .as_ref()
        .map_or_else(String::new, |space| format!(", {space}"));
    let since = finding
        .since_ms
        .and_then(|since| jiff::Timestamp::from_millisecond(since.unix_ms()).ok())
        .map_or_else(String::new, |since| format!(", since {since:.0} at least"));
    format!("Rule {}{space}{since}.", finding.rule.as_str())
}

fn push_finding(page: &mut Page, number: usize, finding: &Finding) {
    let mark = format!("{number}. ");
    page.item(
        0,
        &mark,
        &format!("{}  [{}]", finding.title, standing(finding)),
    );
    let inside = mark.len();
    page.line(inside, &whereabouts(finding));
    for sentence in &finding.evidence {
        page.item(inside, "- ", sentence);
    }
    for sentence in links(finding) {
        page.item(inside, "- ", &sentence);
    }
    page.line(inside, "What to do:");
    for (place, step) in finding.playbook.iter().enumerate() {
        page.item(inside, &format!("{}) ", place + 1), &step.text);
        page.line(inside + 3, &step_notes(step));
    }
    if !finding.missing.is_empty() {
        page.line(
            inside,
            &format!("To be sure: {}.", finding.missing.join("; ")),
        );
    }
    page.line(
        inside,
        &format!("Why so sure: {}.", finding.confidence_reasons.join("; ")),
    );
}

/// Lines of limited width, without anything in them that a terminal would obey.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gap(&mut self) {
        self.text.push('\n');
    }

    fn line(&mut self, indent: usize, sentence: &str) {
        self.item(indent, "", sentence);
    }

    /// A mark, and words that hang beside it.
    fn item(&mut self, indent: usize, mark: &str, sentence: &str) {
        let hanging = indent + mark.chars().count();
        let mut line = format!("{:indent$}{mark}", "");
        let mut is_empty = true;
        for word in harmless(sentence).split_whitespace() {
            let is_full = line.chars().count() + 1 + word.chars().count() > WIDTH;
            if is_full && !is_empty {
                // Writing to a String cannot fail.
                writeln!(self.text, "{}", line.trim_end()).ok();
                line = format!("{:hanging$}", "");
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        writeln!(self.text, "{}", line.trim_end()).ok();
    }
}

/// Names are other people's text: no control characters, and none that turn the direction of writing.
pub(super) fn harmless(text: &str) -> String {
    let turns = |letter: char| matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|letter| {
            if letter.is_control() || turns(letter) {
                ' '
            } else {
                letter
            }
        })
        .collect()
}
