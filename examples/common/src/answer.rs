//! An answer as a value, so that a framework has only to write it down.

use std::borrow::Cow;

use serde_json::{Value, json};
use stepup::wire::body::BodyError;

use crate::{answers, page};

/// A response of the demo's own routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case; the content type is among them.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than [`MAX_BODY`](crate::answers::MAX_BODY).
    TooLong,
    /// It broke off, or its framing is wrong.
    Broken,
    /// It did not arrive in time.
    Late,
}

impl Answer {
    /// 200 with JSON.
    pub fn json(body: &Value) -> Self {
        Self::with_json(200, body)
    }

    /// An error, told in a sentence.
    pub fn error(status: u16, message: &str) -> Self {
        Self::with_json(status, &json!({ "message": message }))
    }

    /// 200 with a text.
    pub fn text(text: &'static str) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/plain; charset=utf-8")],
            body: Cow::Borrowed(text.as_bytes()),
        }
    }

    /// 200 with something that a browser shows or loads, and the headers that keep it in its place.
    pub fn shown(content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        let kind = std::iter::once(("content-type", content_type));
        Self {
            status: 200,
            headers: kind.chain(page::HEADERS.iter().copied()).collect(),
            body: body.into(),
        }
    }

    fn with_json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json")],
            body: Cow::Owned(body.to_string().into_bytes()),
        }
    }
}

impl From<BodyError> for Unread {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLong,
            BodyError::Incomplete => Self::Broken,
            BodyError::Late => Self::Late,
        }
    }
}

impl From<Unread> for Answer {
    fn from(why: Unread) -> Self {
        match why {
            Unread::TooLong => Self::error(413, "the body could not be read"),
            Unread::Broken => Self::error(400, "the body could not be read"),
            Unread::Late => answers::too_slow(),
        }
    }
}
