//! JSON bodies, read strictly: what two readers could understand differently is refused by this one (R-INP-1).
//!
//! Duplicate keys, deep nesting, lone surrogates, invalid UTF-8, a byte order mark, trailing bytes and numbers out of
//! range end in core's strict reader; here the width of objects and lists and the length of strings are bounded too
//! (threats A-INJ-09, A-RES-02). Nothing of the input is echoed.

use std::fmt;

use serde_json::{Map, Value};
use stepup_core::json;

/// How much of a body is taken. Its length was bounded before it was read, its depth is while it is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most entries of an object, and elements of an array.
    pub width: usize,
    /// The longest string or key, in bytes.
    pub string: usize,
}

impl Default for Limits {
    /// Threat model §3.4: strings of 2 KiB.
    fn default() -> Self {
        Self {
            width: 256,
            string: 2048,
        }
    }
}

impl Limits {
    fn admit(&self, value: &Value) -> bool {
        match value {
            Value::Object(map) => self.admit_map(map),
            Value::Array(items) => items.len() <= self.width && items.iter().all(|item| self.admit(item)),
            Value::String(text) => text.len() <= self.string,
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }

    fn admit_map(&self, map: &Map<String, Value>) -> bool {
        map.len() <= self.width
            && map
                .iter()
                .all(|(key, value)| key.len() <= self.string && self.admit(value))
    }
}

/// Why a body was not taken. The text names no byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// It is not one JSON object, or passes a limit.
    #[error("the body is not a JSON object that this endpoint takes")]
    Malformed,
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has another type than it must have.
    #[error("{0} has the wrong type")]
    WrongType(&'static str),
    /// A field that the endpoint does not know, where it takes no others.
    #[error("the body has a field that this endpoint does not take")]
    Unknown,
    /// Fields that exclude each other, or belong together, do not.
    #[error("{0}")]
    Unclear(&'static str),
}

/// The fields of a body. `Debug` counts them: one may be a password.
#[derive(Clone, Default, PartialEq)]
pub struct Fields(Map<String, Value>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({})", self.0.len())
    }
}

impl Fields {
    /// Reads a body, which must be one JSON object.
    ///
    /// # Errors
    /// [`InputError::Malformed`].
    pub fn read(body: &[u8], limits: &Limits) -> Result<Self, InputError> {
        let map = json::read_object(body).map_err(|_| InputError::Malformed)?;
        if limits.admit_map(&map) {
            Ok(Self(map))
        } else {
            Err(InputError::Malformed)
        }
    }

    /// Refuses fields that pass `limits`, but for those named in `but`: where one field holds what is long by its nature, the
    /// others are as short as ever.
    ///
    /// # Errors
    /// [`InputError::Malformed`].
    pub fn within(self, limits: &Limits, but: &[&str]) -> Result<Self, InputError> {
        let fits = |(key, value): (&String, &Value)| {
            but.contains(&key.as_str()) || (key.len() <= limits.string && limits.admit(value))
        };
        if self.0.iter().all(fits) {
            Ok(self)
        } else {
            Err(InputError::Malformed)
        }
    }

    /// Refuses a body with other fields than these: our own endpoints take what they know and nothing else (threat
    /// A-CLM-02).
    ///
    /// # Errors
    /// [`InputError::Unknown`].
    pub fn only(self, names: &[&str]) -> Result<Self, InputError> {
        if self.0.keys().all(|key| names.contains(&key.as_str())) {
            Ok(self)
        } else {
            Err(InputError::Unknown)
        }
    }

    /// A string that may be missing. `null` is no string: types are exact.
    ///
    /// # Errors
    /// [`InputError::WrongType`].
    pub fn string(&self, name: &'static str) -> Result<Option<&str>, InputError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(InputError::WrongType(name)),
        }
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// [`InputError::Missing`], [`InputError::WrongType`].
    pub fn required(&self, name: &'static str) -> Result<&str, InputError> {
        self.string(name)?.ok_or(InputError::Missing(name))
    }

    /// An object that may be missing.
    ///
    /// # Errors
    /// [`InputError::WrongType`].
    pub fn object(&self, name: &'static str) -> Result<Option<Self>, InputError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self(map.clone()))),
            Some(_) => Err(InputError::WrongType(name)),
        }
    }

    /// A boolean that may be missing.
    ///
    /// # Errors
    /// [`InputError::WrongType`].
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, InputError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(InputError::WrongType(name)),
        }
    }

    /// `formFields`: a list of `{"id", "value"}`, at most [`MAX_FORM_FIELDS`], each id once.
    ///
    /// # Errors
    /// [`InputError::Missing`], or [`InputError::WrongType`] for anything else that it may be.
    pub fn form(&self) -> Result<Form<'_>, InputError> {
        const NAME: &str = "formFields";
        let list = self.0.get(NAME).ok_or(InputError::Missing(NAME))?;
        let list = list.as_array().ok_or(InputError::WrongType(NAME))?;
        if list.len() > MAX_FORM_FIELDS {
            return Err(InputError::WrongType(NAME));
        }
        let mut fields: Vec<(&str, &Value)> = Vec::with_capacity(list.len());
        for field in list {
            let id = field.get("id").and_then(Value::as_str);
            let (Some(id), Some(value)) = (id, field.get("value")) else {
                return Err(InputError::WrongType(NAME));
            };
            // A field that is there twice is a duplicate key in another dress.
            if fields.iter().any(|(earlier, _)| *earlier == id) {
                return Err(InputError::WrongType(NAME));
            }
            fields.push((id, value));
        }
        Ok(Form(fields))
    }
}

/// The most fields of a form (threat model §3.4).
pub const MAX_FORM_FIELDS: usize = 32;

/// The fields of `formFields`. `Debug` counts them.
#[derive(Clone, PartialEq)]
pub struct Form<'a>(Vec<(&'a str, &'a Value)>);

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({})", self.0.len())
    }
}

impl<'a> Form<'a> {
    /// A text field. Missing, `null` and empty are the same to the protocol, and none here.
    ///
    /// # Errors
    /// [`InputError::WrongType`] if it is neither a string nor `null`.
    pub fn text(&self, id: &'static str) -> Result<Option<&'a str>, InputError> {
        match self
            .0
            .iter()
            .find(|(name, _)| *name == id)
            .map(|(_, value)| *value)
        {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(InputError::WrongType(id)),
        }
    }

    /// How many fields were sent.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
