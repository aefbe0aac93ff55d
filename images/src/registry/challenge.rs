//! What a registry says of how to log in: `WWW-Authenticate` (RFC 9110).

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a user's name and password.
    Basic,
    /// With a token from another address.
    Bearer {
        /// That address.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads a header; nothing when no method is known.
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters(rest);
        let find = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.clone())
        };
        Some(Self::Bearer { realm: find("realm")?, service: find("service") })
    }
}

/// `key="value", key=value`; quotes may hold commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_owned();
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let Some((inner, end)) = quoted.split_once('"') else { return found };
            (value, rest) = (inner.to_owned(), end);
        } else {
            let (inner, end) = after.split_once(',').unwrap_or((after, ""));
            (value, rest) = (inner.trim().to_owned(), end);
        }
        found.push((key, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull,push\"",
                bearer("https://a/t", Some("s")),
            ),
            ("BEARER scope=x, Realm=https://a/t", bearer("https://a/t", None)),
            ("Bearer service=\"s\"", None),
            ("Bearer realm=\"https://a", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::read(header), expected, "{header}");
        }
    }
}
