//! The live page.

use axum::Router;
use axum::response::Html;
use axum::routing::get;

/// The page and what it needs.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(show))
}

async fn show() -> Html<&'static str> {
    Html(
        "<!doctype html><title>red packet</title><p>/events sends a snapshot each second; /status has the newest, /metrics is for \
         Prometheus.",
    )
}
