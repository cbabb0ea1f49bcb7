//! Products for endpoint protection, by the names that they have on a host. They filter the network from within the system, so
//! a version of one can hold ports or sockets of processes that know nothing of it.
//!
//! A name that is in no product's table is not known to agents: it can be given as a label.

use tidemark_model::audit::{FactName, FactState};

use crate::audit_facts::{FactList, flag, number, text};

/// A product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// Its name, as facts have it.
    pub(crate) name: &'static str,
    /// Windows: keys of its services or drivers. The file of the first that is there states the version.
    #[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "Windows'"))]
    pub(crate) services: &'static [&'static str],
    /// Windows: images of its processes; any of them says that it runs.
    #[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "Windows'"))]
    pub(crate) images: &'static [&'static str],
    /// Linux: its packages of Debian's kind.
    #[cfg_attr(windows, expect(dead_code, reason = "Linux's"))]
    pub(crate) packages: &'static [&'static str],
    /// Linux: short names of its processes, as `ps` shows them; any of them says that it runs.
    #[cfg_attr(windows, expect(dead_code, reason = "Linux's"))]
    pub(crate) processes: &'static [&'static str],
    /// Linux: files that are there where it is installed.
    #[cfg_attr(windows, expect(dead_code, reason = "Linux's"))]
    pub(crate) files: &'static [&'static str],
}

/// Those that agents know. Services are those that NetExec's `enum_av` and tothi/serviceDetector list, unless another source
/// stands beside the product; so do those of images and of Linux.
pub(crate) const PRODUCTS: &[Product] = &[
    // falcon-sensor(-bpf), falconctl: CrowdStrike's falcon_diagnostic.sh. The driver CSAgent: BankSecurity's
    // Check_EDR_Presence.ps1.
    Product {
        name: "CrowdStrike Falcon",
        services: &["CSFalconService", "CSAgent"],
        images: &["CSFalconService.exe"],
        packages: &["falcon-sensor"],
        processes: &["falcon-sensor", "falcon-sensor-bpf"],
        files: &["/opt/CrowdStrike/falconctl"],
    },
    // Every Windows since Server 2016 has it, running or not.
    Product {
        name: "Microsoft Defender Antivirus",
        services: &["WinDefend"],
        images: &["MsMpEng.exe"],
        packages: &[],
        processes: &[],
        files: &[],
    },
    // Windows has the service from Server 2019 on; it runs where the host was onboarded. mdatp, wdavdaemon: Microsoft's "Defender
    // for Endpoint on Linux".
    Product {
        name: "Microsoft Defender for Endpoint",
        services: &["Sense"],
        images: &["MsSense.exe"],
        packages: &["mdatp"],
        processes: &["wdavdaemon"],
        files: &["/opt/microsoft/mdatp/sbin/wdavdaemon"],
    },
    // s1-agent in auditd's records of it; sentinelctl: its instructions for Linux.
    Product {
        name: "SentinelOne",
        services: &["SentinelAgent"],
        images: &["SentinelAgent.exe"],
        packages: &["sentinelagent"],
        processes: &["s1-agent"],
        files: &["/opt/sentinelone/bin/sentinelctl"],
    },
    // CbDefense, RepMgr.exe, cbagentd of the package cb-psc-sensor: its instructions for both systems.
    Product {
        name: "Carbon Black Cloud",
        services: &["CbDefense"],
        images: &["RepMgr.exe"],
        packages: &["cb-psc-sensor"],
        processes: &["cbagentd"],
        files: &["/opt/carbonblack/psc/bin/cbagentd"],
    },
    // The product that was Cb Response: carbonblack, cb.exe; cbdaemon on Linux.
    Product {
        name: "Carbon Black EDR",
        services: &["CarbonBlack"],
        images: &["cb.exe"],
        packages: &[],
        processes: &["cbdaemon"],
        files: &[],
    },
    Product {
        name: "Carbon Black App Control",
        services: &["Parity"],
        images: &["Parity.exe"],
        packages: &[],
        processes: &[],
        files: &[],
    },
    // pmd: Palo Alto's description of `cytool runtime`.
    Product {
        name: "Cortex XDR",
        services: &["cyserver"],
        images: &["cyserver.exe"],
        packages: &["cortex-agent"],
        processes: &["pmd"],
        files: &["/opt/traps/bin/pmd"],
    },
    // SEDService.exe: as Windows' Security Center lists it. Sophos Protection for Linux: its folder and watchdog.
    Product {
        name: "Sophos Endpoint",
        services: &["Sophos Endpoint Defense Service"],
        images: &["SEDService.exe"],
        packages: &[],
        processes: &["sophos_watchdog"],
        files: &["/opt/sophos-spl/base/bin/sophos_watchdog"],
    },
    // Ntrtscan.exe, also from its days as OfficeScan.
    Product {
        name: "Trend Micro Apex One",
        services: &["ntrtscan"],
        images: &["Ntrtscan.exe"],
        packages: &[],
        processes: &[],
        files: &[],
    },
    // help.deepsecurity.trendmicro.com: ds_agent on both systems, dsa.exe.
    Product {
        name: "Trend Micro Deep Security",
        services: &["ds_agent"],
        images: &["dsa.exe"],
        packages: &["ds-agent"],
        processes: &["ds_agent"],
        files: &["/opt/ds_agent/ds_agent"],
    },
    // "Symantec Single Agent for Linux": sisamdagent of the package sdcss, status.sh.
    Product {
        name: "Symantec Endpoint Protection",
        services: &["SepMasterService"],
        images: &["ccSvcHst.exe"],
        packages: &["sdcss"],
        processes: &["sisamddaemon", "sisamdagent"],
        files: &["/usr/lib/symantec/status.sh"],
    },
    // mfetpd of the package mcafeetp: DISA's STIGs for Linux.
    Product {
        name: "Trellix Endpoint Security",
        services: &["mfetp", "mfemms"],
        images: &["mfetp.exe", "mfemms.exe"],
        packages: &["mcafeetp"],
        processes: &["mfetpd"],
        files: &["/opt/McAfee/ens/tp/init/mfetpd-control.sh"],
    },
    // FireEye's of old: xagt on both systems.
    Product {
        name: "Trellix HX",
        services: &["xagt"],
        images: &["xagt.exe"],
        packages: &["xagt"],
        processes: &["xagt"],
        files: &["/opt/fireeye/bin/xagt"],
    },
    // help.eset.com: ekrn; the folders of its products for Linux, eea and efs.
    Product {
        name: "ESET",
        services: &["ekrn"],
        images: &["ekrn.exe"],
        packages: &["efs", "eea"],
        processes: &[],
        files: &["/opt/eset/efs/bin/odscan", "/opt/eset/eea/bin/odscan"],
    },
    // elastic.co, "Elastic Endpoint command reference".
    Product {
        name: "Elastic Endpoint",
        services: &["ElasticEndpoint"],
        images: &["elastic-endpoint.exe"],
        packages: &[],
        processes: &["elastic-endpoint"],
        files: &["/opt/Elastic/Endpoint/elastic-endpoint"],
    },
    // cylancesvc.service of Linux.
    Product {
        name: "Cylance",
        services: &["CylanceSvc"],
        images: &["CylanceSvc.exe"],
        packages: &["cylance-protect"],
        processes: &["cylancesvc"],
        files: &["/opt/cylance/desktop/cylancesvc"],
    },
    Product {
        name: "Cybereason",
        services: &["CybereasonActiveProbe"],
        images: &["minionhost.exe"],
        packages: &[],
        processes: &[],
        files: &[],
    },
    // KAVFS is its product for servers; kesl that for Linux.
    Product {
        name: "Kaspersky Endpoint Security",
        services: &["KAVFS"],
        images: &["kavfs.exe", "avp.exe"],
        packages: &["kesl"],
        processes: &["kesl"],
        files: &["/opt/kaspersky/kesl/bin/kesl-control"],
    },
    // Its package for Linux is called as its folder.
    Product {
        name: "Bitdefender GravityZone",
        services: &["EPSecurityService"],
        images: &["EPSecurityService.exe"],
        packages: &["bitdefender-security-tools"],
        processes: &[],
        files: &["/opt/bitdefender-security-tools"],
    },
];

/// What of a product was found on a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Something of it is installed.
    pub(crate) is_installed: bool,
    /// A process of it runs; `None` when processes cannot be listed, or this agent knows none of its names.
    pub(crate) is_running: Option<bool>,
    /// Its version, or why that is not known; `None` where nothing states it.
    pub(crate) version: Option<Result<String, String>>,
}

/// The facts of every product that `find` finds.
pub(crate) fn tell(facts: &mut FactList, mut find: impl FnMut(&Product) -> Found) {
    let mut products = 0;
    for product in PRODUCTS {
        let found = find(product);
        let runs = found.is_running == Some(true);
        if !found.is_installed && !runs {
            continue;
        }
        products += 1;
        let version = match &found.version {
            Some(Ok(version)) => text(Some(version)),
            Some(Err(reason)) => FactState::unknown(reason),
            None if runs => text(Some("running")),
            None => text(Some("installed")),
        };
        facts.set_of(FactName::Edr, product.name, version);
        let running = match found.is_running {
            Some(running) => flag(Some(running)),
            None => FactState::unknown("its processes cannot be told among the others"),
        };
        facts.set_of(FactName::EdrRunning, product.name, running);
    }
    facts.set(FactName::EdrProducts, number(Some(products)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tidemark_model::audit::AuditFact;

    use super::*;

    #[test]
    fn every_product_has_a_name_of_its_own_and_can_be_found_on_some_system() {
        let names: BTreeSet<_> = PRODUCTS.iter().map(|product| product.name).collect();
        assert_eq!(names.len(), PRODUCTS.len());
        let mut services = BTreeSet::new();
        for product in PRODUCTS {
            assert!(!product.services.is_empty() && !product.images.is_empty());
            for service in product.services {
                assert!(services.insert(*service), "{service} is of two products");
            }
        }
    }

    #[test]
    fn a_product_has_its_version_or_how_it_stands() {
        let mut facts = FactList::default();
        tell(&mut facts, |product| match product.name {
            "CrowdStrike Falcon" => Found {
                is_installed: true,
                is_running: Some(true),
                version: Some(Ok("7.0.1".to_owned())),
            },
            "SentinelOne" => Found {
                is_running: Some(true),
                ..Found::default()
            },
            "ESET" => Found {
                is_installed: true,
                ..Found::default()
            },
            "Cylance" => Found {
                is_installed: true,
                is_running: Some(false),
                version: Some(Err("no right".to_owned())),
            },
            _ => Found {
                is_running: Some(false),
                ..Found::default()
            },
        });
        let facts = facts.finish();
        let told = |name: FactName, item: Option<&str>| {
            let is_it =
                |fact: &&AuditFact| fact.key.name == name && fact.key.item.as_deref() == item;
            let fact = facts.iter().find(is_it).unwrap();
            format!("{:?}", fact.state)
        };
        assert_eq!(facts.len(), 9);
        for (name, item, expected) in [
            (
                FactName::Edr,
                Some("CrowdStrike Falcon"),
                "Known(Text(\"7.0.1\"))",
            ),
            (
                FactName::Edr,
                Some("SentinelOne"),
                "Known(Text(\"running\"))",
            ),
            (FactName::Edr, Some("ESET"), "Known(Text(\"installed\"))"),
            (FactName::Edr, Some("Cylance"), "Unknown(\"no right\")"),
            (FactName::EdrRunning, Some("Cylance"), "Known(Flag(false))"),
            (FactName::EdrProducts, None, "Known(Number(4))"),
        ] {
            assert_eq!(told(name, item), expected);
        }
        assert!(told(FactName::EdrRunning, Some("ESET")).starts_with("Unknown"));
    }
}
