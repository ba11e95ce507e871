//! The authorization code flow.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use oauth2::basic::{
    BasicClient, BasicErrorResponseType as Code, BasicTokenResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, TokenResponse as _, TokenUrl,
};
use portal_service_kit::http_client::traced;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::answer::{Answer, word};
use crate::{ErrorKind, GenesysClient, GenesysError, Region};

/// Random bytes of a state: 256 bits.
const STATE_BYTES: u32 = 32;
/// Shortest lifetime that a client can be given; taken when an answer names none.
const SHORTEST_LIFETIME: Duration = Duration::from_mins(5);

/// An OAuth client of Genesys Cloud. It has one grant, which it is given when it is made there.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// Id of the client.
    pub client_id: String,
    /// Secret of a confidential client; `None` for a public (PKCE) client.
    pub client_secret: Option<SecretString>,
}

/// What an authorization request asks for.
#[derive(Clone, Copy)]
pub struct AuthorizeRequest<'a> {
    /// Where Genesys sends the browser back to; must be registered with the client.
    pub redirect_uri: &'a Url,
    /// Comes back unchanged; see [`new_state`].
    pub state: &'a str,
    /// PKCE challenge (S256); see [`Pkce`].
    pub code_challenge: Option<&'a str>,
    /// E-mail address, organization name, or `email:organization`, to fill in the form with.
    pub login_hint: Option<&'a str>,
    /// Ask for credentials although a session is remembered.
    pub prompt_login: bool,
}

/// A PKCE pair (RFC 7636, S256).
#[derive(Debug, Clone)]
pub struct Pkce {
    /// Goes into the authorization request.
    pub challenge: String,
    /// Goes into the code exchange, and nowhere else.
    pub verifier: SecretString,
}

impl Pkce {
    /// A pair from 256 random bits.
    pub fn generate() -> Self {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        Self {
            challenge: challenge.as_str().to_owned(),
            verifier: SecretString::from(verifier.into_secret()),
        }
    }
}

/// A state of 256 random bits, safe in an address.
pub fn new_state() -> String {
    CsrfToken::new_random_len(STATE_BYTES).into_secret()
}

/// What a sign-in or refresh gives.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Opaque; never parse it.
    pub access_token: SecretString,
    /// Confidential clients get one, and a new one with every refresh.
    pub refresh_token: Option<SecretString>,
    /// Lifetime of the access token.
    pub expires_in: Duration,
}

impl fmt::Debug for AuthorizeRequest<'_> {
    // The state is a secret between one browser and us.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeRequest").finish_non_exhaustive()
    }
}

/// Address of the Genesys page where the user signs in.
///
/// No scope is asked for: the scopes are those of the client (no official SDK sends any).
pub fn authorize_url(region: &Region, client: &OAuthClient, request: &AuthorizeRequest<'_>) -> Url {
    let mut extras = Vec::new();
    if let Some(challenge) = request.code_challenge {
        extras.push(("code_challenge", challenge));
        extras.push(("code_challenge_method", "S256"));
    }
    extras.extend(request.login_hint.map(|hint| ("login_hint", hint)));
    extras.extend(request.prompt_login.then_some(("prompt", "login")));
    let oauth = BasicClient::new(ClientId::new(client.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(region.login_url(&["oauth", "authorize"])))
        .set_redirect_uri(RedirectUrl::from_url(request.redirect_uri.clone()));
    let ask = oauth.authorize_url(|| CsrfToken::new(request.state.to_owned()));
    extras
        .into_iter()
        .fold(ask, |ask, (name, value)| ask.add_extra_param(name, value))
        .url()
        .0
}

impl GenesysClient {
    /// Exchanges `code` for tokens, with one request and no second try: a code works once.
    ///
    /// `verifier` belongs to the challenge of the authorization request; a public client needs it.
    #[tracing::instrument(name = "genesys.exchange_code", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn exchange_code(
        &self,
        region: &Region,
        client: &OAuthClient,
        redirect_uri: &Url,
        code: &SecretString,
        verifier: Option<&SecretString>,
    ) -> Result<Tokens, GenesysError> {
        let oauth = token_client(region, client)
            .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
        let mut request =
            oauth.exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()));
        if let Some(verifier) = verifier {
            let verifier = verifier.expose_secret().to_owned();
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        }
        let call = TokenCall::new(self, client);
        let result = request.request_async(&call).await;
        call.finish(result)
    }

    /// Exchanges a refresh token for new tokens, with one request and no second try: whether the
    /// old token still works after a lost answer is not known. Confidential clients only.
    #[tracing::instrument(name = "genesys.refresh", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn refresh(
        &self,
        region: &Region,
        client: &OAuthClient,
        refresh_token: &SecretString,
    ) -> Result<Tokens, GenesysError> {
        let oauth = token_client(region, client);
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let call = TokenCall::new(self, client);
        let result = oauth
            .exchange_refresh_token(&token)
            .request_async(&call)
            .await;
        call.finish(result)
    }

    /// Gets a token for the client itself (client credentials grant), with one request. There is no
    /// user behind it and no refresh token with it.
    #[tracing::instrument(name = "genesys.client_credentials", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn client_credentials(
        &self,
        region: &Region,
        client: &OAuthClient,
    ) -> Result<Tokens, GenesysError> {
        let oauth = token_client(region, client);
        let call = TokenCall::new(self, client);
        let result = oauth
            .exchange_client_credentials()
            .request_async(&call)
            .await;
        call.finish(result)
    }
}

type TokenClient = oauth2::basic::BasicClient<
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

fn token_client(region: &Region, client: &OAuthClient) -> TokenClient {
    let oauth = BasicClient::new(ClientId::new(client.client_id.clone()))
        .set_auth_type(AuthType::BasicAuth)
        .set_token_uri(TokenUrl::from_url(region.token_url()));
    match &client.client_secret {
        Some(secret) => {
            oauth.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        }
        None => oauth,
    }
}

/// One request of the token endpoint, and what its answer said beside the tokens.
struct TokenCall<'a> {
    genesys: &'a GenesysClient,
    client: &'a OAuthClient,
    answered: Mutex<Option<GenesysError>>,
}

type TokenResult =
    Result<BasicTokenResponse, RequestTokenError<GenesysError, oauth2::basic::BasicErrorResponse>>;

// A type and not a closure: only so can the compiler tell that the call may move between threads.
impl<'c> AsyncHttpClient<'c> for TokenCall<'_> {
    type Error = GenesysError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, GenesysError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.run(request))
    }
}

impl<'a> TokenCall<'a> {
    fn new(genesys: &'a GenesysClient, client: &'a OAuthClient) -> Self {
        Self {
            genesys,
            client,
            answered: Mutex::new(None),
        }
    }

    async fn run(&self, request: HttpRequest) -> Result<HttpResponse, GenesysError> {
        let answer = Answer::to(self.build(request)?).await?;
        // These tell of the server and not of the grant, whatever their body says.
        if answer.status.as_u16() == 429 || answer.status.is_server_error() {
            return Err(answer.into_error());
        }
        let facts = answer.error(ErrorKind::Protocol, None);
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(facts.clone());
        let mut response = http::Response::builder().status(answer.status);
        if let Some(content_type) = answer.content_type {
            response = response.header(http::header::CONTENT_TYPE, content_type);
        }
        response.body(answer.body).or(Err(facts))
    }

    fn build(&self, mut request: HttpRequest) -> Result<RequestBuilder, GenesysError> {
        // The library encodes id and secret for the header, as RFC 6749 says; Genesys' SDKs do not.
        request.headers_mut().remove(AUTHORIZATION);
        let request =
            reqwest::Request::try_from(request).or(Err(GenesysError::new(ErrorKind::Refused)))?;
        let mut request = RequestBuilder::from_parts(self.genesys.http().clone(), request);
        if let Some(secret) = &self.client.client_secret {
            request = request.basic_auth(&self.client.client_id, Some(secret.expose_secret()));
        }
        Ok(traced(request))
    }

    fn finish(self, result: TokenResult) -> Result<Tokens, GenesysError> {
        let answered = self
            .answered
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let facts = answered.unwrap_or_else(|| GenesysError::new(ErrorKind::Protocol));
        match result {
            Ok(tokens) if *tokens.token_type() == BasicTokenType::Bearer => Ok(Tokens {
                access_token: SecretString::from(tokens.access_token().secret().as_str()),
                refresh_token: tokens
                    .refresh_token()
                    .map(|token| SecretString::from(token.secret().as_str())),
                expires_in: tokens.expires_in().unwrap_or(SHORTEST_LIFETIME),
            }),
            Err(RequestTokenError::Request(error)) => Err(error),
            Err(RequestTokenError::ServerResponse(refusal)) => {
                let kind = match refusal.error() {
                    Code::InvalidGrant => ErrorKind::InvalidGrant,
                    Code::InvalidClient | Code::UnauthorizedClient | Code::UnsupportedGrantType => {
                        ErrorKind::InvalidClient
                    }
                    _ => ErrorKind::Refused,
                };
                Err(GenesysError {
                    kind,
                    code: word(refusal.error().as_ref()),
                    ..facts
                })
            }
            // The library's own errors repeat the body, which may hold tokens.
            Ok(_) | Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => Err(facts),
        }
    }
}
