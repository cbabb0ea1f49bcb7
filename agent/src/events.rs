//! Events of the system's log: read as they come or from a file, made into hits, and delivered like samples.
//!
//! What an event says is decoded here from the XML that Windows renders, on every system; only reading the live log is the
//! platform's business. A place in the log is kept once the controller has acked the hit, so that nothing is passed over.

pub mod bookmark;
pub mod file;
pub mod intake;
pub mod live;
pub mod meaning;
mod packet;
pub mod reader;
pub mod selection;
mod volume;
pub mod xml;

pub use bookmark::{Bookmark, BookmarkFile, LogPlace};
pub use reader::{EventReader, EventReaderParts, EventReaderStatus};
