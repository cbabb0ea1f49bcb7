//! What must hold for plans: every part of a range is read once, from the coarsest tier that is exact.

use proptest::prelude::*;

use super::*;

fn window() -> impl Strategy<Value = Window> {
    (-50i64..50, 1i64..50).prop_map(|(from, length)| Window::of_ms(from, from + length))
}

fn contains(windows: &[Window], at: i64) -> usize {
    let at = Timestamp::from_unix_ms(at);
    windows.iter().filter(|window| window.contains(at)).count()
}

proptest! {
    #[test]
    fn cutting_holes_leaves_exactly_the_rest(whole in window(), holes in proptest::collection::vec(window(), 0..6)) {
        let left = without_all(vec![whole], &holes);
        for at in -60..110 {
            let wanted = contains(&[whole], at) == 1 && contains(&holes, at) == 0;
            prop_assert_eq!(contains(&left, at), usize::from(wanted), "{} of {:?}", at, left);
        }
    }
}
