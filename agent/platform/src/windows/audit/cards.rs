//! Network cards: their drivers and keywords, from the registry's class of network adapters.

use std::io;

use tidemark_model::audit::{FactName, FactState};

use super::super::registry_read;
use crate::ReadError;
use crate::audit_facts::{FactList, flag, text, unknown};
use crate::windows_data::network_card;

/// Class of network adapters.
const CLASS: &str =
    r"SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}";
/// Names that people gave to connections, by the adapter's GUID.
const CONNECTIONS: &str =
    r"SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}";

pub(super) fn read(facts: &mut FactList) -> Result<(), ReadError> {
    let told = |source| ReadError::System {
        what: "its network cards",
        source,
    };
    for Card { key, name } in all().map_err(told)? {
        card(facts, &key, &name);
    }
    Ok(())
}

/// A physical card.
pub(in crate::windows) struct Card {
    /// Its key below `HKEY_LOCAL_MACHINE`, which holds its driver's keywords.
    pub(in crate::windows) key: String,
    /// What operators call it, as in `Ethernet 2`.
    pub(in crate::windows) name: String,
}

/// Every physical card that the registry holds.
pub(in crate::windows) fn all() -> io::Result<Vec<Card>> {
    let mut cards = Vec::new();
    for number in registry_read::keys_below(CLASS)? {
        // Beside the adapters there is `Properties`, which only the system may open.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let key = format!(r"{CLASS}\{number}");
        let characteristics = registry_read::number(&key, "Characteristics");
        if let Ok(Some(characteristics)) = characteristics
            && network_card::is_physical(characteristics)
        {
            let name = connection_name(&key).unwrap_or_else(|| format!("adapter {number}"));
            cards.push(Card { key, name });
        }
    }
    Ok(cards)
}

fn card(facts: &mut FactList, key: &str, item: &str) {
    for (name, value) in [
        (FactName::NicDescription, "DriverDesc"),
        (FactName::NicDriver, "ComponentId"),
        (FactName::NicDriverVersion, "DriverVersion"),
        (FactName::NicDriverProvider, "ProviderName"),
        (FactName::NicDeviceId, "MatchingDeviceId"),
    ] {
        let state = stated(key, value, |found| text(Some(found)));
        facts.set_of(name, item, state);
    }
    let date = stated(key, "DriverDate", |found| {
        match network_card::driver_date(found) {
            Some(date) => text(Some(&date)),
            None => FactState::unknown("its date is not written as m-d-yyyy"),
        }
    });
    facts.set_of(FactName::NicDriverDate, item, date);
    for (name, value) in [
        (FactName::NicLsoV4, "*LsoV2IPv4"),
        (FactName::NicLsoV6, "*LsoV2IPv6"),
        (FactName::NicInterruptModeration, "*InterruptModeration"),
        (FactName::NicRss, "*RSS"),
    ] {
        let state = stated(key, value, |found| match network_card::switch(found) {
            Some(on) => flag(Some(on)),
            None => FactState::unknown("its keyword is neither 0 nor 1"),
        });
        facts.set_of(name, item, state);
    }
    for (name, value) in [
        (FactName::NicTcpChecksumV4, "*TCPChecksumOffloadIPv4"),
        (FactName::NicTcpChecksumV6, "*TCPChecksumOffloadIPv6"),
    ] {
        let state = stated(key, value, |found| match network_card::checksum(found) {
            Some(word) => text(Some(word)),
            None => FactState::unknown("its keyword is not 0 to 3"),
        });
        facts.set_of(name, item, state);
    }
}

/// What operators call it, as in `Ethernet 2`.
fn connection_name(key: &str) -> Option<String> {
    let guid = registry_read::text(key, "NetCfgInstanceId").ok()??;
    let connection = format!(r"{CONNECTIONS}\{guid}\Connection");
    let name = registry_read::text(&connection, "Name").ok().flatten();
    Some(name.filter(|name| !name.is_empty()).unwrap_or(guid))
}

fn stated(key: &str, value: &str, known: impl FnOnce(&str) -> FactState) -> FactState {
    let found: io::Result<Option<String>> = registry_read::text(key, value);
    match found {
        Ok(Some(found)) => known(&found),
        Ok(None) => FactState::Absent,
        Err(error) => unknown(&error),
    }
}
