//! The URL of a database in its parts: for another database of the same server, and for programs that
//! may not be given the password in their arguments, which everybody on the machine can read.

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

/// `scheme://user:password@hosts/database?settings`, as `libpq` takes it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    scheme: String,
    /// As it was written, percent-encoded.
    user: Option<String>,
    password: Option<SecretString>,
    hosts: String,
    /// Plain; none when the URL leaves it to the server's default.
    database: Option<String>,
    settings: Vec<String>,
}

impl Address {
    /// The error does not repeat the URL, which holds a password.
    pub(crate) fn parse(url: &SecretString) -> anyhow::Result<Self> {
        let (scheme, rest) = url.expose_secret().split_once("://").context(
            "the database is to be given as postgres://user:password@host:port/database",
        )?;
        let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut password = (!password.is_empty()).then(|| password.to_owned());
        let mut kept = Vec::new();
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.strip_prefix("password=") {
                Some(given) => password = Some(given.to_owned()),
                None => kept.push(setting.to_owned()),
            }
        }
        let database = decoded(database)?;
        Ok(Self {
            scheme: scheme.to_owned(),
            user: (!user.is_empty()).then(|| user.to_owned()),
            password: password
                .map(|found| decoded(&found))
                .transpose()?
                .map(SecretString::from),
            hosts: hosts.to_owned(),
            database: (!database.is_empty()).then_some(database),
            settings: kept,
        })
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> anyhow::Result<&str> {
        self.database
            .as_deref()
            .context("the URL is to name the database: postgres://user:password@host:port/database")
    }

    /// Another database, of the same server and with the same login.
    pub(crate) fn of(&self, database: &str) -> Self {
        Self {
            database: Some(database.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// With everything but the password.
    pub(crate) fn without_password(&self) -> String {
        self.render(None)
    }

    pub(crate) fn url(&self) -> SecretString {
        let password = self.password.as_ref().map(|it| encoded(it.expose_secret()));
        SecretString::from(self.render(password))
    }

    fn render(&self, password: Option<String>) -> String {
        let user = self.user.clone().unwrap_or_default();
        let login = match password {
            Some(password) => format!("{user}:{password}@"),
            None if user.is_empty() => user,
            None => format!("{user}@"),
        };
        let database = encoded(self.database.as_deref().unwrap_or_default());
        let mut url = format!("{}://{login}{}/{database}", self.scheme, self.hosts);
        if !self.settings.is_empty() {
            url.push('?');
            url.push_str(&self.settings.join("&"));
        }
        url
    }
}

fn encoded(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for byte in plain.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

fn decoded(text: &str) -> anyhow::Result<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(
            byte.context("the database's URL has a % without two hexadecimal digits after it")?,
        );
        bytes.extend(part.bytes().skip(2));
    }
    String::from_utf8(bytes).context("the database's URL is not UTF-8 where it is percent-encoded")
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};

    use super::Address;

    fn parse(url: &str) -> Address {
        Address::parse(&SecretString::from(url)).unwrap()
    }

    #[test]
    fn the_password_is_apart_wherever_it_was_written() {
        for url in [
            "postgres://ana:p%40ss%3A%2F@one:1,two:2/whats%20app?sslmode=require",
            "postgres://ana@one:1,two:2/whats%20app?password=p%40ss%3A%2F&sslmode=require",
        ] {
            let address = parse(url);
            assert_eq!(address.password().unwrap().expose_secret(), "p@ss:/");
            assert_eq!(address.database().unwrap(), "whats app");
            assert_eq!(
                address.without_password(),
                "postgres://ana@one:1,two:2/whats%20app?sslmode=require"
            );
            assert_eq!(
                address.of("b\"x").url().expose_secret(),
                "postgres://ana:p%40ss%3A%2F@one:1,two:2/b%22x?sslmode=require"
            );
        }
    }

    #[test]
    fn what_is_missing_stays_missing_and_what_cannot_be_read_is_not_repeated() {
        for url in ["postgres:///db?host=%2Frun", "postgresql://ana@host/db"] {
            assert_eq!(parse(url).url().expose_secret(), url);
        }
        assert!(parse("postgres://host").database().is_err());
        for url in ["host=x password=secret", "postgres://ana:secret%@host/db"] {
            let error = Address::parse(&SecretString::from(url)).unwrap_err();
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
    }
}
