//! Patterns that people write to choose names: `web-*`.

/// Whether `value` is what `pattern` says, `*` being any text. Takes time in the product of both lengths at most.
#[must_use]
pub fn is_like(value: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| value.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, is_taken) in [
            ("web-12", true),
            ("web-*", true),
            ("*12", true),
            ("w*b*2", true),
            ("*", true),
            ("web-1", false),
            ("eb*", false),
            ("web-12*2", false),
            ("", false),
        ] {
            assert_eq!(is_like("web-12", pattern), is_taken, "{pattern}");
        }
    }
}
