//! Actions between a real controller and peers that speak for hosts, over real TLS: sessions that are cut, a controller that
//! is killed, a host that reports about another's.

use anyhow::Context as _;
use serde_json::{Value, json};
use tidemark_model::action::{ActionReport, ActionState, Order};
use tidemark_model::view::{ActionDetail, HostPolicyAnswer};
use tidemark_proto::convert::action::report_to_wire;
use tidemark_proto::v1::{HostPolicy, HostProfile, agent_frame, controller_frame};
use tidemark_runtime::Clock;
use tidemark_tests::harness::peer::Session;
use tidemark_tests::harness::{Controller, Peer, SOON, Up, on_own_network, until};
use tonic::Code;

/// Asks for a restart of a service of `host` and has it approved; the action's id.
async fn restart(controller: &Controller, host: &str) -> anyhow::Result<String> {
    let ann = controller.token_of("ann", "operator").await?;
    let bob = controller.token_of("bob", "approver").await?;
    let body = json!({"host": host, "reason": "a leak",
        "spec": {"action": "restart_service", "service": "leaky"}});
    let (status, action) = controller.post_as(&ann, "/api/v1/actions", &body).await?;
    anyhow::ensure!(status == 201, "{status}: {action}");
    let id = action["id"].as_str().context("an id")?.to_owned();
    let path = format!("/api/v1/actions/{id}/approve");
    let (status, _) = controller.post_as(&ann, &path, &Value::Null).await?;
    anyhow::ensure!(status == 403, "whoever asked approved: {status}");
    let (status, answer) = controller.post_as(&bob, &path, &json!({})).await?;
    anyhow::ensure!(status == 200, "{status}: {answer}");
    Ok(id)
}

async fn action(controller: &Controller, id: &str) -> anyhow::Result<ActionDetail> {
    controller.get(&format!("/api/v1/actions/{id}")).await
}

async fn stands(controller: &Controller, id: &str, state: ActionState) -> anyhow::Result<()> {
    until(state.as_str(), SOON, async || {
        let now = action(controller, id).await?.action.state;
        Ok((now == state).then_some(()))
    })
    .await
}

/// The next frame that is no ack of records.
async fn frame(session: &mut Session) -> anyhow::Result<controller_frame::Kind> {
    loop {
        let frame = session.answer().await?;
        if !matches!(frame, controller_frame::Kind::Ack(_)) {
            return Ok(frame);
        }
    }
}

async fn order(session: &mut Session) -> anyhow::Result<Order> {
    let frame = frame(session).await?;
    let controller_frame::Kind::Action(action) = frame else {
        anyhow::bail!("{frame:?} instead of an order");
    };
    Ok(Order::from_bytes(&action.order)?)
}

async fn tell(session: &Session, order: &Order, state: ActionState) -> anyhow::Result<()> {
    let report = ActionReport::new(order.id, state, order.issued_at_ms, "as told");
    let update = report_to_wire(&report).context("a host's state")?;
    session.send(agent_frame::Kind::Action(update)).await
}

/// Waits until the report is stored.
async fn acked(session: &mut Session, order: &Order) -> anyhow::Result<()> {
    let frame = frame(session).await?;
    let controller_frame::Kind::ActionAck(ack) = frame else {
        anyhow::bail!("{frame:?} instead of an acknowledgement");
    };
    anyhow::ensure!(ack.action_id == order.id.as_bytes(), "{ack:?}");
    Ok(())
}

#[test]
fn an_order_outlives_cut_sessions_and_a_killed_controller_and_is_one() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "web-1").await?;
        let id = restart(&controller, "web-1").await?;
        let first = peer
            .talk(async |mut session| {
                let welcome = session.hello_taking_actions(1).await?;
                anyhow::ensure!(welcome.sends_actions, "it sends actions");
                order(&mut session).await
            })
            .await?;
        assert_eq!(first.id.to_string(), id);
        // The connection is gone before the host said that it has it.
        stands(&controller, &id, ActionState::Queued).await?;
        peer.talk(async |mut session| {
            session.hello_taking_actions(1).await?;
            assert_eq!(order(&mut session).await?, first, "the same order");
            tell(&session, &first, ActionState::Accepted).await?;
            acked(&mut session, &first).await?;
            tell(&session, &first, ActionState::Failed).await?;
            // Whether it is stored by then, nobody knows; the host certainly does not.
            controller.process.kill().await
        })
        .await?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        peer.talk(async |mut session| {
            session.hello_taking_actions(1).await?;
            for _ in 0..2 {
                tell(&session, &first, ActionState::Failed).await?;
                acked(&mut session, &first).await?;
            }
            Ok(())
        })
        .await?;
        let ended = action(&controller, &id).await?;
        let states: Vec<ActionState> = ended.life.iter().map(|step| step.to).collect();
        use ActionState as S;
        assert_eq!(
            states,
            [
                S::Proposed,
                S::Approved,
                S::Queued,
                S::Sent,
                S::Queued,
                S::Sent,
                S::Accepted,
                S::Failed
            ]
        );
        Ok(())
    })
}

#[test]
fn a_host_speaks_of_its_own_actions_alone() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "web-1").await?;
        let hostile = Peer::enrolled(&controller, "hostile").await?;
        let id = restart(&controller, "web-1").await?;
        let order = peer
            .talk(async |mut session| {
                session.hello_taking_actions(1).await?;
                order(&mut session).await
            })
            .await?;
        stands(&controller, &id, ActionState::Queued).await?;
        let before = action(&controller, &id).await?.life;
        let (code, words) = hostile
            .talk(async |mut session| {
                session.hello_taking_actions(1).await?;
                tell(&session, &order, ActionState::Verifying).await?;
                session.refusal().await
            })
            .await?;
        assert_eq!(code, Code::PermissionDenied, "{words}");
        assert!(words.contains("another host"), "{words}");
        assert_eq!(action(&controller, &id).await?.life, before);
        Ok(())
    })
}

#[test]
fn a_lockdown_reaches_who_is_connected_and_who_comes_later() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut controller = Controller::up(machine, &Up::alone()).await?;
        let ann = controller.token_of("ann", "operator").await?;
        let peer = Peer::enrolled(&controller, "web-1").await?;
        peer.talk(async |mut session| {
            session.hello_taking_actions(1).await?;
            let policy = HostPolicy {
                profile: HostProfile::Safe.into(),
                allowed: vec![3],
                ..HostPolicy::default()
            };
            session.send(agent_frame::Kind::Policy(policy)).await?;
            until("the host's policy", SOON, async || {
                let told: HostPolicyAnswer = controller.get("/api/v1/hosts/web-1/policy").await?;
                Ok(told.policy.filter(|policy| policy.allowed.len() == 1))
            })
            .await?;
            let body = json!({"reason": "an attack"});
            let (status, _) = controller.post_as(&ann, "/api/v1/lockdown", &body).await?;
            assert_eq!(status, 200);
            let told = frame(&mut session).await?;
            anyhow::ensure!(
                matches!(&told, controller_frame::Kind::Lockdown(lockdown) if lockdown.stop),
                "{told:?}"
            );
            Ok(())
        })
        .await?;
        let id = restart(&controller, "web-1").await?;
        controller.process.kill().await?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        peer.talk(async |mut session| {
            session.hello_taking_actions(1).await?;
            let told = frame(&mut session).await?;
            anyhow::ensure!(
                matches!(&told, controller_frame::Kind::Lockdown(lockdown) if lockdown.stop),
                "{told:?}"
            );
            Ok(())
        })
        .await?;
        let held = action(&controller, &id).await?.action;
        assert_eq!(held.state, ActionState::Approved);
        assert!(Clock::System.now().unix_ms() < held.expires_ms);
        Ok(())
    })
}
