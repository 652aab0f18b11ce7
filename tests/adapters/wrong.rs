//! The test of the tests: adapters that are wrong in one way each, and the sentences that are then false.

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use stepup_testkit::suite::adapter::{self, Application, Subject};

use crate::subject::axum::{Stop, app, serve_router};

/// An adapter that does something to every request and answer.
async fn serve<F, A>(listener: TcpListener, application: Application, spoil: F) -> Option<Stop>
where
    F: Fn(Request, Next) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    // Around the whole: what is done to a request is done before a route is looked for.
    let spoiled = Router::new()
        .fallback_service(app(application))
        .layer(middleware::from_fn(spoil));
    Some(serve_router(listener, spoiled))
}

/// Whether a sentence is false of the adapter.
fn is_false<F, A>(sentence: impl AsyncFnOnce(Subject), spoil: F) -> bool
where
    F: Fn(Request, Next) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let proof = || {
        adapter::prove(sentence, async |listener, application| {
            serve(listener, application, spoil).await
        })
    };
    catch_unwind(AssertUnwindSafe(proof)).is_err()
}

async fn right(request: Request, next: Next) -> Response {
    next.run(request).await
}

#[test]
fn an_adapter_that_does_nothing_wrong_is_not_accused() {
    assert!(!is_false(adapter::every_transcript_holds, right));
    assert!(!is_false(
        adapter::a_change_reaches_the_client_of_a_handler_that_fails,
        right
    ));
}

/// Pays what is owed on success alone, as a handler would that adds headers to what it returns.
async fn pays_on_success(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if !response.status().is_success() {
        for name in ["front-token", "st-access-token", "st-refresh-token", "set-cookie"] {
            response.headers_mut().remove(name);
        }
    }
    response
}

#[test]
fn an_adapter_that_pays_on_success_alone_is_found_out() {
    assert!(!is_false(
        adapter::a_change_reaches_the_client_of_a_handler_that_succeeds,
        pays_on_success
    ));
    assert!(is_false(
        adapter::a_change_reaches_the_client_of_a_handler_that_fails,
        pays_on_success
    ));
    assert!(is_false(
        adapter::a_change_reaches_the_client_of_a_handler_that_panics,
        pays_on_success
    ));
    assert!(is_false(
        adapter::what_a_guard_owes_is_paid_though_a_later_argument_fails,
        pays_on_success
    ));
    assert!(is_false(
        adapter::a_session_that_is_over_is_taken_from_the_client,
        pays_on_success
    ));
}

/// Copies headers one by one into a map that holds one of a name.
async fn one_of_a_name(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let first = response.headers().get(header::SET_COOKIE).cloned();
    if let Some(first) = first {
        response.headers_mut().insert(header::SET_COOKIE, first);
    }
    response
}

#[test]
fn an_adapter_that_keeps_one_cookie_of_many_is_found_out() {
    assert!(is_false(
        adapter::a_session_lives_from_sign_up_to_sign_out_by_cookie,
        one_of_a_name
    ));
    assert!(!is_false(
        adapter::a_session_lives_from_sign_up_to_sign_out_by_header,
        one_of_a_name
    ));
    assert!(is_false(adapter::every_transcript_holds, one_of_a_name));
}

/// Shows the protocol the first line of each header of the request.
async fn first_line_of_each(mut request: Request, next: Next) -> Response {
    let names: Vec<HeaderName> = request.headers().keys().cloned().collect();
    for name in names {
        let first = request.headers()[&name].clone();
        request.headers_mut().insert(name, first);
    }
    next.run(request).await
}

#[test]
fn an_adapter_that_reads_one_line_of_a_header_is_found_out() {
    assert!(is_false(adapter::every_transcript_holds, first_line_of_each));
}

/// Decodes the path before the protocol sees it.
async fn decodes(mut request: Request, next: Next) -> Response {
    let plain = request.uri().to_string().replace("%73", "s");
    *request.uri_mut() = plain.parse().unwrap();
    next.run(request).await
}

#[test]
fn an_adapter_that_decodes_paths_is_found_out() {
    assert!(is_false(adapter::every_transcript_holds, decodes));
}

/// Answers preflights, and what pages of other origins may read, by rules of its own.
async fn reflects_origins(request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    if let Some(origin) = origin {
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

#[test]
fn an_adapter_that_reflects_origins_is_found_out() {
    assert!(is_false(
        adapter::every_answer_can_be_read_by_our_pages_and_no_others,
        reflects_origins
    ));
    assert!(is_false(
        adapter::every_preflight_is_answered_before_the_application,
        reflects_origins
    ));
    assert!(is_false(
        adapter::every_endpoint_answers_as_the_protocol_says,
        reflects_origins
    ));
}

/// Sends preflights to the application.
async fn forgets_preflights(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    next.run(request).await
}

#[test]
fn an_adapter_that_leaves_preflights_to_the_application_is_found_out() {
    assert!(is_false(
        adapter::every_preflight_is_answered_before_the_application,
        forgets_preflights
    ));
}

/// Takes a session that cannot be used for none, as `Option<Session>` does in some frameworks.
async fn errors_are_nobody(request: Request, next: Next) -> Response {
    let optional = request.uri().path() == "/optional";
    let response = next.run(request).await;
    if optional && response.status() == StatusCode::UNAUTHORIZED {
        return "nobody".into_response();
    }
    response
}

#[test]
fn an_adapter_that_takes_an_error_for_nobody_is_found_out() {
    assert!(is_false(
        adapter::a_session_is_optional_for_who_carries_no_token_only,
        errors_are_nobody
    ));
}

/// Does not tell where a request comes from.
async fn hides_the_peer(mut request: Request, next: Next) -> Response {
    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
    next.run(request).await
}

#[test]
fn an_adapter_that_hides_the_peer_is_found_out() {
    assert!(is_false(
        adapter::a_session_lives_from_sign_up_to_sign_out_by_header,
        hides_the_peer
    ));
}

/// Remembers the last session cookie that it saw, and takes it for that of whoever shows none: what is left in a pool.
#[test]
fn an_adapter_that_mixes_requests_up_is_found_out() {
    let mixing = || {
        let last: Arc<Mutex<Option<HeaderValue>>> = Arc::default();
        move |mut request: Request, next: Next| {
            let last = last.clone();
            async move {
                {
                    let mut last = last.lock().unwrap();
                    match request.headers().get(header::COOKIE) {
                        Some(cookie) => *last = Some(cookie.clone()),
                        None => {
                            if let Some(cookie) = last.clone() {
                                request.headers_mut().insert(header::COOKIE, cookie);
                            }
                        }
                    }
                }
                next.run(request).await
            }
        }
    };
    assert!(is_false(
        adapter::nothing_of_a_request_is_left_for_the_next_on_its_connection,
        mixing()
    ));
}

/// Lets everybody into the scope by a path that its guard does not know.
#[test]
fn an_adapter_whose_scope_is_open_is_found_out() {
    let open = |request: Request, next: Next| async move {
        let refused = request.uri().path() == "/scope/in" && request.method() == Method::POST;
        let response = next.run(request).await;
        match refused && response.status() == StatusCode::UNAUTHORIZED {
            true => "in".into_response(),
            false => response,
        }
    };
    assert!(is_false(adapter::a_scope_is_guarded_as_a_whole, open));
}

/// Admits whoever comes when its layer is missing.
#[test]
fn an_adapter_that_is_open_without_its_layer_is_found_out() {
    let proof = || {
        adapter::without_the_layer_nothing_is_admitted(async |listener, application: Application| {
            assert!(!application.layered);
            Some(serve_router(listener, Router::new().fallback(async || "in")))
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(proof)).is_err());
}

/// The same with another body, so that a client reads what the handler did not say.
async fn rewrites_bodies(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let (parts, body) = response.into_parts();
    match parts.status {
        StatusCode::UNAUTHORIZED => Response::from_parts(parts, Body::from("{\"message\":\"no\"}")),
        _ => Response::from_parts(parts, body),
    }
}

#[test]
fn an_adapter_that_words_refusals_itself_is_found_out() {
    assert!(is_false(
        adapter::every_endpoint_answers_as_the_protocol_says,
        rewrites_bodies
    ));
    assert!(is_false(adapter::every_transcript_holds, rewrites_bodies));
}
