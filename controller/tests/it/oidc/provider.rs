//! A provider that signs what a test tells it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidemark_runtime::{Clock, Lifecycle};

/// Changes an ID token before it is signed.
pub type Forge = fn(&mut Token);

/// How an ID token is signed.
pub enum Signing {
    Own,
    OtherKey,
    None,
    Hmac(Vec<u8>),
    Damaged,
}

/// An ID token in the making.
pub struct Token {
    pub header: Value,
    pub claims: Value,
    pub public_key: Vec<u8>,
    pub other_jwk: Value,
    signing: Signing,
}

impl Token {
    pub fn remove(&mut self, claim: &str) {
        self.claims.as_object_mut().unwrap().remove(claim).unwrap();
    }

    pub fn shift(&mut self, claim: &str, seconds: i64) {
        let at = self.claims[claim].as_i64().unwrap();
        self.claims[claim] = json!(at + seconds);
    }

    pub fn sign_by(&mut self, signing: Signing) {
        self.header["alg"] = match signing {
            Signing::None => json!("none"),
            Signing::Hmac(_) => json!("HS256"),
            Signing::Own | Signing::OtherKey | Signing::Damaged => json!("ES256"),
        };
        self.signing = signing;
    }
}

struct Inner {
    address: SocketAddr,
    own: EcdsaKeyPair,
    other: EcdsaKeyPair,
    now: Mutex<Now>,
}

struct Now {
    forge: Forge,
    nonce: String,
    challenge: String,
    asked: u32,
    followed: u32,
    keys: &'static str,
}

pub struct Provider(Arc<Inner>);

fn key() -> EcdsaKeyPair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
}

fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1",
        "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..65]),
    })
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            own: key(),
            other: key(),
            now: Mutex::new(Now {
                forge: |_| {},
                nonce: String::new(),
                challenge: String::new(),
                asked: 0,
                followed: 0,
                keys: "/keys",
            }),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/flood", get(async || "x".repeat(8 << 20)))
            .route("/elsewhere", get(async || Redirect::to("/followed")))
            .route("/followed", get(followed))
            .route("/token", post(token))
            .with_state(Arc::clone(&inner));
        let serving = async { axum::serve(listener, router).await.unwrap() };
        Lifecycle::new(Duration::from_secs(1)).spawn("provider", serving);
        Self(inner)
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.0.address)
    }

    pub fn forge(&self, forge: Forge) {
        self.0.now.lock().unwrap().forge = forge;
    }

    /// The browser has come here with these.
    pub fn expect(&self, nonce: &str, challenge: &str) {
        let mut now = self.0.now.lock().unwrap();
        now.nonce = nonce.to_owned();
        now.challenge = challenge.to_owned();
    }

    /// How many codes were exchanged.
    pub fn asked(&self) -> u32 {
        self.0.now.lock().unwrap().asked
    }

    /// How many redirects were followed.
    pub fn followed(&self) -> u32 {
        self.0.now.lock().unwrap().followed
    }

    /// The keys are said to be at that path.
    pub fn break_keys(&self, path: &'static str) {
        self.0.now.lock().unwrap().keys = path;
    }
}

async fn discovery(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let issuer = format!("http://{}", inner.address);
    let keys = inner.now.lock().unwrap().keys;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}{keys}"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // It claims more than anybody should believe.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    }))
}

async fn keys(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({"keys": [jwk(&inner.own)]}))
}

async fn followed(State(inner): State<Arc<Inner>>) -> Json<Value> {
    inner.now.lock().unwrap().followed += 1;
    keys(State(inner)).await
}

async fn token(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Response {
    let mut now = inner.now.lock().unwrap();
    now.asked += 1;
    let param = |name: &str| {
        let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let verifier = param("code_verifier").unwrap_or_default();
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
    let shown = headers["authorization"].to_str().unwrap();
    let shown = BASE64.decode(shown.strip_prefix("Basic ").unwrap().as_bytes());
    let is_client = String::from_utf8(shown.unwrap()).unwrap() == "tidemark:the+client%27s+secret";
    if challenge != now.challenge || !is_client {
        let refused = json!({"error": "invalid_grant"});
        return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
    }
    let access = "the access token";
    let hash = Sha256::digest(access.as_bytes());
    let at = Clock::System.now().unix_ms() / 1_000;
    let mut token = Token {
        header: json!({"alg": "ES256", "kid": "k1"}),
        claims: json!({
            "iss": format!("http://{}", inner.address), "sub": "4711", "aud": "tidemark", "azp": "tidemark",
            "exp": at + 300, "iat": at, "nonce": now.nonce, "at_hash": BASE64URL_NOPAD.encode(&hash[..16]),
            "preferred_username": "ann", "groups": ["staff", "ops"],
        }),
        public_key: inner.own.public_key().as_ref().to_vec(),
        other_jwk: jwk(&inner.other),
        signing: Signing::Own,
    };
    (now.forge)(&mut token);
    let text = signed(&inner, &token);
    let answer = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": text,
    });
    Json(answer).into_response()
}

fn signed(inner: &Inner, token: &Token) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(&token.header), part(&token.claims));
    let random = SystemRandom::new();
    let by = |key: &EcdsaKeyPair| {
        key.sign(&random, message.as_bytes())
            .unwrap()
            .as_ref()
            .to_vec()
    };
    let signature = match &token.signing {
        Signing::Own => by(&inner.own),
        Signing::OtherKey => by(&inner.other),
        Signing::None => vec![],
        Signing::Hmac(secret) => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
            ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }
        Signing::Damaged => {
            let mut signature = by(&inner.own);
            signature[7] ^= 1;
            signature
        }
    };
    format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
}
