//! A set of ports as a bitmap: 8 KiB, exact, no hashing.

/// 65,536 bits.
const WORDS: usize = 1024;

/// A set of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortSet {
    words: Box<[u64; WORDS]>,
}

impl PortSet {
    pub(super) fn new() -> Self {
        Self {
            words: Box::new([0; WORDS]),
        }
    }

    /// Adds a port; true when it was not in the set.
    pub(super) fn insert(&mut self, port: u16) -> bool {
        let (word, bit) = position(port);
        let added = self.words[word] & bit == 0;
        self.words[word] |= bit;
        added
    }

    pub(super) fn remove(&mut self, port: u16) {
        let (word, bit) = position(port);
        self.words[word] &= !bit;
    }

    pub(super) fn contains(&self, port: u16) -> bool {
        let (word, bit) = position(port);
        self.words[word] & bit != 0
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    pub(super) fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// How many ports are in this set and in none of `others`.
    pub(super) fn len_without(&self, others: &[&Self]) -> u32 {
        let word_without = |(index, word): (usize, &u64)| {
            let excluded = others.iter().fold(0, |all, set| all | set.words[index]);
            (word & !excluded).count_ones()
        };
        self.words.iter().enumerate().map(word_without).sum()
    }
}

/// A port's word, always below [`WORDS`], and its bit in it.
const fn position(port: u16) -> (usize, u64) {
    ((port >> 6) as usize, 1 << (port & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_once_and_differences_are_exact() {
        let mut a = PortSet::new();
        let mut b = PortSet::new();
        for port in [0, 63, 64, 40_000, u16::MAX, 40_000] {
            a.insert(port);
        }
        b.insert(64);
        b.insert(1);
        assert_eq!((a.len(), b.len()), (5, 2));
        assert_eq!(a.len_without(&[&b]), 4);
        assert_eq!(a.len_without(&[]), 5);
        a.remove(63);
        assert!(!a.contains(63) && a.contains(u16::MAX));
        a.clear();
        assert_eq!(a.len(), 0);
    }
}
