//! A real browser (Chromium), driven by chromedriver as the WebDriver specification of the W3C describes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{free_port, plain, wait_for};

/// How long an element may take to come, or to stay.
const SETTLE: Duration = Duration::from_secs(10);
/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window of one browser with a fresh profile. It trusts every certificate, because the coordinator's is of its own authority.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    driver: Child,
    base: String,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts driver and browser; `dir` holds the profile while they run.
    ///
    /// # Errors
    /// Chromium or chromedriver is not installed, or does not start.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let profile = dir.join(format!("browser-{port}"));
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver is not installed; run `packaging/scripts/tools test`")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The driver is on loopback, without TLS; the client wants to know all the same which implementation it would use.
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let http =
            reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(Duration::from_secs(60)).build()?;
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { runtime, http, driver, base, session: String::new(), profile };
        wait_for("chromedriver", Duration::from_secs(30), || Ok(browser.call("GET", "/status", None).ok()))?;
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", browser.profile.display()));
        let wanted = json!({
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let made = browser.call("POST", "/session", Some(&json!({ "capabilities": { "alwaysMatch": wanted } })))?;
        browser.session = made["sessionId"].as_str().context("a session")?.to_owned();
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let request = self.http.request(method.parse()?, format!("{}{path}", self.base));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer: Value = self.runtime.block_on(async {
            Ok::<_, anyhow::Error>(serde_json::from_slice(&request.send().await?.bytes().await?)?)
        })?;
        let value = &answer["value"];
        match value["error"].as_str() {
            Some(error) => bail!("{error}: {}", value["message"].as_str().unwrap_or_default()),
            None => Ok(value.clone()),
        }
    }

    fn of_session(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    /// A command of the Chrome DevTools protocol.
    ///
    /// # Errors
    /// The browser refuses it.
    pub fn devtools(&self, command: &str, parameters: &Value) -> anyhow::Result<Value> {
        self.of_session("POST", "/goog/cdp/execute", Some(&json!({ "cmd": command, "params": parameters })))
    }

    /// Opens an address and waits until it is loaded.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, url: &str) -> anyhow::Result<()> {
        self.of_session("POST", "/url", Some(&json!({ "url": url })))?;
        self.check_problems();
        Ok(())
    }

    /// What a page says went wrong is for people.
    fn check_problems(&self) {
        let read = "return [...document.querySelectorAll('[role=alert]')].map(e => e.innerText).join('\\n')";
        // Of a page that is gone nobody reads anything; without scripts there is nothing to read it with.
        if let Ok(Value::String(words)) = self.script(read) {
            plain::check("a page of the console", &words);
        }
    }

    /// The address that is shown.
    ///
    /// # Errors
    /// The window is gone.
    pub fn url(&self) -> anyhow::Result<String> {
        Ok(self.of_session("GET", "/url", None)?.as_str().unwrap_or_default().to_owned())
    }

    /// The page as HTML, as it stands now.
    ///
    /// # Errors
    /// The window is gone.
    pub fn source(&self) -> anyhow::Result<String> {
        Ok(self.of_session("GET", "/source", None)?.as_str().unwrap_or_default().to_owned())
    }

    fn find(&self, css: &str) -> anyhow::Result<String> {
        let found = self.of_session("POST", "/element", Some(&json!({ "using": "css selector", "value": css })));
        let found = found.with_context(|| format!("{css} on {}", self.url().unwrap_or_default()))?;
        Ok(found[ELEMENT].as_str().context("an element")?.to_owned())
    }

    /// Whether something that the selector names is on the page.
    #[must_use]
    pub fn has(&self, css: &str) -> bool {
        self.find(css).is_ok()
    }

    /// The visible text of what the selector names.
    ///
    /// # Errors
    /// There is no such element.
    pub fn text(&self, css: &str) -> anyhow::Result<String> {
        self.settled(|| {
            let element = self.find(css)?;
            let text = self.of_session("GET", &format!("/element/{element}/text"), None)?;
            Ok(text.as_str().unwrap_or_default().to_owned())
        })
    }

    /// Does something with an element; again for some seconds while a page is on its way and the element comes or goes.
    fn settled<T>(&self, act: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            match act() {
                Err(error) if began.elapsed() < SETTLE => {
                    let words = format!("{error:#}");
                    let is_coming = ["no such element", "stale element", "not interactable", "click intercepted"];
                    if !is_coming.iter().any(|one| words.contains(one)) {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                done => return done,
            }
        }
    }

    /// Types into a field, in place of what stands in it.
    ///
    /// # Errors
    /// There is no such field, or nobody could type into it.
    pub fn fill(&self, css: &str, text: &str) -> anyhow::Result<()> {
        self.settled(|| {
            let element = self.find(css)?;
            self.of_session("POST", &format!("/element/{element}/clear"), Some(&json!({})))?;
            self.of_session("POST", &format!("/element/{element}/value"), Some(&json!({ "text": text }))).map(drop)
        })
    }

    /// Clicks on what the selector names.
    ///
    /// # Errors
    /// There is no such element, or something lies over it.
    pub fn click(&self, css: &str) -> anyhow::Result<()> {
        self.settled(|| {
            let element = self.find(css)?;
            self.of_session("POST", &format!("/element/{element}/click"), Some(&json!({}))).map(drop)
        })?;
        self.check_problems();
        Ok(())
    }

    /// Runs a script in the page and returns its value.
    ///
    /// # Errors
    /// It throws.
    pub fn script(&self, script: &str) -> anyhow::Result<Value> {
        self.of_session("POST", "/execute/sync", Some(&json!({ "script": script, "args": [] })))
    }

    /// Takes scripts away from the pages that are opened from now on, or gives them back.
    ///
    /// # Errors
    /// The browser refuses it.
    pub fn scripts(&self, on: bool) -> anyhow::Result<()> {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !on })).map(drop)
    }

    /// Gives the browser a session of the console, as if its owner had signed in.
    ///
    /// # Errors
    /// The browser refuses the cookie.
    pub fn sign_in_as(&self, url: &str, token: &str) -> anyhow::Result<()> {
        let cookie = json!({
            "name": "__Host-mdfm", "value": token, "url": format!("{url}/"), "path": "/",
            "secure": true, "httpOnly": true, "sameSite": "Strict",
        });
        self.devtools("Network.setCookie", &cookie).map(drop)
    }

    /// Presses keys, one after another, on whatever has the focus. Names as WebDriver has them: [`Browser::TAB`], [`Browser::ENTER`], [`Browser::SPACE`].
    ///
    /// # Errors
    /// The window is gone.
    pub fn press(&self, keys: &str) -> anyhow::Result<()> {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.of_session("POST", "/actions", Some(&body)).map(drop)
    }

    /// The key that goes to the next field.
    pub const TAB: &str = "\u{e004}";
    /// The key that sends a form.
    pub const ENTER: &str = "\u{e007}";
    /// The key that chooses.
    pub const SPACE: &str = " ";

    /// Opens another tab, which is used from now on; returns the name of the one before.
    ///
    /// # Errors
    /// The browser refuses it.
    pub fn new_tab(&self) -> anyhow::Result<String> {
        let before = self.of_session("GET", "/window", None)?.as_str().context("a window")?.to_owned();
        let made = self.of_session("POST", "/window/new", Some(&json!({ "type": "tab" })))?;
        self.show_tab(made["handle"].as_str().context("a tab")?)?;
        Ok(before)
    }

    /// Uses a tab again.
    ///
    /// # Errors
    /// There is no such tab.
    pub fn show_tab(&self, name: &str) -> anyhow::Result<()> {
        self.of_session("POST", "/window", Some(&json!({ "handle": name }))).map(drop)
    }

    /// The page as a PDF, as the browser prints it.
    ///
    /// # Errors
    /// The browser cannot make it.
    pub fn print(&self) -> anyhow::Result<Vec<u8>> {
        let printed = self.of_session("POST", "/print", Some(&json!({ "background": true })))?;
        Ok(base64::engine::general_purpose::STANDARD.decode(printed.as_str().unwrap_or_default())?)
    }

    /// What the browser complained of since the last call: errors of scripts, violations of the content security policy, failed loads.
    ///
    /// # Errors
    /// The window is gone.
    pub fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let log = self.of_session("POST", "/se/log", Some(&json!({ "type": "browser" })))?;
        let lines = log.as_array().into_iter().flatten();
        Ok(lines.map(|line| format!("{}: {}", line["level"], line["message"])).collect())
    }

    /// Sets the width of the window in pixels, and the theme that the page should prefer (`light` or `dark`).
    ///
    /// # Errors
    /// The browser refuses it.
    pub fn resize(&self, width: u32, theme: &str) -> anyhow::Result<()> {
        let sized = json!({ "width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &sized)?;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.devtools("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// A picture of the page at a width, as PNG; of all of it, or of its first `height_max` pixels.
    ///
    /// # Errors
    /// The browser cannot make it.
    pub fn picture(&self, width: u32, height_max: f64) -> anyhow::Result<Vec<u8>> {
        let sized = json!({ "width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &sized)?;
        let height = self.devtools("Page.getLayoutMetrics", &json!({}))?["cssContentSize"]["height"].as_f64();
        let height = height.unwrap_or(height_max).min(height_max);
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.devtools("Page.captureScreenshot", &wanted)?;
        Ok(base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap_or_default())?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("DELETE", &format!("/session/{}", self.session), None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
