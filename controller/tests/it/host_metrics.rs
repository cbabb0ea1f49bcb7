//! Hosts' ports as Prometheus scrapes them.

use reqwest::StatusCode;
use tidemark_model::{Role, Timestamp};

use crate::api::client;
use crate::backtest::leaky_history;
use crate::made_up::{MadeUp, sample};

async fn scraped(fleet: &MadeUp, query: &str) -> (StatusCode, String) {
    let token = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url(&format!("/metrics/hosts{query}")));
    let answer = request.bearer_auth(token).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

fn now(fleet: &MadeUp) -> Timestamp {
    fleet.started.app.clock.now()
}

#[tokio::test]
async fn an_online_host_shows_its_ports_and_one_that_is_not_shows_none() {
    let fleet = MadeUp::start().await;
    let online = fleet.host("web\"1\\\n").await;
    let _session = fleet.connect(online);
    fleet
        .deliver(online, vec![sample(now(&fleet), 4_000, 96)])
        .await;
    let offline = fleet.host("web-2").await;
    fleet
        .deliver(offline, vec![sample(now(&fleet), 9_000, 0)])
        .await;

    let (status, text) = scraped(&fleet, "").await;
    assert_eq!(status, StatusCode::OK);
    let on = format!("host=\"web\\\"1\\\\ \",host_id=\"{online}\"");
    let tcp = format!("{on},protocol=\"tcp\",namespace=\"default\"");
    for line in [
        format!("tidemark_host_online{{{on}}} 1"),
        format!("tidemark_host_online{{host=\"web-2\",host_id=\"{offline}\"}} 0"),
        format!("tidemark_ports_used{{{tcp}}} 4096"),
        format!("tidemark_ports_capacity{{{tcp}}} 16384"),
        format!("tidemark_ports_range_size{{{tcp}}} 16384"),
        format!("tidemark_ports_excluded{{{tcp}}} 0"),
        format!("tidemark_ports_headroom_ratio{{{tcp}}} 0.75"),
        format!("tidemark_process_ports{{{tcp},process=\"w3wp.exe\"}} 3200"),
        "tidemark_hosts_left_out 0".to_owned(),
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    let of_offline: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("web-2") && line.contains("_ports_"))
        .collect();
    assert_eq!(of_offline, Vec::<&str>::new(), "what it holds is not known");
    assert!(
        !text.contains("exhaustion_eta"),
        "nothing says that they will run out"
    );
}

#[tokio::test]
async fn a_leak_shows_when_ports_run_out() {
    let fleet = MadeUp::start().await;
    let host = leaky_history(&fleet, "leaky").await;
    let _session = fleet.connect(host);
    let level = fleet.started.app.live.read(host, |live| {
        let space = live.spaces.values().next().unwrap();
        (space.level.strong, space.level.time_wait)
    });
    let (strong, time_wait) = level.unwrap();
    fleet
        .deliver(host, vec![sample(now(&fleet), strong, time_wait)])
        .await;
    let (_, text) = scraped(&fleet, "").await;
    let eta = |bound: &str| -> f64 {
        let bound = format!("bound=\"{bound}\"");
        let line = text.lines().find(|line| {
            line.starts_with("tidemark_port_exhaustion_eta_seconds{") && line.contains(&bound)
        });
        let value = line
            .unwrap_or_else(|| panic!("no {bound} in {text}"))
            .rsplit(' ')
            .next();
        value.unwrap().parse().unwrap()
    };
    // Some 4,000 ports are left, and 150 go each hour.
    let hours = eta("median") / 3_600.0;
    assert!((15.0..45.0).contains(&hours), "{hours} h");
    assert!(eta("earliest") <= eta("median"));
}

#[tokio::test]
async fn an_answer_is_as_large_as_was_asked_for_and_says_what_it_leaves_out() {
    let fleet = MadeUp::start().await;
    for name in ["a", "b", "c"] {
        let host = fleet.host(name).await;
        let _session = fleet.connect(host);
        fleet.deliver(host, vec![sample(now(&fleet), 100, 0)]).await;
    }
    let (_, text) = scraped(&fleet, "?hosts=2&processes=1").await;
    let count = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(count("tidemark_host_info{"), 2, "{text}");
    assert!(text.contains("tidemark_hosts_left_out 1\n"), "{text}");
    assert!(count("tidemark_process_ports{") <= 2, "{text}");
    let (status, refused) = scraped(&fleet, "?hosts=20001").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused.contains("hosts is"), "{refused}");
    let stranger = client()
        .get(fleet.url("/metrics/hosts"))
        .send()
        .await
        .unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
}
