//! G3, G4 and G8: verifying an access token, remembering it, and signing one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use stats_alloc::Region;
use stepup::Stepup;
use stepup::session::keys::SigningAlgorithm;
use stepup::storage::memory::MemoryStore;

use crate::site::Site;
use crate::table::{Goal, figure, median, ratio, show};
use crate::{COUNTED, Effort};

/// Measures and prints.
pub fn run(effort: Effort) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        cold(effort).await;
        warm(effort).await;
        flood(effort).await;
    });
}

async fn site(algorithm: SigningAlgorithm, remembered: usize) -> Site {
    Site::new(Arc::new(MemoryStore::new()), algorithm, |builder| {
        builder.configure(|config| config.sessions.remembered_bytes = remembered)
    })
    .await
}

async fn cold(effort: Effort) {
    let mut rows = Vec::new();
    for (algorithm, jwa, goal) in [
        (SigningAlgorithm::Rs256, Algorithm::RS256, 1.15),
        (SigningAlgorithm::Es256, Algorithm::ES256, 1.06),
        (SigningAlgorithm::EdDsa, Algorithm::EdDSA, 1.06),
    ] {
        let site = site(algorithm, 0).await;
        let token = site.complete("ann").await;
        let set: JwkSet = serde_json::from_str(&site.stepup.jwks().body).expect("a key set");
        let text: Value = serde_json::from_str(&site.stepup.jwks().body).expect("a key set");
        let kid = jsonwebtoken::decode_header(&token)
            .expect("a header")
            .kid
            .expect("a key id");
        let decoding = DecodingKey::from_jwk(set.find(&kid).expect("the key")).expect("a key");
        let mut validation = Validation::new(jwa);
        validation.set_issuer(&["http://localhost:3000/auth"]);
        let raw = Raw::new(algorithm, &text, &kid, &token);

        let (mut raws, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..effort.rounds.max(3) {
            raws.push(time(2_000, || assert!(raw.verify())));
            ours.push(time(2_000, || {
                assert!(site.stepup.verify(black_box(&token)).is_ok())
            }));
            theirs.push(time(2_000, || {
                assert!(jsonwebtoken::decode::<Value>(black_box(&token), &decoding, &validation).is_ok());
            }));
        }
        let region = Region::new(COUNTED);
        let verified = site.stepup.verify(&token);
        let allocations = region.change().allocations;
        assert!(verified.is_ok());
        let (raw, ours, theirs) = (median(&mut raws), median(&mut ours), median(&mut theirs));
        rows.push(vec![
            algorithm.name().to_owned(),
            figure(raw / 1e3),
            figure(ours / 1e3),
            figure(theirs / 1e3),
            allocations.to_string(),
            ratio(ours / raw, Goal::AtMost(goal)),
        ]);
    }
    show(
        "G3: a token that is not remembered",
        &[
            "algorithm",
            "signature alone µs",
            "stepup µs",
            "jsonwebtoken::decode µs",
            "allocations",
            "stepup ÷ signature alone",
        ],
        &rows,
    );
}

/// A signature check and nothing else, with a key that was parsed before.
struct Raw {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Raw {
    fn new(algorithm: SigningAlgorithm, set: &Value, kid: &str, token: &str) -> Self {
        let keys = set["keys"].as_array().expect("keys");
        let jwk = keys.iter().find(|key| key["kid"] == kid).expect("the key");
        let part = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(jwk[name].as_str().expect("a member"))
                .expect("base64url")
        };
        let key = match algorithm {
            SigningAlgorithm::Es256 => {
                let point = [vec![4], part("x"), part("y")].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            SigningAlgorithm::EdDsa => ParsedPublicKey::new(&ED25519, part("x")),
            SigningAlgorithm::Rs256 => {
                // RFC 8017 §A.1.1: n and e, with a zero before what would be negative otherwise.
                let integer = |bytes: Vec<u8>| {
                    let zero: &[u8] = if bytes[0] < 0x80 { &[] } else { &[0] };
                    element(0x02, zero, &bytes)
                };
                let integers = [integer(part("n")), integer(part("e"))].concat();
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, element(0x30, &[], &integers))
            }
        };
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        Self {
            key: key.expect("a key"),
            message: message.as_bytes().to_vec(),
            signature: URL_SAFE_NO_PAD.decode(signature).expect("base64url"),
        }
    }

    fn verify(&self) -> bool {
        self.key
            .verify_sig(black_box(&self.message), black_box(&self.signature))
            .is_ok()
    }
}

/// A DER element of less than 64 KiB.
fn element(tag: u8, before: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(before.len() + content.len()).expect("a short element");
    let [high, low] = length.to_be_bytes();
    let head: &[u8] = match length {
        ..0x80 => &[tag, low],
        0x80..0x100 => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, before, content].concat()
}

async fn warm(effort: Effort) {
    let sizes: &[usize] = if effort.rounds > 1 {
        &[1_000, 100_000, 1_000_000]
    } else {
        &[1_000]
    };
    let mut rows = Vec::new();
    let mut first = None;
    for &entries in sizes {
        let site = site(SigningAlgorithm::Es256, 4 << 30).await;
        let token = site.complete("ann").await;
        let tokens = tokens(&site.stepup, &token, entries).await;
        let region = Region::new(COUNTED);
        // Twice: what is new is on probation.
        for _ in 0..2 {
            for token in &tokens {
                assert!(site.stepup.verify(token).is_ok(), "it lives for fifteen minutes");
            }
        }
        let change = region.change();
        let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        let mut at = 0;
        let mut hits: Vec<f64> = (0..effort.rounds.max(3))
            .map(|_| {
                let mut spent = 0;
                for _ in 0..LOOKS / BATCH {
                    // A stride that visits all of them, so that the processor's own memory helps as little as in a
                    // server. What is presented has just been read from a connection, so it is copied before.
                    let presented: Vec<String> = (0..BATCH)
                        .map(|_| {
                            at = (at + STRIDE) % tokens.len();
                            tokens[at].clone()
                        })
                        .collect();
                    let began = Instant::now();
                    for token in &presented {
                        black_box(site.stepup.verify(token).is_ok());
                    }
                    spent += began.elapsed().as_nanos();
                }
                spent as f64 / (LOOKS / BATCH * BATCH) as f64
            })
            .collect();
        let same = time(LOOKS as u32, || {
            black_box(site.stepup.verify(&tokens[0]).is_ok());
        });
        let region = Region::new(COUNTED);
        assert!(site.stepup.verify(&tokens[0]).is_ok());
        let allocations = region.change().allocations;
        let hit = median(&mut hits);
        let beside = *first.get_or_insert(hit);
        let each = bytes / entries as f64;
        let look = look(entries, each as usize);
        rows.push(vec![
            entries.to_string(),
            figure(same),
            figure(hit),
            figure(hit / beside),
            figure(look),
            figure((hit - same) / look),
            allocations.to_string(),
            figure(each),
        ]);
    }
    show(
        "G3, G8: a remembered token",
        &[
            "tokens remembered",
            "the same one ns",
            "all in a stride ns",
            "× the smallest",
            "one look at memory ns",
            "looks",
            "allocations",
            "bytes a token",
        ],
        &rows,
    );
}

/// Looks in a round; so many at a time; and how far it is from one to the next.
const LOOKS: usize = 200_000;
const BATCH: usize = 64;
const STRIDE: usize = 7_919;

/// Nanoseconds that it takes to look at a place that nobody looked at lately, where so many things of that size are: each
/// place tells the next. No table of that size can answer faster.
fn look(places: usize, bytes: usize) -> f64 {
    let each = bytes / size_of::<usize>();
    let mut memory = vec![0_usize; places * each];
    for place in 0..places {
        memory[place * each] = (place + STRIDE) % places;
    }
    let mut at = 0;
    let mut times: Vec<f64> = (0..3)
        .map(|_| {
            time(LOOKS as u32, || {
                at = memory[at * each];
            })
        })
        .collect();
    black_box(at);
    median(&mut times)
}

/// What a flood of tokens costs that are not remembered, beside a site that remembers none, and whom it drives out.
async fn flood(effort: Effort) {
    const REMEMBERED: usize = 16 << 20;
    const USED: usize = 4_000;
    // More than there is room for, so that a second round finds none of the first.
    let sent = if effort.rounds > 1 { 40_000 } else { 20_000 };
    let (with, without) = (
        site(SigningAlgorithm::Es256, REMEMBERED).await,
        site(SigningAlgorithm::Es256, 0).await,
    );
    let mut sides = Vec::new();
    for site in [&with, &without] {
        let token = site.complete("ann").await;
        let used = tokens(&site.stepup, &token, USED).await;
        let new = tokens(&site.stepup, &token, sent).await;
        // The end of a remembered one, by which it is found: as much of the memory is looked at as can be.
        let forged: Vec<String> = new
            .iter()
            .zip(&used)
            .map(|(new, used)| format!("{}{}", &new[..new.len() - 40], &used[used.len() - 40..]))
            .collect();
        sides.push((site, used, new, forged));
    }
    let is_remembered = |token: &String| {
        let region = Region::new(COUNTED);
        assert!(with.stepup.verify(token).is_ok());
        region.change().allocations == 0
    };
    // Twice: what is new is on probation.
    let (_, used, ..) = &sides[0];
    let remembered = || used.iter().filter(|token| is_remembered(token)).count();
    remembered();
    let before = remembered();
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..effort.rounds.max(3) {
        for (side, (site, _, new, forged)) in sides.iter().enumerate() {
            for (kind, tokens) in [forged, new].into_iter().enumerate() {
                let began = Instant::now();
                for token in tokens {
                    assert_eq!(site.stepup.verify(black_box(token)).is_ok(), kind == 1);
                }
                times[2 * kind + side].push(began.elapsed().as_nanos() as f64 / tokens.len() as f64);
            }
        }
    }
    let after = used.iter().filter(|token| is_remembered(token)).count();
    let [mut forged, mut forged_without, mut new, mut new_without] = times;
    let row = |name: &str, with: &mut Vec<f64>, without: &mut Vec<f64>| {
        let (with, without) = (median(with), median(without));
        vec![
            name.to_owned(),
            figure(with / 1e3),
            figure(without / 1e3),
            ratio(with / without, Goal::AtMost(1.05)),
        ]
    };
    show(
        "G3: a flood of tokens that nobody has seen before, ES256",
        &["tokens", "remembering µs", "not remembering µs", "ratio"],
        &[
            row("forged signatures", &mut forged, &mut forged_without),
            row("valid, used once", &mut new, &mut new_without),
        ],
    );
    println!(
        "\nOf {} tokens that were in use before, {after} are remembered after {} rounds of {sent} others, unused meanwhile.",
        before,
        effort.rounds.max(3),
    );
}

/// Many tokens of one session: each signature is drawn anew.
async fn tokens(stepup: &Stepup, token: &str, count: usize) -> Vec<String> {
    let access = stepup.verify(token).expect("our own token");
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let issued = stepup.merge_own_payload(&access, &serde_json::Map::new()).await;
        tokens.push(issued.expect("is issued").expect("lives").access.expose().clone());
    }
    tokens
}

/// Nanoseconds a call.
fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    for _ in 0..calls / 10 {
        call();
    }
    let began = Instant::now();
    for _ in 0..calls {
        call();
    }
    began.elapsed().as_nanos() as f64 / f64::from(calls)
}
