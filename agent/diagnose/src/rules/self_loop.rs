//! Rule 19: the host connects to itself, over and over.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, remote, share};
use crate::space::is_self;

const SHARE_MIN: f64 = 0.3;
/// A proxy in front of a local service is no loop before half of the ports are gone.
const LEVEL_MIN: f64 = 0.5;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let destinations = space.destinations();
        let top = destinations
            .iter()
            .filter(|to| is_self(to))
            .max_by_key(|to| to.ports)?;
        let of_used = share(top.ports, space.newest.in_use());
        if of_used < SHARE_MIN || share(top.ports, space.capacity()) < LEVEL_MIN {
            return None;
        }
        Some(
            Case::new(
                Rule::SelfLoop,
                0.7,
                format!("The host's connections to its own {} use up its ports", remote(top)),
            )
            .in_space(space)
            .destination(top)
            .seen(format!(
                "{} ports ({} of those in use) go from this host to itself at {}, {} of them in TIME_WAIT.",
                grouped(top.ports),
                percent(of_used),
                remote(top),
                grouped(top.time_wait)
            ))
            .advise(
                "See who connects there: a proxy or a health check that ends at itself, a route that leads back",
                "less than half of the ports go to it",
            )
            .advise(
                "Between programs of one host use a named pipe or a Unix socket, or keep the connections open",
                "less than half of the ports go to it",
            )
            .finish(),
        )
    })
    .collect()
}
