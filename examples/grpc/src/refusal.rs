//! A refusal in the language of gRPC. stepup speaks HTTP; this file is all that stands between.

use http::Response;
use http_body_util::Either;
use stepup::wire::{MaybeOurs, Reason, Refused, SessionError};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Whom the reasons in the details are of.
pub const DOMAIN: &str = "stepup";

/// Around `RequireLayer`, by `MapResponseLayer`: answers its refusals as gRPC does, with status 200 and the rest in headers.
pub(crate) fn as_grpc(mut response: Response<MaybeOurs<Body>>) -> Response<MaybeOurs<Body>> {
    match response.extensions_mut().remove::<Reason>() {
        // Cookies and tokens are not in this response yet: the layer outside adds them.
        Some(reason) => status(&reason).into_http::<Body>().map(Either::Right),
        None => response,
    }
}

/// For `?` in a method that asks more than the layer did.
pub(crate) fn refused(error: SessionError) -> Status {
    status(Refused::from(error).reason())
}

/// The status of a refusal: the code says whether signing in helps, `ErrorInfo.reason` what to do, and the violations of
/// `PreconditionFailure` name the claims that fail, as the protocol's `claimValidationErrors` do.
pub(crate) fn status(reason: &Reason) -> Status {
    let (code, word, message) = match reason {
        Reason::NoSession => (Code::Unauthenticated, "UNAUTHORISED", "unauthorised"),
        Reason::TryRefresh => (Code::Unauthenticated, "TRY_REFRESH_TOKEN", "try refresh token"),
        Reason::Claims(_) => (Code::PermissionDenied, "INVALID_CLAIM", "invalid claim"),
        Reason::NotAllowed => (Code::PermissionDenied, "NOT_ALLOWED", "not allowed"),
        Reason::BadRequest => (Code::InvalidArgument, "BAD_REQUEST", "bad request"),
        Reason::TooMany(_) => (Code::ResourceExhausted, "TOO_MANY_REQUESTS", "too many requests"),
        Reason::Unavailable => (Code::Unavailable, "UNAVAILABLE", "temporarily unavailable"),
        Reason::Broken => (Code::Internal, "INTERNAL", "internal error"),
    };
    let mut details = ErrorDetails::with_error_info(word, DOMAIN, []);
    match reason {
        Reason::Claims(failures) => {
            for failure in failures {
                let why = failure.reason.as_ref().map(ToString::to_string);
                details.add_precondition_failure_violation("CLAIM", &failure.id, why.unwrap_or_default());
            }
        }
        Reason::TooMany(after) => {
            details.set_retry_info(Some(*after));
        }
        _ => {}
    }
    Status::with_error_details(code, message, details)
}
