//! A way to a server that a test can close to newcomers, while those who are in stay: what a host meets whose new connections
//! fail.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The open or closed way.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    _connections: JoinSet<()>,
}

impl Gate {
    /// An open way from `at`, whose port the system may choose, to `server`.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn open(at: SocketAddr, server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let is_open = watch::Sender::new(true);
        let seen = is_open.subscribe();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut inside = JoinSet::new();
            while let Ok((newcomer, _)) = listener.accept().await {
                if *seen.borrow() {
                    inside.spawn(pass(newcomer, server));
                }
            }
        });
        Ok(Self {
            address,
            is_open,
            _connections: connections,
        })
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends newcomers away from here on.
    pub fn close_to_newcomers(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets newcomers in again.
    pub fn reopen(&self) {
        self.is_open.send_replace(true);
    }
}

async fn pass(mut newcomer: TcpStream, server: SocketAddr) {
    if let Ok(mut onward) = TcpStream::connect(server).await {
        // Either side may end it as it likes.
        copy_bidirectional(&mut newcomer, &mut onward).await.ok();
    }
}
