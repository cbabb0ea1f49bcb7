//! Which of the services in one process opened most of its sockets.

/// More services than this share no process.
const TAGS_MAX: usize = 64;

/// Sockets of one process by service tag.
#[derive(Clone, Debug, Default)]
pub(super) struct TagCounts(Vec<(u32, u32)>);

impl TagCounts {
    /// Counts a socket; tag 0 is none.
    pub(super) fn count(&mut self, tag: u32) {
        if tag == 0 {
            return;
        }
        if let Some((_, sockets)) = self.0.iter_mut().find(|(known, _)| *known == tag) {
            *sockets = sockets.saturating_add(1);
        } else if self.0.len() < TAGS_MAX {
            self.0.push((tag, 1));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The tag with the most sockets; 0 when there is none. The one chosen `before` stays until another has more than
    /// twice its sockets, so that a process does not change its name from sample to sample.
    pub(super) fn chosen(&self, before: u32) -> u32 {
        let sockets_of = |tag| self.0.iter().find(|(known, _)| *known == tag);
        let Some((tag, sockets)) = self.0.iter().max_by_key(|(tag, sockets)| (*sockets, *tag))
        else {
            return before;
        };
        match sockets_of(before) {
            Some((_, kept)) if *sockets <= kept.saturating_mul(2) => before,
            Some(_) | None => *tag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_with_the_most_sockets_is_chosen_and_kept_while_it_has_half_as_many() {
        let mut tags = TagCounts::default();
        assert_eq!(tags.chosen(0), 0);
        for tag in [7, 9, 9, 0, 0, 0] {
            tags.count(tag);
        }
        assert_eq!(tags.chosen(0), 9);
        assert_eq!(tags.chosen(7), 7);
        tags.count(9);
        assert_eq!(tags.chosen(7), 9);
        tags.clear();
        assert_eq!(tags.chosen(9), 9);
    }
}
