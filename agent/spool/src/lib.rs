//! The agent's store-and-forward spool: bounded segments on disk, each record with a checksum.
