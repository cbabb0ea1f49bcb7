//! Processes: not read yet.

use tidemark_model::Timestamp;

use crate::ReadError;
pub use crate::descriptor::{Descriptor, DescriptorVisitor, ProcessDescription};

/// How many processes may have their start compared in one sample.
pub const START_CHECKS: usize = usize::MAX;

/// Reads processes.
#[derive(Debug)]
pub struct Processes;

/// When a process started. With its number it names one process for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStart(Timestamp);

impl ProcessStart {
    /// The same by the host's clock.
    #[must_use]
    pub const fn at(self, _booted_at: Timestamp) -> Timestamp {
        self.0
    }
}

impl Processes {
    /// Opens the list of processes.
    ///
    /// # Errors
    /// Never.
    pub const fn open() -> Result<Self, ReadError> {
        Ok(Self)
    }

    /// Forgets what was read of processes.
    ///
    /// # Errors
    /// Never.
    pub const fn renew(&mut self) -> Result<(), ReadError> {
        Ok(())
    }

    /// Hands the number of every process to `on_process`.
    ///
    /// # Errors
    /// Never.
    pub fn list(&mut self, _on_process: impl FnMut(u32)) -> Result<(), ReadError> {
        Ok(())
    }

    /// How many handles a process has open; `None` when it is gone.
    #[must_use]
    pub const fn descriptor_count(&self, _process: u32) -> Option<u32> {
        None
    }

    /// When a process started; `None` when it is gone.
    #[must_use]
    pub const fn start(&self, _process: u32) -> Option<ProcessStart> {
        None
    }

    /// Offers every handle of a process to `visitor`: none is offered.
    ///
    /// # Errors
    /// Never.
    pub fn descriptors(
        &mut self,
        _process: u32,
        _visitor: &mut impl DescriptorVisitor,
    ) -> Result<(), ReadError> {
        Ok(())
    }

    /// As [`Processes::descriptors`] for `numbers` alone.
    ///
    /// # Errors
    /// Never.
    pub fn descriptors_among(
        &mut self,
        _process: u32,
        _numbers: impl Iterator<Item = u32>,
        _visitor: &mut impl DescriptorVisitor,
    ) -> Result<(), ReadError> {
        Ok(())
    }

    /// What a process is called; `None` when it is gone.
    #[must_use]
    pub const fn describe(&self, _process: u32) -> Option<ProcessDescription> {
        None
    }

    /// The service of a process; `None` when it belongs to none.
    #[must_use]
    pub const fn service(&self, _process: u32, _tag: u32) -> Option<String> {
        None
    }

    /// Changes when services may have other names than before.
    #[must_use]
    pub const fn services_version(&self) -> u64 {
        0
    }

    /// The short name of a process; `None` when it is gone.
    #[must_use]
    pub const fn short_name(&self, _process: u32) -> Option<String> {
        None
    }
}
