"""Runs pywa, an independent WhatsApp client, unchanged, against the sandbox.

    python -m venv venv && venv/bin/pip install pywa==4.5.0
    venv/bin/python graph_pywa_check.py http://127.0.0.1:3090

It sends, reads the number, meets errors, and parses the status webhooks that the sandbox sends to
a small receiver here; it points the sandbox's webhook at that receiver (and ends it again).
"""

import hashlib
import hmac
import http.server
import json
import queue
import sys
import threading
import urllib.request

from pywa import WhatsApp, errors, types

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:3090"
APP_SECRET = "sandbox-app-secret"
ACME = ("200000000000001", "EAASANDBOXacme0000000000000000000000000001", "100000000000001")

done = 0
received = queue.Queue()


def check(what, condition):
    global done
    if not condition:
        sys.exit(f"FAILED: {what}")
    done += 1
    print(f"ok  {what}")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.put((self.headers["X-Hub-Signature-256"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def control(path, body, method="PUT"):
    request = urllib.request.Request(
        f"{BASE}/control/{path}", json.dumps(body).encode(), method=method,
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).read()


def client(token=ACME[1], phone_id=ACME[0]):
    wa = WhatsApp(phone_id=phone_id, token=token, waba_id=ACME[2])
    session = wa.api._session
    version = str(session.base_url).rstrip("/").rsplit("/", 1)[-1]
    session.base_url = f"{BASE}/{version}"
    return wa


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
control("webhook", {"url": f"http://127.0.0.1:{server.server_port}/hook", "app_secret": APP_SECRET,
                    "status_delay_ms": 30})

wa = client()
sent = wa.send_message(to="+1234567890", text="Test message", tracker="our id")
check("a text is accepted", sent.id.startswith("wamid."))

statuses = []
for _ in range(3):
    signature, body = received.get(timeout=20)
    expected = "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    check("a webhook is signed over its bytes", hmac.compare_digest(signature, expected))
    update = types.MessageStatus.from_update(wa, json.loads(body))
    check("pywa parses the status", update.id == sent.id and update.tracker == "our id")
    statuses.append(str(update.status.value))
check("sent, delivered and read came", sorted(statuses) == ["delivered", "read", "sent"])

phone = wa.get_business_phone_number()
check("pywa reads the number", phone.display_phone_number == "+1 555-010-0001")
numbers = list(wa.get_business_phone_numbers())
check("pywa lists the numbers", [number.id for number in numbers] == [ACME[0]])
image = wa.send_image(to="+1234567890", image="https://example.com/a.png", caption="A picture",
                      mime_type="image/png")
check("an image by link is accepted", image.id.startswith("wamid."))
for _ in range(3):
    received.get(timeout=20)


def fails(kind, call):
    try:
        call()
    except kind:
        return True
    return False


check("a pair limit is pywa's error", fails(
    errors.TooManyMessages, lambda: wa.send_message(to="+15500999056", text="x")))
check("a rate limit is pywa's error", fails(
    errors.RateLimitHit, lambda: wa.send_message(to="+15500999429", text="x")))
check("an unknown token is pywa's error", fails(
    errors.AuthorizationError, lambda: client(token="nonsense").send_message(to="+1234567890", text="x")))
check("a foreign number is pywa's error", fails(
    errors.WhatsAppError, lambda: client(phone_id="200000000000002").send_message(to="+1234567890", text="x")))
check("a text of 4,097 characters is pywa's error", fails(
    errors.WhatsAppError, lambda: wa.send_message(to="+1234567890", text="x" * 4097)))

wa.send_message(to="+15500999026", text="x")
_, body = received.get(timeout=20)
failed = json.loads(body)
value = failed["entry"][0]["changes"][0]["value"]
check("a failed status has no contacts, as Meta documents", "contacts" not in value)
# pywa 4.5.0 insists on them all the same.
value["contacts"] = [{"profile": {"name": "x"}, "wa_id": "1", "user_id": "US.1"}]
update = types.MessageStatus.from_update(wa, failed)
check("a failed status carries the error", update.error is not None and update.error.code == 131026)

# Everything below is about types, templates, media and incoming messages; no statuses are needed.
control("faults", {"webhooks_off": True})
to = "+1234567890"
menu = types.SectionList(button_title="Open", sections=[
    types.Section(title="One", rows=[types.SectionRow(title="Row", callback_data="r1")])])
buttons = [types.Button(title="Yes", callback_data="yes"), types.Button(title="No", callback_data="no")]
link = types.URLButton(title="See", url="https://example.com")
contact = types.Contact(name=types.Contact.Name(formatted_name="Ada L", first_name="Ada"),
                        phones=[types.Contact.Phone(phone="+1650", type="WORK")])
PNG = b"\x89PNG\r\n\x1a\n and more"
for what, send in {
    "reply buttons": lambda: wa.send_message(to=to, text="?", header="H", footer="F", buttons=buttons),
    "a list": lambda: wa.send_message(to=to, text="?", buttons=menu),
    "a link button": lambda: wa.send_message(to=to, text="?", buttons=link),
    "a location": lambda: wa.send_location(to=to, latitude=1.5, longitude=2.5, name="N", address="A"),
    "a location request": lambda: wa.request_location(to=to, text="Where?"),
    "a contact": lambda: wa.send_contact(to=to, contact=contact),
    "a reaction": lambda: wa.send_reaction(to=to, emoji="👍", message_id="wamid.x"),
    "a file of bytes": lambda: wa.send_image(to=to, image=PNG, mime_type="image/png", caption="c"),
    "a reply": lambda: wa.send_message(to=to, text="x", reply_to_message_id="wamid.x"),
}.items():
    check(f"{what} is accepted", send().id.startswith("wamid."))
check("a message is marked as read", wa.mark_message_as_read("wamid.x").success)
check("a typing indicator is taken", wa.indicate_typing("wamid.x").success)

media = wa.upload_media(media=PNG, mime_type="image/png", filename="a.png")
url = wa.get_media_url(media.id)
check("pywa reads the media", url.mime_type == "image/png" and int(url.file_size) == len(PNG))
check("the hash is that of the bytes", url.sha256 == hashlib.sha256(PNG).hexdigest())
check("pywa downloads the media", wa.get_media_bytes(url=url.url) == PNG)
check("pywa deletes the media", wa.delete_media(media.id).success)

templates = list(wa.get_templates(pagination=types.Pagination(limit=5)))
check("pywa parses a page of templates", len(templates) == 5 and all(t.components for t in templates))
names = {t.name for t in wa.get_templates(pagination=types.Pagination(limit=100))}
check("pywa parses all templates", {"catalog_tour", "limited_offer", "login_code"} <= names)
body = types.templates.BodyText.params("1", "2")
sent = wa.send_template(to=to, name="order_update", language=types.templates.TemplateLanguage.ENGLISH_US,
                        params=[body])
check("a template is accepted", sent.id.startswith("wamid."))

for kind, parse in {"text": types.Message, "image": types.Message, "location": types.Message,
                    "contacts": types.Message, "reaction": types.Message, "order": types.Message,
                    "unsupported": types.Message, "interactive": types.CallbackButton}.items():
    control("inbound", {"type": kind, "context": {"from": "1", "id": "wamid.x"}}, "POST")
    _, body = received.get(timeout=20)
    update = parse.from_update(wa, json.loads(body))
    check(f"pywa parses an incoming {kind}", update.from_user.wa_id == "16505551234")

control("faults", {"webhooks_off": False})
control("webhook", {"url": ""})
print(f"{done} checks passed against {BASE}")
