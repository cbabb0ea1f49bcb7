//! The report as one page: no script, nothing loaded, and a policy that allows nothing but its own style.

use std::fmt::Write as _;

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};
use tidemark_model::Finding;

use super::Report;
use super::text::{harmless, links, standing, step_notes, summary, whereabouts};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
article{border:1px solid;border-radius:6px;padding:.5rem 1rem;margin:1rem 0}\
article.critical{border-width:3px}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:.4rem 0}h3{font-size:1rem;margin:.8rem 0 .2rem}\
small{opacity:.8}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.1rem 1rem .1rem 0;text-align:right}td:first-child,th:first-child{text-align:left}";

pub(super) fn render(report: &Report) -> String {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        BASE64.encode(&Sha256::digest(STYLE.as_bytes()))
    );
    let title = format!("{}: {}", report.host, report.verdict.in_words());
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    // Writing to a String cannot fail.
    writeln!(
        page,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1><p>{os}</p><p>{how}</p>",
        title = escaped(&title),
        os = escaped(&report.os),
        how = escaped(&report.how()),
    )
    .ok();
    push_spaces(&mut page, report);
    writeln!(page, "<p><strong>{}</strong></p>", escaped(summary(report))).ok();
    for finding in &report.findings {
        push_finding(&mut page, finding);
    }
    if !report.not_seen.is_empty() {
        page.push_str("<h2>What could not be seen</h2>");
        push_list(&mut page, "ul", &report.not_seen);
    }
    page.push_str("</body></html>\n");
    page
}

fn push_spaces(page: &mut String, report: &Report) {
    if report.port_spaces.is_empty() {
        return;
    }
    page.push_str("<table><tr><th>ports</th><th>in use</th><th>of</th><th>TIME_WAIT alone</th><th>bound and idle</th></tr>");
    for space in &report.port_spaces {
        let bound = space
            .bound
            .map_or_else(|| "unknown".to_owned(), |bound| bound.to_string());
        // Writing to a String cannot fail.
        write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{bound}</td></tr>",
            escaped(&space.name),
            space.in_use,
            space.capacity,
            space.time_wait
        )
        .ok();
    }
    page.push_str("</table>\n");
}

fn push_finding(page: &mut String, finding: &Finding) {
    // Writing to a String cannot fail.
    write!(
        page,
        "<article class=\"{}\"><h2>{}</h2><p><strong>{}</strong> <small>{}</small></p>",
        finding.severity.as_str(),
        escaped(&finding.title),
        escaped(&standing(finding)),
        escaped(&whereabouts(finding)),
    )
    .ok();
    let mut evidence = finding.evidence.clone();
    evidence.extend(links(finding));
    push_list(page, "ul", &evidence);
    page.push_str("<h3>What to do</h3><ol>");
    for step in &finding.playbook {
        write!(
            page,
            "<li>{}<br><small>{}</small></li>",
            escaped(&step.text),
            escaped(&step_notes(step))
        )
        .ok();
    }
    page.push_str("</ol>");
    if !finding.missing.is_empty() {
        page.push_str("<h3>To be sure</h3>");
        push_list(page, "ul", &finding.missing);
    }
    page.push_str("<h3>Why so sure</h3>");
    push_list(page, "ul", &finding.confidence_reasons);
    page.push_str("</article>\n");
}

fn push_list(page: &mut String, kind: &str, sentences: &[String]) {
    // Writing to a String cannot fail.
    write!(page, "<{kind}>").ok();
    for sentence in sentences {
        write!(page, "<li>{}</li>", escaped(sentence)).ok();
    }
    writeln!(page, "</{kind}>").ok();
}

/// Text as text, in an element and in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in harmless(text).chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}
