//! The ports that a namespace can hand out: its dynamic range less reserved ports.

use tidemark_model::{PortRange, Protocol};
use tidemark_platform::ReadError;
use tidemark_platform::ports::{PortSettings, SHARED_BY_PROTOCOLS};

use super::port_set::PortSet;

/// The dynamic ports of one network namespace, by protocol.
#[derive(Clone, Debug)]
pub(super) struct PortPools {
    tcp: DynamicPorts,
    /// `None` where both protocols share one setting.
    udp: Option<DynamicPorts>,
}

/// What says whether pools have changed: range and capacity of each protocol.
pub(super) type PoolSizes = [(PortRange, u32); 2];

impl PortPools {
    /// Reads the settings as they stand: they may change at any time. An operator's word on the range counts for both
    /// protocols, and more than the system's.
    pub(super) fn read(
        settings: &mut PortSettings,
        stated: Option<PortRange>,
    ) -> Result<Self, ReadError> {
        let tcp = DynamicPorts::read(settings, Protocol::Tcp, stated)?;
        let udp = if SHARED_BY_PROTOCOLS {
            None
        } else {
            Some(DynamicPorts::read(settings, Protocol::Udp, stated)?)
        };
        Ok(Self { tcp, udp })
    }

    pub(super) fn of(&self, protocol: Protocol) -> &DynamicPorts {
        match (protocol, &self.udp) {
            (Protocol::Udp, Some(udp)) => udp,
            (Protocol::Udp, None) | (Protocol::Tcp, _) => &self.tcp,
        }
    }

    pub(super) fn sizes(&self) -> PoolSizes {
        Protocol::ALL.map(|protocol| {
            let ports = self.of(protocol);
            (ports.range, ports.capacity)
        })
    }
}

/// The dynamic ports of one protocol in one network namespace.
#[derive(Clone, Debug)]
pub(super) struct DynamicPorts {
    /// The range before reservations.
    pub(super) range: PortRange,
    /// How many of its ports can be handed out.
    pub(super) capacity: u32,
    ports: PortSet,
}

impl DynamicPorts {
    fn read(
        settings: &mut PortSettings,
        protocol: Protocol,
        stated: Option<PortRange>,
    ) -> Result<Self, ReadError> {
        let range = match stated {
            Some(range) => range,
            None => settings.range(protocol)?,
        };
        let mut reserved = Vec::new();
        settings.reserved(protocol, |range| reserved.push(range))?;
        Ok(Self::new(range, &reserved))
    }

    pub(super) fn new(range: PortRange, reserved: &[PortRange]) -> Self {
        let mut ports = PortSet::new();
        for port in range.first..=range.last {
            ports.insert(port);
        }
        for reserved in reserved {
            for port in reserved.first..=reserved.last {
                ports.remove(port);
            }
        }
        Self {
            range,
            capacity: ports.len(),
            ports,
        }
    }

    /// Whether the port is one of those that can be handed out.
    pub(super) fn contains(&self, port: u16) -> bool {
        self.ports.contains(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_no_capacity_wherever_they_overlap_the_range() {
        let range = |first, last| PortRange::new(first, last).unwrap();
        let ports = DynamicPorts::new(
            range(40_000, 40_099),
            &[range(39_990, 40_009), range(40_050, 40_050), range(80, 80)],
        );
        assert_eq!(ports.capacity, 89);
        assert!(!ports.contains(40_009) && !ports.contains(40_050) && !ports.contains(80));
        assert!(ports.contains(40_010) && ports.contains(40_099) && !ports.contains(40_100));
    }

    #[test]
    fn the_whole_range_of_numbers_can_be_dynamic() {
        let all = PortRange::new(0, u16::MAX).unwrap();
        assert_eq!(DynamicPorts::new(all, &[]).capacity, 65_536);
        assert_eq!(DynamicPorts::new(all, &[all]).capacity, 0);
    }
}
