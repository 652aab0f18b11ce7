use proptest::prelude::*;
use serde_json::json;

use super::*;

fn fields(body: &str) -> Result<Fields, InputError> {
    Fields::read(body.as_bytes(), &Limits::default())
}

fn refused(body: impl AsRef<[u8]>) {
    let body = body.as_ref();
    let shown = String::from_utf8_lossy(body.get(..body.len().min(80)).unwrap()).into_owned();
    assert_eq!(
        Fields::read(body, &Limits::default()),
        Err(InputError::Malformed),
        "{shown}"
    );
}

#[test]
fn what_readers_could_understand_differently_is_refused() {
    refused(r#"{"a":1,"a":1}"#);
    refused(r#"{"a":1,"\u0061":2}"#);
    refused(r#"{"x":{"y":[{"a":1,"b":2,"a":3}]}}"#);
    refused(r#"{"a":1} "#.to_owned() + "x");
    refused(r#"{"a":1}{}"#);
    refused(r#"{"a":1,}"#);
    refused(r#"{"a":NaN}"#);
    refused(r#"{"a":Infinity}"#);
    refused(r#"{"a":1e400}"#);
    refused(r#"{"a":-1e400}"#);
    refused(r#"{"a":01}"#);
    refused(r#"{"a":"\ud800"}"#);
    refused(r#"{"a":"\udc00\ud800"}"#);
    refused(r#"{"\ud800":1}"#);
    refused(r#"{"a":1 /* c */}"#);
    refused("// c\n{}");
    refused(r"{'a':1}");
    refused("\u{feff}{}");
    refused(b"{\"a\":\"\xff\"}");
    refused(b"{\"a\":\"\xc0\x80\"}");
    refused("{\"a\":\"line\nbreak\"}");
    refused(b"{\"a\":\"\x00\"}");
    refused("");
    refused(" ");
    refused("\0");
}

#[test]
fn a_body_is_one_object() {
    for body in ["[]", "null", "1", "\"x\"", "true", "[{}]"] {
        refused(body);
    }
    assert_eq!(fields(" {} \n").unwrap(), Fields::default());
}

#[test]
fn sixteen_levels_are_read_and_seventeen_are_not() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(fields(&nested(16)).is_ok());
    refused(nested(17));
    refused(nested(100_000));
    refused("[".repeat(100_000));
    let arrays = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(fields(&arrays(15)).is_ok());
    refused(arrays(16));
}

#[test]
fn width_is_bounded() {
    let object = |n: usize| {
        (0..n)
            .map(|i| format!("\"k{i}\":0"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let array = |n: usize| vec!["0"; n].join(",");
    assert!(fields(&format!("{{{}}}", object(256))).is_ok());
    refused(format!("{{{}}}", object(257)));
    refused(format!("{{{}}}", object(100_000)));
    assert!(fields(&format!("{{\"a\":[{}]}}", array(256))).is_ok());
    refused(format!("{{\"a\":[{}]}}", array(257)));
    refused(format!("{{\"a\":[{}]}}", array(1_000_000)));
}

#[test]
fn strings_of_two_kibibytes_are_read_and_longer_ones_are_not() {
    assert!(fields(&format!("{{\"a\":\"{}\"}}", "x".repeat(2048))).is_ok());
    refused(format!("{{\"a\":\"{}\"}}", "x".repeat(2049)));
    refused(format!("{{\"a\":\"{}\"}}", "\\n".repeat(2049)));
    refused(format!("{{\"{}\":1}}", "x".repeat(2049)));
}

#[test]
fn fields_are_typed_exactly() {
    let body = fields(r#"{"s":"x","n":1,"null":null,"t":true,"true":"true","e":""}"#).unwrap();
    assert_eq!(body.string("s"), Ok(Some("x")));
    assert_eq!(body.string("absent"), Ok(None));
    assert_eq!(body.string("e"), Ok(Some("")));
    for name in ["n", "null", "t"] {
        assert_eq!(body.string(name), Err(InputError::WrongType(name)));
    }
    assert_eq!(body.required("absent"), Err(InputError::Missing("absent")));
    assert_eq!(body.flag("t"), Ok(Some(true)));
    assert_eq!(body.flag("absent"), Ok(None));
    for name in ["true", "n", "null"] {
        assert_eq!(body.flag(name), Err(InputError::WrongType(name)));
    }
}

#[test]
fn a_form_is_a_list_of_ids_with_values() {
    let body = fields(
        r#"{"formFields":[{"id":"email","value":" a@b.c "},{"id":"password","value":""},{"id":"age","value":3}]}"#,
    )
    .unwrap();
    let form = body.form().unwrap();
    assert_eq!(form.len(), 3);
    assert_eq!(form.text("email"), Ok(Some(" a@b.c ")));
    assert_eq!(form.text("password"), Ok(None));
    assert_eq!(form.text("absent"), Ok(None));
    assert_eq!(form.text("age"), Err(InputError::WrongType("age")));
    for wrong in [
        r#"{"formFields":{}}"#,
        r#"{"formFields":null}"#,
        r#"{"formFields":[1]}"#,
        r#"{"formFields":["id"]}"#,
        r#"{"formFields":[{"id":1,"value":""}]}"#,
        r#"{"formFields":[{"id":"email"}]}"#,
        r#"{"formFields":[{"value":"x"}]}"#,
        r#"{"formFields":[{"id":"email","value":"a"},{"id":"email","value":"b"}]}"#,
    ] {
        assert_eq!(
            fields(wrong).unwrap().form(),
            Err(InputError::WrongType("formFields")),
            "{wrong}"
        );
    }
    assert_eq!(
        fields("{}").unwrap().form(),
        Err(InputError::Missing("formFields"))
    );
}

#[test]
fn thirty_two_form_fields_are_read_and_more_are_not() {
    let form = |n: usize| {
        let list: Vec<_> = (0..n)
            .map(|i| json!({"id": format!("f{i}"), "value": ""}))
            .collect();
        fields(&json!({ "formFields": list }).to_string())
            .unwrap()
            .form()
            .map(|form| form.len())
    };
    assert_eq!(form(32), Ok(32));
    assert_eq!(form(33), Err(InputError::WrongType("formFields")));
}

#[test]
fn debug_shows_no_field() {
    let body = fields(r#"{"formFields":[{"id":"password","value":"canary"}]}"#).unwrap();
    assert!(!format!("{body:?} {:?}", body.form()).contains("canary"));
}

#[test]
fn an_error_repeats_nothing_of_the_body() {
    let error = fields(r#"{"canary":"canary","canary":1}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Quarters are exact; how far serde_json rounds other fractions is its own affair.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(value in value()) {
        let body = json!({ "v": value });
        let read = Fields::read(body.to_string().as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(Value::Object(read.0).to_string(), body.to_string());
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Fields::read(&body, &Limits::default());
    }

    #[test]
    fn what_is_read_is_what_the_ordinary_reader_reads(body in "[{}\\[\\]\",:0-9a-b\\\\ue. -]{0,40}") {
        if let Ok(read) = Fields::read(body.as_bytes(), &Limits::default()) {
            prop_assert_eq!(Value::Object(read.0), serde_json::from_str::<Value>(&body).unwrap());
        }
    }
}
