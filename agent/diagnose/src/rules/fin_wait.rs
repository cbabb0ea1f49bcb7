//! Rule 18: connections that this side has closed and whose peers never finish the close.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::PortSpaceSample;
use tidemark_model::tcp::TcpState;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, remote};
use crate::space::sockets;

const SOCKETS_MIN: u32 = 500;
const AGE: Duration = Duration::from_secs(5 * 60);

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let closing = |sample: &PortSpaceSample| {
            sockets(sample, TcpState::FinWait2).saturating_add(sockets(sample, TcpState::LastAck))
        };
        let stuck = closing(space.newest);
        if stuck < SOCKETS_MIN {
            return None;
        }
        let series = space.series(closing);
        let mut case = Case::new(
            Rule::FinWaitStuck,
            0.85,
            "Closed connections wait for peers that never finish the close".to_owned(),
        );
        match series.lowest_over(AGE) {
            Some(lowest) if lowest >= f64::from(SOCKETS_MIN) => {}
            Some(_) => return None,
            None => case = case.lacks("their age: samples of 5 minutes"),
        }
        let peers: Vec<String> = space.destinations().iter().take(3).map(remote).collect();
        Some(
            case.in_space(space)
                .since(series.since_at_least(f64::from(SOCKETS_MIN)))
                .seen(format!(
                    "{} sockets are in FIN_WAIT_2 and {} in LAST_ACK.",
                    grouped(space.sockets(TcpState::FinWait2)),
                    grouped(space.sockets(TcpState::LastAck))
                ))
                .seen_all(
                    (!peers.is_empty()).then(|| format!("Most ports go to {}.", peers.join(", "))),
                )
                .advise(
                    "See what lies between: a firewall or a load balancer that forgets connections and swallows the last packets",
                    "less than 500 such sockets",
                )
                .advise(
                    "On Windows update drivers of network cards and security products",
                    "less than 500 such sockets",
                )
                .finish(),
        )
    })
    .collect()
}
