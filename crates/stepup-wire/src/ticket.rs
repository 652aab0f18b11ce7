//! The cookie that binds a sign-in by a provider to the browser that began it (threat A-OAU-02).
//!
//! Each has a name of its own, after the challenge that it belongs to, so that two tabs do not disturb one another; a few of
//! them are kept and the oldest go. Where cookies are `Secure` its name begins with `__Host-`, so that no sibling host can plant
//! or overwrite one (RFC 6265bis §4.1.3.2): no client looks for it, so that it needs no other. On plain http only the endpoints
//! get it, by its path.

use http::HeaderMap;
use stepup_core::factor::third_party::Ticket;
use stepup_core::time::Timestamp;

use crate::cookie::{CookieRules, pairs};

/// How many sign-ins of one browser may be under way.
const MOST: usize = 5;

/// How much of a challenge's id is in a name: enough that two are never the same by chance.
const LETTERS: usize = 16;

fn prefix(rules: &CookieRules) -> &'static str {
    match rules.secure {
        true => "__Host-sTicket-",
        false => "sTicket-",
    }
}

fn name(rules: &CookieRules, ticket: &Ticket) -> String {
    let id = ticket.challenge();
    let letters: String = id.as_str().chars().take(LETTERS).collect();
    format!("{}{letters}", prefix(rules))
}

/// Hands `ticket` to the browser, and takes the oldest ones of a full jar back.
pub(crate) fn hand_out(
    rules: &CookieRules,
    request: &HeaderMap,
    ticket: &Ticket,
    until: Timestamp,
    answer: &mut HeaderMap,
) {
    let held: Vec<String> = pairs(request)
        .filter_map(|(name, _)| std::str::from_utf8(name).ok())
        .filter(|name| is_ours(rules, name))
        .map(str::to_owned)
        .collect();
    // Browsers send the older ones first (RFC 6265 §5.4).
    let too_many = (held.len() + 1).saturating_sub(MOST);
    for old in held.iter().take(too_many) {
        rules.clear_ticket(answer, old);
    }
    rules.set_ticket(answer, &name(rules, ticket), ticket.encode().expose(), until);
}

/// Whether `name` is one that we may have given. Nothing else of a request gets into an answer.
fn is_ours(rules: &CookieRules, name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let rest = name.strip_prefix(prefix(rules));
    rest.is_some_and(|rest| rest.len() == LETTERS && rest.chars().all(plain))
}

/// Whether the browser of `request` is the one that was handed `ticket`. What a sibling host has planted beside it takes
/// nothing away.
pub(crate) fn is_held(rules: &CookieRules, request: &HeaderMap, ticket: &Ticket) -> bool {
    let own = name(rules, ticket);
    let same = |value: &[u8]| {
        let held = std::str::from_utf8(value).ok().and_then(Ticket::parse);
        held.is_some_and(|held| held.challenge() == ticket.challenge())
    };
    pairs(request).any(|(name, value)| name == own.as_bytes() && same(value))
}

/// Takes `ticket` back.
pub(crate) fn take_back(rules: &CookieRules, ticket: &Ticket, answer: &mut HeaderMap) {
    rules.clear_ticket(answer, &name(rules, ticket));
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{COOKIE, SET_COOKIE};

    use super::*;
    use crate::cookie::Names;
    use crate::site::SameSite;

    const LATER: Timestamp = Timestamp::from_ms(1_764_000_600_000);

    fn rules() -> CookieRules {
        CookieRules::new(SameSite::Lax, true, "/auth/session/refresh")
    }

    fn on_plain_http() -> CookieRules {
        CookieRules::new(SameSite::Lax, false, "/auth/session/refresh")
    }

    fn ticket(letter: &str) -> Ticket {
        // The last of 43 characters stands for four bits only.
        Ticket::parse(&format!("{}A", letter.repeat(42))).unwrap()
    }

    fn carrying(line: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(line).unwrap())])
    }

    fn handed(request: &HeaderMap) -> Vec<String> {
        handed_by(&rules(), request)
    }

    fn handed_by(rules: &CookieRules, request: &HeaderMap) -> Vec<String> {
        let mut answer = HeaderMap::new();
        hand_out(rules, request, &ticket("a"), LATER, &mut answer);
        let lines = answer.get_all(SET_COOKIE).iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_ticket_is_for_this_host_and_no_script() {
        for names in [Names::Compatible, Names::Prefixed] {
            let rules = CookieRules { names, ..rules() };
            let lines = handed_by(&rules, &HeaderMap::new());
            let [line] = lines.as_slice() else {
                panic!("{lines:?}");
            };
            assert!(
                line.starts_with("__Host-sTicket-") && line.contains("=aaaa"),
                "{line}"
            );
            for part in [
                "; Path=/;",
                "; HttpOnly",
                "; Secure",
                "; SameSite=Lax",
                "Expires=",
            ] {
                assert!(line.contains(part), "{line}");
            }
            assert!(!line.contains("Domain"));
        }
        // A browser would refuse the name on plain http. There it goes to the endpoints alone.
        let lines = handed_by(&on_plain_http(), &HeaderMap::new());
        assert!(
            lines[0].starts_with("sTicket-") && lines[0].contains("; Path=/auth;"),
            "{lines:?}"
        );
        assert!(!lines[0].contains("Secure") && !lines[0].contains("Domain"));
    }

    #[test]
    fn a_full_jar_loses_its_oldest() {
        let all: Vec<String> = ["b", "c", "d", "e", "f"]
            .map(|letter| format!("{}=x", name(&rules(), &ticket(letter))))
            .into();
        let lines = handed(&carrying(&all.join("; ")));
        assert_eq!(lines.len(), 2, "{lines:?}");
        let oldest = name(&rules(), &ticket("b"));
        assert!(lines[0].starts_with(&format!("{oldest}=;")), "{lines:?}");
        // What is none of ours is let lie.
        let foreign = carrying(
            "__Host-sTicket-; __Host-sTicket-short=1; __Host-sTicket-aaaaaaaaaaaaaaa%0=1; sTicket-aaaaaaaaaaaaaaaa=1; other=1",
        );
        assert_eq!(handed(&foreign).len(), 1);
    }

    #[test]
    fn only_the_ticket_itself_under_its_own_name_is_held() {
        let (own, other) = (ticket("a"), ticket("b"));
        let (named, text) = (name(&rules(), &own), own.encode().expose().clone());
        let held = |line: &str| is_held(&rules(), &carrying(line), &own);
        assert!(held(&format!("{named}={text}")));
        assert!(held(&format!("{named}=planted; {named}={text}")));
        let another = other.encode().expose().clone();
        for line in [
            String::new(),
            format!("{named}="),
            format!("{named}={another}"),
            format!("{}={text}", name(&rules(), &other)),
            format!("{named}={}", &text[1..]),
        ] {
            assert!(!held(&line), "{line}");
        }
        assert!(!is_held(&rules(), &HeaderMap::new(), &own));
    }
}
