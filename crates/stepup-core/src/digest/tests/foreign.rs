//! Hashes of other systems, made by their own implementations.

use super::*;

const PASSWORD: &str = "correct horse battery";

/// Of the implementation in the C library, at costs that tests can bear.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";

/// The example of Firebase's own description of its hash.
const SIGNER: &str =
    "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
const FIREBASE: &str = "$f_scrypt$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==$42xEC+ixf3L2lw==$m=14$r=8$s=Bw==";

async fn verdict(text: &str, typed: &str) -> Verdict {
    let (hasher, _) = hasher(HashParams::default());
    hasher.verify(text, &password(typed)).await.unwrap()
}

const OLD: Verdict = Verdict::Right { rehash: true };

#[tokio::test]
async fn hashes_of_other_systems_are_verified_and_are_to_be_replaced() {
    for text in [
        BCRYPT,
        "$2y$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.",
        "$2a$04$K2CtDP7zSGOKgjXjxD9SYeDp.3lhrx3SCW4b482sslMgo8/7WGw3C",
        "bcrypt$$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
        "$pbkdf2-sha256$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJxyPFApArIZRCQsqjEgZWJ6MwvrqvCpwLuP/5ugtnLwaptyhKgF8nj7WtD3ieyZB6Q",
        "$pbkdf2-sha512$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$7F/Y1rnWXXurLCfFvAmyjyXtbABhgzBTBNcm//wlnvGBOz7OExlgRFs5qwaY5PzB3/WjR7P4yv/ACDQZpDXIfQ",
        "$pbkdf2-sha256$29000$MDEyMzQ1Njc4OWFiY2RlZg$HwysB.Ke0YuzHEd/zzqZI6iTbuC8ephxy6jSfQdwV8M",
        "pbkdf2_sha256$1000$seasalt$DrdiWD40lyBuydnjvZiDrdQMx1S1mOA9O0QYex0R6ww=",
        "argon2$argon2id$v=19$m=87795,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk",
    ] {
        assert_eq!(verdict(text, PASSWORD).await, OLD, "{text}");
        for wrong in ["correct horse batterY", "correct horse batter", ""] {
            assert_eq!(verdict(text, wrong).await, Verdict::Wrong, "{text} {wrong}");
        }
    }
}

#[tokio::test]
async fn a_hash_of_firebase_needs_the_key_of_its_project_in_the_text_or_configured() {
    let typed = password("user1password");
    let (bare, _) = hasher(HashParams::default());
    assert_eq!(bare.verify(FIREBASE, &typed).await.unwrap(), Verdict::Hostile);
    assert_eq!(bare.admit(FIREBASE).unwrap_err(), HashFault::NoSignerKey);
    let whole = format!("{FIREBASE}$k={SIGNER}");
    assert_eq!(bare.verify(&whole, &typed).await.unwrap(), OLD);
    let wrong = password("user1passwore");
    assert_eq!(bare.verify(&whole, &wrong).await.unwrap(), Verdict::Wrong);

    let keyed = bare.with_firebase(Some(FirebaseKey::parse(SIGNER).unwrap()));
    assert_eq!(keyed.verify(FIREBASE, &typed).await.unwrap(), OLD);
    // What is stored brings its key along.
    let stored = keyed.admit(FIREBASE).unwrap();
    assert_eq!(verdict(stored.expose(), "user1password").await, OLD);
    assert_eq!(keyed.admit(&whole).unwrap().expose(), &whole);
    assert!(!format!("{keyed:?}").contains("27, 41"), "{keyed:?}");
}

#[tokio::test]
async fn a_pwd_01_bcrypt_takes_72_bytes_and_what_it_cuts_is_known() {
    let long = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    let (hasher, _) = hasher(HashParams::default());
    for (typed, expected, cut) in [
        ("x".repeat(72), OLD, true),
        ("x".repeat(73), OLD, true),
        (format!("{}y", "x".repeat(72)), OLD, true),
        (format!("{}y", "x".repeat(71)), Verdict::Wrong, true),
        ("x".repeat(71), Verdict::Wrong, false),
    ] {
        let typed = password(&typed);
        assert_eq!(hasher.verify(long, &typed).await.unwrap(), expected);
        assert_eq!(hasher.cuts(long, &typed), cut);
    }
    // A short password is repeated with a NUL behind it: the repetition is another password.
    let repeated = format!("{PASSWORD}\0{PASSWORD}");
    assert_eq!(verdict(BCRYPT, &repeated).await, Verdict::Wrong);
    let own = hasher.hash(&password("whatever it was")).await.unwrap();
    assert!(!hasher.cuts(own.expose(), &password(&"x".repeat(100))));
}

#[tokio::test]
async fn a_pwd_02_hashes_of_others_hold_for_what_was_typed_and_for_its_normal_form() {
    // Made from a ligature, from a letter with a combining mark, and from their normal form.
    let raw = "$2b$04$abcdefghijklmnopqrstuu18ub12AfR1ExUvI6F9FmKcHCiBaZbVO";
    assert_eq!(verdict(raw, "p\u{e4}ss \u{fb01}").await, OLD);
    assert_eq!(verdict(raw, "p\u{e4}ss fi").await, Verdict::Wrong);
    let decomposed = "$2b$04$abcdefghijklmnopqrstuuTNWzNSKikSjaCS4YOaxzq43uxdLGfqy";
    assert_eq!(verdict(decomposed, "pa\u{308}ss").await, OLD);
    let (hasher, _) = hasher(HashParams::default());
    // Ours is made from the normal form, and found whatever was typed.
    let own = hasher.hash(&password("pa\u{308}ss")).await.unwrap();
    for typed in ["pa\u{308}ss", "p\u{e4}ss"] {
        assert_eq!(verdict(own.expose(), typed).await, RIGHT, "{typed}");
    }
    for typed in ["P\u{e4}ss", "p\u{e4}ss ", " p\u{e4}ss", "pass"] {
        assert_eq!(verdict(own.expose(), typed).await, Verdict::Wrong, "{typed}");
        assert_eq!(verdict(decomposed, typed).await, Verdict::Wrong, "{typed}");
    }
}

#[tokio::test]
async fn a_pwd_05_hostile_hashes_of_others_are_told_apart_before_any_work() {
    let salt = "abcdefghijklmnopqrstuu";
    let output = "qREtd3VJD2QVZbuFskFSLk6eRIrQoOS";
    let key = format!("$k={SIGNER}");
    let firebase = |params: &str| format!("{}{params}{key}", FIREBASE.split("$m=").next().unwrap());
    let phc = |params: &str| {
        format!("$pbkdf2-sha256${params}$MDEyMzQ1Njc4OWFiY2RlZg$HwysB+Ke0YuzHEd/zzqZI6iTbuC8ephxy6jSfQdwV8M")
    };
    let django = |n: &str| format!("pbkdf2_sha256${n}$seasalt$DrdiWD40lyBuydnjvZiDrdQMx1S1mOA9O0QYex0R6ww=");
    let (hasher, _) = hasher(HashParams::default());
    for (text, fault) in [
        (format!("$2b$15${salt}{output}"), HashFault::TooCostly),
        (format!("$2b$31${salt}{output}"), HashFault::TooCostly),
        (format!("$2b$99${salt}{output}"), HashFault::TooCostly),
        (format!("$2b$03${salt}{output}"), HashFault::Malformed),
        (format!("$2b$4${salt}{output}"), HashFault::Malformed),
        (format!("$2b$+4${salt}{output}"), HashFault::Malformed),
        (format!("$2b$04${salt}{output}x"), HashFault::Malformed),
        (format!("$2b$04${salt}"), HashFault::Malformed),
        (format!("$2b$04${}{output}", "!".repeat(22)), HashFault::Malformed),
        (format!("$2b$04${salt}{output}$"), HashFault::Unknown),
        (format!("$2x$04${salt}{output}"), HashFault::Unknown),
        (format!("$2$04${salt}{output}"), HashFault::Unknown),
        (phc("i=2000001"), HashFault::TooCostly),
        (phc("i=4294967295"), HashFault::TooCostly),
        (phc("i=99999999999999999999"), HashFault::TooCostly),
        (phc("i=0"), HashFault::Malformed),
        (phc("i=-1"), HashFault::Malformed),
        (phc("i="), HashFault::Malformed),
        (phc("i=1000,l=31"), HashFault::Malformed),
        (phc("i=1000,l=32,x=1"), HashFault::Malformed),
        (phc("i=1000,x=1"), HashFault::Malformed),
        (
            "$pbkdf2-sha256$i=1000$$HwysB+Ke0YuzHEd/zzqZI6iTbuC8ephxy6jSfQdwV8M".to_owned(),
            HashFault::Malformed,
        ),
        ("$pbkdf2-sha256$i=1000$MDEy$AAAA".to_owned(), HashFault::Malformed),
        ("$pbkdf2$i=1000$MDEy$AAAA".to_owned(), HashFault::Unknown),
        (
            "pbkdf2_sha1$1000$seasalt$LPTbYn9/9ALjztx0Dtq5V+DLYLg=".to_owned(),
            HashFault::Unknown,
        ),
        (django("2000001"), HashFault::TooCostly),
        (django("0"), HashFault::Malformed),
        (django(""), HashFault::Malformed),
        (firebase("$m=15$r=8$s=Bw=="), HashFault::TooCostly),
        (firebase("$m=255$r=8$s=Bw=="), HashFault::TooCostly),
        (firebase("$m=999999$r=8$s=Bw=="), HashFault::TooCostly),
        (firebase("$m=14$r=9$s=Bw=="), HashFault::TooCostly),
        (firebase("$m=14$r=4294967295$s=Bw=="), HashFault::TooCostly),
        (firebase("$m=0$r=8$s=Bw=="), HashFault::Malformed),
        (firebase("$m=14$r=0$s=Bw=="), HashFault::Malformed),
        (firebase("$m=14$m=14$r=8"), HashFault::Malformed),
        (firebase("$m=14$r=8$s=Bw==$x=1"), HashFault::Malformed),
        (firebase("$m=14"), HashFault::Malformed),
        (format!("$f_scrypt$AAAA$AAAA$m=14$r=8{key}"), HashFault::Malformed),
        (
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk"
                .to_owned(),
            HashFault::TooCostly,
        ),
        ("5f4dcc3b5aa765d61d8327deb882cf99".to_owned(), HashFault::Unknown),
        ("$".repeat(500), HashFault::Unknown),
        (format!("{BCRYPT}\u{e9}"), HashFault::Malformed),
        (BCRYPT.repeat(200), HashFault::Malformed),
        (String::new(), HashFault::Unknown),
    ] {
        assert_eq!(hasher.admit(&text).unwrap_err(), fault, "{text}");
    }
    let key = FirebaseKey::parse("c2hvcnQ=").unwrap_err();
    assert_eq!(key, HashFault::Malformed);
}

/// The work of a check that fails, as the hasher knows it now.
fn expected(hasher: &PasswordHasher) -> Effort {
    hasher.expected().work(1)
}

#[tokio::test]
async fn a_enu_02_a_hash_that_is_met_named_or_brought_in_is_expected_from_then_on() {
    let bcrypt = Effort::of(ForeignCost::Bcrypt { cost: 4 });
    let own = Effort::of_argon(HashParams::default());
    let (met, inline) = hasher(HashParams::default());
    assert_eq!(expected(&met), own);
    met.verify(BCRYPT, &password("wrong words")).await.unwrap();
    assert_eq!(expected(&met), own.max(bcrypt));
    let (brought, _) = hasher(HashParams::default());
    brought.admit(BCRYPT).unwrap();
    assert_eq!(expected(&brought), own.max(bcrypt));
    let (named, _) = hasher(HashParams::default());
    let named = named.expecting(&[ForeignCost::Bcrypt { cost: 4 }]);
    assert_eq!(expected(&named), own.max(bcrypt));
    // Cheaper ones, and such as are never verified, change nothing.
    let (refused, _) = hasher(HashParams::default());
    let weaker =
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk";
    for text in [
        weaker,
        "$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
    ] {
        refused.verify(text, &password("wrong words")).await.unwrap();
        assert_eq!(expected(&refused), own, "{text}");
    }
    // One job each, whatever it is made of.
    assert_eq!(inline.jobs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_pwd_02_argon2id_of_others_holds_for_what_was_typed_and_is_replaced() {
    // Made from "pa\u{308}ss", as it was typed, with the parameters that are ours as well.
    let salt = *b"somesaltsomesalt";
    let output = derive(HashParams::default(), "pa\u{308}ss", &salt, OUTPUT_LEN).unwrap();
    let raw = phc_string(HashParams::default(), &salt, &output).unwrap();
    let (hasher, _) = hasher(HashParams::default());
    let stored = hasher.admit(&raw).unwrap();
    let typed = password("pa\u{308}ss");
    assert_eq!(hasher.verify(stored.expose(), &typed).await.unwrap(), OLD);
    let normal = password("p\u{e4}ss");
    assert_eq!(
        hasher.verify(stored.expose(), &normal).await.unwrap(),
        Verdict::Wrong
    );
    // Read in again, it is marked once.
    assert_eq!(hasher.admit(stored.expose()).unwrap().expose(), stored.expose());
}

#[tokio::test]
async fn a_res_03_a_hash_that_is_too_much_beside_others_is_not_taken_in_and_not_verified() {
    let (hasher, _) = hasher(HashParams::default());
    let hasher = hasher.expecting(&[ForeignCost::Bcrypt { cost: 13 }]);
    let before = expected(&hasher);
    let pbkdf2 =
        "$pbkdf2-sha256$i=1000000$MDEyMzQ1Njc4OWFiY2RlZg$HwysB+Ke0YuzHEd/zzqZI6iTbuC8ephxy6jSfQdwV8M";
    assert_eq!(hasher.admit(pbkdf2).unwrap_err(), HashFault::TooCostly);
    assert!(admit_hash(pbkdf2, None).is_ok());
    let costly = "$2b$14$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";
    assert_eq!(admit_hash(costly, None).unwrap_err(), HashFault::TooCostly);
    assert_eq!(expected(&hasher), before);
    // In a row it is a hash that tells nothing, and raises nothing.
    let (narrow, _) = super::hasher(HashParams::default());
    let most = ForeignCost::Pbkdf2Sha512 { iterations: 830_000 };
    let narrow = narrow.expecting(&[most]);
    let before = expected(&narrow);
    assert_eq!(
        narrow.verify(pbkdf2, &password("wrong words")).await.unwrap(),
        Verdict::Hostile
    );
    assert_eq!(expected(&narrow), before);
}

proptest! {
    #[test]
    fn a_pwd_05_reading_hashes_of_others_never_panics(
        text in "\\PC{0,100}|\\$2[abxy]\\$[0-9]{1,3}\\$[A-Za-z0-9./]{0,60}|\\$pbkdf2-sha(256|512)\\$(i=)?[0-9]{0,11}(,l=[0-9]{1,4})?\\$[A-Za-z0-9./+]{0,40}\\$[A-Za-z0-9./+]{0,90}|\\$f_scrypt\\$[A-Za-z0-9+/=]{0,90}\\$[A-Za-z0-9]{0,20}(\\$[mrsk]=[A-Za-z0-9]{0,6}){0,4}|pbkdf2_sha256\\$[0-9]{0,11}\\$[a-z]{0,9}\\$[A-Za-z0-9+/=]{0,60}|(argon2|bcrypt)\\$\\PC{0,40}",
    ) {
        if let Ok(stored) = StoredHash::read(&text, None) {
            prop_assert!(stored.memory_kib() <= 256 * 1024);
            let effort = stored.effort();
            let most = Effort::of(ForeignCost::Bcrypt { cost: 14 })
                .max(Effort::of(ForeignCost::Pbkdf2Sha256 { iterations: 2_000_000 }).times(2))
                .max(Effort::of(ForeignCost::Pbkdf2Sha512 { iterations: 2_000_000 }))
                .max(Effort::of(ForeignCost::Argon2id { memory_kib: 256 * 1024, passes: 10 }))
                .max(Effort::of(ForeignCost::FirebaseScrypt { memory_cost: 14, rounds: 8 }));
            prop_assert_eq!(effort.max(most), most);
        }
    }
}
