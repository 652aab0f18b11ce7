//! Strict reading of JSON objects: no member twice, no deep nesting, nothing behind the end.
//!
//! Two readers that disagree on which of two equal members counts can be played against each other, so an object
//! that has one twice is refused as a whole, at any depth (threats A-TOK-17, A-INJ-06).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

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
    match read(text)? {
        Value::Object(map) => Ok(map),
        _ => Err(JsonError),
    }
}

/// Reads one JSON value of any kind.
///
/// # Errors
/// [`JsonError`]: as [`read_object`], but for what it is.
pub fn read_value(text: &[u8]) -> Result<Value, JsonError> {
    read(text)
}

/// The same as [`read_object`] without a copy of what is in it: for whoever looks at some members and keeps none. Members are found by looking
/// through them, so it is for texts of known length.
///
/// # Errors
/// As [`read_object`].
pub(crate) fn read_members(text: &[u8]) -> Result<Members<'_>, JsonError> {
    match read(text)? {
        Glance::Object(members) => Ok(members),
        _ => Err(JsonError),
    }
}

fn read<'de, T: Shape<'de>>(text: &'de [u8]) -> Result<T, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict::new(0).deserialize(&mut reader).map_err(|_| JsonError)?;
    reader.end().map_err(|_| JsonError)?;
    Ok(value)
}

/// A JSON value that borrows from the text in which it stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Glance<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Members<'a>),
}

/// The members of a JSON object, in their order, each once.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Glance<'a>)>);

impl<'a> Members<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&Glance<'a>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Glance<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Glance<'a> {
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }
}

/// What the strict reader makes of a text: a value of its own, or one that borrows.
trait Shape<'de>: Sized {
    type Object: Default;

    fn null() -> Self;
    fn bool(value: bool) -> Self;
    fn number(value: Number) -> Self;
    fn text(value: Cow<'de, str>) -> Self;
    fn list(items: Vec<Self>) -> Self;
    fn object(members: Self::Object) -> Self;

    /// Whether there was no such member yet.
    fn add(members: &mut Self::Object, key: Cow<'de, str>, value: Self) -> bool;
}

impl<'de> Shape<'de> for Value {
    type Object = JsonMap;

    fn null() -> Self {
        Self::Null
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(value: Number) -> Self {
        Self::Number(value)
    }

    fn text(value: Cow<'de, str>) -> Self {
        Self::String(value.into_owned())
    }

    fn list(items: Vec<Self>) -> Self {
        Self::Array(items)
    }

    fn object(members: JsonMap) -> Self {
        Self::Object(members)
    }

    fn add(members: &mut JsonMap, key: Cow<'de, str>, value: Self) -> bool {
        members.insert(key.into_owned(), value).is_none()
    }
}

impl<'de> Shape<'de> for Glance<'de> {
    type Object = Members<'de>;

    fn null() -> Self {
        Self::Null
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(value: Number) -> Self {
        Self::Number(value)
    }

    fn text(value: Cow<'de, str>) -> Self {
        Self::Text(value)
    }

    fn list(items: Vec<Self>) -> Self {
        Self::List(items)
    }

    fn object(members: Members<'de>) -> Self {
        Self::Object(members)
    }

    fn add(members: &mut Members<'de>, key: Cow<'de, str>, value: Self) -> bool {
        let is_new = members.get(&key).is_none();
        members.0.push((key, value));
        is_new
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

struct Strict<T> {
    depth: usize,
    makes: PhantomData<T>,
}

impl<T> Strict<T> {
    fn new(depth: usize) -> Self {
        Self {
            depth,
            makes: PhantomData,
        }
    }

    fn inside<E: Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("too deep"));
        }
        Ok(self.depth + 1)
    }
}

impl<'de, T: Shape<'de>> DeserializeSeed<'de> for Strict<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<T, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, T: Shape<'de>> Visitor<'de> for Strict<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(T::number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(T::number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Number::from_f64(value)
            .map(T::number)
            .ok_or_else(|| E::custom("not finite"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<T, E> {
        Ok(T::text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<T, E> {
        Ok(T::text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<T, E> {
        Ok(T::text(Cow::Owned(value)))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::null())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        let depth = self.inside()?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Self::new(depth))? {
            out.push(item);
        }
        Ok(T::list(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<T, A::Error> {
        let depth = self.inside()?;
        let mut out = T::Object::default();
        while let Some(key) = members.next_key_seed(Key)? {
            if key == ARBITRARY_NUMBER {
                return number(members.next_value()?).map(T::number);
            }
            if !T::add(&mut out, key, members.next_value_seed(Self::new(depth))?) {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(T::object(out))
    }
}

/// The name of a member, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// An application may switch on `arbitrary_precision` of `serde_json`, for all of its process; numbers then come as a
/// map of this one member. No text that a client sends can name it and still be an object.
fn number<E: Error>(text: String) -> Result<Number, E> {
    text.parse().map_err(|_| E::custom("not a number"))
}

const ARBITRARY_NUMBER: &str = "$serde_json::private::Number";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::value::{Error as ValueError, MapDeserializer};
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, JsonError> {
        let read = read_object(text.as_bytes()).map(Value::Object);
        let glanced = read_members(text.as_bytes()).map(|members| owned(&Glance::Object(members)));
        assert_eq!(read, glanced, "both readers read the same: {text}");
        read
    }

    fn owned(value: &Glance<'_>) -> Value {
        match value {
            Glance::Null => Value::Null,
            Glance::Bool(value) => Value::Bool(*value),
            Glance::Number(value) => Value::Number(value.clone()),
            Glance::Text(value) => Value::String(value.clone().into_owned()),
            Glance::List(items) => Value::Array(items.iter().map(owned).collect()),
            Glance::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| (name.to_owned(), owned(value)));
                Value::Object(members.collect())
            }
        }
    }

    #[test]
    fn a_glance_copies_nothing_but_what_is_escaped() {
        let members = read_members(br#"{"a":"plain","b\u0063":"esc\u0061ped"}"#).unwrap();
        let [(a, plain), (bc, escaped)] = &members.0[..] else {
            panic!("{members:?}")
        };
        assert!(matches!(
            (a, plain),
            (Cow::Borrowed("a"), Glance::Text(Cow::Borrowed("plain")))
        ));
        assert_eq!(bc, "bc");
        assert!(matches!(escaped, Glance::Text(text) if text == "escaped"));
        assert_eq!(members.get("bc"), Some(escaped));
        assert_eq!(members.get("c"), None);
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
            Strict::<Value>::new(1).deserialize(reader)
        };
        assert_eq!(as_map("17").unwrap(), json!(17));
        assert!(as_map("x").is_err());
    }

    proptest! {
        #[test]
        fn both_readers_read_the_same_of_any_text(
            text in r#"[ ]?\{("[ab\\u]{0,2}":["\[\]{}:,0-9a-z.eE+-]{0,8},?){0,4}\}[ x]?"#,
            value in any_json(),
        ) {
            let _ = read(&text);
            prop_assert_eq!(read(&json!({ "value": value }).to_string()), Ok(json!({ "value": value })));
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
