//! The live page: the files of rp-server/assets, embedded, each with its type and a mark of its content.
//!
//! The page is made of nothing else, and the policy that goes with each file tells the browser so: nothing from elsewhere, and
//! no script or style inside the HTML.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

/// <https://www.w3.org/TR/CSP3/>
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($path:literal, $kind:ident, $file:literal;)*) => {
        &[$(Asset { path: $path, kind: $kind, text: include_str!(concat!("../../assets/", $file)) },)*]
    };
}

const ASSETS: &[Asset] = assets! {
    "/", HTML, "page/index.html";
    "/page/icon.svg", PICTURE, "page/icon.svg";
    "/page/page.css", STYLE, "page/page.css";
    "/page/main.js", SCRIPT, "page/main.js";
    "/page/chart.js", SCRIPT, "page/chart.js";
    "/page/curves.js", SCRIPT, "page/curves.js";
    "/page/fields.js", SCRIPT, "page/fields.js";
    "/page/link.js", SCRIPT, "page/link.js";
    "/page/money.js", SCRIPT, "page/money.js";
    "/page/sets.js", SCRIPT, "page/sets.js";
    "/page/tables.js", SCRIPT, "page/tables.js";
    "/page/words.js", SCRIPT, "page/words.js";
    "/page/uPlot.iife.min.js", SCRIPT, "uplot/uPlot.iife.min.js";
    "/page/uPlot.min.css", STYLE, "uplot/uPlot.min.css";
};

/// The page and what it needs.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let mark = mark_of(asset.text);
        router.route(asset.path, get(move |headers: HeaderMap| async move { show(asset, &mark, &headers) }))
    })
}

/// Tells contents apart, so that a browser that has this one is not sent it again.
fn mark_of(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn show(asset: &Asset, mark: &str, asked: &HeaderMap) -> Response {
    // A server of another version may be behind the same address a minute later: the browser keeps it, and asks each time.
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
        (ETAG, mark),
    ];
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|list| list.split(',')).any(|one| one.trim().trim_start_matches("W/") == mark) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use axum::http::HeaderValue;

    use super::*;

    fn asset(path: &str) -> &'static Asset {
        ASSETS.iter().find(|asset| asset.path == path).expect("it is served")
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/page");
        let names = std::fs::read_dir(folder).expect("the assets are here").flatten();
        let there: BTreeSet<String> =
            names.map(|entry| format!("/page/{}", entry.file_name().to_string_lossy())).collect();
        let served =
            ASSETS.iter().map(|asset| asset.path.replace("/page/uPlot", "/uplot/")).map(|path| match path.as_str() {
                "/" => "/page/index.html".to_string(),
                _ => path,
            });
        assert_eq!(there, served.filter(|path| path.starts_with("/page/")).collect());
    }

    #[test]
    fn the_page_names_only_what_is_served() {
        for attribute in ["src=\"", "href=\""] {
            for part in asset("/").text.split(attribute).skip(1) {
                let name = part.split('"').next().expect("a split has a first part");
                let is_ours = name.starts_with('#') || ["/status", "/metrics"].contains(&name);
                assert!(is_ours || ASSETS.iter().any(|asset| asset.path == name), "{name}");
            }
        }
        for asset in ASSETS.iter().filter(|asset| asset.kind == SCRIPT && !asset.path.contains("uPlot")) {
            for part in asset.text.split("from \"./").skip(1) {
                let name = format!("/page/{}", part.split('"').next().expect("a split has a first part"));
                assert!(ASSETS.iter().any(|asset| asset.path == name), "{} takes {name}", asset.path);
            }
        }
    }

    #[test]
    fn who_has_a_file_is_not_sent_it_again() {
        let script = asset("/page/main.js");
        let mark = mark_of(script.text);
        let answer = |known: &[&str]| {
            let value = |text: &&str| (IF_NONE_MATCH, HeaderValue::from_str(text).expect("a value"));
            let response = show(script, &mark, &known.iter().map(value).collect());
            assert_eq!(response.headers()[ETAG], mark);
            assert_eq!(response.headers()[CONTENT_TYPE], SCRIPT);
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
            response.status()
        };
        assert_eq!(answer(&[]), StatusCode::OK);
        assert_eq!(answer(&["\"0123456789abcdef\""]), StatusCode::OK);
        assert_eq!(answer(&[&mark]), StatusCode::NOT_MODIFIED);
        assert_eq!(answer(&[&format!("\"other\", W/{mark}")]), StatusCode::NOT_MODIFIED);
        assert_ne!(mark, mark_of(asset("/page/link.js").text));
    }
}
