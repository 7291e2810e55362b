//! Chromium without a window, driven over its DevTools protocol. It speaks JSON through two pipes
//! (`--remote-debugging-pipe`), so no port is open and it ends with us.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use crate::capture::scratch;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Polls of a condition, and the pause between two: a minute in all.
const POLLS: u32 = 2400;
const PAUSE: Duration = Duration::from_millis(25);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    home: PathBuf,
    session: Option<String>,
    last_id: u64,
    /// What the page wrote to the console, exceptions, and what it fetched.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// `None`, with a line that says so, where no Chromium is installed.
    pub(crate) fn start() -> Option<Self> {
        let found = NAMES.into_iter().find(|name| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths).any(|dir| dir.join(name).is_file())
        });
        let Some(program) = found else {
            fourwave_testkit::skip(fourwave_testkit::missing("chromium"));
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = scratch().join(format!("chromium-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a directory for its profile");
        let mut browser = Self::launch(program, home);
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn launch(program: &str, home: PathBuf) -> Self {
        // It reads commands from descriptor 3 and answers on 4. Its sandbox does not start as root,
        // and it sees nothing but pages of ours.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-extensions", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", home.display()))
            .env("HOME", &home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self { child, to, from, home, session: None, last_id: 0, complaints: Vec::new() }
    }

    /// One command; its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let to = self.to.as_mut().expect("the browser runs");
        to.write_all(format!("{message}\0").as_bytes()).expect("the browser runs");
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).expect("the browser runs");
            assert_eq!(answer.pop(), Some(0), "the browser ended while it was asked {method}");
            let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.last_id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    /// Remembers what a calm page does not do.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                self.complaints.push(params.to_string());
            }
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                if !["file:", "data:", "about:"].iter().any(|scheme| url.starts_with(scheme)) {
                    self.complaints.push(format!("fetched {url}"));
                }
            }
            _ => {}
        }
    }

    /// What an expression (or a promise) comes to.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let ask = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", ask);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].take()
    }

    /// A text that an expression comes to.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        self.eval(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Until the expression holds.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        for _ in 0..POLLS {
            if self.eval(&format!("!!({expression})")) == true {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let message = self.text("document.getElementById('message')?.textContent");
        panic!("never true: {expression} ({message}) {:?}", self.complaints);
    }

    /// Opens a page and waits until its script has run.
    pub(crate) fn open(&mut self, path: &Path, fragment: &str) {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        let url = format!("file://{}{fragment}", path.display());
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("document.documentElement?.dataset.ready === 'yes'");
    }

    /// Loads the page again as its reader would. By way of another page it would get another
    /// process, and what the first one stored may not have reached that one yet.
    pub(crate) fn reload(&mut self) {
        self.eval("delete document.documentElement.dataset.ready");
        self.call("Page.reload", json!({}));
        self.wait("document.documentElement?.dataset.ready === 'yes'");
    }

    /// The window's size in CSS pixels.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
                          "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the system prefers: `light` or `dark`.
    pub(crate) fn prefers(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A key goes down and up.
    pub(crate) fn key(&mut self, key: &str) {
        // What the browser does itself with a key, it does by the key's code.
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            down["text"] = json!(key);
        } else if key == "Enter" {
            down["text"] = json!("\r");
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    /// Types into what has the focus.
    pub(crate) fn insert(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// A click of the mouse in the middle of the first element that fits.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        self.wait(&format!("document.querySelector({selector})"));
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector}); \
             e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect(); \
             return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left",
                               "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// A picture for people, in the directory that `FOURWAVE_SHOTS` names, if it does.
    pub(crate) fn shot(&mut self, name: &str) {
        let Some(dir) = std::env::var_os("FOURWAVE_SHOTS") else { return };
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let picture = picture["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture).expect("base64");
        std::fs::write(Path::new(&dir).join(format!("{name}.png")), bytes).expect("it is written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when its pipe does; whoever waits longer is killed, and only the one we started.
        drop(self.to.take());
        let mut polls = 0..200;
        while polls.next().is_some() && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(PAUSE);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone_meanwhile = self.child.kill();
        }
        let _waited = self.child.wait();
        // Its helpers may still write there for a moment.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.home).is_ok() || !self.home.exists() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}
