//! Chromium without a screen, driven by chromedriver: <https://www.w3.org/TR/webdriver2/>, JSON over HTTP.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::lab::{Place, Program, Room};
use xtask::setup::find_program;

/// A browser starts in a second; a machine that compiles something beside takes longer.
const START_LIMIT: Duration = Duration::from_secs(300);

/// The Tab key.
pub const TAB: char = '\u{e004}';
/// The Home key.
pub const HOME: char = '\u{e011}';
/// The arrow to the left.
pub const LEFT: char = '\u{e012}';
/// The arrow to the right.
pub const RIGHT: char = '\u{e014}';

/// A browser with one window.
pub struct Browser {
    agent: ureq::Agent,
    session: String,
    _driver: Program,
}

impl Browser {
    /// Starts one; its profile and log are in the room.
    pub fn start(room: &Room) -> Browser {
        let find =
            |name: &str| find_program(name).unwrap_or_else(|| panic!("no {name}: `cargo xtask test` installs it"));
        let mut command = Place::HERE.command(find("chromedriver"));
        command.arg("--port=0").env("HOME", room.path()).env("TMPDIR", room.path()).env("TZ", "UTC");
        let driver = Program::start("chromedriver", command, &room.file("chromedriver.log")).expect("it starts");
        let since = Instant::now();
        let port = loop {
            let log = driver.log();
            if let Some((_, rest)) = log.split_once("successfully on port ") {
                break rest.split('.').next().expect("a split has a first part").to_string();
            }
            assert!(since.elapsed() < START_LIMIT, "chromedriver does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(START_LIMIT)).build();
        let profile = format!("--user-data-dir={}", room.file("chromium").display());
        let switches = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let options = json!({"binary": find("chromium"), "args": switches});
        let logs = json!({"browser": "ALL", "performance": "ALL"});
        let wanted = json!({"goog:chromeOptions": options, "goog:loggingPrefs": logs});
        let mut browser =
            Browser { agent: agent.into(), session: format!("http://127.0.0.1:{port}/session"), _driver: driver };
        let made = browser.post("", &json!({"capabilities": {"alwaysMatch": wanted}}));
        let id = made["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// What the server of an address says to who shows a token, and under which status; by the side of the browser.
    pub fn ask(&self, url: &str, token: &str) -> (u16, String) {
        let asked = self.agent.get(url).header("Authorization", format!("Bearer {token}"));
        let mut response = asked.call().unwrap_or_else(|error| panic!("{url}: {error}"));
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().expect("it is text");
        (response.status().as_u16(), text)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let sent = self.agent.post(&url).content_type("application/json").send(body.to_string());
        let mut response = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().expect("it is text");
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        assert_eq!(response.status().as_u16(), 200, "{path} {body}: {text}");
        answer["value"].take()
    }

    /// Goes to an address.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What the promise of an expression comes to.
    pub fn settle(&self, expression: &str) -> Value {
        let script =
            format!("const done = arguments[0]; ({expression}).then(done, (error) => done(`failed: ${{error}}`));");
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Waits until a condition holds.
    pub fn wait_until(&self, condition: &str, limit: Duration) {
        let since = Instant::now();
        while self.run(&format!("return Boolean({condition})")) != true {
            let said = self.run("return document.querySelector('header')?.textContent");
            assert!(since.elapsed() < limit, "not within {limit:?}: {condition}; the page says {said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Presses keys, one after another.
    pub fn press(&self, keys: &str) {
        let stroke = |key: char| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}));
        let strokes: Vec<Value> = keys.chars().flat_map(stroke).collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]}));
    }

    /// Makes the window so large, for a user who likes it `light` or `dark`.
    pub fn look_as(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", &features);
    }

    /// Writes a picture of the whole page.
    pub fn picture(&self, file: &Path) {
        let size = self.run("const all = document.documentElement; return [all.clientWidth, all.scrollHeight]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let taken = self.command("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "clip": clip}));
        let bytes = decode(taken["data"].as_str().expect("a picture"));
        std::fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("the folder can be made");
        std::fs::write(file, bytes).expect("the picture can be written");
    }

    fn command(&self, name: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": name, "params": params}))
    }

    /// What was logged since it was last asked: `browser` or `performance`.
    pub fn logs(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({"type": kind})).as_array().expect("a list").clone()
    }

    /// Everything that was asked for since this was last asked.
    pub fn requests(&self) -> Vec<String> {
        let of_entry = |entry: &Value| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let is_request =
                ["Network.requestWillBeSent", "Network.webSocketCreated"].contains(&event["method"].as_str()?);
            is_request.then(|| event["params"]["request"]["url"].as_str().unwrap_or("a socket").to_string())
        };
        self.logs("performance").iter().filter_map(of_entry).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // So that Chromium ends before its driver does.
        let _may_be_gone = self.agent.delete(&self.session).call();
    }
}

/// Base64 with the alphabet of RFC 4648, section 4.
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text.chars().filter_map(|c| ALPHABET.find(c)).map(|digit| digit as u32).collect();
    let group = |four: &[u32]| {
        let word = four.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - four.len()));
        word.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
