//! What is served where; everything else is refused in words.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::events::{self, Events};
use super::guard::{self, Guard};
use super::page;
use crate::life::Age;
use crate::metrics;
use crate::snapshot::Window;

/// Which second is asked for.
#[derive(Deserialize)]
struct Second {
    second: Option<u64>,
}

/// All of it, behind the guard.
pub(super) fn routes(window: Window, guard: Guard) -> Router {
    Router::new()
        .route("/events", get(events::listen).with_state(Events::new(window.clone())))
        .route("/metrics", get(show_metrics))
        .route("/status", get(show_status))
        .route("/livez", get(say_if_alive))
        .route("/readyz", get(say_if_ready))
        .merge(page::routes())
        .fallback(refuse)
        .with_state(window)
        .layer(map_response(mark))
        .layer(from_fn_with_state(guard, guard::look))
}

/// Nothing that is shown is true for long, and all of it is what it says.
async fn mark(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn refuse(uri: Uri) -> (StatusCode, String) {
    let why = format!("there is no {}; there are / /events /metrics /status /livez /readyz\n", uri.path());
    (StatusCode::NOT_FOUND, why)
}

async fn show_metrics(State(window): State<Window>) -> Response {
    match window.at(None) {
        Ok(snapshot) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&snapshot)).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

async fn show_status(State(window): State<Window>, Query(Second { second }): Query<Second>) -> Response {
    match window.at(second) {
        Ok(snapshot) => ([(CONTENT_TYPE, "application/json")], snapshot.text().to_string()).into_response(),
        Err(why) if second.is_some() => (StatusCode::NOT_FOUND, why + "\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

async fn say_if_alive(State(window): State<Window>) -> (StatusCode, &'static str) {
    match window.is_alive(rp_net::proc::monotonic_time().as_micros() as u64) {
        true => (StatusCode::OK, "alive\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the control plane is stuck\n"),
    }
}

async fn say_if_ready(State(window): State<Window>) -> (StatusCode, &'static str) {
    let why = match window.age() {
        Age::Serving => return (StatusCode::OK, "ready\n"),
        Age::Starting => "starting: the ledger is read back and the gate loaded\n",
        Age::Draining => "draining: nothing more is let in, what is under way comes to its end\n",
        Age::Broken => "broken: a thread that serves is gone, and the server ends\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, why)
}
