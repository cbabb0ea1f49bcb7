//! Where it is written what to do about a finding or an incident: a page for each code, at the same address on every
//! controller.

use crate::finding::Rule;
use crate::forecast::Road;

/// Kinds of incidents that are neither a road nor a rule.
pub const OTHER_KINDS: [&str; 3] = ["high", "budget", "common_cause"];

/// Everything that has a page: rules, roads, and the other kinds of incidents.
pub fn codes() -> impl Iterator<Item = &'static str> {
    let rules = Rule::ALL.iter().map(|rule| rule.as_str());
    let roads = Road::ALL.iter().map(|road| road.as_str());
    rules.chain(roads).chain(OTHER_KINDS)
}

/// The page of a code, on the controller's web address.
#[must_use]
pub fn path(code: &str) -> String {
    format!("/docs/runbooks/{code}.html")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_runbook_and_every_runbook_a_code() {
        let known: BTreeSet<String> = codes().map(str::to_owned).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbooks");
        let written: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
            .filter(|name| name != "index")
            .collect();
        assert_eq!(
            known, written,
            "left: codes of the product; right: pages in docs/runbooks"
        );
    }

    #[test]
    fn every_runbook_says_how_to_confirm_and_what_to_do() {
        for code in codes() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbooks");
            let page = std::fs::read_to_string(format!("{folder}/{code}.md")).unwrap();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
            for part in ["Confirm", "Now", "For good", "What Tidemark can do"] {
                assert!(page.contains(&format!("\n## {part}\n")), "{code}: {part}");
            }
        }
    }
}
