//! A list that was recorded (`golden/record.c`, under Wine 8.0), and hostile ones.

use proptest::prelude::*;

use super::*;

fn names(list: &[u8], base: u64) -> Result<Vec<(u32, String)>, DataError> {
    let mut names = Vec::new();
    each_process(list, base, |listed| {
        names.push((listed.process, listed.name()));
    })?;
    Ok(names)
}

/// The address that the list was at, and the list.
fn recorded() -> (u64, Vec<u8>) {
    let (base, list) = include_bytes!("../golden/processes.bin")
        .split_first_chunk()
        .unwrap();
    (u64::from_le_bytes(*base), list.to_vec())
}

#[test]
fn a_recorded_list_names_every_process() {
    let (base, list) = recorded();
    let names = names(&list, base).unwrap();
    assert!(names.len() > 5, "{names:?}");
    for name in ["services.exe", "svchost.exe", "record.exe"] {
        assert!(names.iter().any(|(_, known)| known == name), "{names:?}");
    }
    let mut numbers: Vec<_> = names.iter().map(|(process, _)| process).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), names.len());
    each_process(&list, base, |listed| {
        let started = super::super::file_time::timestamp(listed.started).unwrap();
        // In the years from 2020 to 2100.
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&started.unix_ms()));
        assert!(listed.handles > 0 && listed.handles < 10_000);
    })
    .unwrap();
}

#[test]
fn a_list_that_is_cut_short_says_so_after_what_it_has() {
    let (base, list) = recorded();
    let whole = names(&list, base).unwrap();
    let mut seen = Vec::new();
    let cut = &list[..list.len() / 2];
    let error = each_process(cut, base, |listed| seen.push(listed.process)).unwrap_err();
    assert!(matches!(
        error,
        DataError::Link { .. } | DataError::Short { .. }
    ));
    assert!(!seen.is_empty() && seen.len() < whole.len());
    assert!(names(&[], base).is_err());
}

#[test]
fn a_link_that_leads_back_or_out_ends_the_walk() {
    let (base, mut list) = recorded();
    for link in [1_u32, 99, u32::MAX] {
        list[..4].copy_from_slice(&link.to_le_bytes());
        assert!(matches!(names(&list, base), Err(DataError::Link { .. })));
    }
}

#[test]
fn a_name_elsewhere_is_no_name() {
    let (base, mut list) = recorded();
    let whole = names(&list, base).unwrap();
    list[NAME_POINTER_AT..NAME_POINTER_AT + 8].copy_from_slice(&(base - 2).to_le_bytes());
    let after = names(&list, base).unwrap();
    assert_eq!(after[0], (whole[0].0, String::new()));
    assert_eq!(after[1..], whole[1..]);
}

proptest! {
    #[test]
    fn hostile_lists_end(list in prop::collection::vec(any::<u8>(), 0..2000), base: u64) {
        let mut seen = 0;
        each_process(&list, base, |listed| {
            seen += 1;
            assert!(listed.name().len() <= 3 * list.len());
        }).ok();
        prop_assert!(seen <= list.len() / ENTRY_BYTES + 1);
    }

    #[test]
    fn one_byte_gone_wrong_is_no_harm(at in 0_usize..4_856, value: u8) {
        let (base, mut list) = recorded();
        if let Some(byte) = list.get_mut(at) {
            *byte = value;
        }
        names(&list, base).ok();
    }
}
