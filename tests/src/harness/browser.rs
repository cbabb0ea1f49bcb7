//! Chromium without a window, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>) by plain HTTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Machine, Process, STARTING, until};

const DRIVER: &str = "http://127.0.0.1:9515";

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    client: reqwest::Client,
    session: String,
    screenshots: PathBuf,
    _driver: Process,
}

/// Whether the mouse's button is held while it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// It is.
    Down,
    /// It is not.
    Up,
}

impl Browser {
    /// Starts one with a window of 1280 x 800.
    ///
    /// # Errors
    /// When chromedriver is missing or does not start.
    pub async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=9515");
        let driver = Process::start("chromedriver", command, machine.folder()).context(
            "chromedriver is needed: apt-get install chromium chromium-driver, as tests/run does",
        )?;
        tidemark_runtime::tls::install_crypto_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()?;
        let profile = machine.folder().join("chromium");
        let args = [
            "--headless=new".to_owned(),
            // It runs as root in tests.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--window-size=1280,800".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = until("the browser", STARTING, async || {
            let asked = client
                .post(format!("{DRIVER}/session"))
                .json(&wanted)
                .send()
                .await;
            // The driver does not listen yet.
            let Ok(answer) = asked else { return Ok(None) };
            let answer: Value = answer.json().await?;
            let id = answer["value"]["sessionId"].as_str().map(str::to_owned);
            let id = id.with_context(|| format!("no browser: {}", answer["value"]["message"]))?;
            Ok(Some(id))
        })
        .await?;
        let screenshots = target_folder()?.join("screenshots");
        fs::create_dir_all(&screenshots)?;
        Ok(Self {
            client,
            session,
            screenshots,
            _driver: driver,
        })
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("url", json!({"url": url})).await.map(drop)
    }

    /// Forgets every cookie of every site, as a new browser would.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn forget(&self) -> anyhow::Result<()> {
        self.develop("Network.clearBrowserCookies", json!({})).await
    }

    /// What a piece of JavaScript returns.
    ///
    /// # Errors
    /// When it throws.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.post("execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// What a piece of JavaScript hands to the callback that is its last argument, at some time.
    ///
    /// # Errors
    /// When it throws, or hands nothing over.
    pub async fn run_to_end(&self, script: &str) -> anyhow::Result<Value> {
        self.post("execute/async", json!({"script": script, "args": []}))
            .await
    }

    /// Asks pages for less motion, as a setting of the system does.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn reduce_motion(&self) -> anyhow::Result<()> {
        let features = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.develop("Emulation.setEmulatedMedia", features).await
    }

    /// What a reader sees of the first element that `selector` finds; nothing when there is none.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn text(&self, selector: &str) -> anyhow::Result<String> {
        let script = format!(
            "const found = document.querySelector({}); return found ? found.innerText : '';",
            json!(selector)
        );
        let text = self.run(&script).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Presses keys one after the other, as a person without a mouse does. Special keys are those of WebDriver, as
    /// `\u{e004}` for Tab.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn press(&self, keys: &str) -> anyhow::Result<()> {
        let strokes = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        });
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.post("actions", json!({"actions": [keyboard]}))
            .await
            .map(drop)
    }

    /// Moves the mouse to each point in turn, in pixels of the window; with its button down from the first to the last
    /// when `button` says so.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn point(&self, way: &[(i64, i64)], button: Button) -> anyhow::Result<()> {
        let mut steps = Vec::new();
        for (index, (x, y)) in way.iter().enumerate() {
            steps.push(json!({"type": "pointerMove", "duration": 50, "x": x, "y": y}));
            if index == 0 && button == Button::Down {
                steps.push(json!({"type": "pointerDown", "button": 0}));
            }
        }
        if button == Button::Down {
            steps.push(json!({"type": "pointerUp", "button": 0}));
        }
        let mouse = json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps});
        self.post("actions", json!({"actions": [mouse]}))
            .await
            .map(drop)
    }

    /// Where the page's address bar stands.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn address(&self) -> anyhow::Result<String> {
        let address = self.run("return location.href").await?;
        Ok(address.as_str().unwrap_or_default().to_owned())
    }

    /// Sets the size of the page, as a phone's or a desk's, and its colours.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn show_as(&self, width: u32, height: u32, scheme: &str) -> anyhow::Result<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.develop("Emulation.setDeviceMetricsOverride", metrics)
            .await?;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.develop("Emulation.setEmulatedMedia", features).await
    }

    /// Keeps a picture of the page in `target/screenshots`.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub async fn screenshot(&self, name: &str) -> anyhow::Result<()> {
        let picture = self.get("screenshot").await?;
        let picture = picture.as_str().context("no picture")?;
        let path = self.screenshots.join(format!("{name}.png"));
        Ok(fs::write(path, BASE64.decode(picture.as_bytes())?)?)
    }

    /// What the pages complained of since the last call: failed scripts, refused resources.
    ///
    /// # Errors
    /// When the browser does not tell.
    pub async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let log = self.post("se/log", json!({"type": "browser"})).await?;
        let entries = log.as_array().context("no log")?;
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].to_string()).collect())
    }

    async fn develop(&self, command: &str, params: Value) -> anyhow::Result<()> {
        let command = json!({"cmd": command, "params": params});
        self.post("goog/cdp/execute", command).await.map(drop)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{DRIVER}/session/{}/{path}", self.session);
        value_of(self.client.get(url).send().await?).await
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let url = format!("{DRIVER}/session/{}/{path}", self.session);
        value_of(self.client.post(url).json(&body).send().await?).await
    }
}

async fn value_of(answer: reqwest::Response) -> anyhow::Result<Value> {
    let mut answer: Value = answer.json().await?;
    let value = answer["value"].take();
    anyhow::ensure!(value["error"].is_null(), "{}", value["message"]);
    Ok(value)
}

/// Where this workspace is built.
///
/// # Errors
/// When this program does not lie there.
pub fn target_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.ancestors().nth(3).map(Path::to_owned);
    folder.context("the test lies in no target folder")
}
