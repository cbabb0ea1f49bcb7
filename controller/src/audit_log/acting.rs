//! Who acts in the request that is being served, so that whatever it changes is recorded in their name, and what came of
//! requests that change nothing.
//!
//! The name goes with the task, set in one place by the guard: no handler can leave it out or say another.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tidemark_model::audit_log::{Deed, Doer, DoerKind, Outcome};
use tidemark_model::token::TokenId;
use tidemark_model::{HostId, Role};
use tidemark_store::StoreError;

use super::deeds::{By, deed_of};
use super::record::Record;
use crate::access::Credential;
use crate::api::connection::Peer;
use crate::api::guard::Asking;
use crate::api::problem::ApiProblem;
use crate::app::App;

tokio::task_local! {
    static ACTING: Arc<Acting>;
}

/// Who acts, and what of it is on record already: the host of each record that is about one.
#[derive(Debug)]
struct Acting {
    who: Doer,
    recorded: Mutex<Vec<Option<HostId>>>,
}

impl Acting {
    const fn new(who: Doer) -> Self {
        let recorded = Mutex::new(Vec::new());
        Self { who, recorded }
    }

    fn recorded(&self) -> MutexGuard<'_, Vec<Option<HostId>>> {
        // A list that is pushed to is whole at each step.
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who acts in this task; `None` when the controller does.
pub(super) fn doer() -> Option<Doer> {
    ACTING.try_with(|acting| acting.who.clone()).ok()
}

/// Notes that the request is on record, and about which host.
pub(super) fn note_recorded(host: Option<HostId>) {
    ACTING.try_with(|acting| acting.recorded().push(host)).ok();
}

/// Does something in the name of `who`.
pub async fn acting<F: Future>(who: Doer, work: F) -> F::Output {
    ACTING.scope(Arc::new(Acting::new(who)), work).await
}

/// A request that changes something, as it is recorded.
#[derive(Debug)]
pub struct Request {
    acting: Arc<Acting>,
    deed: Option<(Deed, By)>,
    method: Method,
    path: String,
    peer: Option<Peer>,
}

impl Request {
    /// What is recorded of a request that the guard has looked at; of one that it refused, too.
    #[must_use]
    pub fn of(request: &axum::extract::Request) -> Self {
        let peer = request.extensions().get::<Peer>().copied();
        let matched = request.extensions().get::<MatchedPath>();
        let asking = request.extensions().get::<Asking>();
        Self {
            acting: Arc::new(Acting::new(who(asking, peer))),
            deed: matched.and_then(|path| deed_of(request.method(), path.as_str())),
            method: request.method().clone(),
            // Without the query, which may hold a code that signs in.
            path: request.uri().path().to_owned(),
            peer,
        }
    }

    /// Serves it.
    pub async fn serve<F: Future>(&self, work: F) -> F::Output {
        ACTING.scope(Arc::clone(&self.acting), work).await
    }

    /// Records what came of it, where its handler has not: refusals, failures, and what changes nothing in the database.
    pub async fn settle(&self, app: &App, response: &mut Response) {
        let Some((deed, by)) = self.deed else {
            return;
        };
        let status = response.status();
        let recorded = self.acting.recorded().clone();
        let kept = if status.is_client_error() {
            self.refused(app, deed, status).await
        } else if status.is_server_error() {
            self.keep(app, (deed, Outcome::Failed), Some(status)).await
        } else if recorded.is_empty() && by != By::Refusal {
            self.keep(app, (deed, Outcome::Done), None).await
        } else {
            Ok(())
        };
        // Nobody needs to hear that somebody looks at a form.
        let is_look = recorded.is_empty() && by == By::Refusal && !status.is_server_error();
        if !is_look && !status.is_client_error() {
            // The page listens to the word that lists of incidents are read again.
            let hosts: Vec<HostId> = recorded.into_iter().flatten().collect();
            app.live.announce_incidents(&hosts);
        }
        let Err(error) = kept else {
            return;
        };
        app.metrics.audit_log_failed.add(1);
        tracing::error!(%error, deed = deed.as_str(), "the audit log does not take what was done");
        if status.is_success() || status.is_redirection() {
            *response = ApiProblem::from(error).into_response();
        }
    }

    async fn refused(&self, app: &App, deed: Deed, status: StatusCode) -> Result<(), StoreError> {
        let address = self.peer.map(|peer| peer.address.ip());
        if !app.audit_log.refusals.admit(address, (deed, status)) {
            return Ok(());
        }
        self.keep(app, (deed, Outcome::Refused), Some(status)).await
    }

    async fn keep(
        &self,
        app: &App,
        (deed, outcome): (Deed, Outcome),
        status: Option<StatusCode>,
    ) -> Result<(), StoreError> {
        let mut record = Record::new(app, deed, "routes", &self.path)
            .in_name_of(self.acting.who.clone())
            .outcome(outcome)
            .with("method", self.method.as_str());
        record = match status {
            Some(status) => record.with("status", status.as_u16()),
            None => record.with("change", "none"),
        };
        let mut tx = app.store.begin().await?;
        record.keep(&mut tx).await?;
        tx.commit().await
    }
}

/// Who asks, as it is recorded.
fn who(asking: Option<&Asking>, peer: Option<Peer>) -> Doer {
    let caller = asking.and_then(|asking| asking.caller.as_ref());
    let credential = asking.and_then(|asking| asking.credential);
    Doer {
        kind: DoerKind::Operator,
        name: caller.map_or_else(String::new, |caller| caller.name.clone()),
        role: caller.map(|caller| caller.role),
        credential: credential.map(|credential| match credential {
            Credential::Token(id) => token(id),
            Credential::Browser(_) => "browser".to_owned(),
        }),
        address: peer.map(|peer| peer.address.ip().to_canonical().to_string()),
    }
}

impl App {
    /// The record of somebody who signs in, by what they showed.
    pub fn record_sign_in(
        &self,
        (name, role): (&str, Role),
        shown: &str,
        address: IpAddr,
    ) -> Record {
        let who = Doer {
            kind: DoerKind::Operator,
            name: name.to_owned(),
            role: Some(role),
            credential: Some(shown.to_owned()),
            address: Some(address.to_canonical().to_string()),
        };
        self.record(Deed::SignIn, "sessions", "").in_name_of(who)
    }
}

/// A token as it is recorded: by its public id.
pub fn token(id: TokenId) -> String {
    format!("token {id}")
}
