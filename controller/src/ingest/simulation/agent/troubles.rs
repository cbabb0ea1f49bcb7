//! What goes wrong on a host.

use tidemark_disk::Fault;

use super::super::fleet::Fleet;
use super::super::network::Event;
use super::super::plan::Trouble;

/// Room of a full disk beyond what is on it.
const FULL_ROOM_BYTES: u64 = 1_024;

impl Fleet {
    pub(in super::super) fn trouble_host(&mut self, number: usize, trouble: Trouble) {
        let (low_ms, high_ms) = (200, 30_000);
        let host = &mut self.hosts[number];
        // Nobody can tell that a host was put back once its agent has been started twice without reaching a controller.
        let is_spared = host.is_put_back;
        let soon = host.disk.steps() + self.chance.between(0, 12);
        match trouble {
            Trouble::KillAgent | Trouble::StopAgent if !is_spared => {
                if trouble == Trouble::KillAgent {
                    host.disk.end_process();
                }
                self.agent_dies(number);
                let back_ms = self.chance.between(low_ms, high_ms);
                self.after(back_ms, Event::HostUp(number));
            }
            Trouble::CutPower if !is_spared => host.disk.fail_at(soon, Fault::PowerCut),
            Trouble::DiskFull => {
                let used: u64 = host.disk.bytes();
                host.disk.set_room(Some(used + FULL_ROOM_BYTES));
                let lasts_ms = self.chance.between(low_ms, high_ms);
                self.after(lasts_ms, Event::DiskMended(number));
            }
            Trouble::DiskFails => host.disk.fail_at(soon, Fault::Medium),
            Trouble::DiskBusy => host.disk.fail_at(soon, Fault::Busy),
            Trouble::Snapshot if !is_spared => self.snapshot(number),
            Trouble::HostClock => {
                let jump_ms = self.chance.between(0, 7_200_000).cast_signed() - 3_600_000;
                host.clock_ms += jump_ms;
            }
            Trouble::Refused => host.tells_nonsense = true,
            Trouble::KillAgent
            | Trouble::StopAgent
            | Trouble::CutPower
            | Trouble::Snapshot
            | Trouble::Break
            | Trouble::Partition
            | Trouble::KillController
            | Trouble::Drain
            | Trouble::DatabaseAway
            | Trouble::OutcomeLost
            | Trouble::ControllerClock => {}
        }
    }

    /// Makes a snapshot of a host, or puts it back to the one that there is.
    fn snapshot(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        if !host.disk.is_on() || host.process.is_none() {
            return;
        }
        let Some((image, numbered)) = host.snapshot.take() else {
            host.snapshot = Some((host.disk.image(), host.numbered));
            return;
        };
        host.disk.restore(&image);
        host.mend_disk();
        let since = host.kept.split_off(&(numbered + 1));
        host.unsure.extend(since);
        host.is_put_back = true;
        self.happened.put_back += 1;
        self.agent_dies(number);
        self.after(1_000, Event::HostUp(number));
    }
}
