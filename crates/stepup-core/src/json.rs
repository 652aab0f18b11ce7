//! Strict reading of JSON objects: no member twice, no deep nesting, nothing behind the end.
//!
//! Two readers that disagree on which of two equal members counts can be played against each other, so an object
//! that has one twice is refused as a whole, at any depth (threats A-TOK-17, A-INJ-06).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::record::JsonMap;

/// The deepest nesting that is read; a bare object has depth 1 (threat model §3.4).
pub const MAX_DEPTH: usize = 16;

/// Why a text is no object that we read. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one JSON object with distinct members and at most {MAX_DEPTH} levels")]
pub struct JsonError;

/// Reads one JSON object.
///
/// # Errors
/// [`JsonError`] if `text` is anything else, has a member twice at any depth, or is nested deeper than [`MAX_DEPTH`].
pub fn read_object(text: &[u8]) -> Result<JsonMap, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(|_| JsonError)?;
    reader.end().map_err(|_| JsonError)?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(JsonError),
    }
}

/// How deep a value is nested: 0 for a number, 1 for a flat object.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut out = JsonMap::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == ARBITRARY_NUMBER {
                return number(members.next_value()?);
            }
            if out.insert(key, members.next_value_seed(inside)?).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(out))
    }
}

/// An application may switch on `arbitrary_precision` of `serde_json`, for all of its process; numbers then come as a
/// map of this one member. No text that a client sends can name it and still be an object.
fn number<E: Error>(text: String) -> Result<Value, E> {
    text.parse()
        .map(Value::Number)
        .map_err(|_| E::custom("not a number"))
}

const ARBITRARY_NUMBER: &str = "$serde_json::private::Number";

#[cfg(test)]
mod tests {
    use serde::de::value::{Error as ValueError, MapDeserializer};
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, JsonError> {
        read_object(text.as_bytes()).map(Value::Object)
    }

    #[test]
    fn objects_read_as_they_are_with_their_order() {
        let text = r#"{"z":1,"a":[null,true,{"b":-2,"a":1.5}],"m":"é"}"#;
        assert_eq!(read(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_member_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"sub":"bob","sub":"alice"}"#,
            r#"{"sub":"bob","\u0073ub":"alice"}"#,
            r#"{"a":{"v":true,"v":false}}"#,
            r#"{"a":[{"b":1,"c":2,"b":1}]}"#,
        ] {
            assert_eq!(read(text), Err(JsonError), "{text}");
        }
        assert!(read(r#"{"a":{"v":1},"b":{"v":1},"A":0}"#).is_ok());
    }

    #[test]
    fn nesting_ends_at_sixteen_levels() {
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let listed =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        for write in [&nested as &dyn Fn(usize) -> String, &listed] {
            let deepest = read(&write(MAX_DEPTH)).unwrap();
            assert_eq!(depth(&deepest), MAX_DEPTH);
            assert_eq!(read(&write(MAX_DEPTH + 1)), Err(JsonError));
        }
    }

    #[test]
    fn what_is_no_single_object_is_refused() {
        for text in [
            "",
            "1",
            "[]",
            "null",
            "{} {}",
            "{}x",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "\u{feff}{}",
        ] {
            assert_eq!(read(text), Err(JsonError), "{text}");
        }
        assert_eq!(read_object(b"{\"a\":\"\xff\"}"), Err(JsonError));
        assert_eq!(read(r#"{"a":"\ud800"}"#), Err(JsonError));
    }

    #[test]
    fn numbers_of_arbitrary_precision_read_as_numbers() {
        let as_map = |text: &str| {
            let reader =
                MapDeserializer::<_, ValueError>::new([(ARBITRARY_NUMBER, text.to_owned())].into_iter());
            Strict { depth: 1 }.deserialize(reader)
        };
        assert_eq!(as_map("17").unwrap(), json!(17));
        assert!(as_map("x").is_err());
    }
}
