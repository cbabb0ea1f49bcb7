//! `key rotate|revoke|sign`: what operators sign about their keys. What is signed is shown from the very bytes that are signed.

use tidemark_model::Timestamp;
use tidemark_model::action::Tier;
use tidemark_model::key_statement::{
    KeyRevocation, KeyRotation, KeyStatement, StatementId, StatementKind,
};
use tidemark_model::signing::{PublicKey, Signature};
use tidemark_model::view::{KeyStatementRequest, KeyStatementView, SignatureRequest};

use super::fleet::Statement;
use super::{make_sealed, open_kept};
use crate::args::{PassphraseArgs, RevokeKeyArgs, RotateArgs};
use crate::commands::Ctx;
use crate::commands::consent::Consent;
use crate::commands::show::show_once;
use crate::failure::Failure;
use crate::keys::{self, KeptKey, KeyError, OpenKey};
use crate::render::text::visible;
use crate::since::Moment;

/// Has another key take a key's place.
pub async fn rotate(ctx: &Ctx<'_>, wanted: &RotateArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let folder = keys::folder()?;
    let old = KeptKey::read(&folder, &wanted.name)?;
    let to = match &wanted.to {
        Some(to) => to.clone(),
        None => next_name(&folder, &wanted.name)?,
    };
    let for_new = PassphraseArgs {
        passphrase_file: wanted.new_passphrase_file.clone(),
        pin_file: wanted.new_passphrase_file.clone(),
    };
    let new = match KeptKey::read(&folder, &to) {
        Err(KeyError::Missing { .. }) => make_sealed(ctx, &to, &for_new)?,
        read => read?,
    };
    let tier_max = Tier::try_from(wanted.tier_max)
        .map_err(|error| Failure::usage(format!("--tier-max: {error}")))?;
    let statement = KeyStatement::Rotation(KeyRotation {
        old: old.public(),
        new: new.public(),
        tier_max,
        issued_at_ms: ctx.clock.now(),
        reason: wanted.reason.clone(),
    });
    let Some(bytes) = agreed(ctx, &statement, Consent::of(wanted.yes))? else {
        return Ok(());
    };
    let signers = [
        open_kept(ctx, &old, &wanted.passphrase)?,
        open_kept(ctx, &new, &for_new)?,
    ];
    let brought = api
        .bring_key_statement(&signed(&statement, &bytes, &signers)?)
        .await?;
    show_once(ctx, &Statement(brought))?;
    ctx.console.note(&format!(
        "sign with {} where hosts follow it, `tidemark get key-statements` says which; on others {} goes on",
        visible(new.name()),
        visible(old.name())
    ));
    Ok(())
}

/// Has hosts not believe a key any more.
pub async fn revoke(ctx: &Ctx<'_>, wanted: &RevokeKeyArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let folder = keys::folder()?;
    let now = ctx.clock.now();
    let since = wanted.since.as_deref().map(str::parse::<Moment>);
    let since = since
        .transpose()
        .map_err(|error| Failure::usage(format!("--since: {error}")))?
        .map(|moment| moment.at(now, &ctx.screen().zone));
    let statement = KeyStatement::Revocation(KeyRevocation {
        key: meant(ctx, &wanted.key).await?,
        since_ms: since,
        issued_at_ms: now,
        reason: wanted.reason.clone(),
    });
    let signer = KeptKey::read(&folder, &wanted.signer)?;
    let Some(bytes) = agreed(ctx, &statement, Consent::of(wanted.yes))? else {
        return Ok(());
    };
    let signers = [open_kept(ctx, &signer, &wanted.passphrase)?];
    let brought = api
        .bring_key_statement(&signed(&statement, &bytes, &signers)?)
        .await?;
    show_once(ctx, &Statement(brought))
}

/// Adds a signature to a statement that somebody brought.
pub async fn sign(
    ctx: &Ctx<'_>,
    id: &str,
    (name, passphrase): (&str, &PassphraseArgs),
    consent: Consent,
) -> Result<(), Failure> {
    let api = ctx.api()?;
    let meant: StatementId = id
        .parse()
        .map_err(|error| Failure::usage(format!("{error}")))?;
    let told: KeyStatementView = api.key_statement(id).await?;
    let bytes = told.bytes.into_bytes();
    let statement = KeyStatement::from_bytes(&bytes)
        .map_err(|error| Failure::usage(format!("the controller sent no statement: {error}")))?;
    if StatementId::of_bytes(&bytes) != meant {
        return Err(Failure::usage(
            "the controller sent another statement than was asked for; nothing was signed",
        ));
    }
    let key = KeptKey::read(&keys::folder()?, name)?;
    if agreed(ctx, &statement, consent)?.is_none() {
        return Ok(());
    }
    let key = open_kept(ctx, &key, passphrase)?;
    let signature = key.sign(statement.purpose(), &bytes)?;
    let signed = api.sign_key_statement(id, &request(&signature)).await?;
    show_once(ctx, &Statement(signed))
}

/// The bytes of a statement, if whoever reads what they say agrees.
fn agreed(
    ctx: &Ctx<'_>,
    statement: &KeyStatement,
    consent: Consent,
) -> Result<Option<Vec<u8>>, Failure> {
    let bytes = statement.to_bytes();
    let read =
        KeyStatement::from_bytes(&bytes).map_err(|error| Failure::usage(error.to_string()))?;
    ctx.console.note(&visible_statement(&read));
    let else_say = match read.kind() {
        StatementKind::Revocation => "this revokes the key for good",
        StatementKind::Rotation => "this has the new key take the old one's place",
    };
    let given = consent.is_given(ctx, "Sign it?", else_say)?;
    Ok(given.then_some(bytes))
}

fn visible_statement(statement: &KeyStatement) -> String {
    let reason = visible(statement.reason());
    match statement {
        KeyStatement::Revocation(revocation) => {
            let since = revocation.since_ms.map_or_else(
                || "always: every key that took its place falls with it".to_owned(),
                |since| {
                    format!(
                        "{}: keys that took its place since then fall with it",
                        at(since)
                    )
                },
            );
            format!(
                "revoke   key {} ({})\nbecause  {reason}\nsince    {since}\nmade     {}",
                revocation.key.id(),
                revocation.key,
                at(revocation.issued_at_ms)
            )
        }
        KeyStatement::Rotation(rotation) => format!(
            "replace  key {} ({})\nby       key {} ({})\nup to    tier {}\nbecause  {reason}\nmade     {}",
            rotation.old.id(),
            rotation.old,
            rotation.new.id(),
            rotation.new,
            rotation.tier_max.number(),
            at(rotation.issued_at_ms)
        ),
    }
}

fn at(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms())
        .map_or_else(|_| at.unix_ms().to_string(), |at| at.to_string())
}

fn signed(
    statement: &KeyStatement,
    bytes: &[u8],
    signers: &[OpenKey],
) -> Result<KeyStatementRequest, Failure> {
    let mut signatures = Vec::with_capacity(signers.len());
    for signer in signers {
        signatures.push(request(&signer.sign(statement.purpose(), bytes)?));
    }
    Ok(KeyStatementRequest {
        // A statement is JSON, which is text.
        statement: String::from_utf8_lossy(bytes).into_owned(),
        signatures,
    })
}

fn request(signature: &Signature) -> SignatureRequest {
    SignatureRequest {
        key_id: signature.key.to_string(),
        signature: signature.to_base64(),
    }
}

/// The key that somebody means: itself, one of this machine, or one that hosts list.
async fn meant(ctx: &Ctx<'_>, text: &str) -> Result<PublicKey, Failure> {
    if text.starts_with("ed25519:") {
        return text
            .parse()
            .map_err(|error| Failure::usage(format!("{error}")));
    }
    if let Ok(key) = KeptKey::read(&keys::folder()?, text) {
        return Ok(key.public());
    }
    let listed = ctx.api()?.keys().await?;
    let is_meant = |key: &&tidemark_model::view::FleetKeyView| {
        key.id.to_string() == text || key.names.iter().any(|name| name == text)
    };
    let found: Vec<_> = listed.iter().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok(one.public),
        [] => Err(Failure::usage(format!(
            "no key of this machine and none that hosts list is called {}; `tidemark get keys` lists them",
            visible(text)
        ))),
        many => {
            let ids: Vec<_> = many.iter().map(|key| key.id.to_string()).collect();
            Err(Failure::usage(format!(
                "{} keys are called {}; name one by its id: {}",
                many.len(),
                visible(text),
                ids.join(", ")
            )))
        }
    }
}

/// The name with the next number that is free: ann, ann-2, ann-3.
fn next_name(folder: &std::path::Path, name: &str) -> Result<String, KeyError> {
    let (stem, last) = name
        .rsplit_once('-')
        .and_then(|(stem, number)| Some((stem, number.parse::<u32>().ok()?)))
        .unwrap_or((name, 1));
    let mut number = last;
    loop {
        number = number.saturating_add(1);
        let next = format!("{stem}-{number}");
        match KeptKey::check_free(folder, &next) {
            Err(KeyError::Exists { .. }) if number < u32::MAX => {}
            other => return other.map(|()| next),
        }
    }
}
