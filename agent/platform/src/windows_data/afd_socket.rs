//! What the driver of sockets, `\Device\Afd`, says of one: Winsock's `SOCK_SHARED_INFO`, and its local address.
//!
//! Neither is documented; the layouts are those of System Informer (`ntafd.h`), the same from Windows 2000 to 11.

use super::DataError;
use super::bytes::{self, Bytes};
use crate::{Address, Family};

const WHAT: &str = "shared information of a socket";
/// The device whose files sockets are.
const DRIVER: &str = r"\Device\Afd";
/// Up to and with the flags; what follows is not read.
const SHARED_BYTES: usize = 46;
const TYPE_AT: usize = 8;
const PROTOCOL_AT: usize = 12;
const FLAGS_AT: usize = 44;

/// `SocketStateBound` and `SocketStateBoundSpecific`.
const BOUND: [u32; 2] = [1, 2];
/// `Listening`, the first of the flags.
const LISTENING: u16 = 1;
/// `SOCK_STREAM` and `IPPROTO_TCP`.
const STREAM: u32 = 1;
const TCP: u32 = 6;
/// `AF_INET` and `AF_INET6` of Windows.
const INET: u16 = 2;
const INET6: u16 = 23;
/// Where the address begins in a `TDI_ADDRESS_INFO`: behind three numbers.
const TDI_ADDRESS_AT: usize = 10;

/// Whether `FILE_VOLUME_NAME_INFORMATION` (a length in bytes, then text) names the driver of sockets.
#[must_use]
pub fn is_of_driver(name: &[u8]) -> bool {
    let bytes = Bytes(name);
    let length = bytes.u32(0).and_then(|length| usize::try_from(length).ok());
    let text = length.and_then(|length| name.get(4..)?.get(..length));
    text.is_some_and(|text| bytes::text(text).eq_ignore_ascii_case(DRIVER))
}

/// Whether a socket is one of TCP that is bound and neither connected nor listening.
///
/// # Errors
/// When it is cut short.
pub fn is_bound_tcp(shared: &[u8]) -> Result<bool, DataError> {
    let short = DataError::Short {
        what: WHAT,
        bytes: shared.len(),
        needed: SHARED_BYTES,
    };
    let shared = Bytes(shared);
    let (Some(state), Some(kind), Some(protocol), Some(flags)) = (
        shared.u32(0),
        shared.u32(TYPE_AT),
        shared.u32(PROTOCOL_AT),
        shared.u16(FLAGS_AT),
    ) else {
        return Err(short);
    };
    // Winsock keeps protocol 0 where the program named none.
    let is_tcp = kind == STREAM && (protocol == TCP || protocol == 0);
    Ok(is_tcp && BOUND.contains(&state) && flags & LISTENING == 0)
}

/// Where a socket is bound to: family, address, and port in host order. `None` when it is bound to nothing, or to no
/// address of IP, or the answer is cut short.
///
/// The answer is a `SOCKADDR`, or, of a transport from before Windows Vista, a `TDI_ADDRESS_INFO`.
#[must_use]
pub fn local_end(answer: &[u8]) -> Option<(Family, Address, u16)> {
    socket_address(Bytes(answer)).or_else(|| tdi_address(Bytes(answer.get(TDI_ADDRESS_AT..)?)))
}

fn socket_address(answer: Bytes<'_>) -> Option<(Family, Address, u16)> {
    let port = port_of(answer)?;
    match answer.u16(0)? {
        INET => Some((Family::V4, Address::from_v4(answer.array(4)?), port)),
        INET6 => Some((Family::V6, Address::from_v6(answer.array(8)?), port)),
        _ => None,
    }
}

/// As a socket's address, since both begin with family and port.
fn tdi_address(answer: Bytes<'_>) -> Option<(Family, Address, u16)> {
    socket_address(answer)
}

fn port_of(answer: Bytes<'_>) -> Option<u16> {
    answer
        .array(2)
        .map(u16::from_be_bytes)
        .filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const BOUND_SHARED: &[u8] = include_bytes!("golden/afd_bound.bin");
    const LISTENING_SHARED: &[u8] = include_bytes!("golden/afd_listening.bin");
    const CONNECTED_SHARED: &[u8] = include_bytes!("golden/afd_connected.bin");
    const UDP_SHARED: &[u8] = include_bytes!("golden/afd_udp.bin");
    const V4: &[u8] = include_bytes!("golden/afd_address_v4.bin");
    const V6: &[u8] = include_bytes!("golden/afd_address_v6.bin");
    const TDI: &[u8] = include_bytes!("golden/afd_address_tdi.bin");

    fn name_of(text: &str) -> Vec<u8> {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut name = u32::try_from(units.len()).unwrap().to_le_bytes().to_vec();
        name.extend(units);
        name
    }

    #[test]
    fn a_file_is_a_socket_by_the_name_of_its_device() {
        let socket = name_of(r"\Device\Afd");
        assert!(is_of_driver(&socket));
        let mut longer = socket.clone();
        longer.extend([0xee; 6]);
        assert!(is_of_driver(&longer));
        assert!(is_of_driver(&name_of(r"\DEVICE\AFD")));
        for other in [r"\Device\Afd2", r"\Device\Nsi", ""] {
            assert!(!is_of_driver(&name_of(other)), "{other}");
        }
        for length in 0..socket.len() {
            assert!(!is_of_driver(&socket[..length]), "{length}");
        }
    }

    #[test]
    fn only_tcp_that_is_bound_and_does_nothing_counts() {
        let cases = [
            (BOUND_SHARED, true),
            (LISTENING_SHARED, false),
            (CONNECTED_SHARED, false),
            (UDP_SHARED, false),
        ];
        for (shared, expected) in cases {
            for offset in 0..4 {
                let mut moved = vec![0xee; offset];
                moved.extend_from_slice(shared);
                assert_eq!(is_bound_tcp(&moved[offset..]), Ok(expected));
            }
        }
        // -1 is a socket that Winsock has not finished to make, 2 one that is bound to one address, 4 one that closes.
        for (state, expected) in [(u32::MAX, false), (0, false), (2, true), (4, false)] {
            let mut shared = BOUND_SHARED.to_vec();
            shared[..4].copy_from_slice(&state.to_le_bytes());
            assert_eq!(is_bound_tcp(&shared), Ok(expected), "{state}");
        }
    }

    #[test]
    fn what_is_cut_short_is_no_socket_and_no_address() {
        for length in 0..SHARED_BYTES {
            assert!(is_bound_tcp(&BOUND_SHARED[..length]).is_err(), "{length}");
        }
        for length in 0..8 {
            assert_eq!(local_end(&V4[..length]), None, "{length}");
        }
        for length in 0..24 {
            assert_eq!(local_end(&V6[..length]), None, "{length}");
        }
        for length in 0..18 {
            assert_eq!(local_end(&TDI[..length]), None, "{length}");
        }
    }

    #[test]
    fn addresses_are_read_in_each_form() {
        let host = Ipv4Addr::new(192, 0, 2, 1).into();
        let expected = (Family::V4, host, 50_005);
        assert_eq!(local_end(V4), Some(expected));
        assert_eq!(local_end(TDI), Some(expected));
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5).into();
        assert_eq!(local_end(V6), Some((Family::V6, v6, 50_006)));
    }

    #[test]
    fn no_port_is_no_address() {
        let mut unbound = V4.to_vec();
        unbound[2..4].fill(0);
        unbound.truncate(16);
        assert_eq!(local_end(&unbound), None);
    }

    proptest! {
        #[test]
        fn hostile_answers_are_no_harm(bytes: Vec<u8>) {
            prop_assert_eq!(is_bound_tcp(&bytes).is_ok(), bytes.len() >= SHARED_BYTES);
            prop_assert!(!is_of_driver(&bytes));
            if let Some((_, _, port)) = local_end(&bytes) {
                prop_assert_ne!(port, 0);
            }
        }
    }
}
