//! Tests of what keys and changes do to the list, and of how it looks.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tidemark_model::Timestamp;
use tidemark_model::view::{HostView, PortSpaceView};

use super::*;
use crate::commands::top::view;
use crate::render::Screen;
use crate::render::paint::Paint;

const NOW: i64 = 1_795_402_800_000;
const HOUR: i64 = 3_600_000;

fn host(name: &str, in_use: u32, eta_ms: Option<i64>) -> HostView {
    HostView {
        id: format!("id-{name}"),
        name: name.to_owned(),
        os: "Linux".to_owned(),
        state: "online".to_owned(),
        last_seen_ms: Some(NOW),
        sampled_ms: Some(NOW),
        agent_version: "0.1.0".to_owned(),
        labels: BTreeMap::from([("site".to_owned(), "berlin".to_owned())]),
        time_zone: None,
        window: None,
        windows_without_zone: vec![],
        port_spaces: vec![PortSpaceView {
            protocol: "tcp".to_owned(),
            namespace: "default".to_owned(),
            capacity: 1_000,
            in_use,
            strong: in_use,
            bound: None,
            time_wait: 0,
            quality: "counted".to_owned(),
            eta_ms,
            eta_lo_ms: eta_ms.map(|eta_ms| eta_ms - HOUR / 2),
            eta_hi_ms: eta_ms.map(|eta_ms| eta_ms + HOUR),
            road: eta_ms.map(|_| "leak".to_owned()),
            culprit: eta_ms.map(|_| "nginx".to_owned()),
            floor_ports_per_hour: Some(1.0),
            explanation: String::new(),
        }],
    }
}

fn fleet() -> Fleet {
    let mut fleet = Fleet::new(Order::Eta, String::new());
    fleet.link = Link::Live;
    fleet.replace(vec![
        host("calm", 100, None),
        host("full", 900, None),
        host("leaking", 500, Some(NOW + 3 * HOUR)),
        host("evil\u{1b}[2J\u{202e}", 10, None),
    ]);
    fleet
}

fn press(fleet: &mut Fleet, keys: &[KeyCode]) -> Wish {
    keys.iter().fold(Wish::Stay, |_, key| {
        fleet.press(KeyEvent::new(*key, KeyModifiers::NONE))
    })
}

fn names(fleet: &mut Fleet) -> Vec<String> {
    fleet
        .visible()
        .into_iter()
        .map(|(_, row)| row.host.name.clone())
        .collect()
}

fn drawn(fleet: &mut Fleet, columns: u16, lines: u16) -> String {
    let screen = Screen {
        width: None,
        height: None,
        paint: Paint::Plain,
        zone: TimeZone::UTC,
        now: Timestamp::from_unix_ms(NOW),
    };
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal
        .draw(|frame| view::draw(frame, fleet, &screen))
        .unwrap();
    terminal.backend().to_string()
}

#[test]
fn what_needs_attention_comes_first_and_s_changes_the_order() {
    let mut fleet = fleet();
    assert_eq!(names(&mut fleet).first().unwrap(), "leaking");
    press(&mut fleet, &[KeyCode::Char('s')]);
    assert_eq!(names(&mut fleet).first().unwrap(), "full");
    press(&mut fleet, &[KeyCode::Char('s')]);
    assert_eq!(names(&mut fleet).first().unwrap(), "calm");
}

#[test]
fn the_filter_narrows_as_it_is_typed_and_escape_clears_it() {
    let mut fleet = fleet();
    press(
        &mut fleet,
        &[
            KeyCode::Char('/'),
            KeyCode::Char('N'),
            KeyCode::Char('g'),
            KeyCode::Char('i'),
        ],
    );
    assert_eq!(names(&mut fleet), ["leaking"], "the culprit is nginx");
    press(&mut fleet, &[KeyCode::Enter, KeyCode::Esc]);
    assert_eq!(names(&mut fleet).len(), 4);
    assert_eq!(press(&mut fleet, &[KeyCode::Esc]), Wish::Quit);
}

#[test]
fn the_selection_stays_on_its_host_when_the_order_changes() {
    let mut fleet = fleet();
    press(&mut fleet, &[KeyCode::Down]);
    let second = names(&mut fleet)[1].clone();
    fleet.put(host("burning", 999, Some(NOW + HOUR)));
    let rows = names(&mut fleet);
    assert_eq!(rows[fleet.selected], second);
    assert_eq!(fleet.selected, 2);
}

#[test]
fn enter_asks_for_the_host_once_and_again_when_it_changes() {
    let mut fleet = fleet();
    press(&mut fleet, &[KeyCode::Enter]);
    assert_eq!(fleet.wanted_detail().as_deref(), Some("id-leaking"));
    assert_eq!(fleet.wanted_detail(), None);
    fleet.take_detail(Err(Failure::usage("x")));
    assert_eq!(fleet.wanted_detail(), None);
    fleet.put(host("leaking", 501, None));
    assert_eq!(fleet.wanted_detail().as_deref(), Some("id-leaking"));
    press(&mut fleet, &[KeyCode::Esc]);
    assert!(matches!(fleet.mode, Mode::List));
}

#[test]
fn the_past_is_asked_for_once_for_what_is_on_the_screen() {
    let mut fleet = fleet();
    fleet.page = 2;
    let wanted = fleet.wanted_sparks().unwrap();
    assert_eq!((wanted.hosts.len(), wanted.protocol.as_str()), (2, "tcp"));
    assert_eq!(fleet.wanted_sparks(), None, "one question at a time");
    fleet.seed_sparks(None);
    assert_eq!(
        fleet.wanted_sparks(),
        None,
        "no answer is not asked for again and again"
    );
}

#[test]
fn hosts_that_left_the_list_are_gone() {
    let mut fleet = fleet();
    fleet.replace(vec![host("calm", 1, None)]);
    assert_eq!(names(&mut fleet), ["calm"]);
}

#[test]
fn a_change_that_overtakes_the_list_is_not_undone_by_it() {
    let mut fleet = fleet();
    fleet.expect_list();
    fleet.put(host("calm", 777, None));
    fleet.replace(vec![host("calm", 1, None), host("full", 2, None)]);
    let in_use: Vec<u32> = fleet
        .visible()
        .iter()
        .map(|(_, row)| row.host.port_spaces[0].in_use)
        .collect();
    assert_eq!(in_use, [777, 2]);
}

#[test]
fn it_looks_as_it_should_on_a_wide_and_on_a_narrow_screen() {
    insta::assert_snapshot!("wide", drawn(&mut fleet(), 150, 8));
    insta::assert_snapshot!("narrow", drawn(&mut fleet(), 64, 8));
}

#[test]
fn any_key_sequence_and_size_is_survived() {
    let keys = [
        KeyCode::Down,
        KeyCode::End,
        KeyCode::PageDown,
        KeyCode::Char('/'),
        KeyCode::Char('x'),
        KeyCode::Enter,
        KeyCode::Up,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Char('?'),
        KeyCode::PageUp,
        KeyCode::Char('G'),
    ];
    let mut fleet = fleet();
    for (turn, key) in keys.iter().cycle().take(100).enumerate() {
        press(&mut fleet, &[*key]);
        let size = u16::try_from(turn % 40).unwrap();
        let text = drawn(&mut fleet, size * 5 + 1, size + 1);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }
}
