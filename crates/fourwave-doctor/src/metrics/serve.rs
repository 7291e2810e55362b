//! The HTTP endpoint for Prometheus.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::gather::reason;
use crate::{Examiner, GatherError, Scope, Thresholds};

/// What Prometheus tells the format by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers that are under way when it is asked to end have so long.
const GRACE: Duration = Duration::from_secs(2);

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Nothing can be examined.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The address cannot be had.
    #[error("cannot listen at {address}: {reason}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why, and what to do.
        reason: String,
    },
    /// The system gives no sockets or signals.
    #[error("the metrics cannot be served: {}", reason(.0))]
    System(#[from] io::Error),
}

/// Serves `/metrics` at `address` until SIGINT or SIGTERM. Each scrape looks anew, unless the
/// last sample is younger than `least`; rates are since the sample before. `ready` is told the
/// address, with the port that was taken for 0.
///
/// # Errors
/// When the scope or the address cannot be had. A sample that fails later is one scrape's 503.
pub fn serve(
    scope: Scope,
    thresholds: Thresholds,
    least: Duration,
    address: SocketAddr,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let mut examiner = Examiner::open(scope, thresholds)?;
    examiner.examine()?;
    let looks = Arc::new(Mutex::new(examiner));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(address).await.map_err(|error| bind_error(address, &error))?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .fallback(async || (StatusCode::NOT_FOUND, "the metrics are at /metrics\n"))
            .with_state((looks, least));
        // Before anybody is told that it runs, and may end it.
        let mut end = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        ready(listener.local_addr()?);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let [interrupt, terminate] = &mut end;
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async { drop(stopped.await) })
            .into_future();
        let ended = async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            // The server may have failed meanwhile; then nobody listens.
            let _heard = stop.send(());
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = served => result.map_err(ServeError::System),
            () = ended => Ok(()),
        }
    })
}

fn bind_error(address: SocketAddr, error: &io::Error) -> ServeError {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; choose another port".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not; ports below 1024 need root, choose a higher one".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "no interface here has this address".to_owned(),
        _ => reason(error),
    };
    ServeError::Bind { address, reason: why }
}

type Shared = (Arc<Mutex<Examiner>>, Duration);

async fn metrics(State((looks, least)): State<Shared>) -> Response {
    // Reading the kernel's tables blocks.
    let text = tokio::task::spawn_blocking(move || scrape(&looks, least)).await;
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(Err(line)) => (StatusCode::SERVICE_UNAVAILABLE, line + "\n").into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the look failed\n").into_response(),
    }
}

fn scrape(looks: &Mutex<Examiner>, least: Duration) -> Result<String, String> {
    // A sample that panicked left the one before, which is as good as any.
    let mut examiner = looks.lock().unwrap_or_else(PoisonError::into_inner);
    let young = examiner.last().is_some_and(|(_, age)| age < least);
    if !young {
        examiner.examine().map_err(|error| error.to_string())?;
    }
    let (diagnosis, _) = examiner.last().ok_or("no sample was taken yet")?;
    super::text(diagnosis).map_err(|error| error.to_string())
}
