//! What processes are called and what is behind their descriptors, the same on every system.

/// What a process is called and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessDescription {
    /// What the system calls it (`comm` on Linux, cut to 15 bytes; the image on Windows); hostile text. It changes when
    /// the process executes another program.
    pub short_name: String,
    /// The same in full, where the system cuts it and the executable's file name says how it goes on; hostile text.
    pub name: String,
    /// Absolute path of its executable; `None` when it may not be read (other users, kernel threads).
    pub executable: Option<String>,
}

/// What is behind a file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// A socket, by its inode.
    Socket(u32),
    /// Something else.
    Other,
}

/// Decides which descriptors are worth a look, which costs about 1 us each.
pub trait DescriptorVisitor {
    /// Whether the rest of the process can be skipped.
    fn is_done(&self) -> bool {
        false
    }

    /// Whether to look behind this descriptor.
    fn wants(&mut self, descriptor: u32) -> bool;

    /// What is behind a descriptor that was wanted.
    fn found(&mut self, descriptor: u32, behind: Descriptor);
}
