//! Messages with something to tap on.
//!
//! Source: Cloud API reference, interactive messages (2026). They may be sent only while the
//! recipient's customer service window is open.

mod buttons;
mod carousel;
mod flow;
mod list;
mod products;
mod requests;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use buttons::{
    Button, ButtonsAction, CtaUrlAction, CtaUrlName, CtaUrlParameters, Reply, ReplyName,
};
pub use carousel::{CardAction, CardReply, CardReplyName, CarouselAction, CarouselCard};
pub use flow::{
    FlowAction, FlowActionKind, FlowActionPayload, FlowMode, FlowName, FlowParameters, FlowVersion,
};
pub use list::{ListAction, ListRow, ListSection};
pub(in crate::message) use products::check_sections;
pub use products::{
    CatalogAction, CatalogName, CatalogParameters, ProductAction, ProductItem, ProductListAction,
    ProductSection,
};
pub use requests::{
    AddressAction, AddressName, AddressParameters, CallPermissionAction, CallPermissionName,
    ContactRequestAction, ContactRequestName, LocationRequestAction, LocationRequestName,
    VoiceCallAction, VoiceCallName, VoiceCallParameters,
};

use super::{
    checker::Checker,
    media::{HeaderDocument, HeaderMedium},
    tagged::read_by_type,
};

/// Longest body but that of a list, in characters.
const MAX_BODY_CHARS: usize = 1024;
const MAX_HEADER_CHARS: usize = 60;
const MAX_FOOTER_CHARS: usize = 60;
/// Longest label of a button, in characters.
const MAX_LABEL_CHARS: usize = 20;
/// Longest id of a button, in characters.
const MAX_BUTTON_ID_CHARS: usize = 256;

/// A message with something to tap on.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Interactive {
    /// Up to three answers.
    Button(Framed<ButtonsAction>),
    /// Up to ten answers in a menu.
    List(Framed<ListAction>),
    /// A button that opens a web address.
    CtaUrl(Framed<CtaUrlAction>),
    /// A button that opens a form.
    Flow(Framed<FlowAction>),
    /// One product of the catalog.
    Product(Framed<ProductAction>),
    /// Up to 30 products of the catalog.
    ProductList(Framed<ProductListAction>),
    /// The whole catalog.
    CatalogMessage(Framed<CatalogAction>),
    /// Asks where the recipient is.
    LocationRequestMessage(Framed<LocationRequestAction>),
    /// Asks for a postal address; only in some countries.
    AddressMessage(Framed<AddressAction>),
    /// Asks for the recipient's phone number.
    RequestContactInfo(Framed<ContactRequestAction>),
    /// Asks whether the business may call.
    CallPermissionRequest(Framed<CallPermissionAction>),
    /// A button that calls the business.
    VoiceCall(Framed<VoiceCallAction>),
    /// Cards side by side.
    Carousel(Framed<CarouselAction>),
}

read_by_type!(Interactive {
    "button" => Button,
    "list" => List,
    "cta_url" => CtaUrl,
    "flow" => Flow,
    "product" => Product,
    "product_list" => ProductList,
    "catalog_message" => CatalogMessage,
    "location_request_message" => LocationRequestMessage,
    "address_message" => AddressMessage,
    "request_contact_info" => RequestContactInfo,
    "call_permission_request" => CallPermissionRequest,
    "voice_call" => VoiceCall,
    "carousel" => Carousel,
});

impl Interactive {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        match self {
            Self::Button(message) => check_framed(message, c),
            Self::List(message) => check_framed(message, c),
            Self::CtaUrl(message) => check_framed(message, c),
            Self::Flow(message) => check_framed(message, c),
            Self::Product(message) => check_framed(message, c),
            Self::ProductList(message) => check_framed(message, c),
            Self::CatalogMessage(message) => check_framed(message, c),
            Self::LocationRequestMessage(message) => check_framed(message, c),
            Self::AddressMessage(message) => check_framed(message, c),
            Self::RequestContactInfo(message) => check_framed(message, c),
            Self::CallPermissionRequest(message) => check_framed(message, c),
            Self::VoiceCall(message) => check_framed(message, c),
            Self::Carousel(message) => check_framed(message, c),
        }
    }
}

/// An action with what stands around it. Which parts may and must be there depends on the action.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Framed<A> {
    /// Text or a medium above the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The text of the message; most types need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Words>,
    /// Text below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<Words>,
    /// What there is to tap on.
    pub action: A,
}

fn check_framed<A: Action>(message: &Framed<A>, c: &mut Checker<'_>) {
    check_header(message.header.as_ref(), A::HEADER, c);
    match (&message.body, A::BODY) {
        (Some(body), Body::Needed(max)) => c.inside("body", |c| c.text("text", &body.text, max)),
        (Some(body), Body::Optional) => {
            c.inside("body", |c| c.text("text", &body.text, MAX_BODY_CHARS));
        }
        (None, Body::Needed(_)) => c.refuse("body", "is missing"),
        (None, Body::Optional) => {}
    }
    match &message.footer {
        Some(_) if !A::HAS_FOOTER => {
            c.refuse("footer", "is not possible in a message of this type");
        }
        Some(footer) => c.inside("footer", |c| c.text("text", &footer.text, MAX_FOOTER_CHARS)),
        None => {}
    }
    c.inside("action", |c| message.action.check(c));
}

fn check_header(header: Option<&Header>, heading: Heading, c: &mut Checker<'_>) {
    match (header, heading) {
        (None, Heading::TextNeeded) => c.refuse("header", "is missing"),
        (None, _) => {}
        (Some(_), Heading::None) => c.refuse("header", "is not possible in a message of this type"),
        (Some(header), Heading::Text | Heading::TextNeeded)
            if !matches!(header, Header::Text(_)) =>
        {
            c.refuse("header.type", "must be text in a message of this type");
        }
        (Some(header), _) => c.inside("header", |c| header.check(c)),
    }
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heading {
    /// Of any type, or none.
    Any,
    /// A text, or none.
    Text,
    /// A text.
    TextNeeded,
    /// None.
    None,
}

/// The body of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// There must be one, of at most so many characters.
    Needed(usize),
    Optional,
}

/// What there is to tap on, and what may stand around it.
trait Action {
    const HEADER: Heading = Heading::Any;
    const BODY: Body = Body::Needed(MAX_BODY_CHARS);
    const HAS_FOOTER: bool = true;

    fn check(&self, c: &mut Checker<'_>);
}

/// What stands above the body.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Header {
    /// A line of text.
    Text(HeaderText),
    /// An image.
    Image(HeaderImage),
    /// A video.
    Video(HeaderVideo),
    /// A document.
    Document(HeaderFile),
}

read_by_type!(Header {
    "text" => Text,
    "image" => Image,
    "video" => Video,
    "document" => Document,
});

impl Header {
    fn check(&self, c: &mut Checker<'_>) {
        match self {
            Self::Text(header) => c.text("text", &header.text, MAX_HEADER_CHARS),
            Self::Image(header) => c.inside("image", |c| header.image.check(c)),
            Self::Video(header) => c.inside("video", |c| header.video.check(c)),
            Self::Document(header) => c.inside("document", |c| header.document.check(c)),
        }
    }
}

/// A line of text above the body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderText {
    /// 1 to 60 characters.
    #[schema(max_length = 60)]
    pub text: String,
}

/// An image above the body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderImage {
    /// The image.
    pub image: HeaderMedium,
}

/// A video above the body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderVideo {
    /// The video.
    pub video: HeaderMedium,
}

/// A document above the body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderFile {
    /// The document.
    pub document: HeaderDocument,
}

/// Text of a message, or below it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// A body has at most 1024 characters (of a list 4096, of a card 160), a footer 60.
    pub text: String,
}

/// Checks a button's own text.
fn check_label(c: &mut Checker<'_>, name: &str, label: &str) {
    c.text(name, label, MAX_LABEL_CHARS);
}

/// Checks an id that comes back when somebody taps.
fn check_tap_id(c: &mut Checker<'_>, id: &str, max: usize) {
    c.text("id", id, max);
    if id.trim() != id {
        c.refuse("id", "must not begin or end with a blank");
    }
}
