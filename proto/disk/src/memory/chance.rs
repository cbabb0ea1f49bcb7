//! The source of chance of tests that must come about again: one number gives the same always, whatever libraries become.

/// SplitMix64 (Steele et al., 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// What this number gives.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits, all alike.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// An index of a list of that length, which is not empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.number() % length as u64).unwrap_or(0)
    }

    /// Yes in so many of a hundred cases.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.number() % 100 < percent
    }
}
