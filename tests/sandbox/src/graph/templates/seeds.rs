//! The templates that every account has at the start.

use serde_json::{Value, json};

use super::Template;

fn body(text: &str, examples: &[&str]) -> Value {
    if examples.is_empty() {
        json!({"type": "BODY", "text": text})
    } else {
        json!({"type": "BODY", "text": text, "example": {"body_text": [examples]}})
    }
}

fn media_header(format: &str) -> Value {
    json!({"type": "HEADER", "format": format,
           "example": {"header_handle": ["https://scontent.whatsapp.net/v/sample"]}})
}

fn buttons(list: &Value) -> Value {
    json!({"type": "BUTTONS", "buttons": list})
}

struct Shelf<'a> {
    waba_id: &'a str,
    templates: Vec<Template>,
}

impl Shelf<'_> {
    fn add(
        &mut self,
        name: &str,
        language: &str,
        category: &str,
        components: Value,
    ) -> &mut Template {
        let mut template = Template::new(self.waba_id, name, language, category);
        template.components = components;
        let place = self.templates.len();
        self.templates.push(template);
        &mut self.templates[place]
    }
}

/// All seeds, for one account.
pub(crate) fn templates(waba_id: &str) -> Vec<Template> {
    let mut shelf = Shelf {
        waba_id,
        templates: Vec::new(),
    };
    texts(&mut shelf);
    headers(&mut shelf);
    with_buttons(&mut shelf);
    authentication(&mut shelf);
    marketing(&mut shelf);
    not_sendable(&mut shelf);
    shelf.templates
}

fn texts(shelf: &mut Shelf<'_>) {
    for (language, text) in [
        (
            "en_US",
            "Welcome and congratulations!! This message demonstrates your ability to send a \
                   WhatsApp message notification.",
        ),
        (
            "de",
            "Willkommen! Diese Nachricht zeigt, dass Sie Nachrichten senden können.",
        ),
    ] {
        let parts = json!([
            {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
            body(text, &[]),
            {"type": "FOOTER", "text": "WhatsApp Business Platform sample message"},
        ]);
        shelf.add("hello_world", language, "UTILITY", parts);
    }
    for (language, text) in [
        ("en_US", "Your order {{1}} ships on {{2}}."),
        ("de", "Ihre Bestellung {{1}} wird am {{2}} versandt."),
    ] {
        shelf.add(
            "order_update",
            language,
            "UTILITY",
            json!([body(text, &["4711", "May 5"])]),
        );
    }
    let named = json!([
        {"type": "HEADER", "format": "TEXT", "text": "Hello {{first_name}}", "example":
            {"header_text_named_params": [{"param_name": "first_name", "example": "Ada"}]}},
        {"type": "BODY", "text": "Dear {{first_name}}, your appointment is on {{day}} at {{hour}}.",
         "example": {"body_text_named_params": [
            {"param_name": "first_name", "example": "Ada"},
            {"param_name": "day", "example": "Monday"},
            {"param_name": "hour", "example": "10:00"}]}},
    ]);
    let reminder = shelf.add("appointment_reminder", "en_US", "UTILITY", named);
    "NAMED".clone_into(&mut reminder.parameter_format);
    // So long that few characters are left for the parameter.
    let long = format!("{} {{{{1}}}} end.", "x".repeat(1000));
    shelf.add(
        "nearly_full",
        "en_US",
        "UTILITY",
        json!([body(&long, &["a"])]),
    );
}

fn headers(shelf: &mut Shelf<'_>) {
    let text = json!([
        {"type": "HEADER", "format": "TEXT", "text": "Ticket {{1}}", "example": {"header_text": ["7"]}},
        body("Your ticket about {{1}} was answered.", &["billing"]),
    ]);
    shelf.add("ticket_answered", "en_US", "UTILITY", text);
    for format in ["IMAGE", "VIDEO", "DOCUMENT"] {
        let parts = json!([
            media_header(format),
            body("Here is your file, {{1}}.", &["Ada"])
        ]);
        let name = format!("with_{}", format.to_lowercase());
        shelf.add(&name, "en_US", "UTILITY", parts);
    }
    let place =
        json!([{"type": "HEADER", "format": "LOCATION"}, body("We wait for you here.", &[])]);
    shelf.add("with_location", "en_US", "UTILITY", place);
}

fn with_buttons(shelf: &mut Shelf<'_>) {
    let quick = json!([
        {"type": "QUICK_REPLY", "text": "Yes"},
        {"type": "QUICK_REPLY", "text": "No"},
    ]);
    let parts = json!([
        body("Did we solve your problem, {{1}}?", &["Ada"]),
        buttons(&quick)
    ]);
    shelf.add("feedback", "en_US", "UTILITY", parts);
    let links = json!([
        {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+15550100001"},
        {"type": "URL", "text": "Track", "url": "https://example.com/track/{{1}}",
         "example": ["https://example.com/track/4711"]},
        {"type": "URL", "text": "Home", "url": "https://example.com/"},
    ]);
    let parts = json!([body("Your parcel is on its way.", &[]), buttons(&links)]);
    shelf.add("parcel", "en_US", "UTILITY", parts);
    let flow = json!([{"type": "FLOW", "text": "Book", "flow_id": "800000000000001",
                       "flow_action": "NAVIGATE", "navigate_screen": "WELCOME"}]);
    let parts = json!([body("Book your next visit.", &[]), buttons(&flow)]);
    shelf.add("book_visit", "en_US", "UTILITY", parts);
}

fn authentication(shelf: &mut Shelf<'_>) {
    for (name, otp) in [
        ("login_code", "COPY_CODE"),
        ("login_code_one_tap", "ONE_TAP"),
    ] {
        let mut button = json!({"type": "OTP", "otp_type": otp, "text": "Copy code"});
        if otp == "ONE_TAP" {
            button["autofill_text"] = json!("Autofill");
            button["supported_apps"] = json!([
                {"package_name": "com.example.app", "signature_hash": "K8a/AINcGX7"},
            ]);
        }
        let parts = json!([
            {"type": "BODY", "text": "*{{1}}* is your verification code.",
             "add_security_recommendation": true, "example": {"body_text": [["123456"]]}},
            {"type": "FOOTER", "text": "This code expires in 10 minutes.",
             "code_expiration_minutes": 10},
            buttons(&json!([button])),
        ]);
        shelf.add(name, "en_US", "AUTHENTICATION", parts);
    }
}

fn marketing(shelf: &mut Shelf<'_>) {
    let coupon = json!([
        {"type": "COPY_CODE", "text": "Copy offer code", "example": ["SAVE25"]},
    ]);
    let parts = json!([body("Save {{1}} this week.", &["25%"]), buttons(&coupon)]);
    shelf.add("coupon", "en_US", "MARKETING", parts);
    let offer = json!([
        {"type": "COPY_CODE", "text": "Copy code", "example": ["SAVE25"]},
        {"type": "URL", "text": "Shop", "url": "https://example.com/shop/{{1}}",
         "example": ["https://example.com/shop/a"]},
    ]);
    let parts = json!([
        media_header("IMAGE"),
        {"type": "LIMITED_TIME_OFFER",
         "limited_time_offer": {"text": "Ends soon", "has_expiration": true}},
        body("Only today, {{1}}.", &["Ada"]),
        buttons(&offer),
    ]);
    shelf.add("limited_offer", "en_US", "MARKETING", parts);
    let card = |text: &str| {
        let links = json!([
            {"type": "QUICK_REPLY", "text": "More"},
            {"type": "URL", "text": "Buy", "url": "https://example.com/buy/{{1}}",
             "example": ["https://example.com/buy/a"]},
        ]);
        json!({"components": [media_header("IMAGE"), body(text, &["10"]), buttons(&links)]})
    };
    let parts = json!([
        body("Our news for you, {{1}}.", &["Ada"]),
        {"type": "CAROUSEL", "cards": [card("A chair for {{1}}."), card("A desk for {{1}}.")]},
    ]);
    shelf.add("catalog_tour", "en_US", "MARKETING", parts);
}

fn not_sendable(shelf: &mut Shelf<'_>) {
    let plain = || json!([body("Nobody should get this.", &[])]);
    let paused = shelf.add("paused_promo", "en_US", "MARKETING", plain());
    "PAUSED".clone_into(&mut paused.status);
    "RED".clone_into(&mut paused.quality);
    let rejected = shelf.add("rejected_promo", "en_US", "MARKETING", plain());
    "REJECTED".clone_into(&mut rejected.status);
    "PROMOTIONAL".clone_into(&mut rejected.rejected_reason);
    "UNKNOWN".clone_into(&mut rejected.quality);
    let pending = shelf.add("pending_review", "en_US", "UTILITY", plain());
    "PENDING".clone_into(&mut pending.status);
    "UNKNOWN".clone_into(&mut pending.quality);
    let disabled = shelf.add("disabled_promo", "en_US", "MARKETING", plain());
    "DISABLED".clone_into(&mut disabled.status);
    "RED".clone_into(&mut disabled.quality);
}
