//! One line of a recording, as the detection benchmark defines it, checked against what a host can be.

use serde::Deserialize;

/// Ports that there are at most.
const PORTS_MAX: u32 = 65_536;
/// The end of the year 9999, in unix milliseconds.
const TIME_MS_MAX: i64 = 253_402_300_799_999;
/// Longest name of a host or a process, in bytes.
const NAME_BYTES_MAX: usize = 253;
/// Processes and events of one sample.
const LIST_MAX: usize = 256;

/// One sample of a host.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct SampleLine {
    pub(super) host: String,
    pub(super) seq: u64,
    /// When it was taken, by the host's clock.
    pub(super) ts_unix_ms: i64,
    /// When it was received, by the controller's.
    pub(super) recv_unix_ms: i64,
    pub(super) boot_unix_ms: i64,
    pub(super) in_use: u32,
    pub(super) capacity: u32,
    #[serde(default)]
    pub(super) established: u32,
    #[serde(default)]
    pub(super) time_wait: u32,
    #[serde(default)]
    pub(super) close_wait: u32,
    #[serde(default)]
    pub(super) bound: Option<u32>,
    #[serde(default)]
    pub(super) procs: Vec<ProcessLine>,
    #[serde(default)]
    pub(super) events: Vec<EventLine>,
}

/// One of the processes that hold the most.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct ProcessLine {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) ports: u32,
    /// `null` where the agent cannot attribute bound sockets.
    #[serde(default)]
    pub(super) bound: Option<u32>,
    #[serde(default)]
    pub(super) handles: Option<u32>,
}

/// What the host's log said.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct EventLine {
    pub(super) id: EventId,
    #[serde(default)]
    pub(super) n: Option<u32>,
    #[serde(default)]
    pub(super) svc: String,
    #[serde(default)]
    pub(super) ver: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum EventId {
    /// Of the System log.
    Number(u32),
    /// `deploy`.
    Name(String),
}

impl SampleLine {
    /// Reads one line.
    ///
    /// # Errors
    /// Why it is no sample, in words.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let line: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        line.check()?;
        Ok(line)
    }

    fn check(&self) -> Result<(), String> {
        if self.host.is_empty() || self.host.len() > NAME_BYTES_MAX {
            return Err(format!("host must have 1 to {NAME_BYTES_MAX} bytes"));
        }
        for (field, ports) in [("in_use", self.in_use), ("capacity", self.capacity)] {
            if ports > PORTS_MAX {
                return Err(format!("{field} is {ports}; there are {PORTS_MAX} ports"));
            }
        }
        if self.capacity == 0 {
            return Err("capacity is 0; a host without ports cannot run out of them".to_owned());
        }
        for (field, at) in [
            ("ts_unix_ms", self.ts_unix_ms),
            ("recv_unix_ms", self.recv_unix_ms),
            ("boot_unix_ms", self.boot_unix_ms),
        ] {
            if !(0..=TIME_MS_MAX).contains(&at) {
                return Err(format!("{field} is {at}; it must be 0 to {TIME_MS_MAX}"));
            }
        }
        if self.procs.len() > LIST_MAX || self.events.len() > LIST_MAX {
            return Err(format!(
                "there are more than {LIST_MAX} processes or events"
            ));
        }
        if self
            .procs
            .iter()
            .any(|process| process.name.is_empty() || process.name.len() > NAME_BYTES_MAX)
        {
            return Err(format!(
                "a process's name must have 1 to {NAME_BYTES_MAX} bytes"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) const LINE: &str = r#"{"host":"web-1","seq":7,"ts_unix_ms":1767571200500,"recv_unix_ms":1767571201000,"boot_unix_ms":1767000000000,"in_use":900,"capacity":16384,"established":600,"time_wait":200,"close_wait":30,"bound":40,"procs":[{"name":"w3wp.exe","pid":812,"ports":500,"bound":20,"handles":900},{"name":"lsass.exe","pid":600,"ports":20,"bound":null,"handles":400}],"events":[{"id":4227,"n":3},{"id":"deploy","svc":"orders","ver":"2.1"}]}"#;

    #[test]
    fn the_benchmarks_line_is_read() {
        let line = SampleLine::parse(LINE.as_bytes()).unwrap();
        assert_eq!(
            (line.host.as_str(), line.seq, line.in_use),
            ("web-1", 7, 900)
        );
        assert_eq!(line.procs[1].bound, None);
        assert_eq!(line.events[0].id, EventId::Number(4227));
    }

    #[test]
    fn what_is_no_sample_is_refused_with_the_reason() {
        for (from, to, reason) in [
            ("\"seq\":7,", "", "missing field `seq`"),
            ("\"in_use\":900", "\"in_use\":-1", "invalid value"),
            ("\"in_use\":900", "\"in_use\":70000", "65536 ports"),
            ("\"capacity\":16384", "\"capacity\":0", "capacity is 0"),
            ("1767571200500", "-5", "ts_unix_ms is -5"),
            ("web-1", "", "host must have"),
            ("}]}", "", "EOF"),
        ] {
            let text = LINE.replacen(from, to, 1);
            let error = SampleLine::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(cut in 0..LINE.len(), byte: u8, place in 0..LINE.len()) {
            let mut text = LINE.as_bytes().to_vec();
            text[place] = byte;
            text.truncate(cut);
            prop_assert!(SampleLine::parse(&text).is_err());
        }
    }
}
