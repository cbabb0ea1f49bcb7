//! Names that somebody may have meant.

/// How alike a name must be to be suggested (Jaro-Winkler, 0 to 1).
const NEARNESS_MIN: f64 = 0.75;

/// Most names that are suggested.
const SUGGESTIONS_MAX: usize = 3;

/// The known names that `name` is like, most alike first.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_lowercase();
    let nearness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // One slip in a short name weighs too much for Jaro-Winkler alone.
        let one_slip = strsim::osa_distance(&name, &candidate) <= 1;
        let nearness = strsim::jaro_winkler(&name, &candidate);
        (one_slip || nearness >= NEARNESS_MIN).then_some(nearness)
    };
    let mut alike: Vec<(f64, &str)> = known
        .filter_map(|candidate| Some((nearness(candidate)?, candidate)))
        .collect();
    alike.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    alike.dedup_by_key(|(_, candidate)| *candidate);
    alike
        .into_iter()
        .take(SUGGESTIONS_MAX)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_like_a_misspelt_one_are_suggested_nearest_first() {
        let known = ["web-1", "web-2", "db-1", "WEB-10"];
        assert_eq!(
            nearest("wbe-1", known.into_iter()),
            ["web-1", "WEB-10", "web-2"]
        );
        assert_eq!(nearest("vn", ["vm", "host"].into_iter()), ["vm"]);
        assert_eq!(nearest("zzz", known.into_iter()), Vec::<String>::new());
    }
}
