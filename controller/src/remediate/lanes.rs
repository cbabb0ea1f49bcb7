//! Ways to the hosts that are connected here: one bounded queue of frames a session. Knows sessions, not what is sent.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_model::{HostId, SessionId, Timestamp};
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_store::GrantsStamp;
use tokio::sync::mpsc;

/// Frames about actions that wait for one session.
const FRAMES_MAX: usize = 8;

/// Every open session's lane.
#[derive(Debug, Default)]
pub struct Lanes(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_host: HashMap<HostId, Lane>,
    /// Sessions that ended and whose actions were not looked after yet.
    ended: Vec<(HostId, SessionId)>,
}

#[derive(Debug)]
struct Lane {
    session: SessionId,
    opened_at: Timestamp,
    /// `None` when the agent takes no actions.
    frames: Option<mpsc::Sender<Kind>>,
    is_greeted: bool,
    /// How it was told last that the lockdown stands.
    told: Option<Switch>,
    /// Which grants it was told last.
    told_grants: Option<(GrantsStamp, usize)>,
    /// Its host says to hold some, which it may have from an earlier day.
    holds_grants: bool,
}

/// A session that was not looked after yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewLane {
    /// Whose.
    pub host: HostId,
    /// Which.
    pub session: SessionId,
    /// When the agent opened it, by the host's clock.
    pub opened_at: Timestamp,
}

/// Whether something can be sent to a host.
#[derive(Debug)]
pub enum Way {
    /// It can, over that session.
    Free(SessionId, mpsc::OwnedPermit<Kind>),
    /// Frames before it still wait.
    Busy,
    /// Its agent takes no actions.
    Deaf,
    /// It is not connected here.
    Away,
}

impl Lanes {
    /// Opens a session's lane in place of the host's former one. Frames come out of the receiver; there is none for an
    /// agent that takes no actions.
    pub fn open(
        &self,
        host: HostId,
        session: SessionId,
        opened_at: Timestamp,
        taking: Taking,
    ) -> Option<mpsc::Receiver<Kind>> {
        let (frames, receiver) = match taking {
            Taking::Actions => {
                let (sender, receiver) = mpsc::channel(FRAMES_MAX);
                (Some(sender), Some(receiver))
            }
            Taking::Nothing => (None, None),
        };
        let lane = Lane {
            session,
            opened_at,
            frames,
            is_greeted: false,
            told: None,
            told_grants: None,
            holds_grants: false,
        };
        let mut inner = self.lock();
        if let Some(former) = inner.by_host.insert(host, lane) {
            inner.ended.push((host, former.session));
        }
        receiver
    }

    /// Closes a session's lane, if the host has no later one.
    pub fn close(&self, host: HostId, session: SessionId) {
        let mut inner = self.lock();
        if inner
            .by_host
            .get(&host)
            .is_some_and(|lane| lane.session == session)
        {
            inner.by_host.remove(&host);
            inner.ended.push((host, session));
        }
    }

    /// The session of every host that is connected here and takes frames about actions.
    #[must_use]
    pub fn sessions(&self) -> HashMap<HostId, SessionId> {
        let inner = self.lock();
        let taking = inner
            .by_host
            .iter()
            .filter(|(_, lane)| lane.frames.is_some());
        taking.map(|(host, lane)| (*host, lane.session)).collect()
    }

    /// The session over which the host is connected here.
    #[must_use]
    pub fn session_of(&self, host: HostId) -> Option<SessionId> {
        self.lock().by_host.get(&host).map(|lane| lane.session)
    }

    /// Whether the host's agent takes actions; `None` when it is not connected here.
    #[must_use]
    pub fn takes_actions(&self, host: HostId) -> Option<bool> {
        self.lock()
            .by_host
            .get(&host)
            .map(|lane| lane.frames.is_some())
    }

    /// A place for one frame to a host.
    #[must_use]
    pub fn way_to(&self, host: HostId) -> Way {
        let inner = self.lock();
        let Some(lane) = inner.by_host.get(&host) else {
            return Way::Away;
        };
        let Some(frames) = &lane.frames else {
            return Way::Deaf;
        };
        match frames.clone().try_reserve_owned() {
            Ok(permit) => Way::Free(lane.session, permit),
            Err(_) => Way::Busy,
        }
    }

    /// Lanes that nobody has looked after since they were opened.
    #[must_use]
    pub fn new_lanes(&self) -> Vec<NewLane> {
        let inner = self.lock();
        let new = inner.by_host.iter().filter(|(_, lane)| !lane.is_greeted);
        new.map(|(host, lane)| NewLane {
            host: *host,
            session: lane.session,
            opened_at: lane.opened_at,
        })
        .collect()
    }

    /// Says that a lane was looked after.
    pub fn greeted(&self, new: NewLane) {
        if let Some(lane) = self.lock().by_host.get_mut(&new.host)
            && lane.session == new.session
        {
            lane.is_greeted = true;
        }
    }

    /// Takes the sessions that ended.
    #[must_use]
    pub fn take_ended(&self) -> Vec<(HostId, SessionId)> {
        std::mem::take(&mut self.lock().ended)
    }

    /// Gives back one that could not be looked after.
    pub fn still_ended(&self, ended: (HostId, SessionId)) {
        self.lock().ended.push(ended);
    }

    /// Sends `frame` to every agent that takes actions and was not told yet how the lockdown stands. One whose lane is full
    /// is told the next time; where the switch was never turned there is nothing to tell.
    pub fn tell_lockdown(&self, stands: Switch, frame: impl Fn(HostId) -> Kind) -> u64 {
        if stands == Switch::Untouched {
            return 0;
        }
        let mut told: u64 = 0;
        for (host, lane) in &mut self.lock().by_host {
            let Some(frames) = &lane.frames else {
                continue;
            };
            if lane.told != Some(stands) && frames.try_send(frame(*host)).is_ok() {
                lane.told = Some(stands);
                told = told.saturating_add(1);
            }
        }
        told
    }

    /// Remembers that a host holds grants, so that it is told when none is listed.
    pub fn holds_grants(&self, host: HostId) {
        if let Some(lane) = self.lock().by_host.get_mut(&host) {
            lane.holds_grants = true;
        }
    }

    /// Sends every agent that takes actions, and was not told yet which grants are listed, so many lists, each by its place.
    /// One whose lane is full is told the rest the next time; where there never was a grant there is nothing to tell.
    pub fn tell_grants(
        &self,
        (stamp, lists): (GrantsStamp, usize),
        frame: impl Fn(HostId, usize) -> Kind,
    ) -> u64 {
        let mut told: u64 = 0;
        for (host, lane) in &mut self.lock().by_host {
            let Some(frames) = &lane.frames else {
                continue;
            };
            let concerns = stamp.kept > 0 || lane.holds_grants || lane.told_grants.is_some();
            let mut place = match lane.told_grants {
                Some((of, place)) if of == stamp => place,
                Some(_) | None => 0,
            };
            while concerns && place < lists && frames.try_send(frame(*host, place)).is_ok() {
                place += 1;
                lane.told_grants = Some((stamp, place));
                told = told.saturating_add(1);
            }
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change leaves the lanes legal at each step, so a panic in one does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the lockdown's switch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Nobody ever turned it.
    Untouched,
    /// Actions may go on again.
    GoOn,
    /// Every action is stopped.
    Stop,
}

/// What an agent said that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Frames about actions.
    Actions,
    /// Nothing but acks.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::EPOCH;

    fn host() -> HostId {
        HostId::of_identity_spki(&[1])
    }

    #[test]
    fn a_lane_takes_so_many_frames_and_no_more() {
        let lanes = Lanes::default();
        assert!(matches!(lanes.way_to(host()), Way::Away));
        let mut receiver = lanes
            .open(host(), SessionId::new(1), AT, Taking::Actions)
            .unwrap();
        for _ in 0..FRAMES_MAX {
            let Way::Free(_, permit) = lanes.way_to(host()) else {
                panic!("there is room");
            };
            permit.send(Kind::Drain(tidemark_proto::v1::Drain { spread_ms: 0 }));
        }
        assert!(matches!(lanes.way_to(host()), Way::Busy));
        assert!(receiver.try_recv().is_ok());
        assert!(matches!(lanes.way_to(host()), Way::Free(..)));
    }

    #[test]
    fn a_former_session_closes_nothing_of_the_later_one() {
        let lanes = Lanes::default();
        let (one, two) = (SessionId::new(1), SessionId::new(2));
        lanes.open(host(), one, AT, Taking::Actions);
        lanes.open(host(), two, AT, Taking::Nothing);
        assert_eq!(lanes.take_ended(), [(host(), one)]);
        lanes.close(host(), one);
        assert!(matches!(lanes.way_to(host()), Way::Deaf));
        assert_eq!(lanes.take_ended(), []);
        lanes.close(host(), two);
        assert_eq!(lanes.take_ended(), [(host(), two)]);
    }

    #[test]
    fn each_agent_is_told_a_turn_of_the_lockdown_once() {
        let lanes = Lanes::default();
        let _frames = lanes.open(host(), SessionId::new(1), AT, Taking::Actions);
        let frame = |_| Kind::Drain(tidemark_proto::v1::Drain { spread_ms: 0 });
        assert_eq!(lanes.tell_lockdown(Switch::Untouched, frame), 0);
        assert_eq!(lanes.tell_lockdown(Switch::Stop, frame), 1);
        assert_eq!(lanes.tell_lockdown(Switch::Stop, frame), 0);
        assert_eq!(lanes.tell_lockdown(Switch::GoOn, frame), 1);
    }
}
