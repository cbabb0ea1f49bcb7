//! A life of a journal, with each fault at each of its steps in turn, and lives in which anything happens in any order: what was
//! remembered is so afterwards, and what was refused is not found again.

use tidemark_disk::{Chance, Fault, MemoryDisk};

use super::*;

const PATH: &str = "/state/actions.journal";
/// Ways in which the same power cut may end.
const POWER_SEEDS: u64 = 8;
/// Lives in which faults, starts and power cuts come in any order.
const ANY_ORDER_LIVES: u64 = 2_000;

/// What a desk knows of an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// How many of its records the journal took.
    taken: usize,
    /// Whether it may hold one more.
    in_doubt: bool,
}

/// A desk with its journal, on a disk that fails.
struct Life {
    disk: MemoryDisk,
    open: Option<(Journal, Ledger)>,
    found: Vec<Found>,
    /// Of the actions 1, 2, 3, ...
    known: Vec<Known>,
    clock: i64,
}

impl Life {
    fn begin(disk: MemoryDisk) -> Self {
        disk.make_folder(Path::new("/state")).unwrap();
        let mut life = Self {
            disk,
            open: None,
            found: Vec::new(),
            known: Vec::new(),
            clock: 0,
        };
        life.start();
        life
    }

    /// Opens it, as an agent does that is started again until it can.
    fn start(&mut self) {
        self.clock += 1;
        self.open = None;
        let disk = Arc::new(self.disk.for_process());
        if let Ok((journal, ledger, found)) =
            Journal::open_on(disk, Path::new(PATH), at(self.clock))
        {
            self.open = Some((journal, ledger));
            self.found.push(found);
        }
    }

    fn append(&mut self, record: JournalRecord) -> Result<(), AppendError> {
        if self.open.is_none() {
            self.start();
        }
        let (journal, ledger) = self
            .open
            .as_mut()
            .ok_or_else(|| AppendError::Refused(io::ErrorKind::Other.into()))?;
        journal.append(&record)?;
        ledger.apply(record);
        Ok(())
    }

    /// An action from its beginning to its end, as far as it is remembered.
    fn act(&mut self) {
        self.known.push(Known::default());
        let number = self.known.len() as u128;
        for record in records(number) {
            let appended = self.append(record);
            let known = self.known.last_mut().unwrap();
            match appended {
                Ok(()) => known.taken += 1,
                Err(error) => {
                    // What was on its way when power went may have come through, and nobody was told anything of it.
                    known.in_doubt =
                        matches!(error, AppendError::Doubtful(_)) || !self.disk.is_on();
                    return;
                }
            }
        }
    }

    fn shorten(&mut self) {
        if let Some((journal, ledger)) = &mut self.open {
            let _may_fail = journal.shorten(ledger);
        }
    }

    /// Everything that a journal does.
    fn live(&mut self) {
        self.act();
        self.act();
        self.shorten();
        self.act();
        self.start();
        self.act();
        self.shorten();
        self.act();
    }

    /// Each action is remembered as far as it was, and no further.
    fn assert_kept(&self, what: &str) {
        let Some((_, ledger)) = &self.open else {
            panic!("{what}: it cannot be opened");
        };
        for (index, known) in self.known.iter().enumerate() {
            let number = index as u128 + 1;
            let found = reach(ledger, number);
            let most = known.taken + usize::from(known.in_doubt);
            assert!(
                (known.taken..=most).contains(&found),
                "{what}: action {number} is known as {known:?} and found with {found} records"
            );
        }
    }

    /// The journal was never anything but whole, or new.
    fn assert_never_lost(&self, what: &str) {
        let is_well = |found: &Found| matches!(found, Found::Whole | Found::Missing);
        assert!(self.found.iter().all(is_well), "{what}: {:?}", self.found);
    }
}

fn records(number: u128) -> [JournalRecord; 4] {
    [
        began(number),
        reported(number, ActionState::Running),
        reported(number, ActionState::Verifying),
        JournalRecord::Acked {
            id: ActionId::from_random(number),
        },
    ]
}

/// How many of its records a ledger has seen.
fn reach(ledger: &Ledger, number: u128) -> usize {
    let Some(entry) = ledger.get(ActionId::from_random(number)) else {
        return 0;
    };
    match entry.report.as_ref().map(|report| report.state) {
        None => 1,
        Some(ActionState::Running) => 2,
        Some(_) => 3 + usize::from(entry.is_acked),
    }
}

fn steps_of_a_life() -> u64 {
    let disk = MemoryDisk::new(0);
    let mut life = Life::begin(disk.clone());
    life.live();
    let steps = disk.steps();
    life.assert_kept("no fault");
    life.assert_never_lost("no fault");
    assert!(life.known.iter().all(|known| known.taken == 4));
    steps
}

#[test]
fn whenever_power_goes_what_was_remembered_is_so_and_nothing_counts_as_lost() {
    let steps = steps_of_a_life();
    assert!(steps > 150, "{steps} steps");
    // The first step makes the folder.
    for (step, seed) in (1..steps).flat_map(|step| (0..POWER_SEEDS).map(move |seed| (step, seed))) {
        let what = format!("power cut at step {step} of {steps}, seed {seed}");
        let disk = MemoryDisk::new(seed);
        disk.fail_at(step, Fault::PowerCut);
        let mut life = Life::begin(disk.clone());
        life.live();
        assert!(!disk.is_on(), "{what}");
        disk.power_up();
        life.start();
        life.assert_kept(&what);
        life.assert_never_lost(&what);
        // And it goes on.
        life.act();
        life.start();
        life.assert_kept(&what);
    }
}

#[test]
fn whichever_step_fails_nothing_is_forgotten_and_nothing_that_was_refused_is_found_again() {
    let steps = steps_of_a_life();
    for fault in [Fault::NoSpace, Fault::Medium, Fault::Busy] {
        for (step, seed) in (1..steps).flat_map(|step| (0..4).map(move |seed| (step, seed))) {
            for lasting in [false, true] {
                let what =
                    format!("{fault:?} at step {step} of {steps}, lasting: {lasting}, seed {seed}");
                let disk = MemoryDisk::new(seed);
                if lasting {
                    disk.fail_from(step, fault);
                } else {
                    disk.fail_at(step, fault);
                }
                let mut life = Life::begin(disk.clone());
                life.live();
                // Power goes while the disk still fails.
                disk.cut_power();
                disk.power_up();
                disk.mend();
                life.start();
                life.assert_kept(&what);
                life.assert_never_lost(&what);
                life.act();
                life.start();
                life.assert_kept(&what);
            }
        }
    }
}

/// What comes next in a life in which anything may.
fn happen(life: &mut Life, chance: &mut Chance) {
    match chance.index(8) {
        0 => life.start(),
        1 => life.shorten(),
        2..=4 => life.act(),
        5 => life.disk.fail_soon(chance),
        6 => life.disk.fail_from_soon_on(chance),
        _ => life.disk.mend(),
    }
    if !life.disk.is_on() || chance.percent(5) {
        life.disk.cut_power();
        life.disk.power_up();
        life.start();
    }
}

#[test]
fn whatever_happens_in_any_order_what_was_remembered_is_so_and_nothing_that_was_refused_is_found_again()
 {
    let mut remembered = 0;
    for seed in 0..ANY_ORDER_LIVES {
        let mut chance = Chance::new(seed);
        let disk = MemoryDisk::new(seed);
        let mut life = Life::begin(disk.clone());
        for _ in 0..40 {
            happen(&mut life, &mut chance);
        }
        disk.cut_power();
        disk.power_up();
        disk.mend();
        life.start();
        let what = format!("life {seed}");
        life.assert_kept(&what);
        life.assert_never_lost(&what);
        remembered += life.known.iter().filter(|known| known.taken == 4).count();
    }
    assert!(remembered > 2_000, "{remembered} whole actions");
}
