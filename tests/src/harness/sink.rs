//! Receivers of notifications with real sockets: an HTTP server and a mail server that fail as they are told to, then
//! recover, and keep what they were given.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Largest request that is read.
const BODY_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// How a server meets one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// With this status.
    Status(u16),
    /// With 429, and the wish to be left alone for so many seconds.
    Busy(u32),
    /// It reads the request and never answers.
    Hang,
    /// It reads the request and cuts the connection.
    Reset,
}

/// A request that a server was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How it was met.
    pub mood: Mood,
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; what is no text in it is replaced.
    pub body: String,
}

impl Taken {
    /// The value of a header; empty without it.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether it was taken for good.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.mood == Mood::Status(200)
    }
}

type Shared<T> = Arc<Mutex<T>>;

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An HTTP server that answers 200 unless it is told otherwise.
#[derive(Debug)]
pub struct HttpSink {
    taken: Shared<Vec<Taken>>,
    moods: Shared<VecDeque<Mood>>,
    _server: JoinSet<()>,
}

impl HttpSink {
    /// Starts at `address`; the first requests meet `moods`, in order.
    ///
    /// # Errors
    /// When the address is in use.
    pub async fn start(address: &str, moods: &[Mood]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let taken: Shared<Vec<Taken>> = Arc::default();
        let moods: Shared<VecDeque<Mood>> = Arc::new(Mutex::new(moods.iter().copied().collect()));
        let (of_server, moods_of_server) = (Arc::clone(&taken), Arc::clone(&moods));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while open.try_join_next().is_some() {}
                let (taken, moods) = (Arc::clone(&of_server), Arc::clone(&moods_of_server));
                open.spawn(async move { serve(stream, &taken, &moods).await.ok() });
            }
        });
        Ok(Self {
            taken,
            moods,
            _server: server,
        })
    }

    /// Everything that it was given, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        locked(&self.taken).clone()
    }

    /// Everything that it took for good, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<Taken> {
        let mut taken = self.taken();
        taken.retain(Taken::is_accepted);
        taken
    }

    /// The next requests meet these.
    pub fn will(&self, moods: &[Mood]) {
        locked(&self.moods).extend(moods);
    }
}

async fn serve(
    stream: TcpStream,
    taken: &Mutex<Vec<Taken>>,
    moods: &Mutex<VecDeque<Mood>>,
) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((path, headers, body)) = request(&mut stream).await? {
        let mood = locked(moods).pop_front().unwrap_or(Mood::Status(200));
        locked(taken).push(Taken {
            mood,
            path,
            headers,
            body,
        });
        let (status, more) = match mood {
            Mood::Status(status) => (status, String::new()),
            Mood::Busy(seconds) => (429, format!("retry-after: {seconds}\r\n")),
            Mood::Hang => std::future::pending().await,
            Mood::Reset => {
                // Without lingering the peer gets a reset instead of an end.
                stream.get_ref().set_zero_linger()?;
                return Ok(());
            }
        };
        let answer = format!("HTTP/1.1 {status} -\r\n{more}content-length: 0\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

type Request = (String, Vec<(String, String)>, String);

async fn request(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    anyhow::ensure!(length <= BODY_BYTES_MAX, "a request of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((
        path,
        headers,
        String::from_utf8_lossy(&body).into_owned(),
    )))
}

/// A mail server that refuses so many connections first, and then takes every mail.
#[derive(Debug)]
pub struct MailSink {
    mails: Shared<Vec<String>>,
    _server: JoinSet<()>,
}

impl MailSink {
    /// Starts at `address`; the first `refusals` connections are sent away.
    ///
    /// # Errors
    /// When the address is in use.
    pub async fn start(address: SocketAddr, refusals: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let mails: Shared<Vec<String>> = Arc::default();
        let of_server = Arc::clone(&mails);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut refusals = refusals;
            while let Ok((stream, _)) = listener.accept().await {
                let served = if refusals > 0 {
                    refusals -= 1;
                    send_away(stream).await
                } else {
                    take_mails(stream, &of_server).await
                };
                // A client that goes away in between is none of ours.
                served.ok();
            }
        });
        Ok(Self {
            mails,
            _server: server,
        })
    }

    /// The mails that it took, headers and text.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        locked(&self.mails).clone()
    }
}

async fn send_away(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.write_all(b"421 come back later\r\n").await?;
    Ok(())
}

async fn take_mails(stream: TcpStream, mails: &Mutex<Vec<String>>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 sink").await?;
    loop {
        let line = heard(&mut stream).await?;
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let mut mail = String::new();
                loop {
                    let line = heard(&mut stream).await?;
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                locked(mails).push(mail);
                say(&mut stream, "250 taken").await?;
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            _ => say(&mut stream, "250 go on").await?,
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> anyhow::Result<()> {
    let line = format!("{text}\r\n");
    Ok(stream.get_mut().write_all(line.as_bytes()).await?)
}

async fn heard(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    let bytes = stream.read_line(&mut line).await?;
    anyhow::ensure!(bytes > 0, "the client went away");
    let line = line
        .strip_suffix("\r\n")
        .context("a line that does not end")?;
    Ok(line.to_owned())
}
