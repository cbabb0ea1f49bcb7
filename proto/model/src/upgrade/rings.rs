//! Which host is in which ring: by a hash of its id, so that neither its name nor whoever asks has a say in it.

use sha2::{Digest as _, Sha256};

use crate::HostId;

/// How many rings a roll-out has: one host, 1 %, 10 %, half of them, all.
pub const RINGS: usize = 5;

/// How many of so many hosts are in each ring or one before it.
#[must_use]
pub fn ring_sizes(hosts: usize) -> [usize; RINGS] {
    let share = |percent: usize| hosts.saturating_mul(percent).div_ceil(100);
    [hosts.min(1), share(1), share(10), share(50), hosts]
}

/// Each host with its ring, from 0, in the order of their turns.
#[must_use]
pub fn rings_of(hosts: impl IntoIterator<Item = HostId>) -> Vec<(HostId, u8)> {
    let mut ordered: Vec<([u8; 32], HostId)> = hosts
        .into_iter()
        .map(|host| (Sha256::digest(host.to_string()).into(), host))
        .collect();
    ordered.sort_unstable();
    let sizes = ring_sizes(ordered.len());
    let ring_of = |place: usize| {
        let ring = sizes.iter().position(|size| place < *size);
        u8::try_from(ring.unwrap_or(RINGS - 1)).unwrap_or(u8::MAX)
    };
    let places = ordered.into_iter().enumerate();
    places
        .map(|(place, (_, host))| (host, ring_of(place)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_grow_from_one_host_to_all() {
        assert_eq!(ring_sizes(0), [0; RINGS]);
        assert_eq!(ring_sizes(1), [1; RINGS]);
        assert_eq!(ring_sizes(3), [1, 1, 1, 2, 3]);
        assert_eq!(ring_sizes(1_000), [1, 10, 100, 500, 1_000]);
        let hosts: Vec<HostId> = (0..1_000_u32)
            .map(|number| HostId::of_identity_spki(&number.to_be_bytes()))
            .collect();
        let rings = rings_of(hosts.iter().copied());
        for ring in 0..5 {
            let through = rings.iter().filter(|(_, one)| *one <= ring).count();
            assert_eq!(through, ring_sizes(1_000)[usize::from(ring)]);
        }
        let reversed = rings_of(hosts.into_iter().rev());
        assert_eq!(rings, reversed, "who asks in which order has no say in it");
    }
}
