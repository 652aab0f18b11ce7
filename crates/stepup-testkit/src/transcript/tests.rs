use super::*;

fn bytes(text: &str) -> Vec<u8> {
    let list = Transcript::list(text);
    let fill = |name: &str| (name == "token").then(|| "abc".to_owned());
    list[0].steps[0].bytes(&fill)
}

#[test]
fn what_is_sent_is_what_is_written() {
    let text = "== a\n> POST /{x*3} HTTP/1.1\n> a: {token} {other}\n> content-length: {length}\n>\n> {\"b\":\n> \\xff}\n< 200\n";
    assert_eq!(
        bytes(text),
        b"POST /xxx HTTP/1.1\r\na: abc {other}\r\ncontent-length: 7\r\n\r\n{\"b\":\xff}"
    );
    assert_eq!(bytes("== a\n> GET\\n\\\n> /\n< refused\n"), b"GET\n/\r\n");
}

#[test]
fn requests_in_one_write_are_told_apart_and_steps_by_answers() {
    let text =
        "== a\n> HEAD / HTTP/1.1\n>\n>> GET /b HTTP/1.1\n>\n< 200\n< 200\n> PUT /c HTTP/1.1\n>\n< 404\n";
    let list = Transcript::list(text);
    let steps = &list[0].steps;
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].methods(), ["HEAD", "GET"]);
    assert_eq!(
        steps[0].bytes(&|_| None),
        b"HEAD / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
    );
    assert_eq!(steps[1].methods(), ["PUT"]);
}

#[test]
fn an_answer_shows_what_matters_and_nothing_that_is_new_each_time() {
    let answer = Answer {
        status: 200,
        headers: [
            ("date", "today"),
            (
                "set-cookie",
                "sAccessToken=eyJ.a.b; Path=/; Expires=Fri, 27 Nov 2026 10:00:00 GMT; HttpOnly",
            ),
            (
                "set-cookie",
                "sRefreshToken=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            ),
            ("set-cookie", "sTicket-a9_b=x; Path=/auth"),
            ("front-token", "remove"),
            ("access-control-allow-origin", "https://acme.test"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: br#"{"id":"12345678-1234-4123-8123-1234567890ab","t":1764000000000,"n":17}"#.to_vec(),
    };
    assert_eq!(
        answer.lines(),
        [
            "200",
            "access-control-allow-origin: https://acme.test",
            "front-token: remove",
            "set-cookie: sAccessToken=(a token); Path=/; Expires=(a date); HttpOnly",
            "set-cookie: sRefreshToken=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "set-cookie: sTicket-(an id)=(a token); Path=/auth",
            r#"{"id":"(an id)","t":(a time),"n":17}"#,
        ]
    );
}

#[test]
fn of_a_page_stands_its_title() {
    let answer = Answer {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())],
        body: b"<!doctype html>\n<title>Gone</title>\n<p>It is gone.".to_vec(),
    };
    let lines = answer.lines();
    assert_eq!(
        lines,
        ["200", "content-type: text/html; charset=utf-8", "(a page: Gone)"]
    );
}

#[test]
fn what_a_parser_refuses_is_a_4xx_or_a_close() {
    let step = Step {
        sent: Vec::new(),
        expected: vec![REFUSED.to_owned()],
        ..Step::default()
    };
    let met = |line: &str| step.is_met_by(&[line.to_owned()]);
    assert!(met("400") && met("431") && met(CLOSED));
    assert!(!met("200") && !met("500") && !met("4"));
    let exact = Step {
        sent: Vec::new(),
        expected: vec!["404".to_owned()],
        ..Step::default()
    };
    let long = ["404".to_owned(), "a body".to_owned()];
    assert!(!exact.is_met_by(&long));
    let open = Step {
        sent: Vec::new(),
        expected: vec!["404".to_owned(), REST.to_owned()],
        ..Step::default()
    };
    assert!(open.is_met_by(&long) && !open.is_met_by(&["200".to_owned()]));
    let either = Step {
        or_else: vec!["401".to_owned()],
        ..exact
    };
    assert!(either.is_met_by(&["401".to_owned()]) && either.is_met_by(&["404".to_owned()]));
    assert!(!either.is_met_by(&["403".to_owned()]));
}
