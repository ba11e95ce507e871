//! From nothing to a tenant whose agent sends a message, with nothing but a browser.

use std::time::SystemTime;

use portal_auth::TotpSecret;
use portal_e2e::installation::{ADMIN_EMAIL, ADMIN_PASSWORD, Installation, Ports};
use portal_sandbox::seed;
use portal_test_harness::eventually;
use thirtyfour::prelude::*;

use crate::{
    accessibility::{check, check_narrow},
    chrome::Chrome,
    gateway::Gateway,
};

const ROLES: &str = "//section[@id = 'roles']";
const MASTER: &str = "//section[@id = 'master']";
const MAIN: &str = "//main";
const DIALOG: &str = "//dialog";

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_tenant_whose_agent_sends_a_message() {
    let ports = Ports::chosen();
    let world = Installation::without_tenants(ports).await;
    let gateway = Gateway::start(&world, ports.gateway).await;
    let chrome = Chrome::start().await;

    chrome.open(&Ports::origin(ports.dashboard)).await;
    sign_in(&chrome).await;
    enrol(&chrome).await;
    create_tenant(&chrome).await;
    connect_whatsapp(&chrome).await;
    sections(&chrome).await;
    look_at(&chrome, "tenant").await;
    cookie_is_guarded(&chrome, "__Host-ap_admin", true).await;
    other_pages(&chrome, &Ports::origin(ports.dashboard)).await;
    // Refusals that were meant: a wrong password, and that nobody was signed in at first.
    let expected = [
        "/session/refresh",
        "/session/login",
        "400 (Bad Request)",
        "404 (Not Found)",
    ];
    assert_eq!(chrome.complaints(&expected).await, Vec::<String>::new());

    chrome
        .open(&format!("{}/login", Ports::origin(ports.portal)))
        .await;
    chrome.click(MAIN, "Sign in with Genesys Cloud").await;
    let agent = format!("//button[@value = '{}']", seed::ACME_AGENT);
    chrome
        .find("the agent at Genesys", &agent)
        .await
        .click()
        .await
        .unwrap();
    send_a_message(&chrome).await;
    cookie_is_guarded(&chrome, "ap_session", false).await;
    // Genesys' stand-in has no picture of its own.
    let expected = ["/favicon.ico"];
    assert_eq!(chrome.complaints(&expected).await, Vec::<String>::new());

    let sent = world.sandbox.journal().graph_messages();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].phone_number_id, seed::ACME_PHONE_NUMBER_ID);
    no_token_in_an_address(&chrome).await;
    chrome.stop().await;
    drop(gateway);
}

async fn look_at(chrome: &Chrome, page: &str) {
    check(chrome, page).await;
    check_narrow(chrome, page).await;
    chrome.picture(page).await;
}

async fn sign_in(chrome: &Chrome) {
    chrome.fill(MAIN, "E-mail", ADMIN_EMAIL).await;
    look_at(chrome, "sign-in").await;
    chrome
        .fill(MAIN, "Password", "not the password at all")
        .await;
    chrome.click(MAIN, "Sign in").await;
    chrome.sees("INVALID_CREDENTIALS").await;
    // What was entered is not lost.
    let email = chrome.input(MAIN, "E-mail").await;
    assert_eq!(email.value().await.unwrap().as_deref(), Some(ADMIN_EMAIL));
    chrome.fill(MAIN, "Password", ADMIN_PASSWORD).await;
    chrome.click(MAIN, "Sign in").await;
}

/// A new administrator sets up the second factor before anything else.
async fn enrol(chrome: &Chrome) {
    let secret = chrome.find("the key", "//code[@id = 'totp-secret']").await;
    let secret = secret.text().await.unwrap();
    chrome
        .find("the QR code", "//*[local-name() = 'svg']")
        .await;
    look_at(chrome, "second-factor").await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let secret = TotpSecret::from_stored(secret.into());
    let code = secret.code_at(now.unwrap().as_secs()).unwrap();
    chrome.fill(MAIN, "Code", &code).await;
    chrome.click(MAIN, "Confirm").await;
    chrome.sees("There is no tenant yet").await;
    look_at(chrome, "no-tenants").await;
}

async fn create_tenant(chrome: &Chrome) {
    chrome.click(MAIN, "New tenant").await;
    chrome.fill(MAIN, "Tenant id", "acme corp!").await;
    chrome.fill(MAIN, "Name", "Acme Corp").await;
    chrome
        .fill(MAIN, "Genesys organization id", seed::ACME_ORG_ID)
        .await;
    chrome.fill(MAIN, "Genesys region", "sandbox").await;
    chrome.click(MAIN, "Create tenant").await;
    // The bad field is said at its input, and the others keep what they have.
    let bad = "//input[@name = 'tenant_id'][@aria-invalid = 'true']";
    chrome.find("the bad field", bad).await;
    look_at(chrome, "new-tenant").await;
    chrome.fill(MAIN, "Tenant id", "acme_corp").await;
    chrome.click(MAIN, "Create tenant").await;
    chrome.find("the tenant", "//h1[. = 'Acme Corp']").await;
}

/// Through Meta's window, which the sandbox stands in for.
async fn connect_whatsapp(chrome: &Chrome) {
    const SECTION: &str = "//section[@id = 'whatsapp']";
    const SIGNUP: &str = "//*[@id = 'signup']";
    let page = chrome.driver.window().await.unwrap();
    chrome.click(SECTION, "Connect with Meta").await;
    let window = eventually("Meta's window", async || {
        let windows = chrome.driver.windows().await.ok()?;
        windows.into_iter().find(|one| *one != page)
    })
    .await;
    chrome.driver.switch_to_window(window).await.unwrap();
    let pick = format!("{}/{}", seed::ACME_WABA_ID, seed::ACME_PHONE_NUMBER_ID);
    let pick = format!("//button[@value = '{pick}']");
    chrome
        .find("the number", &pick)
        .await
        .click()
        .await
        .unwrap();
    chrome.driver.switch_to_window(page).await.unwrap();
    // The number has a PIN, which only its owner knows: the signup waits for it.
    let waits = "//li[@data-step = 'register'][@data-status = 'waiting']";
    chrome.find("that a PIN is needed", waits).await;
    look_at(chrome, "signup").await;
    chrome
        .fill(SIGNUP, "PIN of the number", seed::SEEDED_PIN)
        .await;
    chrome.click(SIGNUP, "Continue").await;
    is_connected(chrome).await;
}

/// The other sections of a tenant.
async fn sections(chrome: &Chrome) {
    const KEYS: &str = "//section[@id = 'keys']";
    chrome.click(KEYS, "New key").await;
    chrome.fill(KEYS, "Name", "CRM").await;
    chrome.click(KEYS, "Create key").await;
    chrome
        .find("the new key", &format!("{KEYS}//code[@class = 'secret']"))
        .await;
    chrome.picture("new-key").await;
    chrome.click(KEYS, "I have it").await;
    chrome.click(KEYS, "Revoke").await;
    chrome.click(DIALOG, "Revoke").await;
    chrome
        .find("the revoked key", &format!("{KEYS}//*[. = 'revoked']"))
        .await;

    chrome.click(ROLES, "Add a role").await;
    let role = chrome
        .find("a new role", &format!("{ROLES}//tbody//input"))
        .await;
    role.send_keys("Team Lead").await.unwrap();
    chrome.click(ROLES, "Save roles").await;
    chrome
        .find(
            "that it is saved",
            "//*[@id = 'announce'][. = 'The roles are saved.']",
        )
        .await;

    chrome.click(MASTER, "Suspend").await;
    chrome.picture("dialog").await;
    chrome.click(DIALOG, "Suspend").await;
    chrome.click(MASTER, "Resume").await;
    chrome
        .find(
            "the active tenant",
            &format!("{MASTER}//button[. = 'Suspend']"),
        )
        .await;
}

async fn is_connected(chrome: &Chrome) {
    let digits = seed::ACME_DISPLAY_PHONE_NUMBER
        .chars()
        .filter(char::is_ascii_digit);
    let number = format!("+{}", digits.collect::<String>());
    let number = format!("//section[@id = 'whatsapp']//dd[. = '{number}']");
    chrome.find("the connected number", &number).await;
}

async fn other_pages(chrome: &Chrome, dashboard: &str) {
    chrome.open(&format!("{dashboard}/tenants")).await;
    chrome
        .find("the tenant in the list", "//td//a[. = 'Acme Corp']")
        .await;
    look_at(chrome, "tenants").await;
    chrome.open(&format!("{dashboard}/audit")).await;
    chrome
        .find("an entry", "//td//code[. = 'tenant.create']")
        .await;
    look_at(chrome, "audit").await;
    chrome.open(&format!("{dashboard}/import")).await;
    chrome.input(MAIN, "CSV").await;
    look_at(chrome, "import").await;
    chrome.open(&format!("{dashboard}/account")).await;
    chrome.find("this session", "//*[. = 'this one']").await;
    look_at(chrome, "account").await;
}

async fn send_a_message(chrome: &Chrome) {
    chrome.fill(MAIN, "To", "+1234567890").await;
    chrome
        .fill(MAIN, "Message", "Good morning from the browser")
        .await;
    chrome
        .find(
            "an account to send from",
            "//*[@id = 'channel'][contains(@class, 'good')]",
        )
        .await;
    check(chrome, "workspace").await;
    chrome.click(MAIN, "Send").await;
    let read = "//li[@data-step = 'read'][contains(@class, 'done')]";
    chrome.find("the message to be read", read).await;
    chrome.picture("workspace").await;
}

async fn cookie_is_guarded(chrome: &Chrome, name: &str, secure: bool) {
    let cookie = chrome.driver.get_named_cookie(name).await.unwrap();
    assert_eq!(cookie.path.as_deref(), Some("/"));
    assert_eq!(cookie.secure, Some(secure));
    assert_eq!(cookie.same_site, Some(SameSite::Strict));
    // No script sees it, and nothing else is kept where scripts could.
    let seen = chrome.run("return [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]").await;
    assert!(!seen[0].as_str().unwrap().contains(name), "{seen}");
    for place in [&seen[1], &seen[2]] {
        assert!(!place.as_str().unwrap().contains("ey"), "{seen}");
    }
}

/// Neither a token nor a secret was part of any address.
async fn no_token_in_an_address(chrome: &Chrome) {
    let addresses = chrome.addresses().await;
    assert!(addresses.len() > 50, "{}", addresses.len());
    for address in addresses {
        let lower = address.to_lowercase();
        let told = ["token=", "eyj", "rt_", "rta_", "password=", "totp", "pin="];
        let known = ["/api/admin/me/totp"];
        let is_bad = told.iter().any(|part| lower.contains(part));
        assert!(
            !is_bad || known.iter().any(|part| address.contains(part)),
            "{address}"
        );
    }
}
