//! Rule 16: connection attempts pile up towards a destination that does not answer.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::DestinationSample;
use tidemark_model::tcp::TcpState;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, process, remote, share};
use crate::playbook::restart;
use crate::space::SpaceView;

const OF_STRONG: f64 = 0.2;
const MANY: u32 = 500;
/// Below this it is over (the rule's own check of success).
const SOCKETS_MIN: u32 = 50;
const DESTINATION_SHARE: f64 = 0.8;
const OWNER_SHARE: f64 = 0.6;
/// Failed attempts a second, in thousandths, that count as many.
const FAILS_PER_1000_S: u64 = 1_000;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| in_space(view, space)).collect()
}

/// Ports towards it that are not in TIME_WAIT.
fn live(to: &DestinationSample) -> u32 {
    to.ports.saturating_sub(to.time_wait)
}

fn in_space(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    let attempts = space.sockets(TcpState::SynSent);
    let is_pile = attempts >= MANY || share(attempts, space.newest.strong) >= OF_STRONG;
    if !is_pile || attempts < SOCKETS_MIN {
        return None;
    }
    let title = |to: &str| format!("Connection attempts to {to} pile up: it does not answer");
    let destinations = space.destinations();
    let top = destinations.iter().max_by_key(|to| live(to));
    let mut case = match top {
        Some(top) if share(live(top), attempts) >= DESTINATION_SHARE => {
            Case::new(Rule::SynSentPileUp, 0.9, title(&remote(top)))
                .destination(top)
                .seen(format!(
                    "{} ports go to {} and are not in TIME_WAIT.",
                    grouped(live(top)),
                    remote(top)
                ))
        }
        // Many destinations: a scan, or a network that is down.
        Some(_) => return None,
        None => Case::new(Rule::SynSentPileUp, 0.9, title("a destination"))
            .lacks("the destinations of the attempts"),
    };
    if let Some((owner, held)) = space.top_owner(|owner| owner.counts.ports)
        && share(held, attempts) >= OWNER_SHARE
    {
        case = case.process(&owner.process).seen(format!(
            "{} holds {} ports.",
            process(&owner.process),
            grouped(held)
        ));
        if share(held, space.newest.strong) >= OWNER_SHARE {
            let step = restart(&owner.process, "less than 50 sockets in SYN_SENT");
            case = case.step(step);
        }
    }
    case = failing(view, case);
    Some(
        case.in_space(space)
            .since(
                space
                    .series(|s| crate::space::sockets(s, TcpState::SynSent))
                    .since_at_least(f64::from(SOCKETS_MIN)),
            )
            .seen(format!(
                "{} sockets are in SYN_SENT, {} of the ports that are held.",
                grouped(attempts),
                percent(share(attempts, space.newest.strong))
            ))
            .advise(
                "See why it does not answer: the service, the route, a firewall that drops",
                "less than 50 sockets in SYN_SENT",
            )
            .advise(
                "Let the client wait longer between its tries, and stop after some (circuit breaker)",
                "less than 50 sockets in SYN_SENT while the destination is away",
            )
            .finish(),
    )
}

/// Whether attempts fail, by the host's own counters.
fn failing(view: &View<'_>, case: Case) -> Case {
    let samples = view.situation.ordered_samples();
    let fails = samples
        .last()
        .and_then(|sample| sample.rates.tcp_attempt_fails);
    match fails {
        Some(fails) if fails >= FAILS_PER_1000_S => case.seen(format!(
            "{} attempts a second fail.",
            fails / FAILS_PER_1000_S
        )),
        Some(_) => case.weigh(
            0.95,
            "few attempts have failed yet; each takes 21 s and more to",
        ),
        None => case.lacks("how many attempts fail: two samples"),
    }
}
