//! Real handshakes over an in-memory pipe, with certificates made for the test.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    pin: CaPin,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let pin = CaPin::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&key));
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = params.self_signed(&key).unwrap().der().clone();
    Authority {
        issuer: Issuer::new(params, key),
        root,
        pin,
    }
}

fn leaf(authority: &Authority, purpose: ExtendedKeyUsagePurpose) -> TlsIdentity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![SanType::DnsName("controller.test".try_into().unwrap())];
    params.extended_key_usages = vec![purpose];
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    TlsIdentity {
        chain: vec![certificate.der().clone(), authority.root.clone()],
        key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
    }
}

/// Certificates that the server saw, or why there was no conversation.
async fn converse(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<usize, std::io::Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        let mut word = [0; 2];
        stream.read_exact(&mut word).await?;
        stream.write_all(&word).await?;
        stream.flush().await?;
        Ok::<_, std::io::Error>(stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len))
    };
    let ask = async {
        let name = ServerName::try_from("controller.test").unwrap();
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.write_all(b"hi").await?;
        let mut word = [0; 2];
        stream.read_exact(&mut word).await?;
        Ok::<_, std::io::Error>(())
    };
    let (served, asked) = tokio::join!(serve, ask);
    asked?;
    served
}

fn pin_mismatch(error: &std::io::Error) -> Option<&PinMismatch> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error else {
        return None;
    };
    other.0.downcast_ref()
}

#[tokio::test]
async fn the_pinned_authority_is_trusted_and_another_is_named() {
    let ours = authority();
    let server = server_config(
        leaf(&ours, ExtendedKeyUsagePurpose::ServerAuth),
        ours.root.clone(),
    )
    .unwrap();
    let client = client_config(Trust::Pin(ours.pin), None).unwrap();
    assert_eq!(converse(Arc::clone(&server), client).await.unwrap(), 0);

    let foreign = authority();
    let client = client_config(Trust::Pin(foreign.pin), None).unwrap();
    let error = converse(server, client).await.unwrap_err();
    let mismatch = pin_mismatch(&error).expect("the error says which authority was shown");
    assert_eq!(mismatch.pinned, foreign.pin.to_string());
    assert_eq!(mismatch.shown, [ours.pin.to_string()]);
}

#[tokio::test]
async fn a_client_shows_a_certificate_of_our_authority_or_none() {
    let ours = authority();
    let server = server_config(
        leaf(&ours, ExtendedKeyUsagePurpose::ServerAuth),
        ours.root.clone(),
    )
    .unwrap();
    let trust = Trust::Root(ours.root.clone());
    let known = client_config(
        trust.clone(),
        Some(leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth)),
    )
    .unwrap();
    assert_eq!(converse(Arc::clone(&server), known).await.unwrap(), 2);

    let foreign = leaf(&authority(), ExtendedKeyUsagePurpose::ClientAuth);
    let unknown = client_config(trust.clone(), Some(foreign)).unwrap();
    converse(Arc::clone(&server), unknown).await.unwrap_err();

    let wrong_purpose = leaf(&ours, ExtendedKeyUsagePurpose::ServerAuth);
    let posing = client_config(trust, Some(wrong_purpose)).unwrap();
    converse(server, posing).await.unwrap_err();
}

#[tokio::test]
async fn a_pinned_root_does_not_excuse_a_leaf_of_another_authority() {
    let ours = authority();
    let mut identity = leaf(&authority(), ExtendedKeyUsagePurpose::ServerAuth);
    identity.chain.push(ours.root.clone());
    let server = server_config(identity, ours.root.clone()).unwrap();
    let client = client_config(Trust::Pin(ours.pin), None).unwrap();
    converse(server, client).await.unwrap_err();
}

#[tokio::test]
async fn a_session_is_never_resumed() {
    let ours = authority();
    let server = server_config(
        leaf(&ours, ExtendedKeyUsagePurpose::ServerAuth),
        ours.root.clone(),
    )
    .unwrap();
    let identity = leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let client = client_config(Trust::Root(ours.root.clone()), Some(identity)).unwrap();
    for _ in 0..3 {
        // A resumed session would show the server no certificates on the wire; the count comes from a full handshake.
        assert_eq!(
            converse(Arc::clone(&server), Arc::clone(&client))
                .await
                .unwrap(),
            2
        );
    }
    assert!(!server.session_storage.can_cache());
    assert_eq!(server.send_tls13_tickets, 0);
}
