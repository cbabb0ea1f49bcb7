//! What a Winsock error says about ports: depends on the step that failed. Compiles everywhere, so that it is tested.

/// What was done when the error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A socket was made.
    Open,
    /// It was bound to a port of the system's choice.
    Bind,
    /// It was connected.
    Connect,
}

/// What the error means for whoever wants a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No port was left.
    Exhausted,
    /// The address family is switched off, or its loopback address is missing.
    Unsupported,
    /// Something else.
    Other,
}

/// Winsock's WSAEACCES: an excluded port or a firewall, so never a lack of ports.
#[cfg(test)]
const ACCESS: i32 = 10013;
/// WSAEPROTONOSUPPORT and WSAEAFNOSUPPORT.
const NO_PROTOCOL: i32 = 10043;
const NO_FAMILY: i32 = 10047;
/// WSAEADDRINUSE: on connect the four-tuple is in TIME_WAIT (event 4227); on a bind to port 0 it is what Wine says for
/// a range that is used up.
const IN_USE: i32 = 10048;
/// WSAEADDRNOTAVAIL: on bind the address is not configured; on connect Wine's word for a range that is used up.
const NOT_AVAILABLE: i32 = 10049;
/// WSAENOBUFS: no port, or no nonpaged pool, which nothing here can tell apart.
const NO_BUFFERS: i32 = 10055;

/// What `code` means after `step`.
pub(crate) const fn meaning(code: i32, step: Step) -> Meaning {
    match (step, code) {
        (Step::Open, NO_FAMILY | NO_PROTOCOL) | (Step::Bind, NOT_AVAILABLE) => Meaning::Unsupported,
        (Step::Bind, NO_BUFFERS | IN_USE)
        | (Step::Connect, NO_BUFFERS | IN_USE | NOT_AVAILABLE) => Meaning::Exhausted,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_wine_both_say_that_no_port_is_left() {
        assert_eq!(meaning(10055, Step::Bind), Meaning::Exhausted);
        assert_eq!(meaning(10055, Step::Connect), Meaning::Exhausted);
        assert_eq!(meaning(10048, Step::Connect), Meaning::Exhausted);
        assert_eq!(meaning(10048, Step::Bind), Meaning::Exhausted);
        assert_eq!(meaning(10049, Step::Connect), Meaning::Exhausted);
    }

    #[test]
    fn other_troubles_are_not_taken_for_exhaustion() {
        assert_eq!(meaning(10049, Step::Bind), Meaning::Unsupported);
        assert_eq!(meaning(10047, Step::Open), Meaning::Unsupported);
        for step in [Step::Open, Step::Bind, Step::Connect] {
            for code in [ACCESS, 10060, 10061, 0] {
                assert_eq!(meaning(code, step), Meaning::Other, "{code} after {step:?}");
            }
        }
        assert_eq!(meaning(10055, Step::Open), Meaning::Other);
    }
}
