//! What belongs to an action: the steps of its life, who approved it, and signatures that were brought. Only ever added to.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::action::{ActionId, ActionState, Approval, BroughtSignature, LifeStep};

use crate::brought::SignatureRow;
use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

const STEPS: Table = Table("action_steps");
const SIGNATURES: Table = Table("action_signatures");

statements! {
    STEP_APPEND = "INSERT INTO action_steps (action, at, from_state, to_state, author, text) VALUES ($1, $2, $3, $4, $5, $6)";
    STEPS_NEWEST = "SELECT at, from_state, to_state, author, text FROM action_steps WHERE action = $1 ORDER BY id DESC LIMIT $2";
    SENT_LIKE = "SELECT action_steps.text AS text, count(DISTINCT action_steps.action) AS sent, max(action_steps.at) AS last_at \
        FROM actions JOIN action_steps ON action_steps.action = actions.id \
        WHERE actions.sent_at >= $1 AND action_steps.to_state = 'sent' AND action_steps.text LIKE $2 \
        GROUP BY action_steps.text ORDER BY last_at DESC LIMIT $3";
    APPROVE = "INSERT INTO action_approvals (action, approver, at, text) VALUES ($1, $2, $3, $4)";
    APPROVALS = "SELECT approver, at, text FROM action_approvals WHERE action = $1 ORDER BY at, approver";
    SIGN = "INSERT INTO action_signatures (action, key_id, at, author, signature) VALUES ($1, $2, $3, $4, $5)";
    SIGNED = "SELECT key_id, at, author, signature FROM action_signatures WHERE action = $1 ORDER BY at, key_id";
}

#[derive(FromRow)]
struct StepRow {
    at: i64,
    from_state: Option<String>,
    to_state: String,
    author: Option<String>,
    text: String,
}

impl TryFrom<StepRow> for LifeStep {
    type Error = StoreError;

    fn try_from(row: StepRow) -> Result<Self, StoreError> {
        let StepRow {
            at,
            from_state,
            to_state,
            author,
            text,
        } = row;
        let state = |column: &'static str, name: &str| {
            ActionState::from_name(name).ok_or_else(|| STEPS.unreadable(column, name))
        };
        Ok(Self {
            at: Timestamp::from_unix_ms(at),
            from: from_state
                .as_deref()
                .map(|name| state("from_state", name))
                .transpose()?,
            to: state("to_state", &to_state)?,
            by: author,
            text,
        })
    }
}

/// Actions that were sent for the same stated reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFor {
    /// The reason, as the step of their lives says it.
    pub text: String,
    /// How many.
    pub sent: u64,
    /// When the last one was sent.
    pub last_at: Timestamp,
}

#[derive(FromRow)]
struct SentRow {
    text: String,
    sent: i64,
    last_at: i64,
}

#[derive(FromRow)]
struct ApprovalRow {
    approver: String,
    at: i64,
    text: String,
}

impl From<ApprovalRow> for Approval {
    fn from(row: ApprovalRow) -> Self {
        let ApprovalRow { approver, at, text } = row;
        Self {
            approver,
            at: Timestamp::from_unix_ms(at),
            text,
        }
    }
}

impl Tx {
    /// Adds steps to the life of an action, and says to every controller that there are.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn action_steps_append(
        &mut self,
        id: ActionId,
        steps: &[LifeStep],
    ) -> Result<(), StoreError> {
        for step in steps {
            let text = columns::text("text of a step", &step.text)?;
            columns::text("author of a step", step.by.as_deref().unwrap_or_default())?;
            on_conn!(self, conn => sqlx::query(STEP_APPEND)
                .bind(id.to_string())
                .bind(step.at.unix_ms())
                .bind(step.from.map(ActionState::as_str))
                .bind(step.to.as_str())
                .bind(step.by.as_deref())
                .bind(text)
                .execute(conn).await?.rows_affected());
        }
        if steps.is_empty() {
            return Ok(());
        }
        // An action that was signed or moved on may go further elsewhere: where its host is.
        self.tell(News::Actions).await
    }

    /// The newest `limit` steps of an action's life, in the order in which they came.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn action_steps(
        &mut self,
        id: ActionId,
        limit: u32,
    ) -> Result<Vec<LifeStep>, StoreError> {
        let rows: Vec<StepRow> = on_conn!(self, conn => sqlx::query_as(STEPS_NEWEST)
            .bind(id.to_string()).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().rev().map(LifeStep::try_from).collect()
    }

    /// For which reasons that begin with `prefix` actions were sent since then, the last first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_sent_for(
        &mut self,
        prefix: &str,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<SentFor>, StoreError> {
        let rows: Vec<SentRow> = on_conn!(self, conn => sqlx::query_as(SENT_LIKE)
            .bind(since.unix_ms()).bind(format!("{prefix}%")).bind(i64::from(limit))
            .fetch_all(conn).await?);
        rows.into_iter()
            .map(|row| {
                let SentRow {
                    text,
                    sent,
                    last_at,
                } = row;
                Ok(SentFor {
                    text,
                    sent: STEPS.unsigned("sent", sent)?,
                    last_at: Timestamp::from_unix_ms(last_at),
                })
            })
            .collect()
    }

    /// Keeps one person's approval of an action.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when that person has approved it before.
    pub async fn action_approve(
        &mut self,
        id: ActionId,
        approval: &Approval,
    ) -> Result<(), StoreError> {
        let approver = columns::text("name of an approver", &approval.approver)?;
        let text = columns::text("text of an approval", &approval.text)?;
        on_conn!(self, conn => sqlx::query(APPROVE)
            .bind(id.to_string()).bind(approver).bind(approval.at.unix_ms()).bind(text)
            .execute(conn).await.map_err(StoreError::unless_exists("approval"))?
            .rows_affected());
        Ok(())
    }

    /// Who approved an action, the first first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn action_approvals(&mut self, id: ActionId) -> Result<Vec<Approval>, StoreError> {
        let rows: Vec<ApprovalRow> = on_conn!(self, conn => sqlx::query_as(APPROVALS)
            .bind(id.to_string()).fetch_all(conn).await?);
        Ok(rows.into_iter().map(Approval::from).collect())
    }

    /// Keeps signatures of actions' orders, and says to every controller that there are.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when a key has signed one before.
    pub async fn actions_sign(
        &mut self,
        brought: &[(ActionId, BroughtSignature)],
    ) -> Result<(), StoreError> {
        for (id, brought) in brought {
            self.signature_insert(SIGN, id.to_string(), brought).await?;
        }
        self.tell(News::Actions).await
    }

    /// The signatures of an action's order, the first first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn action_signatures(
        &mut self,
        id: ActionId,
    ) -> Result<Vec<BroughtSignature>, StoreError> {
        let rows: Vec<SignatureRow> = on_conn!(self, conn => sqlx::query_as(SIGNED)
            .bind(id.to_string()).fetch_all(conn).await?);
        rows.into_iter().map(|row| row.read(SIGNATURES)).collect()
    }
}
