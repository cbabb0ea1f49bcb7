//! What the kernel, other programs and their files tell an agent on Linux.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::Protocol;
use tidemark_platform::fuzzing as platform;

const DECODERS: [Decoder; 7] = [
    Decoder {
        name: "sock_diag answer",
        read: |bytes| sockets(bytes, Protocol::Tcp) | sockets(bytes, Protocol::Udp),
    },
    Decoder {
        name: "notes of an executable",
        read: platform::executable_notes,
    },
    Decoder {
        name: "counters of /proc/net",
        read: |bytes| platform::counters(&String::from_utf8_lossy(bytes)),
    },
    Decoder {
        name: "port range and reserved ports",
        read: |bytes| std::str::from_utf8(bytes).is_ok_and(platform::port_settings),
    },
    Decoder {
        name: "files of a process",
        read: platform::process_files,
    },
    Decoder {
        name: "names of the host",
        read: |bytes| platform::host_files(&String::from_utf8_lossy(bytes)),
    },
    Decoder {
        name: "list of packages",
        read: |bytes| platform::package_list(bytes, &["openssl", "libc6:amd64"]),
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

/// The sequence number of the question that is answered.
const SEQUENCE: u32 = 1;

fn sockets(datagram: &[u8], protocol: Protocol) -> bool {
    let mut rows = 0_usize;
    let told = platform::socket_rows(datagram, protocol, SEQUENCE, |_| rows += 1);
    // A row takes its header and 72 bytes.
    assert!(rows * (16 + 72) <= datagram.len(), "more rows than fit");
    told.is_ok_and(|end| end.is_some() || rows > 0)
}
