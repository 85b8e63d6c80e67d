//! The page's files, built into the program: no outside asset, no build step.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::body::PageBody;

/// A file of the page.
pub(crate) struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    tag: u64,
}

macro_rules! asset {
    ($path:literal, $file:literal, $kind:literal) => {{
        const BYTES: &[u8] = include_bytes!(concat!("assets/", $file));
        Asset { path: $path, kind: $kind, bytes: BYTES, tag: fnv1a(BYTES) }
    }};
}

static ASSETS: [Asset; 11] = [
    asset!("/", "index.html", "text/html; charset=utf-8"),
    asset!("/assets/style.css", "style.css", "text/css; charset=utf-8"),
    asset!("/assets/parts.css", "parts.css", "text/css; charset=utf-8"),
    asset!("/assets/theme.js", "theme.js", "text/javascript; charset=utf-8"),
    asset!("/assets/app.js", "app.js", "text/javascript; charset=utf-8"),
    asset!("/assets/store.js", "store.js", "text/javascript; charset=utf-8"),
    asset!("/assets/view.js", "view.js", "text/javascript; charset=utf-8"),
    asset!("/assets/words.js", "words.js", "text/javascript; charset=utf-8"),
    asset!("/assets/icon.svg", "icon.svg", "image/svg+xml"),
    asset!("/assets/icon-down.svg", "icon-down.svg", "image/svg+xml"),
    asset!("/assets/icon-unknown.svg", "icon-unknown.svg", "image/svg+xml"),
];

/// The file at this path.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The answer to a request for it: the file, or 304 if the client has it (RFC 9110, 13.1.2).
pub(crate) fn answer(asset: &'static Asset, request: &HeaderMap) -> Response<PageBody> {
    let tag = format!("\"{:016x}\"", asset.tag);
    let known = request.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|tags| tags.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    });
    let body = if known { PageBody::empty() } else { PageBody::full(asset.bytes) };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// FNV-1a, 64 bits: names a version of a file; it guards nothing.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = tail;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_page_is_over_the_house_limit() {
        for asset in &ASSETS {
            let lines = asset.bytes.split(|&byte| byte == b'\n').count();
            assert!(lines <= 600, "{} has {lines} lines", asset.path);
        }
    }

    #[test]
    fn the_page_asks_nobody_else_for_anything() {
        for asset in &ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{}", asset.path);
            assert!(!text.contains("innerHTML") && !text.contains("insertAdjacentHTML"), "{}", asset.path);
        }
    }
}
