//! Incidents, silences and receivers as typed calls.

use reqwest::Method;
use tidemark_model::view::{
    IncidentDetail, IncidentView, NoteRequest, NotificationView, ReceiverTest, ReceiverView,
    SilenceRequest, SilenceView,
};

use super::{Api, LIST_ROWS_MAX, Query, with_body};
use crate::failure::Failure;

/// What is done to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Somebody takes care of it.
    Acknowledge,
    /// It is over.
    Resolve,
    /// Something is written down.
    Note,
}

impl Deed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
            Self::Note => "note",
        }
    }
}

impl Api {
    /// At most `rows` incidents, newest first.
    pub async fn incidents(&self, query: Query, rows: usize) -> Result<Vec<IncidentView>, Failure> {
        self.list(&["incidents"], query, rows).await
    }

    /// One incident by number.
    pub async fn incident(&self, id: i64) -> Result<IncidentDetail, Failure> {
        self.get(&["incidents", &id.to_string()]).await
    }

    /// Does something to an incident.
    pub async fn act_on_incident(
        &self,
        id: i64,
        deed: Deed,
        text: &str,
    ) -> Result<IncidentView, Failure> {
        let path = ["incidents", &id.to_string(), deed.as_str()];
        let request = self.request(Method::POST, &path)?;
        let note = NoteRequest {
            text: text.to_owned(),
        };
        self.json(with_body(request, &note)).await
    }

    /// All silences, newest first.
    pub async fn silences(&self) -> Result<Vec<SilenceView>, Failure> {
        self.list(&["silences"], Query::new(), LIST_ROWS_MAX).await
    }

    /// Makes a silence.
    pub async fn create_silence(&self, wanted: &SilenceRequest) -> Result<SilenceView, Failure> {
        let request = self.request(Method::POST, &["silences"])?;
        self.json(with_body(request, wanted)).await
    }

    /// Ends a silence.
    pub async fn end_silence(&self, id: i64) -> Result<(), Failure> {
        self.delete(&["silences", &id.to_string()]).await
    }

    /// All receivers.
    pub async fn receivers(&self) -> Result<Vec<ReceiverView>, Failure> {
        let request = self.request(Method::GET, &["receivers"])?;
        let page: tidemark_model::view::Page<ReceiverView> = self.json(request).await?;
        Ok(page.items)
    }

    /// At most `rows` messages, newest first.
    pub async fn notifications(
        &self,
        query: Query,
        rows: usize,
    ) -> Result<Vec<NotificationView>, Failure> {
        self.list(&["notifications"], query, rows).await
    }

    /// Sends a test message.
    pub async fn test_receiver(&self, receiver: &str) -> Result<ReceiverTest, Failure> {
        let request = self.request(Method::POST, &["receivers", receiver, "test"])?;
        self.json(request).await
    }
}
