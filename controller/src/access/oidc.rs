//! Signing in at an OpenID provider: authorization code with PKCE, state and nonce. What the provider says is taken only when
//! its signature, issuer, audience, nonce and times are right; who is let in, and as what, the configuration says.

mod admit;
mod verify;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use futures::future::BoxFuture;
use openidconnect::core::{CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AsyncHttpClient, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    Scope,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, HostScope, Role, Secret, Timestamp};
use tidemark_store::{SessionOwner, StoreError};
use tokio::sync::Mutex;

use super::SessionCookie;
use super::browser::{Arrival, SessionError, open_session};
use super::sign_in::SignInError;
use super::users::{self, UserError};
use crate::app::App;
use crate::gateway::outcome::chain;
use crate::outgoing;

/// How long a sign-in may be under way at the provider.
pub const SIGN_IN_LIFE: Duration = Duration::from_secs(10 * 60);

/// Sign-ins under way at once.
const SIGN_INS_MAX: u64 = 10_000;

/// Rows deleted at once to make room.
const ROWS_MAX: u32 = 5_000;

/// How long what a provider says of itself, keys included, is taken as said.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);

/// Shortest time between two questions for it, however many unknown keys are named.
const ASKED_EVERY: Duration = Duration::from_secs(60);

/// Time for an answer of the provider.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Largest answer of the provider that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 512 * 1_024;

/// The provider, as configured.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Its issuer, exactly as it names itself.
    pub issuer: String,
    /// As whom the controller comes to it.
    pub client_id: String,
    /// What proves that.
    pub client_secret: Option<Secret<String>>,
    /// Where it sends browsers back to: the controller's own `/login/oidc/callback`.
    pub redirect_url: String,
    /// What the sign-in page calls it.
    pub label: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Which claim of the ID token is the user's name.
    pub name_claim: String,
    /// Which claim says what they may do.
    pub role_claim: String,
    /// Values of that claim with what each gives.
    pub roles: Vec<(String, Given)>,
    /// How far the provider's clock may be off.
    pub clock_skew: Duration,
}

/// What a value of the role claim gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What they may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// There is no provider.
    #[error("no provider is configured here; sign in with a name and a password or an API token")]
    NotConfigured,
    /// It does not answer, or not as providers do.
    #[error(
        "the provider does not answer as it should; try again, and look into the controller's log"
    )]
    Provider(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What came back does not belong to what this browser began.
    #[error(
        "this browser has no such sign-in under way: it was begun in another browser, more than {} minutes ago, or is \
         over; begin again", SIGN_IN_LIFE.as_secs() / 60
    )]
    NotBegun,
    /// The provider says no.
    #[error("the provider did not sign you in ({0}); begin again, or ask whoever runs it")]
    Denied(String),
    /// What it says of somebody cannot be believed.
    #[error("what the provider says of you cannot be believed; the controller's log says why")]
    Unbelievable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It says too little, or something that is no name.
    #[error("the provider's claim {claim} is no name for a user here: {problem}")]
    NoName {
        /// Which claim.
        claim: String,
        /// Why.
        problem: String,
    },
    /// They have no role here.
    #[error(
        "the provider's claim {0} gives you no role here; ask an admin, who finds the table in the section oidc.roles"
    )]
    NoRole(String),
    /// They have a role here for hosts that no scope holds together.
    #[error(
        "the provider's claim {claim} gives you one role for several scopes ({scopes}), and a user has one; ask an admin for a \
         scope in the section oidc.roles that holds them together, or whoever runs the provider for one of them"
    )]
    SeveralScopes {
        /// The claim.
        claim: String,
        /// What it gives, with semicolons between.
        scopes: String,
    },
    /// The name is somebody else's.
    #[error(
        "there is a user of the name {0} already who is not this one at the provider; an admin can delete them"
    )]
    NameTaken(String),
    /// They were disabled.
    #[error("your user is disabled; ask an admin")]
    Disabled,
    /// Too many at once.
    #[error("too many sign-ins are under way; try again in a minute")]
    TooMany,
    /// Too many tries.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// No room for another user.
    #[error(transparent)]
    User(#[from] UserError),
    /// No session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for OidcError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotConfigured => ErrorCode::NotFound,
            Self::Provider(_) => ErrorCode::Unavailable,
            Self::NotBegun
            | Self::Denied(_)
            | Self::Unbelievable(_)
            | Self::NoName { .. }
            | Self::NoRole(_)
            | Self::SeveralScopes { .. }
            | Self::NameTaken(_)
            | Self::Disabled => ErrorCode::Forbidden,
            Self::TooMany => ErrorCode::Exhausted,
            Self::SignIn(error) => error.code(),
            Self::User(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

fn provider(error: impl std::error::Error + Send + Sync + 'static) -> OidcError {
    OidcError::Provider(Box::new(error))
}

/// The way to the provider.
#[derive(Debug)]
pub struct Oidc {
    /// As configured.
    pub settings: OidcSettings,
    http: Http,
    known: Mutex<Known>,
}

/// What is known of the provider, and when it was asked.
#[derive(Debug, Default)]
struct Known {
    metadata: Option<CoreProviderMetadata>,
    read_at: Timestamp,
    asked_at: Option<Timestamp>,
}

/// What a browser keeps while it is at the provider: 256 random bits, of which everything else is made.
#[derive(Clone, Debug)]
pub struct Handle(Secret<String>);

impl Handle {
    fn generate(app: &App) -> Self {
        Self(Secret::new(
            BASE64URL_NOPAD.encode(&app.entropy.bytes::<32>()),
        ))
    }

    /// One that a browser showed.
    #[must_use]
    pub fn of_cookie(value: &str) -> Self {
        Self(Secret::new(value.to_owned()))
    }

    /// What the browser keeps.
    #[must_use]
    pub fn expose_text(&self) -> &str {
        self.0.expose()
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose().as_bytes()).into()
    }

    /// A value of its own for each use, so that none says anything of another.
    fn derived(&self, purpose: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"tidemark-oidc:");
        hasher.update(purpose.as_bytes());
        hasher.update(b":");
        hasher.update(self.0.expose().as_bytes());
        BASE64URL_NOPAD.encode(&hasher.finalize())
    }

    fn state(&self) -> String {
        self.derived("state")
    }

    fn nonce(&self) -> Nonce {
        Nonce::new(self.derived("nonce"))
    }

    fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.derived("pkce"))
    }
}

/// What a browser brings back.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    /// What the provider signs them in with.
    pub code: Option<String>,
    /// What it was told to bring back.
    pub state: Option<String>,
    /// Who says so (RFC 9207).
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

impl Oidc {
    /// Prepares to ask the provider; nothing is sent.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(settings: OidcSettings) -> Result<Self, reqwest::Error> {
        let client = outgoing::client(ANSWER_WITHIN).build()?;
        Ok(Self {
            settings,
            http: Http(client),
            known: Mutex::default(),
        })
    }

    async fn metadata(
        &self,
        now: Timestamp,
        wanted: Wanted,
    ) -> Result<CoreProviderMetadata, OidcError> {
        let mut known = self.known.lock().await;
        let is_old = now >= known.read_at.saturating_add(KNOWN_FOR) || wanted == Wanted::Again;
        let may_ask = known
            .asked_at
            .is_none_or(|asked| now >= asked.saturating_add(ASKED_EVERY));
        match &known.metadata {
            Some(metadata) if !(is_old && may_ask) => return Ok(metadata.clone()),
            Some(_) | None => {}
        }
        known.asked_at = Some(now);
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(provider)?;
        let asked = CoreProviderMetadata::discover_async(issuer, &self.http).await;
        match (asked, &known.metadata) {
            (Ok(metadata), _) => {
                known.metadata = Some(metadata.clone());
                known.read_at = now;
                Ok(metadata)
            }
            // What it said before is better than nothing: keys change seldom.
            (Err(error), Some(before)) => {
                tracing::warn!(error = chain(&error), "the provider does not say who it is");
                Ok(before.clone())
            }
            (Err(error), None) => Err(OidcError::Provider(chain(&error).into())),
        }
    }
}

/// Asks the provider: bounded in time and size, and never redirected.
#[derive(Clone, Debug)]
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = io::Error;
    type Future = BoxFuture<'c, Result<HttpResponse, io::Error>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(answer(self.0.clone(), request))
    }
}

async fn answer(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, io::Error> {
    let answer = outgoing::ask(&client, request, ANSWER_BYTES_MAX).await;
    answer
        .map(|answer| answer.map(Vec::from))
        .map_err(io::Error::other)
}

/// How new what is known of the provider has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// As usual.
    Known,
    /// A key was named that is not known: perhaps it is new.
    Again,
}

/// Begins a sign-in: what the browser is to keep, and where it is to go.
///
/// # Errors
/// When there is no provider, it does not answer, or too many begin.
pub async fn begin(app: &App, address: IpAddr) -> Result<(Handle, String), OidcError> {
    let oidc = app.oidc.as_ref().ok_or(OidcError::NotConfigured)?;
    app.sign_in_limits.pass_address(address)?;
    let now = app.clock.now();
    let metadata = oidc.metadata(now, Wanted::Known).await?;
    let handle = Handle::generate(app);
    let mut tx = app.store.begin().await?;
    if tx.oidc_sign_ins_count().await? >= SIGN_INS_MAX {
        let deleted = tx.oidc_sign_ins_delete_over(now, ROWS_MAX).await?;
        if deleted == 0 {
            return Err(OidcError::TooMany);
        }
    }
    tx.oidc_sign_in_begin(handle.hash(), now.saturating_add(SIGN_IN_LIFE))
        .await?;
    tx.commit().await?;
    let client = verify::client(oidc, metadata)?;
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&handle.verifier());
    let (state, nonce) = (handle.state(), handle.nonce());
    let scopes = oidc.settings.scopes.iter().cloned().map(Scope::new);
    let (url, _, _) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            || CsrfToken::new(state),
            || nonce,
        )
        .add_scopes(scopes)
        .set_pkce_challenge(challenge)
        .url();
    Ok((handle, url.to_string()))
}

/// Ends a sign-in that a browser brings back, with a session.
///
/// # Errors
/// Why not; the sign-in is over all the same.
pub async fn finish(
    app: &App,
    handle: Option<Handle>,
    returned: Returned,
    arrival: &Arrival,
) -> Result<SessionCookie, OidcError> {
    let oidc = app.oidc.as_ref().ok_or(OidcError::NotConfigured)?;
    app.sign_in_limits.pass_address(arrival.address)?;
    let handle = handle.ok_or(OidcError::NotBegun)?;
    take(app, oidc, &handle, &returned).await?;
    let code = match (returned.code, returned.error) {
        (Some(code), None) => code,
        (_, error) => {
            let error = error.unwrap_or_else(|| "it sent no code".to_owned());
            let plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
            return Err(OidcError::Denied(
                error.chars().filter(plain).take(64).collect(),
            ));
        }
    };
    let person = verify::exchange(app, oidc, &handle, code).await?;
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let (user, change) = match admit::admit(app, oidc, &mut tx, person).await {
        Ok(admitted) => admitted,
        Err(
            error @ (OidcError::NoRole(_) | OidcError::SeveralScopes { .. } | OidcError::Disabled),
        ) => {
            // What was signed in before ends as well: the provider says that they have no place here.
            tx.commit().await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    tx.user_signed_in(&user.name, now).await?;
    let owner = SessionOwner::User(user.name.clone());
    let cookie = open_session(&mut tx, &app.entropy, owner, arrival, now).await?;
    app.record_sign_in((&user.name, user.role), "openid", arrival.address)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    if let Some(change) = change {
        users::told(app, change);
    }
    tracing::info!(caller = user.name, role = user.role.as_str(), address = %arrival.address, "a browser signed in by the provider");
    Ok(cookie)
}

/// Checks that this browser began the sign-in, and ends it: it is used once.
async fn take(
    app: &App,
    oidc: &Oidc,
    handle: &Handle,
    returned: &Returned,
) -> Result<(), OidcError> {
    let state = returned.state.as_deref().unwrap_or_default();
    if !bool::from(handle.state().as_bytes().ct_eq(state.as_bytes())) {
        return Err(OidcError::NotBegun);
    }
    let mut tx = app.store.begin().await?;
    let until = tx.oidc_sign_in_end(handle.hash()).await?;
    tx.commit().await?;
    if until.is_none_or(|until| until <= app.clock.now()) {
        return Err(OidcError::NotBegun);
    }
    let is_other = |issuer: &String| *issuer != oidc.settings.issuer;
    if returned.issuer.as_ref().is_some_and(is_other) {
        return Err(OidcError::Unbelievable(
            "it comes from another issuer".into(),
        ));
    }
    Ok(())
}

/// Somebody as the provider describes them, believed.
#[derive(Clone, Debug)]
pub(super) struct Person {
    subject: String,
    name: Option<String>,
    /// The most powerful role that they are given, with every scope that is not within another one: one, or nobody knows which.
    given: Vec<Given>,
}
