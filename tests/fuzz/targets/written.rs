//! What people write: policies, windows, runs, budgets, configuration, selectors and the other texts of queries.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidemark_agent::config::{AgentConfig, ConfigFlags};
use tidemark_agent::link::ControllerAddress;
use tidemark_agent_core::actions::HostPolicy;
use tidemark_calendar::{FeedEvent, Window, Zone, feed, open_until};
use tidemark_fuzz::oracle::{json, text};
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_history::query::{Across, Agg, GroupBy, Step};
use tidemark_model::action::{ActionSpec, Profile};
use tidemark_model::budget::Allowance;
use tidemark_model::duration::{format_duration, parse_duration};
use tidemark_model::ids::HostId;
use tidemark_model::pattern::is_like;
use tidemark_model::policy::{Policy, PolicySpec};
use tidemark_model::problem::Fingerprint;
use tidemark_model::run::RunSpec;
use tidemark_model::scope::{HostScope, ScopeMatchers};
use tidemark_model::silence::{Labels, Matcher};
use tidemark_model::view::BudgetSpec;
use tidemark_model::window::WindowSpec;
use tidemark_model::{Metric, Protocol, Timestamp};
use tidemark_runtime::contexts::Contexts;

const DECODERS: [Decoder; 14] = [
    Decoder {
        name: "standing policy",
        read: policy,
    },
    Decoder {
        name: "maintenance window",
        read: window,
    },
    Decoder {
        name: "run",
        read: |bytes| json::<RunSpec>(bytes).is_some_and(|spec| checked(spec.check())),
    },
    Decoder {
        name: "budget",
        read: |bytes| json::<BudgetSpec>(bytes).is_some(),
    },
    Decoder {
        name: "action",
        read: action,
    },
    Decoder {
        name: "host's policy file",
        read: host_policy,
    },
    Decoder {
        name: "agent's configuration",
        read: configuration,
    },
    Decoder {
        name: "command line's contexts",
        read: contexts,
    },
    Decoder {
        name: "matcher",
        read: matcher,
    },
    Decoder {
        name: "scope",
        read: scope,
    },
    Decoder {
        name: "query's words",
        read: query,
    },
    Decoder {
        name: "duration",
        read: duration,
    },
    Decoder {
        name: "pattern",
        read: pattern,
    },
    Decoder {
        name: "names and addresses",
        read: |bytes| {
            text::<HostId>(bytes)
                | text::<Fingerprint>(bytes)
                | text::<Metric>(bytes)
                | text::<Protocol>(bytes)
                | text::<Allowance>(bytes)
                | address(bytes)
        },
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

/// What is refused says why.
fn checked<T>(outcome: Result<T, Vec<String>>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            assert!(problems.iter().all(|problem| !problem.is_empty()));
            false
        }
    }
}

fn policy(bytes: &[u8]) -> bool {
    json::<PolicySpec>(bytes).is_some_and(|spec| checked(Policy::read(spec)))
}

/// Occurrences of a window come in order, whatever its rule, its zone and the time at which one looks.
fn window(bytes: &[u8]) -> bool {
    let mut parts = Parts::of(bytes);
    let now = NOW.unix_ms() + i64::from(parts.u16()) * 3_600_000;
    let now = Timestamp::from_unix_ms(now);
    let Some(spec) = json::<WindowSpec>(parts.rest()) else {
        return false;
    };
    let window = match Window::new(spec.clone(), now) {
        Ok(window) => window,
        Err(why) => {
            checked::<()>(Err(why.0));
            return false;
        }
    };
    let again = Window::read(window.spec().clone()).expect("what was applied can be read again");
    let vienna = Zone::named("Europe/Vienna").expect("tzdata has it");
    let zone = window.zone().on(Some(&vienna)).expect("a zone is at hand");
    let times: Vec<_> = window.times(zone, now).take(32).collect();
    assert!(
        times
            .iter()
            .eq(&again.times(zone, now).take(32).collect::<Vec<_>>())
    );
    for (one, next) in times.iter().zip(times.iter().skip(1)) {
        assert!(one.start < next.start, "occurrences out of order");
    }
    if let Some(first) = times.first() {
        assert!(first.end > now && first.start < first.end);
        assert!(window.contains(zone, first.start.max(now)));
        assert!(open_until(times.iter().copied(), first.start.max(now)).is_some());
    }
    let events: Vec<FeedEvent> = times
        .iter()
        .map(|at| FeedEvent {
            window: spec.name.clone(),
            zone: zone.name().to_owned(),
            at: *at,
            description: spec.description.clone(),
            version: 1,
            applied_at: now,
        })
        .collect();
    let calendar = feed(&events);
    assert!(calendar.split("\r\n").all(|line| line.len() <= 75));
    assert!(!calendar.replace("\r\n", "").contains(['\r', '\n']));
    assert_eq!(
        calendar.matches("\r\nBEGIN:VEVENT\r\n").count(),
        times.len()
    );
    true
}

fn action(bytes: &[u8]) -> bool {
    let Some(spec) = json::<ActionSpec>(bytes) else {
        return false;
    };
    assert!(!spec.summary().is_empty());
    let problems = spec.problems();
    assert!(problems.iter().all(|one| !one.to_string().is_empty()));
    problems.is_empty()
}

fn host_policy(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match HostPolicy::parse(text, Profile::Observe) {
        Ok(policy) => {
            let view = policy.view(false, String::new());
            assert_eq!(view.profile, Some(policy.profile));
            true
        }
        Err(why) => checked::<()>(Err(why.0)),
    }
}

/// A file in memory where there is one.
fn as_file(bytes: &[u8]) -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let root = PathBuf::from("/dev/shm");
        let root = if root.is_dir() {
            root
        } else {
            std::env::temp_dir()
        };
        root.join(format!("tidemark-fuzz-{}.toml", std::process::id()))
    });
    fs::write(path, bytes).expect("a file can be written");
    path
}

fn configuration(bytes: &[u8]) -> bool {
    match AgentConfig::load(Some(as_file(bytes)), &ConfigFlags::default()) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn contexts(bytes: &[u8]) -> bool {
    Contexts::load(as_file(bytes)).is_ok()
}

fn matcher(bytes: &[u8]) -> bool {
    let mut parts = Parts::of(bytes);
    let value = String::from_utf8_lossy(parts.bytes()).into_owned();
    let written = parts.rest();
    if !text::<Matcher>(written) {
        return false;
    }
    let read: Matcher = String::from_utf8_lossy(written)
        .parse()
        .expect("it was read");
    let again: Matcher = read.to_string().parse().expect("it was read");
    let labels = Labels::from([(read.label().to_owned(), value)]);
    assert_eq!(read.takes(&labels), again.takes(&labels));
    true
}

fn scope(bytes: &[u8]) -> bool {
    if !text::<ScopeMatchers>(bytes) {
        return false;
    }
    let written = String::from_utf8_lossy(bytes);
    let scope = HostScope::from_text(Some(&written)).expect("it was read");
    assert!(
        !scope.takes(&Labels::new()),
        "it takes what nobody labelled"
    );
    assert!(scope.is_within(&scope) && scope.is_within(&HostScope::All));
    assert_eq!(HostScope::from_text(scope.to_text().as_deref()), Ok(scope));
    true
}

fn query(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let agg = text.parse::<Agg>();
    if let Ok(agg) = agg {
        assert_eq!(agg.as_str(), text);
    }
    agg.is_ok()
        | text.parse::<Across>().is_ok()
        | text.parse::<GroupBy>().is_ok()
        | text.parse::<Step>().is_ok()
}

fn address(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(read) = text.parse::<ControllerAddress>() else {
        return false;
    };
    let written = read.to_string();
    let again: ControllerAddress = written.parse().expect("what is shown can be written");
    assert_eq!(again.to_string(), written);
    true
}

fn duration(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(duration) = parse_duration(text) else {
        return false;
    };
    let shown = format_duration(duration).replace(' ', "");
    let shown = parse_duration(&shown).expect("what is shown can be written");
    assert!(shown <= duration);
    true
}

/// What a pattern takes, a slow and plain way of matching takes.
fn pattern(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((value, pattern)) = text.split_once('\n') else {
        return false;
    };
    if value.len() > 64 || pattern.len() > 64 {
        return is_like(value, pattern);
    }
    let (value, pattern): (Vec<char>, Vec<char>) =
        (value.chars().collect(), pattern.chars().collect());
    // Row by row: whether the first characters of the value are taken by the first ones of the pattern.
    let mut row: Vec<bool> = (0..=value.len()).map(|length| length == 0).collect();
    for wanted in &pattern {
        let mut next = vec![*wanted == '*' && row[0]];
        for (at, letter) in value.iter().enumerate() {
            next.push(match wanted {
                '*' => row[at + 1] || next[at],
                _ => row[at] && letter == wanted,
            });
        }
        row = next;
    }
    let plain = row[value.len()];
    let (value, pattern): (String, String) = (value.iter().collect(), pattern.iter().collect());
    assert_eq!(is_like(&value, &pattern), plain, "{value:?} by {pattern:?}");
    plain
}
