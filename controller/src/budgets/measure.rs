//! What a sample says of one budget in one port space. Holders that the sample does not name widen the answer to a range;
//! where nothing bounds it, it is open above.

use tidemark_model::budget::{Allowance, Budget, Quantity, Subject};
use tidemark_model::pattern::is_like;
use tidemark_model::sample::{
    BoundScope, CountQuality, OwnerCounts, OwnerSample, PortSpaceSample, ProcessIdentity,
};
use tidemark_model::tcp::TcpState;

/// What the agent's system and rights say about its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Names of programs are told apart without regard to case there.
    pub is_windows: bool,
    /// It sees the owner of every socket.
    pub sees_all_owners: bool,
}

/// What is held of one quantity: `least` for sure, at most `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the subject is seen to hold.
    pub least: u32,
    /// The most that it may hold; `None` when nothing bounds it.
    pub most: Option<u32>,
}

/// One limit of a budget in one port space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What is limited.
    pub quantity: Quantity,
    /// What is held; `None` when the sample does not say at all.
    pub held: Option<Held>,
    /// What may be held; `None` when the capacity that it is a share of is unknown.
    pub allowed: Option<u32>,
}

/// A budget's limits in one port space, and who holds the most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// One for each limit.
    pub limits: Vec<Measured>,
    /// The process of the subject that holds the most ports.
    pub culprit: Option<String>,
    /// Why a limit is open above, or unknown.
    pub why_open: Option<&'static str>,
}

const UNLISTED: &str =
    "some processes that may belong to it are only summed with others, or hide their owner";
const UNSEEN: &str = "bound sockets are not all listed on this host";
const NO_GROUP: &str = "its agent does not count this watch group";
const NO_CAPACITY: &str = "the capacity of the port space is unknown";

/// Measures every limit of `budget` in `space`.
#[must_use]
pub fn measure(budget: &Budget, space: &PortSpaceSample, sight: Sight) -> Measurement {
    let mut measurement = match &budget.subject {
        Subject::WatchGroup(name) => of_group(budget, space, name),
        Subject::Process(_) | Subject::Service(_) => of_processes(budget, space, sight),
    };
    let is_unknown = |limit: &Measured| limit.allowed.is_none();
    if measurement.limits.iter().any(is_unknown) {
        measurement.why_open = Some(NO_CAPACITY);
    }
    measurement
}

fn limits(
    budget: &Budget,
    space: &PortSpaceSample,
    held: impl Fn(Quantity) -> Option<Held>,
) -> Vec<Measured> {
    let limit = |(quantity, allowance): (&Quantity, &Allowance)| Measured {
        quantity: *quantity,
        held: held(*quantity),
        allowed: allowance.in_space(space.capacity),
    };
    budget.allow.iter().map(limit).collect()
}

fn of_group(budget: &Budget, space: &PortSpaceSample, name: &str) -> Measurement {
    let group = space.watch_groups.iter().find(|group| *group.name == *name);
    let held = |quantity: Quantity| {
        let group = group?;
        let count = match quantity {
            Quantity::Connections => group.connections,
            Quantity::TimeWait => group.time_wait,
            Quantity::Ports | Quantity::Bound | Quantity::CloseWait | Quantity::Sockets => {
                return None;
            }
        };
        Some(Held {
            least: count,
            most: Some(count),
        })
    };
    Measurement {
        limits: limits(budget, space, held),
        culprit: None,
        why_open: group.is_none().then_some(NO_GROUP),
    }
}

fn of_processes(budget: &Budget, space: &PortSpaceSample, sight: Sight) -> Measurement {
    let is_ours = |owner: &OwnerSample| belongs(&budget.subject, &owner.process, sight);
    let sum = |wanted: Belongs, quantity: Quantity| {
        let of = space.owners.iter().filter(|owner| is_ours(owner) == wanted);
        of.fold(0_u32, |sum, owner| {
            sum.saturating_add(count(&owner.counts, quantity))
        })
    };
    let sees_bound = !is_blind_to_bound(space, sight);
    let held = |quantity: Quantity| {
        let least = sum(Belongs::Yes, quantity);
        let unlisted = sum(Belongs::Perhaps, quantity)
            .saturating_add(count(&space.owners_other, quantity))
            .saturating_add(without_owner(space, quantity, sight));
        let is_bounded = sees_bound || quantity == Quantity::CloseWait;
        Some(Held {
            least,
            most: is_bounded.then(|| least.saturating_add(unlisted)),
        })
    };
    let limits = limits(budget, space, held);
    let is_exact = |limit: &Measured| limit.held.is_some_and(|held| held.most == Some(held.least));
    let largest = space
        .owners
        .iter()
        .filter(|owner| is_ours(owner) == Belongs::Yes)
        .max_by_key(|owner| (owner.counts.ports, owner.counts.sockets));
    let why_open = if limits.iter().all(is_exact) {
        None
    } else if sees_bound {
        Some(UNLISTED)
    } else {
        Some(UNSEEN)
    };
    Measurement {
        limits,
        culprit: largest.map(|owner| owner.process.name.to_string()),
        why_open,
    }
}

const fn count(counts: &OwnerCounts, quantity: Quantity) -> u32 {
    match quantity {
        Quantity::Ports => counts.ports,
        Quantity::Bound => counts.bound,
        Quantity::CloseWait => counts.close_wait,
        Quantity::Sockets => counts.sockets,
        Quantity::Connections | Quantity::TimeWait => 0,
    }
}

/// Whether sockets may be missing from the sample altogether. Kernels before Linux 6.8 hide bound ones too, but their
/// totals bound those.
fn is_blind_to_bound(space: &PortSpaceSample, sight: Sight) -> bool {
    match space.quality {
        CountQuality::Counted => false,
        CountQuality::Estimated => sight.is_windows,
        CountQuality::Earlier { scope, .. } => scope == BoundScope::Suspects,
    }
}

/// What sockets of unknown owners may add. TIME_WAIT belongs to no process.
fn without_owner(space: &PortSpaceSample, quantity: Quantity, sight: Sight) -> u32 {
    let named = |quantity: Quantity| {
        let listed = space
            .owners
            .iter()
            .map(|owner| count(&owner.counts, quantity));
        listed.fold(count(&space.owners_other, quantity), u32::saturating_add)
    };
    let seen = |state: TcpState| {
        space
            .states_v4
            .get(state)
            .saturating_add(space.states_v6.get(state))
    };
    match quantity {
        Quantity::Ports | Quantity::Bound => {
            let without = if sight.is_windows && !sight.sees_all_owners {
                // There, processes are named for some ports in TIME_WAIT, so that these cannot be taken off.
                space.ports_without_owner.min(space.strong)
            } else {
                space
                    .ports_without_owner
                    .saturating_sub(space.time_wait_only)
            };
            // Hidden sockets are in `strong` alone.
            let hidden = match space.quality {
                CountQuality::Estimated => space.strong.saturating_sub(named(Quantity::Ports)),
                CountQuality::Counted | CountQuality::Earlier { .. } => 0,
            };
            without.max(hidden)
        }
        Quantity::CloseWait => seen(TcpState::CloseWait).saturating_sub(named(quantity)),
        Quantity::Sockets => {
            let all = space
                .states_v4
                .total()
                .saturating_add(space.states_v6.total());
            let hidden = match space.quality {
                CountQuality::Estimated => space.strong.saturating_sub(named(Quantity::Ports)),
                CountQuality::Counted | CountQuality::Earlier { .. } => 0,
            };
            all.saturating_sub(seen(TcpState::TimeWait))
                .saturating_sub(named(quantity))
                .max(hidden)
        }
        Quantity::Connections | Quantity::TimeWait => 0,
    }
}

/// Whether a process is one of the subject's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belongs {
    Yes,
    No,
    /// What would tell is not known of it.
    Perhaps,
}

fn belongs(subject: &Subject, process: &ProcessIdentity, sight: Sight) -> Belongs {
    let is_like = |text: &str, pattern: &str| {
        if sight.is_windows {
            is_like(&text.to_lowercase(), &pattern.to_lowercase())
        } else {
            is_like(text, pattern)
        }
    };
    let known = |yes: bool| if yes { Belongs::Yes } else { Belongs::No };
    match subject {
        Subject::Service(pattern) => known(
            process
                .service
                .as_deref()
                .is_some_and(|service| is_like(service, pattern)),
        ),
        Subject::Process(pattern) if pattern.contains(['/', '\\']) => process
            .executable
            .as_deref()
            .map_or(Belongs::Perhaps, |path| known(is_like(path, pattern))),
        Subject::Process(pattern) => {
            // The system's list cuts names short; the file's name is whole.
            let file = process
                .executable
                .as_deref()
                .and_then(|path| path.rsplit(['/', '\\']).next());
            known(
                is_like(&process.name, pattern) || file.is_some_and(|file| is_like(file, pattern)),
            )
        }
        Subject::WatchGroup(_) => Belongs::No,
    }
}

#[cfg(test)]
mod tests;
