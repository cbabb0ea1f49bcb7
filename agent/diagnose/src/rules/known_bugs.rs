//! Rules 13, 14 and 15: faults of Windows that are known by build.

use std::time::Duration;

use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::tcpip_fault::TcpipFault;
use tidemark_model::{Finding, Protocol};

use super::exhaustion;
use crate::View;
use crate::case::Case;
use crate::events::{self, Id, SLOW_CLOSE, UDP_EXHAUSTED};
use crate::evidence::{grouped, percent, share};
use crate::playbook::collect_evidence;

/// Windows 7 and Server 2008 R2 are the last with the 497-day fault (KB2553549).
const TICK_BUILD_LAST: u32 = 7_601;
const DAY: u64 = 86_400;
const WARN_DAYS: u64 = 470;
const STRUCK_DAYS: u64 = 490;
/// 2^32 ticks of 10 ms.
const TICK_SECONDS: u64 = 42_949_672;
const TIME_WAIT_WATCHED: Duration = Duration::from_secs(10 * 60);
/// What the regression of July 2018 leaves in the logs.
const JULY_2018_SIGNS: [Id; 3] = [SLOW_CLOSE, ("MSSQLSERVER", 26_023), ("MSSQLSERVER", 17_182)];
/// Windows Server 2016.
const WMI_LEAK_BUILD: u32 = 14_393;
const WMI_SHARE: f64 = 0.5;

pub(super) fn uptime(view: &View<'_>) -> Vec<Finding> {
    find_uptime(view).into_iter().collect()
}

fn find_uptime(view: &View<'_>) -> Option<Finding> {
    let uptime = view.host.uptime?;
    let days = uptime.as_secs() / DAY;
    let is_affected = view.host.build.is_none_or(|build| build <= TICK_BUILD_LAST);
    if !view.host.is_windows() || !is_affected || days < WARN_DAYS {
        return None;
    }
    let mut case = Case::new(
        Rule::Uptime497Days,
        0.95,
        "After 497 days of uptime TIME_WAIT ends no more (KB2553549)".to_owned(),
    )
    .seen(format!("The host has been up for {days} days."));
    if view.host.build.is_none() {
        case = case.lacks("the build of Windows: only 7601 and before have the fault");
    }
    if days < STRUCK_DAYS {
        let left = TICK_SECONDS.saturating_sub(uptime.as_secs()) / DAY;
        case = case.seen(format!("The fault strikes in {left} days."));
    } else {
        let space = view.spaces.iter().find(|space| space.is_tcp())?;
        let held = space.series(|s| s.time_wait_only);
        if held.span() < TIME_WAIT_WATCHED {
            case = case.lacks("whether TIME_WAIT ever falls: samples of 10 minutes");
        } else if !held.never_falls() {
            return None;
        }
        case = case.in_space(space).critical().seen(format!(
            "{} ports are in TIME_WAIT, and none was seen to leave it.",
            grouped(space.newest.time_wait_only)
        ));
    }
    Some(
        case.reboot("ports in TIME_WAIT fall again")
            .advise("Install KB2553549", "tcpip.sys is newer than the update's")
            .finish(),
    )
}

pub(super) fn july_2018(view: &View<'_>) -> Vec<Finding> {
    find_july_2018(view).into_iter().collect()
}

fn find_july_2018(view: &View<'_>) -> Option<Finding> {
    let build = view.host.build.filter(|_| view.host.is_windows())?;
    let fault = TcpipFault::july_2018(build)?;
    let hits = view.events.of_ids(&JULY_2018_SIGNS);
    let is_readable = view.situation.can_see(Capability::Events);
    let mut case = Case::new(
        Rule::July2018Regression,
        0.95,
        "tcpip.sys of July 2018 leaves ports behind and may crash the host".to_owned(),
    );
    match view.host.revision {
        Some(revision) if fault.is_in(revision) => {
            case = case.seen(format!(
                "This is build {build}.{revision}; {build}.{} mends it.",
                fault.first_mended
            ));
        }
        Some(_) => return None,
        // Most hosts of such a build are long mended.
        None if hits.is_empty() => return None,
        None => case = case.lacks("the revision of this build"),
    }
    if hits.is_empty() {
        if is_readable {
            return None;
        }
        case = case.needs(view.situation, Capability::Events);
    }
    Some(
        case.critical()
            .since(hits.first().map(|hit| hit.at))
            .seen_all(events::sentence(&hits))
            .advise(
                "Stop everything that reads the socket tables (netstat, monitoring); this agent only probes here",
                "no AFD 16002",
            )
            .advise(&format!("Install {} or a later update", fault.mended_by), "the revision is newer")
            .reboot("no AFD 16002 for 24 h")
            .finish(),
    )
}

pub(super) fn wmi_udp(view: &View<'_>) -> Vec<Finding> {
    find_wmi_udp(view).into_iter().collect()
}

fn find_wmi_udp(view: &View<'_>) -> Option<Finding> {
    let is_affected = view.host.build.is_none_or(|build| build == WMI_LEAK_BUILD);
    if !view.host.is_windows() || !is_affected {
        return None;
    }
    let space = view
        .spaces
        .iter()
        .find(|space| space.key.protocol == Protocol::Udp)?;
    let (owner, held) = space.top_owner(|owner| owner.counts.ports)?;
    let is_wmi = owner.process.name.eq_ignore_ascii_case("WmiPrvSE.exe")
        && share(held, space.newest.in_use()) >= WMI_SHARE;
    let hits = view.events.of_id(UDP_EXHAUSTED);
    let is_readable = view.situation.can_see(Capability::Events);
    if !is_wmi || (hits.is_empty() && is_readable) || held < exhaustion::DNS_POOL_PORTS / 10 {
        return None;
    }
    let mut case = Case::new(
        Rule::WmiUdpLeak,
        0.95,
        "WmiPrvSE leaks UDP ports with WMI-filtered group policies".to_owned(),
    )
    .in_space(space)
    .process(&owner.process)
    .since(hits.first().map(|hit| hit.at))
    .seen(format!(
        "WmiPrvSE.exe holds {} of {} UDP ports in use ({}).",
        grouped(held),
        grouped(space.newest.in_use()),
        percent(share(held, space.newest.in_use()))
    ))
    .seen_all(events::sentence(&hits));
    if view.host.build.is_none() {
        case = case.lacks("the build of Windows: 14393 has the fault");
    }
    if hits.is_empty() {
        case = case.needs(view.situation, Capability::Events);
    }
    Some(
        case.step(collect_evidence())
            .advise(
                "Give the provider PolicSOM (root\\policy, __Win32Provider) the hosting model NetworkServiceHost:Debug1 and restart Winmgmt; ending the process does not help",
                "its UDP ports stay few",
            )
            .advise("Install the latest cumulative update", "no Tcpip 4266 for 24 h")
            .finish(),
    )
}
