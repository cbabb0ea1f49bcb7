//! A test's own machine, as far as ports go: a network namespace with its loopback up, and a folder that goes with it
//! unless the test failed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;
use tidemark_platform::{NamespaceError, namespace};

/// Where a test runs.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
}

/// Runs `test` on a network namespace of its own, and answers what it found. Whatever it starts is in there too, so addresses can be fixed and
/// tests never meet. When it fails, its folder stays and the error names it.
///
/// # Errors
/// What `test` says, or that the namespace cannot be made (it needs root).
pub fn on_own_network<T, R>(test: T) -> anyhow::Result<R>
where
    T: AsyncFnOnce(&Machine) -> anyhow::Result<R> + Send,
    R: Send,
{
    let folder = TempDir::with_prefix("tidemark-test-").context("no room for temporary files")?;
    let machine = Machine {
        folder: folder.path().to_owned(),
    };
    let ran = namespace::run_in_new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(test(&machine))
    });
    let result = match ran {
        Ok(result) => result,
        Err(NamespaceError::Panicked) => Err(anyhow::anyhow!("the test panicked, as said above")),
        Err(error) => Err(error).context("run as root: the tests make network namespaces"),
    };
    result.map_err(|error| {
        let kept = folder.keep();
        error.context(format!("everything it wrote is kept in {}", kept.display()))
    })
}

impl Machine {
    /// A folder for everything that the test writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the machine's operator keeps configuration.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Sets the dynamic ports of both protocols to `first..=last`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_dynamic_ports(&self, first: u16, last: u16) -> anyhow::Result<()> {
        set_sysctl("ip_local_port_range", &format!("{first} {last}"))
    }

    /// Keeps ports out of the dynamic ones, as in `20000-20399`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reserve_ports(&self, ports: &str) -> anyhow::Result<()> {
        set_sysctl("ip_local_reserved_ports", ports)
    }

    /// Makes loopback hold its ports in TIME_WAIT as every other interface does: by default Linux reuses them there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn keep_time_wait_on_loopback(&self) -> anyhow::Result<()> {
        set_sysctl("tcp_tw_reuse", "0")
    }
}

/// The calling thread's namespace has its own values.
fn set_sysctl(name: &str, value: &str) -> anyhow::Result<()> {
    let path = Path::new("/proc/sys/net/ipv4").join(name);
    fs::write(&path, value).with_context(|| format!("cannot write {}", path.display()))
}
