//! JSON bodies, read strictly: what two readers could understand differently is refused by this one (R-INP-1).
//!
//! Duplicate keys, deep or wide values, long strings, lone surrogates, invalid UTF-8, a byte order mark, trailing bytes
//! and numbers out of range are all errors (threats A-INJ-09, A-RES-02). Nothing of the input is echoed.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How much of a body is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The deepest nesting; an object within an object is 2.
    pub depth: usize,
    /// The most entries of an object, and elements of an array.
    pub width: usize,
    /// The most values of all kinds, keys left aside.
    pub values: usize,
    /// The longest string or key, in bytes.
    pub string: usize,
}

impl Default for Limits {
    /// Threat model §3.4: depth 16, strings of 2 KiB.
    fn default() -> Self {
        Self {
            depth: 16,
            width: 256,
            values: 1024,
            string: 2048,
        }
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
    /// Fields that exclude each other, or belong together, do not.
    #[error("{0}")]
    Unclear(&'static str),
}

/// The fields of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body, which must be one JSON object.
    ///
    /// # Errors
    /// [`InputError::Malformed`].
    pub fn read(body: &[u8], limits: &Limits) -> Result<Self, InputError> {
        match read(body, limits)? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(InputError::Malformed),
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

/// The fields of `formFields`.
#[derive(Clone, Debug, PartialEq)]
pub struct Form<'a>(Vec<(&'a str, &'a Value)>);

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

fn read(body: &[u8], limits: &Limits) -> Result<Value, InputError> {
    let left = Cell::new(limits.values);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let strict = Strict {
        limits,
        depth: 0,
        left: &left,
    };
    let value = strict
        .deserialize(&mut reader)
        .map_err(|_| InputError::Malformed)?;
    reader.end().map_err(|_| InputError::Malformed)?;
    Ok(value)
}

/// Builds a value while it counts. It refuses on the way in: what passes a limit is never held in memory.
#[derive(Clone, Copy)]
struct Strict<'l> {
    limits: &'l Limits,
    depth: usize,
    left: &'l Cell<usize>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > self.limits.depth {
            Err(E::custom("too deep"))
        } else {
            Ok(Self { depth, ..self })
        }
    }

    fn short<E: serde::de::Error>(self, text: String) -> Result<String, E> {
        if text.len() > self.limits.string {
            Err(E::custom("too long"))
        } else {
            Ok(text)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self
            .left
            .get()
            .checked_sub(1)
            .ok_or_else(|| D::Error::custom("too much"))?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value within the limits")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.short(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            if list.len() == self.limits.width {
                return Err(A::Error::custom("too wide"));
            }
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let key = self.short(key)?;
            // Keys are compared after their escapes are resolved: "\u0061" and "a" are one.
            if map.len() == self.limits.width || map.contains_key(&key) {
                return Err(A::Error::custom("too wide, or a duplicate key"));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests;
