//! Whether the parts of Windows that tell about ports answer.

use std::sync::Arc;

/// What came of asking; `None` before it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    /// `netsh`, or why it does not answer.
    pub netsh: Option<Result<(), Arc<str>>>,
    /// WMI's networking classes, or why they do not answer.
    pub wmi: Option<Result<(), Arc<str>>>,
}
