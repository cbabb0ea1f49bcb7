//! How many refusals are recorded one by one: so many a minute, and of one address. The others are counted, and the counts
//! recorded.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use tidemark_model::audit_log::Deed;

/// Refusals that are recorded one by one between two looks, and of one address.
const RECORDED_MAX: u32 = 60;
const OF_ADDRESS_MAX: u32 = 10;
/// Kinds of refusals that are counted apart.
const KINDS_MAX: usize = 11;

/// What was refused since the last look.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    recorded: u32,
    by_address: HashMap<Option<IpAddr>, u32>,
    counted: BTreeMap<String, u64>,
}

impl Refusals {
    /// Whether one more is recorded by itself; it is counted otherwise.
    pub(super) fn admit(
        &self,
        address: Option<IpAddr>,
        (deed, status): (Deed, StatusCode),
    ) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = window.by_address.get(&address).copied().unwrap_or(0);
        if window.recorded < RECORDED_MAX && of_address < OF_ADDRESS_MAX {
            window.recorded += 1;
            window.by_address.insert(address, of_address + 1);
            return true;
        }
        let mut kind = format!("{} {}", status.as_u16(), deed.as_str());
        if window.counted.len() >= KINDS_MAX && !window.counted.contains_key(&kind) {
            kind = "others".to_owned();
        }
        let count = window.counted.entry(kind).or_default();
        *count = count.saturating_add(1);
        false
    }

    /// Takes the counts and begins anew.
    pub(super) fn take(&self) -> BTreeMap<String, u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *window).counted
    }

    /// Gives back counts that could not be recorded.
    pub(super) fn give_back(&self, counts: BTreeMap<String, u64>) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in counts {
            let before = window.counted.entry(kind).or_default();
            *before = before.saturating_add(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_nothing_of_it_is_lost() {
        let refusals = Refusals::default();
        let refused = (Deed::SignIn, StatusCode::UNAUTHORIZED);
        let address = |last| Some(IpAddr::from([10, 0, 0, last]));
        let recorded = (0..1_000)
            .filter(|_| refusals.admit(address(1), refused))
            .count();
        assert_eq!(recorded, 10, "one address leaves room for others");
        assert!(refusals.admit(address(2), refused));
        let all = (0..250)
            .filter(|last| refusals.admit(address(*last), refused))
            .count();
        assert_eq!(recorded + 1 + all, 60);
        let counts = refusals.take();
        assert_eq!(counts["401 sign_in"], 1_000 - 10 + 250 - 49);
        assert!(refusals.take().is_empty());
        for deed in Deed::ALL {
            for _ in 0..12 {
                refusals.admit(address(1), (*deed, StatusCode::FORBIDDEN));
            }
        }
        assert!(refusals.take().len() <= KINDS_MAX + 1);
    }
}
