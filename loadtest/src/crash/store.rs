//! The address of a database that replicas share, which may hold a password: it is shown without.

use std::fmt;
use std::str::FromStr;

/// What addresses of PostgreSQL begin with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// An address.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

/// Something that is no address of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give the address of the database as postgres://USER@HOST/DATABASE")]
pub struct NoStoreUrl;

impl StoreUrl {
    /// As it is, with the password: not to be shown.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// A text that may hold it, without the password.
    pub fn masked_in(&self, text: &str) -> String {
        text.replace(&self.0, &self.to_string())
    }
}

impl FromStr for StoreUrl {
    type Err = NoStoreUrl;

    fn from_str(text: &str) -> Result<Self, NoStoreUrl> {
        let is_one = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoStoreUrl) }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("postgres", &self.0));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let user = authority.rsplit_once('@').map(|(user, hosts)| (user.split_once(':'), hosts));
        write!(f, "{scheme}://")?;
        match user {
            Some((Some((user, _)), hosts)) => write!(f, "{user}:***@{hosts}")?,
            _ => f.write_str(authority)?,
        }
        let Some(at) = rest.find("password=") else { return f.write_str(rest) };
        let (before, password) = rest.split_at(at + "password=".len());
        let end = password.find('&').unwrap_or(password.len());
        write!(f, "{before}***{}", &password[end..])
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://shop:se:cr@et@a:1,b:2/stock?x=y", "postgres://shop:***@a:1,b:2/stock?x=y"),
            ("postgres://shop@a/stock", "postgres://shop@a/stock"),
            (
                "postgresql:///s?host=/run&password=secret&user=u",
                "postgresql:///s?host=/run&password=***&user=u",
            ),
        ] {
            let parsed: StoreUrl = url.parse().unwrap();
            assert_eq!((parsed.to_string(), parsed.secret()), (shown.to_owned(), url));
            assert_eq!(parsed.masked_in(&format!("--store {url} --json")), format!("--store {shown} --json"));
        }
        for wrong in ["", "a:5432", "http://a/b", "./data"] {
            assert_eq!(wrong.parse::<StoreUrl>(), Err(NoStoreUrl));
        }
    }
}
