//! A record of the system's event log, as far as it could be read, and which records say that ports ran out.
//!
//! Every part is optional: older systems leave elements out, and so do damaged logs. All text in it is hostile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Protocol;
use crate::sample::EventHit;

/// Where an event stands in its log, and what the record holds beside source, code and time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Name of the log, as in `System`.
    pub channel: Option<Arc<str>>,
    /// Tells one life of the log from the next, whose record ids begin anew: when it was created, in unix milliseconds;
    /// 0 where that is unknown.
    pub log_epoch: i64,
    /// Number of the record in that log; at most 2^63 - 1.
    pub record_id: Option<u64>,
    /// Name of the computer that wrote it.
    pub computer: Option<Arc<str>>,
    /// 1 critical, 2 error, 3 warning, 4 information.
    pub level: Option<u8>,
    /// The upper half of a classic event's 32-bit id.
    pub qualifiers: Option<u16>,
    /// Process that wrote it; 4, the system, for drivers.
    pub process_id: Option<u32>,
    /// Thread that wrote it.
    pub thread_id: Option<u32>,
    /// What is inserted into the text, in the order of the record; its meaning hangs on the order.
    pub data: Vec<EventDatum>,
    /// The binary part, as in a driver's error log packet. Hexadecimal in JSON.
    #[serde(with = "hex")]
    pub binary: Option<Arc<[u8]>>,
    /// Error code of a driver's packet: the event's id as its source declares it.
    pub error_code: Option<u32>,
    /// NTSTATUS of a driver's packet.
    pub final_status: Option<u32>,
    /// The record as the system rendered it, cut to 32 KiB.
    pub xml: Option<Arc<str>>,
}

/// One inserted value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDatum {
    /// Its name, where the event's manifest gives one.
    pub name: Option<Arc<str>>,
    /// Its text.
    pub value: Arc<str>,
}

/// Bytes as lower-case hexadecimal digits.
mod hex {
    use std::sync::Arc;

    use data_encoding::HEXLOWER_PERMISSIVE;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Arc<[u8]>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let digits = bytes
            .as_deref()
            .map(|bytes| HEXLOWER_PERMISSIVE.encode(bytes));
        digits.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<[u8]>>, D::Error> {
        let digits: Option<String> = Option::deserialize(from)?;
        let bytes = digits.map(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()));
        bytes
            .transpose()
            .map(|bytes| bytes.map(Arc::from))
            .map_err(D::Error::custom)
    }
}

/// Source of the TCP/IP driver's events in the System log.
pub const TCPIP_SOURCE: &str = "Tcpip";

/// Ids of Tcpip events that say that a connection or a bind was refused its port: 4227 (the endpoint was used too recently), 4231 (no TCP port),
/// 4266 (no UDP port). Metadata symbols `EVENT_TCPIP_TCP_TIME_WAIT_COLLISION` and
/// `EVENT_TCPIP_{TCP,UDP}_GLOBAL_EPHEMERAL_PORT_SPACE_EXHAUSTED`.
pub const PORT_REFUSED_CODES: [u32; 3] = [4227, 4231, 4266];

impl EventHit {
    /// Whether the TCP/IP driver says that a port was refused. Told by source and id, never by text, which is localised.
    #[must_use]
    pub fn says_port_refused(&self) -> bool {
        self.source.eq_ignore_ascii_case(TCPIP_SOURCE) && PORT_REFUSED_CODES.contains(&self.code)
    }

    /// The protocol whose dynamic ports are all in use, when the TCP/IP driver says so. A 4227 does not: it tells of a
    /// collision with TIME_WAIT.
    #[must_use]
    pub fn exhausted_protocol(&self) -> Option<Protocol> {
        match self.code {
            4231 if self.says_port_refused() => Some(Protocol::Tcp),
            4266 if self.says_port_refused() => Some(Protocol::Udp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn hit(source: &str, code: u32) -> EventHit {
        EventHit {
            at: Timestamp::EPOCH,
            source: source.into(),
            code,
            count: 1,
            text: "".into(),
            log: None,
        }
    }

    #[test]
    fn only_the_drivers_own_events_say_that_ports_ran_out() {
        assert!(hit("Tcpip", 4231).says_port_refused());
        assert!(hit("TCPIP", 4266).says_port_refused());
        assert!(!hit("Tcpip", 4228).says_port_refused());
        assert!(!hit("SomeApp", 4231).says_port_refused());
    }

    #[test]
    fn a_collision_with_time_wait_is_no_exhaustion() {
        assert_eq!(hit("Tcpip", 4231).exhausted_protocol(), Some(Protocol::Tcp));
        assert_eq!(hit("Tcpip", 4266).exhausted_protocol(), Some(Protocol::Udp));
        assert_eq!(hit("Tcpip", 4227).exhausted_protocol(), None);
        assert_eq!(hit("SomeApp", 4231).exhausted_protocol(), None);
    }

    #[test]
    fn the_binary_part_is_hexadecimal_in_json() {
        let log = LogRecord {
            binary: Some(Arc::from([0, 255])),
            ..LogRecord::default()
        };
        let json = serde_json::to_string(&log).unwrap();
        assert!(json.contains("\"binary\":\"00ff\""), "{json}");
        assert_eq!(serde_json::from_str::<LogRecord>(&json).unwrap(), log);
    }
}
