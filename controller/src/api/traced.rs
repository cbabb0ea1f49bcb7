//! A span for each request, for whoever takes traces; by the names of OpenTelemetry's conventions for HTTP servers.

use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tidemark_runtime::telemetry::SPANS;
use tracing::Instrument as _;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// How a caller says which trace a request belongs to: W3C's `traceparent`.
static CALLERS: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// A layer around everything that answers.
pub async fn traced(request: Request, next: Next) -> Response {
    let span = span_of(&request);
    if span.is_disabled() {
        return next.run(request).await;
    }
    let caller = CALLERS.extract(&HeaderExtractor(request.headers()));
    // Fails only where nobody takes spans.
    span.set_parent(caller).ok();
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
    response
}

/// By the route and never by the address: that holds names of hosts, and there is no end of them.
fn span_of(request: &Request) -> tracing::Span {
    let route = || {
        let matched = request.extensions().get::<MatchedPath>();
        matched.map_or("", MatchedPath::as_str)
    };
    let method = method_of(request.method());
    tracing::info_span!(
        target: SPANS,
        "request",
        otel.name = format!("{method} {}", route()).trim_end(),
        otel.kind = "server",
        otel.status_code = Empty,
        error.type = Empty,
        http.request.method = method,
        http.route = route(),
        http.response.status_code = Empty,
    )
}

/// What the conventions call methods that are not known.
fn method_of(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.as_str(),
        _ => "_OTHER",
    }
}
