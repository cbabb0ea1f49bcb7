//! Switches of network cards: the standardised keywords of their drivers, in the registry. A driver reads them when the
//! card or the host is restarted; neither is done here, because it takes the link down.

use tidemark_model::action::spec::NicOffload;

use crate::remedy_facts::{CardChange, CardSwitch, RemedyError, Switch};
use crate::windows::audit::cards;
use crate::windows::{registry, registry_read};

/// How a card's switch stands, and would stand.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when no physical card has that name, or several have; [`RemedyError::Unsupported`] when
/// its driver does not know the keyword.
pub fn look(adapter: &str, switch: CardSwitch, wish: Switch) -> Result<CardChange, RemedyError> {
    let key = key_of(adapter)?;
    let keyword = keyword(switch);
    let failed =
        |error| RemedyError::Failed(format!("{keyword} of {adapter} cannot be read: {error}"));
    let before = registry_read::text(&key, keyword).map_err(failed)?;
    let before = before.ok_or_else(|| {
        RemedyError::Unsupported(format!("the driver of {adapter} has no keyword {keyword}"))
    })?;
    Ok(CardChange {
        what: format!("{adapter} {keyword}"),
        before,
        after: value(switch, wish).to_owned(),
    })
}

/// Switches it, and makes sure that the registry has it.
///
/// # Errors
/// What the registry says.
pub fn set(adapter: &str, switch: CardSwitch, wish: Switch) -> Result<(), RemedyError> {
    restore(adapter, switch, value(switch, wish))
}

/// Puts back a value that it had, and makes sure that the registry has it.
///
/// # Errors
/// What the registry says.
pub fn restore(adapter: &str, switch: CardSwitch, value: &str) -> Result<(), RemedyError> {
    let key = key_of(adapter)?;
    let keyword = keyword(switch);
    registry::Key::create(&key)
        .and_then(|key| key.set_text(keyword, value))
        .map_err(|error| {
            RemedyError::Failed(format!("{keyword} of {adapter} cannot be written: {error}"))
        })?;
    let after = look(adapter, switch, Switch::Off)?.before;
    if after == value {
        return Ok(());
    }
    Err(RemedyError::Failed(format!(
        "{keyword} of {adapter} was set to {value}, and reads {after}"
    )))
}

fn key_of(adapter: &str) -> Result<String, RemedyError> {
    let cards = cards::all().map_err(|error| {
        RemedyError::Failed(format!("the network cards cannot be listed: {error}"))
    })?;
    let is_it = |card: &&cards::Card| card.name.to_lowercase() == adapter.to_lowercase();
    let mut found = cards.iter().filter(is_it);
    match (found.next(), found.next()) {
        (Some(card), None) => Ok(card.key.clone()),
        (Some(_), Some(_)) => Err(RemedyError::NoSuchTarget(format!(
            "several network cards are called {adapter}"
        ))),
        (None, _) => {
            let names: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
            Err(RemedyError::NoSuchTarget(format!(
                "no network card is called {adapter}; there are: {}",
                names.join(", ")
            )))
        }
    }
}

/// "Standardized INF Keywords for Network Devices".
const fn keyword(switch: CardSwitch) -> &'static str {
    match switch {
        CardSwitch::Offload(NicOffload::LsoIpv4) => "*LsoV2IPv4",
        CardSwitch::Offload(NicOffload::LsoIpv6) => "*LsoV2IPv6",
        CardSwitch::Offload(NicOffload::ChecksumTcpIpv4) => "*TCPChecksumOffloadIPv4",
        CardSwitch::Offload(NicOffload::ChecksumTcpIpv6) => "*TCPChecksumOffloadIPv6",
        CardSwitch::InterruptModeration => "*InterruptModeration",
    }
}

/// Checksums are on in both ways.
const fn value(switch: CardSwitch, wish: Switch) -> &'static str {
    match (wish, switch) {
        (Switch::Off, _) => "0",
        (
            Switch::On | Switch::Automatic,
            CardSwitch::Offload(NicOffload::ChecksumTcpIpv4 | NicOffload::ChecksumTcpIpv6),
        ) => "3",
        (
            Switch::On | Switch::Automatic,
            CardSwitch::Offload(NicOffload::LsoIpv4 | NicOffload::LsoIpv6)
            | CardSwitch::InterruptModeration,
        ) => "1",
    }
}
