//! Request bodies: small, buffered under a limit before anything reads them (R-RES-1).

use std::error::Error;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// The most bytes that are buffered, whatever the endpoint.
pub const MAX_BUFFERED: usize = 64 * 1024;

/// The most bytes that are parsed.
pub const MAX_PARSED: usize = 16 * 1024;

/// Why a body was not buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the limit; reading stopped there.
    #[error("body too long")]
    TooLarge,
    /// It broke off, or its framing is wrong.
    #[error("body incomplete")]
    Incomplete,
    /// It did not arrive within the deadline of an adapter that has one.
    #[error("body late")]
    Late,
}

/// Buffers a body of at most `limit` bytes. One that announces more is not read at all.
///
/// There is no deadline here, since this crate has no timer: the server's own must bound slow senders (threat
/// A-RES-05).
///
/// # Errors
/// [`BodyError`].
pub async fn buffer<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Incomplete),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use http_body::{Frame, SizeHint};
    use http_body_util::Full;

    use super::*;

    /// Runs a future that never waits.
    fn now<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("waited"),
        }
    }

    /// A body without end, which counts the bytes that were taken.
    struct Endless<'a>(&'a mut usize);

    impl Body for Endless<'_> {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            *self.0 += 1024;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])))))
        }
    }

    /// A body that announces its length and must not be read, or breaks off when it is.
    struct Announced(u64);

    impl Body for Announced {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            assert!(self.0 <= 10, "read");
            Poll::Ready(Some(Err("broke off")))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[test]
    fn a_body_up_to_the_limit_is_taken() {
        assert_eq!(
            now(buffer(Full::new(Bytes::from_static(b"0123456789")), 10))
                .unwrap()
                .len(),
            10
        );
        assert_eq!(
            now(buffer(Full::new(Bytes::from_static(b"01234567890")), 10)),
            Err(BodyError::TooLarge)
        );
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let mut taken = 0;
        assert_eq!(
            now(buffer(Endless(&mut taken), MAX_BUFFERED)),
            Err(BodyError::TooLarge)
        );
        assert!(taken <= MAX_BUFFERED + 1024, "{taken}");
    }

    #[test]
    fn a_body_that_announces_too_much_is_not_read() {
        assert_eq!(now(buffer(Announced(11), 10)), Err(BodyError::TooLarge));
    }

    #[test]
    fn a_body_that_breaks_off_is_incomplete() {
        assert_eq!(now(buffer(Announced(5), 10)), Err(BodyError::Incomplete));
    }
}
