//! `POST /api/messages/upload`, `GET` and `DELETE /api/messages/media/{media_id}`

use actix_multipart::{Field, Multipart};
use actix_web::{
    HttpRequest, HttpResponse, body::SizedStream, delete, get, http::header, post, web,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use portal_auth::{Guarded, TenantCaller};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{ValidPath, extend_body_time},
};
use portal_types::{ApiScope, TenantId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::media::file_name,
    error::{from_db, media_not_found},
    state::AppState,
    store::media::MediaRow,
    usecases::media::{
        keep::{Arriving, Claim, KeepError, Keeper},
        read::{self, Download},
    },
};

/// Longest text of a form's field.
const MAX_TEXT_BYTES: usize = 1024;

/// A file that is kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadedMedia {
    /// Names the file in messages (`"image": {"id": …}`). The same file has the same id.
    media_id: Uuid,
    /// What the file is, by its content.
    mime_type: String,
    /// In bytes.
    file_size: u64,
    /// Of the content, in hexadecimal digits.
    sha256: String,
}

impl From<MediaRow> for UploadedMedia {
    fn from(row: MediaRow) -> Self {
        Self {
            media_id: row.media_id,
            mime_type: row.mime_type().to_owned(),
            file_size: row.size(),
            sha256: hex::encode(row.sha256()),
        }
    }
}

/// The form of an upload, for the document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: the form is read as it arrives")]
pub(crate) struct UploadForm {
    /// The file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Its MIME type; the file's content must agree.
    #[schema(example = "image/png")]
    r#type: Option<String>,
    /// Its name, instead of that in the part's own header.
    filename: Option<String>,
}

/// Keeps a file, to be sent in messages.
///
/// It is stored as it arrives and can be used once this answers. The type is told by the content.
/// At most, in bytes: images (JPEG, PNG) 5242880, audio and video 16777216, documents 104857600,
/// stickers (WebP, 512 by 512 pixels) 102400, or 512000 when they move. A file that no message
/// used for 30 days is forgotten.
#[utoipa::path(
    tag = "media",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "Kept", body = UploadedMedia),
        (status = 400, description = "The form is broken, or a field is missing or not known"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:send"),
        (status = 408, description = "The file did not arrive in time"),
        (status = 409, description = "The organization's files would be too large together"),
        (status = 413, description = "The file is larger than WhatsApp takes"),
        (status = 415, description = "The body is no form, or WhatsApp does not take files of this type"),
        (status = 422, description = "The content is not what it is declared as, or not in the form that WhatsApp needs"),
        (status = 503, description = "Nothing was stored; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/upload")]
pub(crate) async fn upload(
    Guarded(caller, form): Guarded<TenantCaller, Multipart>,
    state: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require_scope(ApiScope::MessagesSend)?;
    extend_body_time(&request, state.keeper.arrival);
    let size_hint = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let mut reading = Reading::new(&state.keeper, caller.tenant_id(), size_hint);
    let outcome = reading.read(form).await;
    let row = reading.end(outcome).await?;
    Ok(HttpResponse::Created().json(UploadedMedia::from(row)))
}

/// A form that is being read.
struct Reading<'a> {
    keeper: &'a Keeper,
    tenant: &'a TenantId,
    size_hint: Option<u64>,
    claim: Claim,
    named: Option<String>,
    file: Option<Arriving>,
}

impl<'a> Reading<'a> {
    fn new(keeper: &'a Keeper, tenant: &'a TenantId, size_hint: Option<u64>) -> Self {
        Self {
            keeper,
            tenant,
            size_hint,
            claim: Claim {
                is_binding: true,
                ..Claim::default()
            },
            named: None,
            file: None,
        }
    }

    async fn read(&mut self, mut form: Multipart) -> Result<(), ApiError> {
        while let Some(field) = form.next().await {
            let mut field = field.map_err(|error| broken(&error))?;
            match field.name().unwrap_or_default() {
                "file" if self.file.is_some() => {
                    return Err(bad_field("file", "is given twice: send one file at a time"));
                }
                "file" => self.take_file(field).await?,
                "type" => self.claim.mime_type = Some(text("type", &mut field).await?),
                "filename" => self.named = Some(text("filename", &mut field).await?),
                _ => {
                    return Err(bad_field(
                        "form",
                        "has a field other than file, type, filename",
                    ));
                }
            }
        }
        Ok(())
    }

    async fn take_file(&mut self, mut field: Field) -> Result<(), ApiError> {
        let part_type = field
            .content_type()
            .map(|mime| mime.essence_str().to_owned());
        // What a program that does not know writes.
        let part_type = part_type.filter(|mime| mime != "application/octet-stream");
        self.claim.mime_type = self.claim.mime_type.take().or(part_type);
        self.claim.file_name = field
            .content_disposition()
            .and_then(|disposition| disposition.get_filename())
            .and_then(file_name);
        let file = self.keeper.begin(self.tenant, self.size_hint).await?;
        let file = self.file.insert(file);
        while let Some(bytes) = field.try_next().await.map_err(|error| broken(&error))? {
            file.push(&bytes, &self.claim).await?;
        }
        Ok(())
    }

    async fn end(self, outcome: Result<(), ApiError>) -> Result<MediaRow, ApiError> {
        match (self.file, outcome) {
            (Some(file), Ok(())) => {
                let mut claim = self.claim;
                claim.file_name = self
                    .named
                    .as_deref()
                    .and_then(file_name)
                    .or(claim.file_name);
                file.finish(&claim).await.map_err(KeepError::into)
            }
            (Some(file), Err(error)) => {
                file.discard().await;
                Err(error)
            }
            (None, Ok(())) => Err(bad_field("file", "is missing")),
            (None, Err(error)) => Err(error),
        }
    }
}

async fn text(name: &'static str, field: &mut Field) -> Result<String, ApiError> {
    let bytes = field
        .bytes(MAX_TEXT_BYTES)
        .await
        .map_err(|_longer| bad_field(name, "is too long"))?
        .map_err(|error| broken(&error))?;
    String::from_utf8(bytes.to_vec())
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| bad_field(name, "must be text in UTF-8"))
}

fn bad_field(field: &str, message: &str) -> ApiError {
    let mut errors = FieldErrors::new();
    errors.add(field, message);
    ApiError::validation(&errors)
}

fn broken(error: &actix_multipart::MultipartError) -> ApiError {
    ApiError::bad_request(
        "FORM_BROKEN",
        "The form is not multipart/form-data as RFC 7578 has it, or broke off; send it again",
    )
    .with_source(anyhow::anyhow!("{error}"))
}

/// The content of a file: of one's own by the id that the upload answered, of one that came in by
/// Meta's id in the message.
///
/// Meta keeps what came in for seven days.
#[utoipa::path(
    tag = "media",
    params(("media_id" = String, Path, description = "The id that the upload answered, or Meta's id of a file that came in")),
    responses(
        (status = 200, description = "The content, to be saved under its name", content_type = "application/octet-stream"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:read"),
        (status = 404, description = "The organization has no such file"),
        (status = 410, description = "Meta does not keep the file any more"),
        (status = 502, description = "Meta did not give the file, or not whole"),
        (status = 503, description = "The file cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/media/{media_id}")]
pub(crate) async fn get_media(
    Guarded(caller, ValidPath(id)): Guarded<TenantCaller, ValidPath<String>>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    caller.require_scope(ApiScope::MessagesRead)?;
    let tenant = caller.tenant_id();
    let download = if let Ok(own) = Uuid::try_parse(&id) {
        read::find(&state.db, tenant, own)
            .await
            .map_err(from_db)?
            .ok_or_else(media_not_found)?
    } else {
        state.inbound_media.open(tenant, &id).await?
    };
    Ok(attachment(download))
}

/// Never shown in place: what others sent must not run in our origin.
fn attachment(download: Download) -> HttpResponse {
    let name =
        header::DispositionParam::Filename(download.file_name.unwrap_or_else(|| "file".to_owned()));
    let disposition = header::ContentDisposition {
        disposition: header::DispositionType::Attachment,
        parameters: vec![name],
    };
    HttpResponse::Ok()
        .content_type(download.mime_type)
        .insert_header(disposition)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(SizedStream::new(download.size, download.content))
}

/// Forgets a file that was uploaded.
///
/// A message that waits with it fails. Meta keeps its own copy for up to 30 days.
#[utoipa::path(
    tag = "media",
    params(("media_id" = Uuid, Path, description = "The id that the upload answered")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 400, description = "The id is not a UUID"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:send"),
        (status = 404, description = "The organization has no such file"),
        (status = 503, description = "The file cannot be forgotten just now"),
    ),
    security(("bearer" = []))
)]
#[delete("/api/messages/media/{media_id}")]
pub(crate) async fn delete_media(
    Guarded(caller, ValidPath(id)): Guarded<TenantCaller, ValidPath<Uuid>>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    caller.require_scope(ApiScope::MessagesSend)?;
    if read::forget(&state.db, caller.tenant_id(), id)
        .await
        .map_err(from_db)?
    {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(media_not_found())
    }
}
