//! `set_dynamic_port_range`: collisions first, then the range, which reverts by itself unless it is confirmed.

use std::time::Duration;

use tidemark_model::action::spec::{IpFamily, Lasting};
use tidemark_model::action::{Refusal, Step, StepState};
use tidemark_model::{ActionSpec, PortRange, Protocol};
use tidemark_platform::remedy::settings;

use super::deed::{Deed, Halt};
use crate::actions::confirm::Waited;

mod collisions;

/// The step that says that it stays.
const CONFIRMED: &str = "confirmed over a new session";

/// What an order says about a range.
struct Wish {
    protocol: Protocol,
    family: IpFamily,
    range: PortRange,
    lasting: Lasting,
    patience: Duration,
}

fn wish_of(spec: &ActionSpec) -> Option<Wish> {
    let ActionSpec::SetDynamicPortRange {
        protocol,
        family,
        first,
        last,
        lasting,
        confirm_within_s,
    } = spec
    else {
        return None;
    };
    Some(Wish {
        protocol: *protocol,
        family: *family,
        range: PortRange::new(*first, *last)?,
        lasting: *lasting,
        patience: Duration::from_secs(u64::from(*confirm_within_s)),
    })
}

pub(super) fn set(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let Some(wish) = wish_of(&deed.order.spec) else {
        return Ok(());
    };
    let before = settings::range(wish.protocol, wish.family)?;
    let name = settings::range_name(wish.protocol, wish.family);
    deed.plan_change(&name, Some(shown(before)), Some(shown(wish.range)));
    if wish.lasting == Lasting::Always {
        let kept = settings::kept_range(wish.protocol, wish.family)?;
        let kept_name = format!("{name}, for the next starts");
        deed.plan_change(&kept_name, kept.map(shown), Some(shown(wish.range)));
    }
    let taken = collisions::of(wish.range, before)?;
    if !taken.is_empty() {
        return Err(Halt::Refused(
            Refusal::Unsafe,
            collisions::advice(&taken, wish.range),
        ));
    }
    deed.begin()?;
    settings::set_range(wish.protocol, wish.family, wish.range)?;
    let after = settings::range(wish.protocol, wish.family)?;
    if after != wish.range {
        let text = format!("{name} was set, and reads {}", shown(after));
        return Err(undo(deed, &wish, before, &text));
    }
    let seconds = wish.patience.as_secs();
    deed.done(
        &format!("set {name}"),
        &format!("reverts in {seconds} s unless it is confirmed"),
    );
    deed.progress("set; waits for its confirmation");
    match deed.await_confirmation(wish.patience) {
        Waited::Confirmed => {
            // Whatever happens from here on, it stays: what is kept for the next starts and what holds must not differ.
            deed.pass(CONFIRMED);
            keep(deed, &wish)
        }
        Waited::Late => Err(undo(
            deed,
            &wish,
            before,
            "the controller did not confirm it in time",
        )),
        Waited::Stopped => Err(undo(
            deed,
            &wish,
            before,
            "the agent stopped before it was confirmed",
        )),
    }
}

fn keep(deed: &mut Deed<'_>, wish: &Wish) -> Result<(), Halt> {
    let kept = match wish.lasting {
        Lasting::UntilReboot => return Ok(()),
        Lasting::Always => settings::keep_range(wish.protocol, wish.family, wish.range),
    };
    let kept = deed.tried("keep it for the next starts", kept, |()| String::new());
    kept.map_err(|error| Halt::Failed(format!("it holds until the next start only: {error}")))
}

/// The agent stopped between the change and its confirmation: the range goes back, whatever the controller thinks. After the
/// confirmation it stays.
pub(super) fn take_up(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let before = deed
        .changes()
        .first()
        .and_then(|change| change.before.as_deref())
        .and_then(read);
    let (Some(wish), Some(before)) = (wish_of(&deed.order.spec), before) else {
        return Err(Halt::Failed(
            "the agent stopped in the middle of it, and what the range was is not known".to_owned(),
        ));
    };
    if deed.has_done(CONFIRMED) {
        if wish.lasting == Lasting::Always {
            settings::set_range(wish.protocol, wish.family, wish.range)?;
        }
        return keep(deed, &wish);
    }
    if settings::range(wish.protocol, wish.family)? != wish.range {
        return Err(Halt::RolledBack(
            "the agent stopped before it was confirmed; the range is not set".to_owned(),
        ));
    }
    Err(undo(
        deed,
        &wish,
        before,
        "the agent stopped before it was confirmed",
    ))
}

fn undo(deed: &mut Deed<'_>, wish: &Wish, before: PortRange, why: &str) -> Halt {
    let undone = settings::set_range(wish.protocol, wish.family, before);
    let state = if undone.is_ok() {
        StepState::Done
    } else {
        StepState::Failed
    };
    deed.note(Step {
        what: format!("set it back to {}", shown(before)),
        state,
        text: why.to_owned(),
    });
    match undone {
        Ok(()) => Halt::RolledBack(format!("{why}; it is {} again", shown(before))),
        Err(error) => Halt::Failed(format!("{why}, and it cannot be set back: {error}")),
    }
}

pub(super) fn shown(range: PortRange) -> String {
    format!("{}-{}", range.first, range.last)
}

pub(super) fn read(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once('-')?;
    PortRange::new(first.parse().ok()?, last.parse().ok()?)
}
