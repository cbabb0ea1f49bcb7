//! Peers that break the rules, over real TLS: each is answered with what it did wrong, and nobody else notices.

use std::time::Duration;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tidemark_model::Timestamp;
use tidemark_model::view::HistoryView;
use tidemark_proto::SERVER_NAME;
use tidemark_proto::v1::{AgentFrame, Gap, GapReason, RecordBatch, agent_frame};
use tidemark_runtime::Clock;
use tidemark_runtime::tls::{self, TlsIdentity};
use tidemark_tests::harness::peer::{Session, sample};
use tidemark_tests::harness::{Controller, Peer, SOON, Up, on_own_network, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;

const MIB: usize = 1024 * 1024;
const YEAR: Duration = Duration::from_secs(366 * 86_400);

#[test]
fn a_malformed_frame_is_refused_by_name() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "hostile").await?;
        let bomb = zstd::bulk::compress(&vec![0; 64 * MIB], 3)?;
        assert!(bomb.len() < 64 * 1024, "a bomb is small on the wire");
        let cases = [
            (batch(1, 1, b"no zstd"), "not a zstd frame"),
            (
                batch(1, 1, &zstd::bulk::compress(b"\xff\xff", 3)?),
                "malformed",
            ),
            (batch(1, 1, &bomb), "67108864; the limit is 1048576"),
            (batch(1, 100_000, &[]), "100000; the limit is 256"),
            (batch(0, 1, &[]), "batch.first_seq is missing"),
            (gap(5, 2), "gap"),
        ];
        for (epoch, (kind, words)) in (1..).zip(cases) {
            let said = refusal(&peer, epoch, AgentFrame { kind: Some(kind) }).await?;
            assert_eq!(said.0, Code::InvalidArgument, "{words}: {}", said.1);
            assert!(said.1.contains(words), "{words}: {}", said.1);
        }
        let refused = controller.metric("tidemark_frames_refused_total").await?;
        assert_eq!(refused, 6);
        until("six refusals among the events", SOON, async || {
            let events = controller.events().await?;
            let refusals = events.iter().filter(|event| event.kind == "frame_refused");
            Ok((refusals.count() == 6).then_some(()))
        })
        .await?;
        assert_still_serves(&controller).await
    })
}

#[test]
fn frames_out_of_order_end_the_session_and_say_why() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "hostile").await?;
        let empty = refusal(&peer, 1, AgentFrame { kind: None }).await?;
        assert_eq!(empty.0, Code::InvalidArgument, "{}", empty.1);

        let hole = peer.deliver(2, async |mut session| {
            session.event(1, "first").await?;
            session.acked(1).await?;
            session.event(5, "after a hole").await?;
            session.refusal().await
        });
        let hole = hole.await?;
        assert_eq!(hole.0, Code::InvalidArgument);
        assert!(hole.1.contains("records 2 to 4 are missing"), "{}", hole.1);

        let early = peer.talk(async |mut session| {
            session.event(1, "before hello").await?;
            session.refusal().await
        });
        let early = early.await?;
        assert!(early.1.contains("must be hello"), "{}", early.1);

        let again = peer.deliver(3, async |mut session| {
            session.hello(3, Clock::System.now()).await?;
            Ok(())
        });
        let again = again.await.err().context("a second hello was taken")?;
        assert!(format!("{again:#}").contains("only the first"), "{again:#}");

        // 2 MiB that do not compress: more than a frame may have, before anything is decoded.
        let frame = AgentFrame {
            kind: Some(batch(1, 1, &vec![7; 2 * MIB])),
        };
        let large = refusal(&peer, 4, frame).await?;
        assert_eq!(large.0, Code::OutOfRange, "{}", large.1);

        let host = controller.host(&peer.id().to_string()).await?;
        assert_eq!(host.delivery.stored, 1, "the record before the hole");
        assert_still_serves(&controller).await
    })
}

#[test]
fn strangers_are_turned_away_at_the_door() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "honest").await?;
        let (_, trust) = peer.credentials()?;
        let none = peer
            .talk_as(None, trust.clone(), async |_| Ok(()))
            .await
            .err()
            .context("a session without a certificate")?;
        let none = format!("{none:#}");
        assert!(none.contains("a client certificate is required"), "{none}");

        let failed = "tidemark_tls_handshakes_failed_total";
        let before = controller.metric(failed).await?;
        let foreign = foreign_identity(&peer.id().to_string())?;
        let refused = peer.talk_as(Some(foreign), trust, async |_| Ok(())).await;
        let refused = refused.err().context("a foreign certificate was taken")?;
        let refused = format!("{refused:#}");
        assert!(refused.contains("UnknownCA"), "{refused}");

        let mut plain = TcpStream::connect(&controller.ready.grpc).await?;
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, plain.read_to_end(&mut answer)).await??;
        assert!(answer.len() < 16, "nothing but an alert: {answer:?}");
        until("both refused handshakes are counted", SOON, async || {
            let count = controller.metric(failed).await?;
            Ok((count == before + 2).then_some(()))
        })
        .await?;
        assert_eq!(
            controller.metric("tidemark_sessions_opened_total").await?,
            0
        );
        assert_still_serves(&controller).await
    })
}

#[test]
fn a_refused_peer_hears_why_even_when_it_speaks_on() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "honest").await?;
        let (_, trust) = peer.credentials()?;
        let config = tls::client_config(trust, Some(foreign_identity(&peer.id().to_string())?))?;
        let tcp = TcpStream::connect(&controller.ready.grpc).await?;
        // A client of TLS 1.3 may speak before it knows whether its certificate was taken, as HTTP/2 clients do.
        let mut stream = TlsConnector::from(config)
            .connect(ServerName::try_from(SERVER_NAME)?, tcp)
            .await?;
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await?;
        stream.flush().await?;
        let mut alert = [0];
        tokio::time::timeout(SOON, stream.get_ref().0.peek(&mut alert)).await??;
        for _ in 0..4 {
            stream.write_all(&[0; 1024]).await?;
            stream.flush().await?;
        }
        let heard = tokio::time::timeout(SOON, stream.read(&mut alert)).await?;
        let heard = heard.err().context("the session went on")?.to_string();
        assert!(heard.contains("UnknownCA"), "{heard}");
        Ok(())
    })
}

#[test]
fn a_host_reaches_only_its_own_records_whatever_epoch_it_names() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        const EPOCH: u64 = 77;
        let controller = Controller::up(machine, &Up::alone()).await?;
        let victim = Peer::enrolled(&controller, "victim").await?;
        let thief = Peer::enrolled(&controller, "thief").await?;
        victim
            .deliver(EPOCH, async |mut session| {
                let now = Clock::System.now();
                session.samples(1, &[sample(now, 111)]).await?;
                session.acked(1).await
            })
            .await?;
        thief
            .talk(async |mut session| {
                let welcome = session.hello(EPOCH, Clock::System.now()).await?;
                assert_eq!(welcome.acked_seq, 0, "the victim's place is not told");
                let now = Clock::System.now();
                session.samples(1, &[sample(now, 999)]).await?;
                session.acked(1).await?;
                // A gap up to the end would make the victim's later records duplicates.
                session.send(gap(2, 1_000_000)).await?;
                session.acked(1_000_000).await
            })
            .await?;
        victim
            .talk(async |mut session| {
                let welcome = session.hello(EPOCH, Clock::System.now()).await?;
                assert_eq!(welcome.acked_seq, 1);
                let now = Clock::System.now();
                session.samples(2, &[sample(now, 112)]).await?;
                session.acked(2).await
            })
            .await?;
        let victim = controller.host(&victim.id().to_string()).await?;
        assert_eq!(victim.delivery.stored, 2);
        assert!(victim.delivery.dropped.values().all(|count| *count == 0));
        assert_eq!(victim.host.port_spaces[0].in_use, 112);
        let thief = controller.host(&thief.id().to_string()).await?;
        assert_eq!(thief.delivery.dropped.get("spool_full"), Some(&999_999));
        Ok(())
    })
}

#[test]
fn a_clock_that_is_wrong_or_jumps_keeps_its_samples_in_their_time() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        // The clock is years ahead, and the host says so.
        let ahead = Peer::enrolled(&controller, "ahead").await?;
        ahead
            .talk(async |mut session| {
                let wrong = || Clock::System.now().saturating_add(YEAR * 10);
                session.hello(1, wrong()).await?;
                send_three(&mut session, 1, |_| wrong()).await
            })
            .await?;
        assert_kept_now(&controller, &ahead, 3).await?;

        // It jumps within the session: years ahead, years back, and to the right time again.
        let jumpy = Peer::enrolled(&controller, "jumpy").await?;
        jumpy
            .deliver(1, async |mut session| {
                let now = || Clock::System.now();
                send_three(&mut session, 1, |_| now()).await?;
                send_three(&mut session, 4, |_| now().saturating_add(YEAR * 10)).await?;
                send_three(&mut session, 7, |_| now().saturating_sub(YEAR * 10)).await?;
                send_three(&mut session, 10, |_| now()).await
            })
            .await?;
        assert_kept_now(&controller, &jumpy, 12).await?;
        assert_still_serves(&controller).await
    })
}

/// Sends three samples from `first` on, each in a batch of its own, and waits for them to be durable.
async fn send_three(
    session: &mut Session,
    first: u64,
    mut at: impl FnMut(u64) -> Timestamp,
) -> anyhow::Result<()> {
    for seq in first..first + 3 {
        session.samples(seq, &[sample(at(seq), 100)]).await?;
        session.acked(seq).await?;
    }
    Ok(())
}

/// All of a host's samples lie in the last minutes, not one has replaced another, and nothing lies elsewhere.
async fn assert_kept_now(controller: &Controller, peer: &Peer, samples: u64) -> anyhow::Result<()> {
    let id = peer.id().to_string();
    let host = controller.host(&id).await?;
    let clock_ms = controller.status().await?.clock_ms;
    let sampled_ms = host.host.sampled_ms.context("there is a sample")?;
    assert!(
        (clock_ms - 60_000..=clock_ms).contains(&sampled_ms),
        "the newest sample lies {} ms ago",
        clock_ms - sampled_ms
    );
    assert_eq!(host.delivery.stored, samples);
    let asked = "history ID --metric in_use --since 5m --step 5m --agg count".replace("ID", &id);
    let args: Vec<&str> = asked.split(' ').collect();
    let history: HistoryView = controller.cli_json(&args).await?;
    let counted: f64 = history
        .series
        .iter()
        .flat_map(|series| &series.points)
        .filter_map(|(_, value)| *value)
        .sum();
    assert!(
        (counted - samples as f64).abs() < 0.5,
        "{counted} of {samples} samples lie in the last five minutes"
    );
    Ok(())
}

/// Greets with `epoch`, sends one frame, and returns how the controller ends the session.
async fn refusal(peer: &Peer, epoch: u64, frame: AgentFrame) -> anyhow::Result<(Code, String)> {
    peer.deliver(epoch, async |mut session| {
        session.send_frame(frame).await?;
        session.refusal().await
    })
    .await
}

/// An honest host enrols, delivers and is shown.
async fn assert_still_serves(controller: &Controller) -> anyhow::Result<()> {
    let honest = Peer::enrolled(controller, "bystander").await?;
    honest
        .deliver(9, async |mut session| {
            let now = Clock::System.now();
            session.samples(1, &[sample(now, 42)]).await?;
            session.acked(1).await
        })
        .await?;
    let host = controller.host(&honest.id().to_string()).await?;
    assert_eq!(host.host.port_spaces[0].in_use, 42);
    assert!(controller.status().await?.database_ready);
    Ok(())
}

fn batch(first_seq: u64, count: u32, body_zstd: &[u8]) -> agent_frame::Kind {
    agent_frame::Kind::Records(RecordBatch {
        first_seq,
        count,
        body_zstd: body_zstd.to_vec(),
    })
}

fn gap(first_seq: u64, last_seq: u64) -> agent_frame::Kind {
    agent_frame::Kind::Gap(Gap {
        first_seq,
        last_seq,
        reason: GapReason::SpoolFull.into(),
    })
}

/// A certificate that names the host and hangs on another authority.
fn foreign_identity(host: &str) -> anyhow::Result<TlsIdentity> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, KeyPair::generate()?);
    let key = KeyPair::generate()?;
    let names = vec![format!("{host}.host.tidemark.internal")];
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    Ok(TlsIdentity {
        chain: vec![leaf.der().clone()],
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    })
}
