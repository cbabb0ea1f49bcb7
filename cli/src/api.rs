//! The controller's HTTP API as typed calls. What the answers are for, and how they look, is not here.

mod actions;
mod audit_log;
mod budgets;
mod connection;
mod grants;
mod incidents;
mod keys;
mod live;
mod nearest;
mod policies;
mod remediation;
mod runs;
mod scope;
mod sse;
mod target;
mod upgrades;
mod users;
mod windows;

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemark_model::Secret;
use tidemark_model::audit::view::{DriftView, HostAuditView};
use tidemark_model::view::{
    CausesView, EventView, HistoryView, HostDetail, HostEventView, HostFindings, HostView,
    JoinTokenCreated, JoinTokenRequest, JoinTokenView, LabelsRequest, Page, Problem, StatusView,
};

pub use self::actions::Verdict;
use self::connection::{base_url, client};
pub use self::incidents::Deed;
pub use self::live::{Heard, Live};
use self::nearest::nearest;
pub use self::remediation::Turn;
pub use self::scope::ScopeSeen;
pub use self::target::{Target, read_token};
use crate::failure::{Failure, TokenSent};

/// Whether what is applied is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is.
    Store,
    /// Only the outcome is asked for.
    DryRun,
}

impl Effect {
    /// By the flag `--dry-run`.
    pub const fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Store }
    }

    /// The request that asks for it.
    fn asked(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Store => request,
            Self::DryRun => request.query(&[("dry_run", "true")]),
        }
    }
}

/// Parameters of a query, in any order; a name may come more than once.
pub type Query = Vec<(&'static str, String)>;

/// Rows asked for in one page.
const PAGE_ROWS: usize = 1_000;

/// Largest answer that is read, in bytes: a page of 1,000 hosts with 100 port spaces each has about 50 MB.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Most rows of one list: ten times the largest fleet that a controller is made for.
const LIST_ROWS_MAX: usize = 1_000_000;

/// A controller to ask.
#[derive(Debug)]
pub struct Api {
    client: Client,
    base: Url,
    server: String,
    token: Option<Secret<String>>,
    timeout: Duration,
    scope_seen: ScopeSeen,
}

impl Api {
    /// Prepares to ask `target`; nothing is sent.
    pub fn new(target: Target, timeout: Duration) -> Result<Self, Failure> {
        let Target {
            server,
            token,
            ca_file,
        } = target;
        let base = base_url(&server)?;
        let client = client(&server, ca_file, timeout)?;
        Ok(Self {
            client,
            base,
            server,
            token,
            timeout,
            scope_seen: ScopeSeen::default(),
        })
    }

    /// Notes there of which scope lists are.
    pub fn noting(self, scope_seen: ScopeSeen) -> Self {
        Self { scope_seen, ..self }
    }

    /// The address that is asked.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// All hosts that `query` selects, in the controller's order.
    pub async fn hosts(&self, query: Query) -> Result<Vec<HostView>, Failure> {
        self.list(&["hosts"], query, LIST_ROWS_MAX).await
    }

    /// One host by name or id.
    pub async fn host(&self, name: &str) -> Result<HostDetail, Failure> {
        let request = self.request(Method::GET, &["hosts", name])?;
        let answer = self.json(request).await;
        self.name_the_host(answer, &[name.to_owned()]).await
    }

    /// Changes labels that the controller holds of a host, as they were read in that version.
    pub async fn label_host(
        &self,
        id: &str,
        version: u64,
        wanted: &LabelsRequest,
    ) -> Result<HostDetail, Failure> {
        let request = self
            .request(Method::PATCH, &["hosts", id])?
            .header("if-match", format!("\"{version}\""));
        let answer = self.json(with_body(request, wanted)).await;
        self.name_the_host(answer, &[id.to_owned()]).await
    }

    /// Shuts a host out for good.
    pub async fn revoke_host(&self, id: &str) -> Result<HostView, Failure> {
        let request = self.request(Method::POST, &["hosts", id, "revoke"])?;
        let answer = self.json(request).await;
        self.name_the_host(answer, &[id.to_owned()]).await
    }

    /// A history query over `hosts`, names or ids; none means all.
    pub async fn history(&self, hosts: &[String], query: Query) -> Result<HistoryView, Failure> {
        self.series("history", hosts, query).await
    }

    /// A comparison over `hosts` with an earlier period.
    pub async fn compare(&self, hosts: &[String], query: Query) -> Result<HistoryView, Failure> {
        self.series("compare", hosts, query).await
    }

    /// Hosts by when their ports run out, soonest first; no names means all hosts.
    pub async fn forecast(&self, hosts: &[String]) -> Result<Vec<HostView>, Failure> {
        let answer = self
            .list(&["forecast"], of_hosts(hosts), LIST_ROWS_MAX)
            .await;
        self.name_the_host(answer, hosts).await
    }

    /// Hosts on which something is found; no names means all hosts.
    pub async fn findings(&self, hosts: &[String]) -> Result<Vec<HostFindings>, Failure> {
        let answer = self
            .list(&["findings"], of_hosts(hosts), LIST_ROWS_MAX)
            .await;
        self.name_the_host(answer, hosts).await
    }

    /// What leaking hosts have in common.
    pub async fn causes(&self) -> Result<CausesView, Failure> {
        self.get(&["causes"]).await
    }

    /// At most `rows` events, newest first.
    pub async fn events(&self, query: Query, rows: usize) -> Result<Vec<EventView>, Failure> {
        self.list(&["events"], query, rows).await
    }

    /// At most `rows` events of a host's log, newest first.
    pub async fn host_events(
        &self,
        host: &str,
        query: Query,
        rows: usize,
    ) -> Result<Vec<HostEventView>, Failure> {
        let answer = self.list(&["hosts", host, "events"], query, rows).await;
        self.name_the_host(answer, &[host.to_owned()]).await
    }

    /// How a host is configured; `None` from a controller that does not say yet.
    pub async fn audit(&self, host: &str) -> Result<Option<HostAuditView>, Failure> {
        self.get_if_known(&["hosts", host, "audit"]).await
    }

    /// At most `rows` changes of a host's configuration, or of all hosts', newest first.
    pub async fn drift(
        &self,
        host: Option<&str>,
        query: Query,
        rows: usize,
    ) -> Result<Vec<DriftView>, Failure> {
        match host {
            None => self.list(&["drift"], query, rows).await,
            Some(host) => {
                let answer = self.list(&["hosts", host, "drift"], query, rows).await;
                self.name_the_host(answer, &[host.to_owned()]).await
            }
        }
    }

    /// Changes as they happen.
    pub fn live(&self) -> Result<Live, Failure> {
        // The stream lasts; only silence ends it, which the client's read timeout notices.
        let request = self
            .request(Method::GET, &["live"])?
            .header("accept", "text/event-stream");
        Ok(Live::new(request, self.server.clone(), self.token_sent()))
    }

    /// Makes a join token.
    pub async fn create_token(
        &self,
        wanted: &JoinTokenRequest,
    ) -> Result<JoinTokenCreated, Failure> {
        let request = self.request(Method::POST, &["tokens"])?;
        self.json(with_body(request, wanted)).await
    }

    /// All join tokens.
    pub async fn tokens(&self) -> Result<Vec<JoinTokenView>, Failure> {
        self.list(&["tokens"], Query::new(), LIST_ROWS_MAX).await
    }

    /// Ends a join token.
    pub async fn revoke_token(&self, id: &str) -> Result<(), Failure> {
        self.delete(&["tokens", id]).await
    }

    /// How the controller is.
    pub async fn status(&self) -> Result<StatusView, Failure> {
        self.get(&["status"]).await
    }

    async fn series(
        &self,
        kind: &str,
        hosts: &[String],
        mut query: Query,
    ) -> Result<HistoryView, Failure> {
        query.extend(of_hosts(hosts));
        let request = self.request(Method::GET, &[kind])?.query(&query);
        let answer = self.json(request).await;
        self.name_the_host(answer, hosts).await
    }

    /// Follows a list's pages up to `rows` rows. A cursor that comes twice would never end and is refused.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query,
        rows: usize,
    ) -> Result<Vec<T>, Failure> {
        let mut items: Vec<T> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let wanted = rows.saturating_sub(items.len()).min(PAGE_ROWS);
            let mut page_query = query.clone();
            page_query.push(("limit", wanted.to_string()));
            page_query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
            let request = self.request(Method::GET, path)?.query(&page_query);
            let (headers, body) = self.answer(request).await?;
            self.scope_seen.take(&headers);
            let page: Page<T> = self.read(&body)?;
            items.extend(page.items);
            match page.next_cursor {
                None => return Ok(items),
                Some(_) if items.len() >= rows => {
                    items.truncate(rows);
                    return Ok(items);
                }
                next if next == cursor => {
                    return Err(self.not_understood("a list leads back to the same page"));
                }
                next => cursor = next,
            }
        }
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let mut url = self.base.clone();
        // A segment of dots would be resolved away and ask for something else.
        if let Some(name) = path
            .iter()
            .find(|segment| segment.is_empty() || segment.chars().all(|c| c == '.'))
        {
            return Err(Failure::usage(format!("`{name}` is not a name")));
        }
        url.path_segments_mut()
            .map_err(|()| self.not_understood("its address cannot have a path"))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        let request = self.client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.json(self.request(Method::GET, path)?).await
    }

    /// As [`Api::get`]; `None` from a controller that does not know that address yet.
    async fn get_if_known<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, Failure> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, path)?;
        self.bytes(request).await.map(drop)
    }

    /// Applies things of one kind as they are written.
    async fn apply<T: DeserializeOwned>(
        &self,
        kind: &str,
        written: &serde_json::Value,
        effect: Effect,
    ) -> Result<T, Failure> {
        let request = effect.asked(self.request(Method::PUT, &[kind])?);
        self.json(with_body(request, written)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let bytes = self.bytes(request).await?;
        self.read(&bytes)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| self.not_understood(&error.to_string()))
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        self.answer(request).await.map(|(_, body)| body)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(HeaderMap, Vec<u8>), Failure> {
        let response = request
            .timeout(self.timeout)
            .send()
            .await
            .map_err(|error| self.no_answer(error))?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = self.body(response).await?;
        if status.is_success() {
            return Ok((headers, body));
        }
        Err(refusal(status, &body, &self.server, self.token_sent()))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.no_answer(error))?
        {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(self.not_understood("the answer is larger than any real one"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn no_answer(&self, error: reqwest::Error) -> Failure {
        let server = self.server.clone();
        if error.is_timeout() {
            let waited = self.timeout;
            Failure::TimedOut { server, waited }
        } else {
            Failure::Unreachable {
                server,
                source: error.without_url(),
            }
        }
    }

    fn not_understood(&self, detail: &str) -> Failure {
        Failure::NotUnderstood {
            server: self.server.clone(),
            detail: detail.to_owned(),
        }
    }

    const fn token_sent(&self) -> TokenSent {
        if self.token.is_some() {
            TokenSent::Yes
        } else {
            TokenSent::No
        }
    }

    /// Turns a plain "not found" into the host that is unknown, with the names that it is like.
    async fn name_the_host<T>(
        &self,
        answer: Result<T, Failure>,
        asked: &[String],
    ) -> Result<T, Failure> {
        match answer {
            Err(Failure::Problem(problem)) if problem.status == 404 && !asked.is_empty() => {
                let Ok(hosts) = self.hosts(Query::new()).await else {
                    return Err(Failure::Problem(problem));
                };
                let is_known = |name: &&String| {
                    hosts
                        .iter()
                        .any(|host| host.name == **name || host.id == **name)
                };
                let unknown = asked.iter().find(|name| !is_known(name));
                Err(
                    unknown.map_or(Failure::Problem(problem), |name| Failure::UnknownHost {
                        name: name.clone(),
                        nearest: nearest(name, hosts.iter().map(|host| host.name.as_str())),
                    }),
                )
            }
            other => other,
        }
    }
}

fn of_hosts(hosts: &[String]) -> Query {
    hosts.iter().map(|host| ("host", host.clone())).collect()
}

fn with_body(request: RequestBuilder, body: &impl Serialize) -> RequestBuilder {
    request.json(body)
}

/// The failure that an answer other than success means.
fn refusal(status: StatusCode, body: &[u8], server: &str, sent: TokenSent) -> Failure {
    let problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| Problem {
        kind: "about:blank".to_owned(),
        status: status.as_u16(),
        title: format!("{server} answers with HTTP {status}"),
        correlation_id: None,
    });
    match status {
        StatusCode::UNAUTHORIZED => Failure::Unauthenticated {
            server: server.to_owned(),
            sent,
        },
        StatusCode::FORBIDDEN => Failure::Refused(problem),
        _ => Failure::Problem(problem),
    }
}
