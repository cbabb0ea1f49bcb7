//! What is told of services, and what is asked for meanwhile.

use super::*;

/// Services without their thread: what it would be asked can be seen.
fn services(catalog: Catalog) -> (Services, Receiver<Question>) {
    let shared = Arc::new(Shared {
        catalog: Mutex::new(catalog),
        first: Condvar::new(),
    });
    let (questions, asked) = sync_channel(QUESTIONS_MAX);
    (Services { shared, questions }, asked)
}

fn catalog() -> Catalog {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Catalog {
        version: 1,
        by_process: HashMap::from([
            (10, names(&["Dnscache"])),
            (20, names(&["BITS", "Schedule"])),
        ]),
        by_tag: HashMap::from([((20, 7), Some("BITS".to_owned())), ((20, 8), None)]),
    }
}

#[test]
fn a_process_of_one_service_has_its_name_whatever_the_tag() {
    let (services, asked) = services(catalog());
    assert_eq!(services.name_of(10, 0).as_deref(), Some("Dnscache"));
    assert_eq!(services.name_of(10, 3).as_deref(), Some("Dnscache"));
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_shared_process_has_the_name_of_the_tag_and_all_names_until_that_is_known() {
    let (services, asked) = services(catalog());
    assert_eq!(services.name_of(20, 7).as_deref(), Some("BITS"));
    for tag in [0, 8] {
        assert_eq!(services.name_of(20, tag).as_deref(), Some("BITS, Schedule"));
    }
    assert!(asked.try_recv().is_err());
    assert_eq!(services.name_of(20, 9).as_deref(), Some("BITS, Schedule"));
    let question = asked.try_recv().unwrap();
    assert!(matches!(
        question,
        Question::Tag {
            process: 20,
            tag: 9
        }
    ));
}

#[test]
fn an_unknown_process_has_no_service_and_has_the_list_made_anew() {
    let (services, asked) = services(catalog());
    assert_eq!(services.name_of(30, 0), None);
    assert!(matches!(asked.try_recv().unwrap(), Question::All));
    for _ in 0..2 * QUESTIONS_MAX {
        assert_eq!(services.name_of(30, 0), None);
    }
}

#[test]
fn nobody_waits_twice_for_a_manager_that_does_not_answer() {
    let (services, _asked) = services(Catalog::default());
    assert_eq!(services.name_of(10, 0), None);
    assert_eq!(services.version(), 1);
}

#[test]
fn the_thread_lists_services_and_learns_nothing_of_tags_under_wine() {
    let services = Services::start();
    let shared = Arc::clone(&services.shared);
    let listed = shared
        .first
        .wait_timeout_while(shared.catalog(), Duration::from_secs(20), |catalog| {
            catalog.by_process.is_empty()
        })
        .unwrap_or_else(PoisonError::into_inner)
        .0;
    let (process, names) = listed.by_process.iter().next().unwrap();
    let (process, names) = (*process, names.clone());
    drop(listed);
    let name = services.name_of(process, 0).unwrap();
    assert!(names.contains(&name) || name == names.join(", "));
    if crate::host::is_wine() {
        assert_eq!(tag::name(process, 1), None);
    }
}
