//! A controller of canned answers on a free port, and the `tidemark` that asks it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use serde::Serialize;
use tempfile::TempDir;
use tidemark_model::audit::view::HostAuditView;
use tidemark_model::view::{
    HostView, JoinTokenRequest, LabelsRequest, Page, Problem, SCOPE_HEADER, SCOPE_HOSTS_HEADER,
};
use tokio::sync::oneshot;

use crate::fixtures;

type Parameters = Query<Vec<(String, String)>>;

/// What the canned controller holds.
#[derive(Clone)]
struct Canned {
    hosts: Arc<Vec<HostView>>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A running controller of canned answers, and a home with the context `local` for it.
pub struct Controller {
    pub address: SocketAddr,
    pub home: TempDir,
    canned: Canned,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a finished `tidemark` left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Controller {
    pub fn start() -> Self {
        Self::with_hosts(fixtures::hosts())
    }

    pub fn with_hosts(hosts: Vec<HostView>) -> Self {
        let canned = Canned {
            hosts: Arc::new(hosts),
            requests: Arc::default(),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let app = router(canned.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, app) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let controller = Self {
            address,
            home: tempfile::tempdir().unwrap(),
            canned,
            stop: Some(stop),
            thread: Some(thread),
        };
        controller.write_context("good");
        controller
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn contexts_file(&self) -> PathBuf {
        self.home.path().join("contexts.toml")
    }

    /// Writes the context `local` with this token: `good`, `viewer`, or what makes the controller misbehave.
    pub fn write_context(&self, token: &str) {
        let text = format!(
            "current = \"local\"\n[contexts.local]\nserver = \"{}\"\ntoken = \"{token}\"\n",
            self.url()
        );
        std::fs::write(self.contexts_file(), text).unwrap();
    }

    /// `tidemark` with these arguments, at the fixed time, in UTC, with nothing from this process's environment.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        command
            .env_clear()
            .env("TIDEMARK_CONFIG_DIR", self.home.path())
            .env("TIDEMARK_NOW_MS", fixtures::NOW.to_string())
            .env("TZ", "UTC")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        finished(self.command(arguments).output().unwrap())
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Standard output of a command that must succeed.
    pub fn stdout(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.stdout
    }

    /// The requests so far: method and path with query.
    pub fn requests(&self) -> Vec<String> {
        self.canned.requests.lock().unwrap().clone()
    }

    /// The parameters of the last request to `path`.
    pub fn parameters(&self, path: &str) -> Vec<(String, String)> {
        let requests = self.requests();
        let prefix = format!("GET /api/v1/{path}?");
        let query = requests
            .iter()
            .rev()
            .find_map(|request| request.strip_prefix(&prefix))
            .unwrap();
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn finished(output: Output) -> Finished {
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn router(canned: Canned) -> Router {
    Router::new()
        .route("/api/v1/hosts", get(hosts))
        .route("/api/v1/hosts/{host}", get(host).patch(label))
        .route("/api/v1/hosts/{host}/revoke", post(revoke))
        .route(
            "/api/v1/hosts/{host}/events",
            get(|| async { page(fixtures::host_events()) }),
        )
        .route("/api/v1/hosts/{host}/audit", get(audit))
        .route(
            "/api/v1/hosts/{host}/drift",
            get(|| async { page(fixtures::drift()) }),
        )
        .route("/api/v1/drift", get(|| async { page(fixtures::drift()) }))
        .route("/api/v1/history", get(history))
        .route("/api/v1/compare", get(compare))
        .route("/api/v1/forecast", get(forecast))
        .route(
            "/api/v1/findings",
            get(|| async { page(vec![fixtures::findings()]) }),
        )
        .route("/api/v1/causes", get(|| async { Json(fixtures::causes()) }))
        .route("/api/v1/events", get(|| async { page(fixtures::events()) }))
        .route("/api/v1/live", get(live))
        .route(
            "/api/v1/tokens",
            get(|| async { page(fixtures::tokens()) }).post(create_token),
        )
        .route("/api/v1/tokens/{id}", delete(revoke_token))
        .route("/api/v1/status", get(|| async { Json(fixtures::status()) }))
        .merge(crate::budgets::routes())
        .merge(crate::incidents::routes())
        .merge(crate::policies::routes())
        .merge(crate::remediation::routes())
        .merge(crate::windows::routes())
        .layer(middleware::from_fn_with_state(canned.clone(), guard))
        .with_state(canned)
}

/// Only one host has told its configuration.
async fn audit(Path(host): Path<String>) -> Json<HostAuditView> {
    let told = host == fixtures::host("web-1", Vec::new()).id;
    Json(fixtures::audit(&host, told))
}

/// Records the request, and lets only good tokens through; other tokens make it misbehave.
async fn guard(
    State(canned): State<Canned>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    canned
        .requests
        .lock()
        .unwrap()
        .push(format!("{} {}", request.method(), request.uri()));
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match token {
        "Bearer good" => next.run(request).await,
        "Bearer team" => {
            let part = [(SCOPE_HEADER, "team=pay"), (SCOPE_HOSTS_HEADER, "4")];
            (part, next.run(request).await).into_response()
        }
        "Bearer viewer" if request.method() == "GET" => next.run(request).await,
        "Bearer viewer" => problem(403, "forbidden", "the role viewer may not change anything"),
        "Bearer silent" => std::future::pending().await,
        "Bearer website" => "<html>welcome to my web site</html>".into_response(),
        "Bearer proxy" => (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response(),
        "Bearer bug" => {
            let body = Problem {
                kind: "internal".to_owned(),
                status: 500,
                title: "internal error\u{1b}[31m".to_owned(),
                correlation_id: Some("c0ffee".to_owned()),
            };
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
        "Bearer loop" => Json(Page {
            items: fixtures::hosts(),
            next_cursor: Some("again".to_owned()),
        })
        .into_response(),
        _ => problem(401, "unauthenticated", "the token is unknown"),
    }
}

fn problem(status: u16, kind: &str, title: &str) -> Response {
    let body = Problem {
        kind: kind.to_owned(),
        status,
        title: title.to_owned(),
        correlation_id: None,
    };
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn page<T: Serialize>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page {
        items,
        next_cursor: None,
    })
}

fn parameter<'a>(query: &'a Parameters, name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// Small fleets come in pages of three, so that every list needs a second one; large ones as asked.
async fn hosts(State(canned): State<Canned>, query: Parameters) -> Json<Page<HostView>> {
    let from: usize = parameter(&query, "cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let limit: usize = parameter(&query, "limit").unwrap().parse().unwrap();
    let rows = if canned.hosts.len() < 10 { 3 } else { limit };
    let items: Vec<_> = canned.hosts.iter().skip(from).take(rows).cloned().collect();
    let next = from + items.len();
    Json(Page {
        items,
        next_cursor: (next < canned.hosts.len()).then(|| next.to_string()),
    })
}

fn find(canned: &Canned, name: &str) -> Result<HostView, Box<Response>> {
    if name == "twin" {
        return Err(Box::new(problem(
            409,
            "ambiguous",
            "2 hosts are named `twin`; use an id: aaaa, bbbb",
        )));
    }
    let found = canned
        .hosts
        .iter()
        .find(|host| host.name == name || host.id == name)
        .cloned();
    found.ok_or_else(|| Box::new(problem(404, "not_found", "there is no such host")))
}

async fn host(State(canned): State<Canned>, Path(name): Path<String>) -> Response {
    find(&canned, &name).map_or_else(
        |refused| *refused,
        |host| Json(fixtures::detail(host)).into_response(),
    )
}

async fn label(
    State(canned): State<Canned>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<LabelsRequest>,
) -> Response {
    assert_eq!(headers["if-match"], "\"3\"");
    let mut detail = match find(&canned, &name) {
        Ok(host) => fixtures::detail(host),
        Err(refused) => return *refused,
    };
    for (key, value) in wanted.labels {
        match value {
            Some(value) => detail.controller_labels.insert(key, value),
            None => detail.controller_labels.remove(&key),
        };
    }
    detail.labels_version += 1;
    Json(detail).into_response()
}

async fn revoke(State(canned): State<Canned>, Path(name): Path<String>) -> Response {
    match find(&canned, &name) {
        Ok(host) if host.name == "db-1" => problem(
            409,
            "precondition",
            "a host that is revoked cannot be revoked",
        ),
        Ok(host) => Json(HostView {
            state: "revoked".to_owned(),
            ..host
        })
        .into_response(),
        Err(refused) => *refused,
    }
}

async fn history(State(canned): State<Canned>, query: Parameters) -> Response {
    for (_, name) in query.iter().filter(|(key, _)| key == "host") {
        if let Err(refused) = find(&canned, name) {
            return *refused;
        }
    }
    let series = match parameter(&query, "group_by") {
        Some("host") if parameter(&query, "top").is_none() => {
            vec![
                fixtures::series("web-1", 9_100.0, 195.0),
                fixtures::series(fixtures::HOSTILE, 300.0, 0.5),
            ]
        }
        _ => vec![fixtures::series("tcp/default", 9_100.0, 195.0)],
    };
    let mut view = fixtures::history(series);
    view.series_left_out = u64::from(parameter(&query, "top") == Some("1")) * 12;
    view.approximate = parameter(&query, "agg") == Some("p95");
    Json(view).into_response()
}

async fn compare(query: Parameters) -> Response {
    let offset_ms: i64 = parameter(&query, "offset_ms").unwrap().parse().unwrap();
    assert_eq!(offset_ms, 7 * fixtures::DAY);
    let mut series = fixtures::series("tcp/default", 9_100.0, 195.0);
    let before = fixtures::series("before", 4_000.0, 10.0);
    (series.overall_before, series.points_before) = (before.overall, Some(before.points));
    let mut fresh = fixtures::series("new", 5.0, 0.0);
    fresh.points_before = Some(Vec::new());
    Json(fixtures::history(vec![series, fresh])).into_response()
}

async fn forecast(State(canned): State<Canned>, query: Parameters) -> Response {
    let mut wanted = Vec::new();
    for (_, name) in query.iter().filter(|(key, _)| key == "host") {
        match find(&canned, name) {
            Ok(host) => wanted.push(host),
            Err(refused) => return *refused,
        }
    }
    page(if wanted.is_empty() {
        canned.hosts.to_vec()
    } else {
        wanted
    })
    .into_response()
}

/// A host, a notice that the list does not have, nonsense, and silence.
async fn live() -> Response {
    let mut host = fixtures::host("web-1", vec![fixtures::space("tcp", 27_777, 28_232)]);
    host.state = "stale".to_owned();
    let mut event = fixtures::events().remove(0);
    (event.id, event.text) = (4, "this is news".to_owned());
    let text = format!(
        ": hello\n\nevent: host\ndata: {}\n\nevent: later\ndata: {{}}\n\nevent: notice\ndata: {}\n\n",
        serde_json::to_string(&host).unwrap(),
        serde_json::to_string(&event).unwrap()
    );
    let first = futures::stream::iter([Ok::<_, std::io::Error>(text)]);
    let body = Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn create_token(Json(wanted): Json<JoinTokenRequest>) -> Response {
    let mut made = fixtures::token_created(wanted.ttl_s, wanted.uses);
    if let Some(address) = wanted.labels.get("hostile") {
        made.controller.clone_from(address);
    }
    Json(made).into_response()
}

async fn revoke_token(Path(id): Path<String>) -> Response {
    if id == "open" {
        StatusCode::NO_CONTENT.into_response()
    } else {
        problem(404, "not_found", "there is no such token")
    }
}
