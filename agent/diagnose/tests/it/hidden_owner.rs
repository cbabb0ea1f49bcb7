//! Rule 12: what it names beside the ports that nobody shows.

use tidemark_model::audit::{FactName, FactValue};
use tidemark_model::finding::Rule;
use tidemark_model::sample::ProbeKind;

use crate::build::*;

#[test]
fn products_that_filter_the_network_are_named_with_their_versions() {
    let refused =
        || minutes(SERVER_2019, 2, |_| tcp().strong(3_000)).refused(ProbeKind::BindTcpV4, 2);
    let protected = refused().audited(&[
        (
            FactName::Edr,
            Some("CrowdStrike Falcon"),
            FactValue::text("7.0.18110.0"),
        ),
        (
            FactName::Edr,
            Some("SentinelOne"),
            FactValue::text("running"),
        ),
    ]);
    let found = find(&protected, Rule::HiddenOwner).unwrap();
    let said = "Endpoint protection on this host: CrowdStrike Falcon (7.0.18110.0), SentinelOne (running).";
    assert!(found.evidence.iter().any(|line| line == said), "{found:#?}");
    let found = find(&refused(), Rule::HiddenOwner).unwrap();
    let is_named = |line: &String| line.contains("Endpoint protection");
    assert!(!found.evidence.iter().any(is_named), "{found:#?}");
}
