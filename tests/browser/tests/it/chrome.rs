//! Chromium, by `WebDriver`: one driver and one browser for each test, both gone after it.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use portal_test_harness::eventually;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

pub(crate) struct Chrome {
    pub(crate) driver: WebDriver,
    process: Child,
    profile: PathBuf,
    url: String,
    http: reqwest::Client,
}

impl Chrome {
    pub(crate) async fn start() -> Self {
        let port = free_port();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts: `make test` installs it");
        let url = format!("http://127.0.0.1:{port}");
        let http = portal_e2e::browser::client();
        eventually("chromedriver to answer", async || {
            let answer = http.get(format!("{url}/status")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        let profile = std::env::temp_dir().join(format!("agent-portal-chromium-{port}"));
        let driver = WebDriver::new(&url, capabilities(&profile)).await.unwrap();
        driver
            .set_implicit_wait_timeout(Duration::ZERO)
            .await
            .unwrap();
        Self {
            driver,
            process,
            profile,
            url,
            http,
        }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Waits until there is such an element that can be seen.
    pub(crate) async fn find(&self, what: &str, xpath: &str) -> WebElement {
        eventually(what, async || {
            for element in self.driver.find_all(By::XPath(xpath)).await.ok()? {
                if element.is_displayed().await.unwrap_or(false) {
                    return Some(element);
                }
            }
            None
        })
        .await
    }

    /// Waits for text anywhere on the page, or within an element of that id.
    pub(crate) async fn sees(&self, text: &str) {
        let xpath = format!("//body//*[contains(normalize-space(.), \"{text}\")]");
        self.find(text, &xpath).await;
    }

    /// The input with a label, within the element that the `XPath` `scope` names.
    pub(crate) async fn input(&self, scope: &str, label: &str) -> WebElement {
        let xpath =
            format!("{scope}//*[@id = //label[normalize-space(text()) = \"{label}\"]/@for]");
        self.find(&format!("the input {label}"), &xpath).await
    }

    pub(crate) async fn fill(&self, scope: &str, label: &str, text: &str) {
        let input = self.input(scope, label).await;
        input.clear().await.unwrap();
        input.send_keys(text).await.unwrap();
    }

    /// Clicks what says exactly this: a button, a link, a summary.
    pub(crate) async fn click(&self, scope: &str, text: &str) {
        let names = "self::button or self::a or self::summary";
        let xpath = format!("{scope}//*[{names}][normalize-space(.) = \"{text}\"]");
        let element = self.find(&format!("the button {text}"), &xpath).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap();
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        let answer = self.driver.execute(script, Vec::new()).await.unwrap();
        answer.json().clone()
    }

    /// Lines of one of the browser's logs since it was last asked.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let session = self.driver.session_id();
        let url = format!("{}/session/{session}/se/log", self.url);
        let answer = self.http.post(url).json(&json!({"type": kind}));
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        answer["value"].as_array().cloned().unwrap_or_default()
    }

    /// What the console complained about, except what `expected` names.
    pub(crate) async fn complaints(&self, expected: &[&str]) -> Vec<String> {
        let lines = self.log("browser").await;
        lines
            .iter()
            .filter(|line| line["level"] != "INFO" && line["level"] != "DEBUG")
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .filter(|message| !expected.iter().any(|part| message.contains(part)))
            .collect()
    }

    /// Every address that was asked for.
    pub(crate) async fn addresses(&self) -> Vec<String> {
        let lines = self.log("performance").await;
        let urls = lines.iter().filter_map(|line| {
            let event: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let event = &event["message"];
            (event["method"] == "Network.requestWillBeSent").then(|| {
                event["params"]["request"]["url"]
                    .as_str()
                    .map(str::to_owned)
            })?
        });
        urls.collect()
    }

    /// A picture for whoever wants to look: into the folder of `BROWSER_TEST_SCREENSHOTS`.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("BROWSER_TEST_SCREENSHOTS") else {
            return;
        };
        std::fs::create_dir_all(&folder).unwrap();
        let file = PathBuf::from(folder).join(format!("{name}.png"));
        // The whole page, not only what the window shows.
        let size = self
            .run("return [innerWidth, document.documentElement.scrollHeight]")
            .await;
        let (width, height) = (size[0].as_u64().unwrap(), size[1].as_u64().unwrap());
        let (width, height) = (
            width.try_into().unwrap(),
            (height + 140).try_into().unwrap(),
        );
        let before = self.driver.get_window_rect().await.unwrap();
        self.driver
            .set_window_rect(0, 0, width, height)
            .await
            .unwrap();
        self.driver.screenshot(&file).await.unwrap();
        let (width, height) = (before.width, before.height);
        let (width, height) = (width.try_into().unwrap(), height.try_into().unwrap());
        self.driver
            .set_window_rect(0, 0, width, height)
            .await
            .unwrap();
    }

    /// A view that is narrower than any window; 0 is the window's again.
    pub(crate) async fn emulate_width(&self, width: u32) {
        let session = self.driver.session_id();
        let url = format!("{}/session/{session}/goog/cdp/execute", self.url);
        let metrics = json!({"width": width, "height": 0, "deviceScaleFactor": 0, "mobile": false});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        let answer = self.http.post(url).json(&command).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Ends the browser; a test that fails leaves that to `drop`.
    pub(crate) async fn stop(self) {
        drop(self.driver.clone().quit().await);
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // Chromedriver takes its browser along.
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.profile));
    }
}

fn free_port() -> u16 {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    held.local_addr().unwrap().port()
}

fn capabilities(profile: &std::path::Path) -> Capabilities {
    let arguments = [
        "--headless=new".to_owned(),
        // Tests run as root in containers, where Chromium's own walls do not stand.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--lang=en-US".to_owned(),
        "--window-size=1280,900".to_owned(),
        format!("--user-data-dir={}", profile.display()),
    ];
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    });
    capabilities.as_object().unwrap().clone().into()
}
