//! /events: each snapshot as it is taken, as server-sent events, to few listeners at once.
//!
//! An event's id is its second. Who comes back with the id of the last one that he saw gets what he missed, as far as it is
//! kept, and `?since=SECOND` asks for the same from the start.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::snapshot::Window;

/// Listeners at once.
const LISTENERS_MAX: usize = 16;

/// What listeners share.
#[derive(Clone)]
pub(super) struct Events {
    window: Window,
    places: Arc<Semaphore>,
}

/// What may be asked.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Snapshots after this second that are kept come first.
    since: Option<u64>,
}

impl Events {
    pub(super) fn new(window: Window) -> Events {
        Events { window, places: Arc::new(Semaphore::new(LISTENERS_MAX)) }
    }
}

/// One listener.
struct Listener {
    window: Window,
    last_s: u64,
    _place: OwnedSemaphorePermit,
}

/// Answers with a stream that ends when the server does.
pub(super) async fn listen(State(events): State<Events>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let Ok(place) = events.places.clone().try_acquire_owned() else {
        let why = format!("{LISTENERS_MAX} listen already: close a page, or ask /status\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let newest_s = events.window.at(None).map_or(0, |newest| newest.unix_s);
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).or(asked.since);
    // Who saw what is yet to come saw it before the clock was set.
    let last_s = seen.filter(|seen| *seen <= newest_s).unwrap_or(newest_s.saturating_sub(1));
    let listener = Listener { window: events.window, last_s, _place: place };
    Sse::new(stream::unfold(listener, next)).into_response()
}

async fn next(mut listener: Listener) -> Option<(Result<Event, Infallible>, Listener)> {
    let snapshot = listener.window.after(listener.last_s).await?;
    listener.last_s = snapshot.unix_s;
    let event = Event::default().id(snapshot.unix_s.to_string()).data(&*snapshot.text());
    Some((Ok(event), listener))
}
