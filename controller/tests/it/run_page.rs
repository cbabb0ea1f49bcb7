//! The forms of the pages Maintenance and of one run: a run is planned, read, approved by somebody else, and stopped.

use reqwest::{Response, StatusCode};
use tidemark_model::Role;
use tidemark_model::run::RunState;
use tidemark_model::view::RunDetail;

use crate::actions::Person;
use crate::api::client;
use crate::made_up::MadeUp;

/// Sends a form as a browser does, without following where it leads.
pub async fn send(
    fleet: &MadeUp,
    person: &Person<'_>,
    path: &str,
    form: &[(&str, &str)],
) -> Response {
    let request = client()
        .post(fleet.url(path))
        .bearer_auth(&person.token)
        .header("origin", fleet.url(""));
    let encoded = reqwest::Url::parse_with_params("http://form", form).unwrap();
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let body = encoded.query().unwrap().to_owned();
    request.body(body).send().await.unwrap()
}

pub async fn page(fleet: &MadeUp, person: &Person<'_>, path: &str) -> String {
    let request = client().get(fleet.url(path)).bearer_auth(&person.token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_run_is_planned_approved_by_another_and_stopped_with_the_pages_forms() {
    let fleet = MadeUp::start().await;
    fleet.host("web-1").await;
    fleet.host("db-1").await;
    let ann = Person::new(&fleet, "ann", Role::Approver).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let oli = Person::new(&fleet, "oli", Role::Operator).await;
    let maintenance = page(&fleet, &ann, "/maintenance").await;
    assert!(maintenance.contains("<option>restart_service</option>"));
    let mut form = vec![
        ("name", "weekly"),
        ("reason", "<b>patches</b>"),
        ("hosts", "host=web-*"),
        ("action", "restart_service"),
        ("parameters", "service=shop"),
        ("window", "now"),
        ("waves", "1 rest"),
        ("concurrency", "2"),
        ("max_failed", "1"),
    ];
    let planned = send(&fleet, &ann, "/maintenance", &form).await;
    assert_eq!(planned.status(), StatusCode::SEE_OTHER);
    let path = planned.headers()["location"].to_str().unwrap().to_owned();
    let shown = page(&fleet, &bob, &path).await;
    for part in [
        "restart service shop",
        "&#60;b&#62;patches",
        "web-1",
        "approved by 0 of 1",
        "Approve this plan",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("db-1"), "{shown}");
    // Who asked is offered no approval, and gets none; nor does an operator.
    let own = page(&fleet, &ann, &path).await;
    assert!(!own.contains("Approve this plan"), "{own}");
    let run: RunDetail = ann.get(&format!("/api/v1{path}")).await;
    let yes = [("do", "approve"), ("plan_hash", &*run.plan.hash)];
    for person in [&ann, &oli] {
        let answer = send(&fleet, person, &path, &yes).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    let stale = [("do", "approve"), ("plan_hash", "0000")];
    let answer = send(&fleet, &bob, &path, &stale).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let answer = send(&fleet, &bob, &path, &yes).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let stop = [("do", "stop"), ("text", "too many alarms")];
    let answer = send(&fleet, &oli, &path, &stop).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let run: RunDetail = ann.get(&format!("/api/v1{path}")).await;
    assert!(
        matches!(
            run.run.state,
            RunState::Stopping | RunState::Stopped | RunState::Cancelled
        ),
        "{:?}",
        run.run
    );
    assert!(page(&fleet, &ann, &path).await.contains("too many alarms"));

    form[3].1 = "format_disk";
    let wrong = send(&fleet, &ann, "/maintenance", &form).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let again = wrong.text().await.unwrap();
    assert!(again.contains("format_disk"), "{again}");
    // What was typed is still there.
    assert!(
        again.contains(&format!("value=\"{}\"", form[0].1)),
        "{again}"
    );
}
