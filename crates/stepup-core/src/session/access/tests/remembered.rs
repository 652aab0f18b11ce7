//! A token that is remembered is judged as one that is not.

use super::*;

/// The same site without a memory.
fn forgetful(site: &Site) -> AccessTokens {
    let config = SessionConfig {
        remembered_bytes: 0,
        ..SessionConfig::default()
    };
    let (keys, names) = (site.tokens.keys.clone(), site.tokens.reader.names.clone());
    tokens(keys, ISSUER, None, names, &config)
}

/// What of a verdict can be told apart.
fn shown(verdict: &Verified) -> Result<(String, JsonMap), AccessRefusal> {
    let claims = verdict.as_ref().map_err(|refusal| *refusal)?;
    let fields = format!(
        "{claims:?} {:?} {:?} {:?} {:?} {:?}",
        claims.method_id(),
        claims.refresh_hash(),
        claims.issued_at(),
        claims.mfa(),
        claims.second_factor()
    );
    Ok((fields, claims.payload().clone()))
}

#[tokio::test]
async fn a_token_is_verified_once() {
    let site = Site::new().await;
    let token = site.token();
    let first = site.verify(&token).unwrap();
    let again = site.tokens.verify(&token, start().plus(ACCESS)).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let cold = forgetful(&site);
    let first = cold.verify(&token, start()).unwrap();
    assert!(!Arc::ptr_eq(&first, &cold.verify(&token, start()).unwrap()));
}

#[tokio::test]
async fn nothing_that_was_refused_is_remembered() {
    let site = Site::new().await;
    let (token, old) = (site.token(), site.changed(|claims| claims["exp"] = 1.into()));
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[1] = parts[0];
    for refused in [&parts.join("."), &old, "", &token[1..], &format!("{token}x")] {
        assert!(site.verify(refused).is_err());
        assert!(site.tokens.reader.remembered.find(refused).is_none(), "{refused}");
    }
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_key() {
    let store: Arc<MemoryStore> = Arc::default();
    let root = Root::random("a".into(), &OsEntropy).unwrap();
    let ring = Arc::new(Keyring::new(&SecretList::new(vec![root])).unwrap());
    let config = SessionConfig::default();
    let load = SigningKeys::load(
        store.clone(),
        ring,
        Arc::new(OsEntropy),
        SigningAlgorithm::Es256,
        &config,
        start(),
    );
    let keys = Arc::new(load.await.unwrap());
    let tokens = tokens(keys.clone(), ISSUER, None, ClaimNames::default(), &config);
    let payload = tokens.payload(&Sample::new("ann").parts()).unwrap();
    let token = tokens.sign(&payload, start()).unwrap().token;
    let remembered = tokens.verify(token.expose(), start()).unwrap();

    // A poll that finds the same keys changes nothing.
    let version = keys.version();
    keys.poll(start()).await.unwrap();
    assert_eq!(keys.version(), version);
    let again = tokens.verify(token.expose(), start()).unwrap();
    assert!(Arc::ptr_eq(&remembered, &again));

    // Somebody took the key away, say because it leaked.
    let row = store.signing_keys().await.unwrap().remove(0);
    store.drop_signing_keys(row.verifies_until).await.unwrap();
    keys.poll(start().plus(SECOND)).await.unwrap();
    assert_eq!(keys.version(), version + 1);
    assert_flaw(
        &tokens.verify(token.expose(), start().plus(SECOND)),
        TokenFlaw::UnknownKey,
    );

    // It was a mistake: the token is verified anew, and remembered under the key as it is now.
    store
        .drop_signing_keys(row.verifies_until.plus(config.key_rotation))
        .await
        .unwrap();
    assert!(store.add_signing_key(&row).await.is_ok());
    keys.poll(start().plus(2 * SECOND)).await.unwrap();
    let anew = tokens.verify(token.expose(), start().plus(2 * SECOND)).unwrap();
    assert!(!Arc::ptr_eq(&remembered, &anew));
    let again = tokens.verify(token.expose(), start().plus(2 * SECOND)).unwrap();
    assert!(Arc::ptr_eq(&anew, &again));
}

#[tokio::test]
async fn a_payload_is_read_when_it_is_asked_for_and_counts_from_then_on() {
    let site = Site::new().await;
    let claims = site.verify(&site.token()).unwrap();
    let before = claims.accounted();
    assert!(
        before < 1_800,
        "{before}: a remembered token is to take up no more"
    );
    assert_eq!(claims.payload()["sub"], "ann");
    let after = claims.accounted();
    assert!(after > before, "{before} and {after}");
    claims.payload();
    assert_eq!(claims.accounted(), after);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_tok_07_no_edit_of_a_remembered_token_is_accepted(
        at in any::<prop::sample::Index>(),
        cut in 0..5_usize,
        insert in "[A-Za-z0-9_.=+/ -]{0,5}",
    ) {
        static TOKEN: LazyLock<String> = LazyLock::new(|| site().token());
        let site = site();
        let token = &*TOKEN;
        prop_assert!(site.verify(token).is_ok());
        let from = at.index(token.len());
        let to = (from + cut).min(token.len());
        let edited = format!("{}{insert}{}", &token[..from], &token[to..]);
        prop_assume!(edited != *token);
        prop_assert!(site.tokens.reader.remembered.find(&edited).is_none());
        prop_assert!(site.verify(&edited).is_err(), "{}", edited);
    }

    #[test]
    fn at_any_moment_a_remembered_token_is_judged_as_a_cold_one(
        life in 0..=3_600_i64,
        nbf in proptest::option::of(-1_000..1_000_i64),
        moments in proptest::collection::vec(
            prop_oneof![
                -5_000_000..5_000_000_i64,
                // Around the life of the key: 7 days, and twice that into the past.
                -1_300_000_000..1_300_000_000_i64,
                any::<i64>(),
            ],
            1..12,
        ),
    ) {
        static COLD: LazyLock<AccessTokens> = LazyLock::new(|| forgetful(site()));
        let site = site();
        let token = site.changed(|claims| {
            let iat = start().as_secs();
            claims["exp"] = (iat + life).into();
            if let Some(nbf) = nbf {
                claims.insert("nbf".to_owned(), (iat + nbf).into());
            }
        });
        for ms in moments {
            let now = Timestamp::from_ms(start().as_ms().saturating_add(ms));
            let (warm, cold) = (site.tokens.verify(&token, now), COLD.verify(&token, now));
            prop_assert_eq!(shown(&warm), shown(&cold), "{:?}", now);
        }
    }
}
