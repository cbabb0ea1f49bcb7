//! Statements about keys that a stolen controller makes up, changes or repeats: no key of the host comes or goes by them.

use tidemark_model::Timestamp;
use tidemark_model::action::Tier;
use tidemark_model::key_statement::{KeyRevocation, KeyRotation, KeyStatement};

use super::*;

/// One statement with whoever signed it.
fn frame(statement: &KeyStatement, purpose: Purpose, signers: &[&PrivateKey]) -> Kind {
    let bytes = statement.to_bytes();
    let signatures: Vec<_> = signers
        .iter()
        .map(|key| key.sign(purpose, &bytes))
        .collect();
    of_bytes(bytes, &signatures)
}

fn of_bytes(statement: Vec<u8>, signatures: &[tidemark_model::signing::Signature]) -> Kind {
    Kind::KeyStatement(tidemark_proto::v1::KeyStatement {
        statement,
        signatures: signatures_to_wire(signatures),
    })
}

fn revoke(key: &PrivateKey) -> KeyStatement {
    KeyStatement::Revocation(KeyRevocation {
        key: key.public(),
        since_ms: None,
        issued_at_ms: Clock::System.now(),
        reason: "hostile".to_owned(),
    })
}

fn rotate(old: &PrivateKey, new: &PrivateKey, issued_at: Timestamp) -> KeyStatement {
    KeyStatement::Rotation(KeyRotation {
        old: old.public(),
        new: new.public(),
        tier_max: Tier::Reboot,
        issued_at_ms: issued_at,
        reason: "hostile".to_owned(),
    })
}

/// What it can make without a key of the host that may do it.
fn forged(f: &Forge) -> Vec<(&'static str, Kind)> {
    let now = Clock::System.now();
    let (revocation, rotation) = (Purpose::KeyRevocation, Purpose::KeyRotation);
    let end_of_ann = revoke(&f.ann);
    let taken = rotate(&f.ann, &f.stranger, now);
    let mut passed_off = f.stranger.sign(revocation, &end_of_ann.to_bytes());
    passed_off.key = f.ann.public().id();
    let text = String::from_utf8(revoke(&f.junior).to_bytes()).expect("JSON");
    let changed = text.replace(&f.junior.public().to_string(), &f.ann.public().to_string());
    let of_junior = f.junior.sign(revocation, text.as_bytes());
    vec![
        ("nobody revokes", frame(&end_of_ann, revocation, &[])),
        (
            "a stranger revokes",
            frame(&end_of_ann, revocation, &[&f.stranger]),
        ),
        (
            "a stranger revokes under ann's name",
            of_bytes(end_of_ann.to_bytes(), &[passed_off]),
        ),
        (
            "a lesser key revokes",
            frame(&end_of_ann, revocation, &[&f.junior]),
        ),
        (
            "what was signed as an order revokes",
            frame(&end_of_ann, Purpose::Order, &[&f.bob]),
        ),
        (
            "a revocation of another key, changed",
            of_bytes(changed.into_bytes(), &[of_junior]),
        ),
        (
            "a stranger takes ann's place",
            frame(&taken, rotation, &[&f.stranger]),
        ),
        (
            "a stolen key alone makes another",
            frame(&taken, rotation, &[&f.ann, &f.stranger]),
        ),
        (
            "everybody signs where the policy forbids it",
            frame(&taken, rotation, &[&f.ann, &f.stranger, &f.bob]),
        ),
        ("no statement", of_bytes(b"{}".to_vec(), &[])),
    ]
}

#[test]
fn a_stolen_controller_revokes_and_rotates_no_key() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        let scripts = forged(&site.forge);
        let count = scripts.len();
        for (name, frame) in scripts {
            site.thief.send_frame(frame, PATIENCE).await?;
            site.takes(name).await?;
            let strange = site
                .forge
                .signed_by(&[&site.forge.stranger], &site.forge.hook());
            site.refuses(name, &strange, Refusal::UnknownKey).await?;
        }
        println!("forged statements about keys: {count}");
        // What operators did sign holds, also when it comes twice, through a restart, and against who sends old orders.
        let restart_by_junior = |site: &Site| {
            let order = site.forge.order(restart("appsvc"));
            site.forge.signed_by(&[&site.forge.junior], &order)
        };
        let end = revoke(&site.forge.junior);
        for _ in 0..2 {
            let end = frame(&end, Purpose::KeyRevocation, &[&site.forge.bob]);
            site.thief.send_frame(end, PATIENCE).await?;
        }
        let order = restart_by_junior(&site);
        site.refuses("a revoked key", &order, Refusal::UnknownKey)
            .await?;
        site.restart_with(&[], |_| Ok(())).await?;
        site.refuses("a revoked key after a restart", &order, Refusal::UnknownKey)
            .await?;
        site.takes("with the other keys").await?;
        let file = site.folder.data_dir().join("keys.accepted");
        let whole = fs::read(&file)?;
        fs::write(&file, whole.get(..whole.len() / 2).context("half of it")?)?;
        let order = site.forge.signed(&site.forge.hook());
        site.refuses("a damaged record of keys", &order, Refusal::PolicyUnusable)
            .await?;
        fs::write(&file, whole)?;
        site.takes("with its record of keys again").await.map(drop)
    })
}
