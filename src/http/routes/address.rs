//! Addresses in headers: what a client follows as it is, so every name in one is percent-encoded.

use std::fmt;

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986, section 2.3: what is left means nothing in a path or in a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name, as it stands in a path or as a value in a query.
pub(super) fn encoded(name: &str) -> impl fmt::Display {
    utf8_percent_encode(name, RESERVED)
}

/// A `Location` whose names are [`encoded`].
pub(super) fn location(path: String) -> HeaderValue {
    HeaderValue::try_from(path).expect("what is encoded is visible ASCII")
}

/// A `Link` to the next page, whose names are [`encoded`].
pub(super) fn next(path_and_query: &str) -> HeaderValue {
    let link = format!("<{path_and_query}>; rel=\"next\"");
    HeaderValue::try_from(link).expect("what is encoded is visible ASCII")
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a name is, a path has it as one segment, a query as one value, and both decode to it.
        #[test]
        fn a_name_stays_one_segment_and_one_value(name in any::<String>()) {
            let header = location(format!("/v1/stock/{}?location={}&limit=1", encoded(&name), encoded(&name)));
            let uri: Uri = header.to_str().unwrap().parse().unwrap();
            let segments: Vec<&str> = uri.path().split('/').collect();
            prop_assert_eq!(segments.len(), 4);
            prop_assert_eq!(percent_decode_str(segments[3]).decode_utf8().unwrap(), name.as_str());
            let query: Vec<_> = form_urlencoded::parse(uri.query().unwrap().as_bytes()).into_owned().collect();
            prop_assert_eq!(query, [("location".to_owned(), name), ("limit".to_owned(), "1".to_owned())]);
        }
    }
}
