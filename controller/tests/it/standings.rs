//! Who is shut out and let in again at another controller, when nobody heard of it.

use tidemark_controller::app::identities::profile_of;
use tidemark_controller::remediate::RemediationRules;
use tidemark_controller::tasks::news::hold_standings;
use tidemark_model::HostState;

use crate::action_lives::{Still, host};

/// Stores a standing as another controller does.
async fn elsewhere(still: &Still, to: HostState) {
    let mut tx = still.app.store.begin().await.unwrap();
    let found = tx.host_find(host(1)).await.unwrap().unwrap();
    tx.host_set_state(found.id, found.state_generation, to)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn standing(still: &Still) -> HostState {
    let known = still.app.live.read(host(1), |live| live.profile.standing);
    known.unwrap()
}

#[tokio::test]
async fn a_release_from_quarantine_elsewhere_is_seen_at_the_next_look() {
    let still = Still::with(RemediationRules::default()).await;
    still.app.learn_host(host(1)).await.unwrap();
    elsewhere(&still, HostState::Quarantined).await;
    hold_standings(&still.app).await.unwrap();
    assert_eq!(standing(&still), HostState::Quarantined);
    hold_standings(&still.app).await.unwrap();
    assert_eq!(standing(&still), HostState::Quarantined, "it still is");
    elsewhere(&still, HostState::Enrolled).await;
    hold_standings(&still.app).await.unwrap();
    assert_eq!(standing(&still), HostState::Enrolled);
}

#[tokio::test]
async fn a_host_that_is_revoked_while_it_greets_stays_out() {
    let still = Still::with(RemediationRules::default()).await;
    still.app.learn_host(host(1)).await.unwrap();
    let read_before = still
        .app
        .store
        .read()
        .await
        .unwrap()
        .host_find(host(1))
        .await;
    still.app.revoke(host(1)).await.unwrap();
    still
        .app
        .live
        .put(profile_of(&read_before.unwrap().unwrap()));
    assert_eq!(standing(&still), HostState::Revoked);
}
