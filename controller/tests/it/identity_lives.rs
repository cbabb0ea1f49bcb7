//! A host enrols and renews at a real controller while, at each step of its disk in turn or in any order, power goes or the disk
//! fails: it ends as itself, with one token, and is never taken for its own clone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemark_agent::enroll::enroll_request;
use tidemark_agent::identity::{Vault, VaultError};
use tidemark_agent::renew::renew_request;
use tidemark_controller::app::App;
use tidemark_controller::gateway::enrolment::Enrolment;
use tidemark_disk::{Chance, Disk, Fault, MemoryDisk};
use tidemark_model::{HostState, JoinToken};
use tidemark_proto::v1::Credentials;
use tidemark_proto::v1::enrollment_server::Enrollment as _;
use tidemark_store::testing::new_host;
use tonic::Request;

use crate::made_up::MadeUp;

const FOLDER: &str = "/identity";
/// Ways in which the same power cut may end.
const POWER_SEEDS: u64 = 4;
/// Lives in which faults, starts, lost answers and power cuts come in any order.
const ANY_ORDER_LIVES: u64 = 400;

/// A host with a disk that fails, before a controller that does not.
struct Life {
    app: Arc<App>,
    enrolment: Enrolment,
    token: JoinToken,
    disk: MemoryDisk,
    vault: Option<Vault>,
    /// The highest generation that the host was told is kept.
    kept: u64,
    /// Why something could not be done, the last of it.
    refused: Option<VaultError>,
}

/// What becomes of the controller's answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Arrives,
    IsLost,
}

impl Life {
    async fn begin(app: &Arc<App>, disk: MemoryDisk) -> Self {
        let token = app
            .make_join_token(Duration::from_secs(3_600), 1, BTreeMap::new())
            .await
            .unwrap();
        Self {
            app: Arc::clone(app),
            enrolment: Enrolment::new(Arc::clone(app)),
            token: token.token,
            disk,
            vault: None,
            kept: 0,
            refused: None,
        }
    }

    /// Starts the agent, which enrols if it has not.
    fn start(&mut self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.for_process());
        let opened = Vault::open_or_create_on(disk, Path::new(FOLDER), self.token.ca_pin);
        self.vault = self.note(opened);
    }

    fn note<T>(&mut self, done: Result<T, VaultError>) -> Option<T> {
        done.map_err(|error| self.refused = Some(error)).ok()
    }

    /// Asks for a certificate, the first one or the next.
    async fn ask(&mut self, answer: Answer) {
        if self.vault.is_none() {
            self.start();
        }
        let Some(vault) = self.vault.take() else {
            return;
        };
        let asked = if vault.is_enrolled() {
            self.renew(&vault).await
        } else {
            self.enrol(&vault).await
        };
        if let (Some(issued), Answer::Arrives) = (self.note(asked), answer) {
            let accepted = vault.accept(issued);
            if let Some(held) = self.note(accepted) {
                self.kept = self.kept.max(held.generation());
            }
        }
        self.vault = Some(vault);
    }

    async fn enrol(&self, vault: &Vault) -> Result<Credentials, VaultError> {
        let request = enroll_request(vault, &self.token, &new_host(&[], "app-1").facts)?;
        let answer = self.enrolment.enroll(Request::new(request)).await;
        let answer = answer.expect("a host that has the token is enrolled");
        Ok(answer.into_inner().credentials.unwrap())
    }

    async fn renew(&self, vault: &Vault) -> Result<Credentials, VaultError> {
        let request = renew_request(vault)?;
        let answer = self.enrolment.renew(Request::new(request)).await;
        let answer = answer.expect("a host that proves who it is gets a certificate");
        Ok(answer.into_inner().credentials.unwrap())
    }

    /// Everything that a host does for its identity.
    async fn live(&mut self) {
        self.start();
        self.ask(Answer::IsLost).await;
        self.ask(Answer::Arrives).await;
        self.ask(Answer::Arrives).await;
        self.start();
        self.ask(Answer::IsLost).await;
        self.start();
        self.ask(Answer::Arrives).await;
        self.ask(Answer::Arrives).await;
    }

    /// What was kept is held, and the host goes on as the one that it was.
    async fn assert_goes_on(&mut self, what: &str) {
        self.start();
        let vault = self.vault.as_ref();
        let held = vault.unwrap_or_else(|| panic!("{what}: it does not start: {:?}", self.refused));
        assert!(
            held.generation() >= self.kept,
            "{what}: generation {} of {}",
            held.generation(),
            self.kept
        );
        if self.kept > 0 {
            let current = held
                .current()
                .unwrap_or_else(|| panic!("{what}: its certificate is gone"));
            assert!(
                current.generation() >= self.kept,
                "{what}: an older certificate"
            );
        }
        for _ in 0..2 {
            self.ask(Answer::Arrives).await;
        }
        let vault = self.vault.as_ref().unwrap();
        let current = vault
            .current()
            .unwrap_or_else(|| panic!("{what}: no certificate: {:?}", self.refused));
        let host = vault.identity().host_id();
        let known = self
            .app
            .store
            .read()
            .await
            .unwrap()
            .host_find(host)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(known.state, HostState::Enrolled, "{what}");
        assert_eq!(known.certificate.generation, current.generation(), "{what}");
    }
}

async fn steps_of_a_life(app: &Arc<App>) -> u64 {
    let disk = MemoryDisk::new(0);
    let mut life = Life::begin(app, disk.clone()).await;
    life.live().await;
    let steps = disk.steps();
    assert_eq!(life.kept, 4, "{:?}", life.refused);
    life.assert_goes_on("no fault").await;
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_power_goes_at_any_step_of_enrolment_or_renewal_ends_as_itself() {
    let made_up = MadeUp::start().await;
    let app = &made_up.started.app;
    let steps = steps_of_a_life(app).await;
    assert!(steps > 100, "{steps} steps");
    for (step, seed) in (0..steps).flat_map(|step| (0..POWER_SEEDS).map(move |seed| (step, seed))) {
        let what = format!("power cut at step {step} of {steps}, seed {seed}");
        let disk = MemoryDisk::new(seed);
        disk.fail_at(step, Fault::PowerCut);
        let mut life = Life::begin(app, disk.clone()).await;
        life.live().await;
        assert!(!disk.is_on(), "{what}");
        disk.power_up();
        life.assert_goes_on(&what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_disk_fails_at_any_step_of_enrolment_or_renewal_ends_as_itself() {
    let made_up = MadeUp::start().await;
    let app = &made_up.started.app;
    let steps = steps_of_a_life(app).await;
    for fault in [Fault::NoSpace, Fault::Medium, Fault::Busy] {
        for (step, lasts) in (0..steps).flat_map(|step| [(step, false), (step, true)]) {
            let what = format!("{fault:?} at step {step} of {steps}, for good: {lasts}");
            let disk = MemoryDisk::new(step);
            if lasts {
                disk.fail_from(step, fault);
            } else {
                disk.fail_at(step, fault);
            }
            let mut life = Life::begin(app, disk.clone()).await;
            life.live().await;
            disk.cut_power();
            disk.power_up();
            disk.mend();
            life.assert_goes_on(&what).await;
        }
    }
}

/// What comes next in a life in which anything may: a start, an answer, a fault that is to come soon, once or until it is mended.
async fn happen(life: &mut Life, chance: &mut Chance) {
    match chance.index(6) {
        0 => life.start(),
        1 => life.ask(Answer::IsLost).await,
        2 => life.ask(Answer::Arrives).await,
        3 => life.disk.fail_soon(chance),
        4 => life.disk.fail_from_soon_on(chance),
        _ => life.disk.mend(),
    }
    if !life.disk.is_on() || chance.percent(5) {
        life.disk.cut_power();
        life.disk.power_up();
        life.vault = None;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_to_which_anything_happens_in_any_order_ends_as_itself() {
    let made_up = MadeUp::start().await;
    let mut renewed = 0;
    for seed in 0..ANY_ORDER_LIVES {
        let mut chance = Chance::new(seed);
        let disk = MemoryDisk::new(seed);
        let mut life = Life::begin(&made_up.started.app, disk.clone()).await;
        for _ in 0..40 {
            happen(&mut life, &mut chance).await;
        }
        disk.cut_power();
        disk.power_up();
        disk.mend();
        renewed += life.kept;
        life.assert_goes_on(&format!("life {seed}")).await;
    }
    assert!(renewed > ANY_ORDER_LIVES, "{renewed} certificates");
}
