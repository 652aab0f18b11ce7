use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use sha2::Digest;

use super::*;
use crate::entropy::OsEntropy;
use crate::record::key::SigningKeyRecord;
use crate::storage::Stored;
use crate::time::Timestamp;

/// A root that is as good as random, and the same in every run.
fn root(id: &str) -> Root {
    Root {
        id: KeyId::from(id),
        key: Secret::new(Sha256::digest(id).to_vec()),
    }
}

fn ring(ids: &[&str]) -> Keyring {
    Keyring::new(&SecretList::new(ids.iter().map(|id| root(id)).collect())).unwrap()
}

fn raw(id: &str, key: &[u8]) -> Root {
    Root {
        id: KeyId::from(id),
        key: Secret::new(key.to_vec()),
    }
}

fn problems(roots: Vec<Root>) -> Vec<WeakSecret> {
    Keyring::new(&SecretList::new(roots)).unwrap_err()
}

#[test]
fn a_mac_depends_on_root_purpose_and_every_part() {
    let ring = ring(&["a", "b"]);
    let parts: &[&[u8]] = &[b"tenant", b"user"];
    let here = ring.mac(Purpose::Code, parts);
    assert_eq!(here, ring.mac(Purpose::Code, parts));
    assert_ne!(here, ring.mac(Purpose::RefreshTag, parts));
    assert_ne!(here, ring.mac(Purpose::Code, &[b"tenantu", b"ser"]));
    assert_ne!(here, ring.mac(Purpose::Code, &[b"tenant", b"user", b""]));
    assert_ne!(here, ring.mac(Purpose::Code, &[b"tenantuser"]));
    assert_ne!(
        here,
        ring.mac_by(&KeyId::from("b"), Purpose::Code, parts).unwrap()
    );
}

#[test]
fn macs_are_those_of_every_root_newest_first() {
    let ring = ring(&["new", "old"]);
    let macs = ring.macs(Purpose::Code, &[b"x"]);
    assert_eq!(macs.len(), 2);
    assert_eq!(macs[0], ring.mac(Purpose::Code, &[b"x"]));
    assert_eq!(
        macs[1],
        ring.mac_by(&KeyId::from("old"), Purpose::Code, &[b"x"]).unwrap()
    );
    assert_eq!(ring.newest(), &KeyId::from("new"));
}

#[test]
fn every_purpose_has_a_label_and_a_key_of_its_own() {
    let ring = ring(&["a"]);
    let labels: HashSet<_> = Purpose::ALL.iter().map(|purpose| purpose.label()).collect();
    let macs: HashSet<_> = Purpose::ALL
        .iter()
        .map(|purpose| *ring.mac(*purpose, &[b"x"]).as_bytes())
        .collect();
    assert_eq!(labels.len(), Purpose::ALL.len());
    assert_eq!(macs.len(), Purpose::ALL.len());
}

#[test]
fn each_purpose_uses_the_key_of_its_own_label() {
    let hkdf = Hkdf::<Sha256>::new(Some(SALT), root("a").key.expose());
    let ring = ring(&["a"]);
    for purpose in Purpose::ALL {
        let mut plain = keyed(&expand(&hkdf, purpose.label()));
        plain.update(&1_u64.to_be_bytes());
        plain.update(b"x");
        assert_eq!(
            ring.mac(purpose, &[b"x"]),
            Mac::new(plain.finalize().into_bytes().into())
        );
    }
}

#[test]
fn the_derivation_is_the_stored_format_and_does_not_change() {
    // Computed once by an independent HKDF and HMAC (Python's hmac and hashlib). If this fails, every stored digest dies.
    let ring = ring(&["a"]);
    let hex = |mac: Mac| {
        mac.as_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    };
    assert_eq!(hex(ring.mac(Purpose::Code, &[b"tenant", b"123456"])), MAC_KAT);
    assert_eq!(hex(ring.checks()[0].1), CHECK_KAT);
}

#[test]
fn a_sealed_value_opens_only_where_it_was_sealed() {
    // Threat A-SEC-03: the place is associated data.
    let ring = ring(&["a"]);
    let sealed = ring
        .seal(&[b"public", b"alice", b"totp1"], b"seed", &OsEntropy)
        .unwrap();
    assert_eq!(
        &**ring.open(&[b"public", b"alice", b"totp1"], &sealed).unwrap(),
        b"seed"
    );
    for place in [
        &[b"public".as_slice(), b"mallory", b"totp1"][..],
        &[b"public", b"alicet", b"otp1"],
        &[b"public", b"alice"],
        &[b"public", b"alice", b"totp1", b""],
        &[],
    ] {
        assert!(matches!(ring.open(place, &sealed), Err(Fault::Key(_))));
    }
}

#[test]
fn a_sealed_value_with_any_bit_flipped_or_any_byte_cut_does_not_open() {
    let ring = ring(&["a", "b"]);
    let sealed = ring.seal(&[b"x"], b"seed", &OsEntropy).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut other = sealed.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(ring.open(&[b"x"], &other).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(ring.open(&[b"x"], &sealed[..length]).is_err(), "length {length}");
    }
    let mut longer = sealed;
    longer.push(0);
    assert!(ring.open(&[b"x"], &longer).is_err());
}

#[test]
fn what_an_older_root_sealed_opens_until_the_root_is_dropped() {
    // Threat A-SEC-05.
    let sealed = ring(&["k1"]).seal(&[b"x"], b"seed", &OsEntropy).unwrap();
    let both = ring(&["k2", "k1"]);
    assert_eq!(&**both.open(&[b"x"], &sealed).unwrap(), b"seed");
    assert!(both.is_outdated(&sealed));
    let again = both.seal(&[b"x"], b"seed", &OsEntropy).unwrap();
    assert!(!both.is_outdated(&again));
    let new = ring(&["k2"]);
    assert!(matches!(new.open(&[b"x"], &sealed), Err(Fault::Key(_))));
    assert!(new.open(&[b"x"], &again).is_ok());
}

#[test]
fn an_unknown_key_id_is_no_other_key() {
    // The same bytes under another name: the name decides, nothing is tried.
    let named_b = Root {
        id: KeyId::from("b"),
        ..root("a")
    };
    let sealed = ring(&["a"]).seal(&[], b"seed", &OsEntropy).unwrap();
    let other = Keyring::new(&SecretList::new(vec![named_b])).unwrap();
    assert!(other.open(&[], &sealed).is_err());
    assert!(other.mac_by(&KeyId::from("a"), Purpose::Code, &[]).is_none());
}

/// Remembers what is drawn.
#[derive(Debug, Default)]
struct Recorded(Mutex<Vec<u8>>);

impl Entropy for Recorded {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        OsEntropy.fill(out)?;
        self.0.lock().unwrap().extend_from_slice(out);
        Ok(())
    }
}

#[test]
fn a_sec_04_every_nonce_is_drawn_anew_and_a_million_draws_differ() {
    // Threat A-SEC-04. That each seal draws one nonce and uses it as it is, is shown on fewer.
    let (ring, entropy) = (ring(&["a"]), Recorded::default());
    let mut used = Vec::new();
    for _ in 0..5_000 {
        let sealed = ring.seal(&[], b"", &entropy).unwrap();
        used.extend_from_slice(Blob::read(&sealed).unwrap().nonce);
    }
    assert_eq!(used, *entropy.0.lock().unwrap());
    let mut seen = HashSet::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        assert!(seen.insert(entropy::bytes::<NONCE_BYTES>(&OsEntropy).unwrap()));
    }
}

#[derive(Debug)]
struct Dry;

impl Entropy for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

#[test]
fn nothing_is_sealed_without_randomness() {
    assert!(matches!(
        ring(&["a"]).seal(&[], b"seed", &Dry),
        Err(Fault::Entropy(_))
    ));
}

#[test]
fn weak_secrets_are_all_named_at_once() {
    // Threat A-SEC-11.
    let mut counting = [0_u8; 32];
    for (index, byte) in counting.iter_mut().enumerate() {
        *byte = u8::try_from(index).unwrap();
    }
    let twice = [&root("half").key.expose()[..16], &root("half").key.expose()[..16]].concat();
    let found = problems(vec![
        raw("zero", &[0; 32]),
        raw("short", &root("x").key.expose()[..31]),
        raw("counting", &counting),
        raw("twice", &twice),
        raw("example", b"this-is-an-example-secret-change-me-now"),
        raw(
            "hex",
            b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        raw("bad id", root("y").key.expose()),
        root("same"),
        root("same"),
        raw("copy", root("same").key.expose()),
        root("good"),
    ]);
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "secret zero is not random: its bytes repeat or count",
            "secret short has 31 bytes, fewer than 32",
            "secret counting is not random: its bytes repeat or count",
            "secret twice is not random: its bytes repeat or count",
            "secret example is text, not random bytes; `openssl rand -base64 32` makes a good one",
            "secret hex is text, not random bytes; `openssl rand -base64 32` makes a good one",
            "the id of secret 7 is not 1 to 64 characters of A-Z a-z 0-9 - _ .",
            "two secrets are named same",
            "secrets same and copy are the same key",
            "secrets same and copy are the same key",
        ]
    );
    assert!(matches!(problems(vec![])[..], [WeakSecret::None]));
}

#[test]
fn random_roots_are_never_called_weak() {
    for _ in 0..2_000 {
        let root = Root::random(KeyId::from("a"), &OsEntropy).unwrap();
        assert!(Keyring::new(&SecretList::new(vec![root])).is_ok());
    }
}

#[derive(Debug)]
struct Sealed;

impl Secrets for Sealed {
    fn roots(&self) -> Result<Vec<Root>, Fault> {
        Err(Fault::Key("the vault is sealed"))
    }
}

#[test]
fn secrets_that_cannot_be_read_make_no_keyring() {
    assert!(matches!(
        Keyring::new(&Sealed).unwrap_err()[..],
        [WeakSecret::Unreadable(Fault::Key(_))]
    ));
}

#[test]
fn a_list_reads_as_it_was_written() {
    let list = SecretList::new(vec![root("2026-05"), root("2025-11")]);
    let text = list.to_text();
    let spaced = text.expose().replace(',', " , ").replace('=', "");
    for written in [text.expose().as_str(), &spaced] {
        let read = SecretList::parse(written).unwrap();
        assert_eq!(read.to_text().expose(), text.expose());
    }
    assert!(SecretList::parse(" ").unwrap().roots().unwrap().is_empty());
}

#[test]
fn a_list_that_does_not_read_says_why_and_shows_no_key() {
    use SecretListError::{BadId, NoId, NotBase64};
    let a = KeyId::from("a");
    for (list, error) in [
        ("Y2FuYXJ5", NoId { position: 1 }),
        ("a:Y2Fu,Y2FuYXJ5", NoId { position: 2 }),
        ("a:Y2Fu,", NoId { position: 2 }),
        (":Y2FuYXJ5", BadId { position: 1 }),
        ("Y2FuYXJ5+/=:Y2FuYXJ5", BadId { position: 1 }),
        ("a:Y2Fu YXJ5", NotBase64 { id: a.clone() }),
        ("a:Y2Fu_XJ5", NotBase64 { id: a.clone() }),
        ("a:Y2FuYXJ5A", NotBase64 { id: a }),
    ] {
        let found = SecretList::parse(list).unwrap_err();
        assert!(!format!("{found} {found:?}").contains("Y2Fu"), "{found:?}");
        assert_eq!(found, error);
    }
}

#[test]
fn a_keyring_shows_names_and_no_bytes() {
    // Threat A-SEC-07.
    let key: Vec<u8> = (0..36_u8).map(|i| 200 - i * 7 % 97).collect();
    let list = SecretList::new(vec![raw("k1", &key)]);
    let ring = Keyring::new(&list).unwrap();
    assert_eq!(format!("{ring:?}"), "Keyring { ids: [KeyId(\"k1\")], .. }");
    assert!(!format!("{list:?}").contains(&key[0].to_string()), "{list:?}");
    assert_eq!(format!("{:?}", ring.checks()), "[(KeyId(\"k1\"), Mac(..))]");
}

#[test]
fn a_dump_of_digests_does_not_give_the_code_away() {
    // Threats A-SEC-01 and A-OTP-24: whoever lacks the root finds no code by trying them all.
    use sha2::Sha512;
    let stored = ring(&["a"]).mac(Purpose::Code, &[b"challenge", b"123456"]);
    for code in 0..1_000_000_u32 {
        let code = format!("{code:06}");
        let plain = Mac::new(Sha256::digest(&code).into());
        let salted = Mac::new(Sha256::digest(format!("challenge{code}")).into());
        assert!(stored != plain && stored != salted);
    }
    assert_ne!(
        stored.as_bytes()[..],
        Sha512::digest("123456")[..32],
        "nor by another digest"
    );
    let mallory = ring(&["b"]);
    assert_ne!(stored, mallory.mac(Purpose::Code, &[b"challenge", b"123456"]));
}

/// A store of check values alone.
#[derive(Default)]
struct Checks(Mutex<Vec<(KeyId, Mac)>>);

#[async_trait]
impl KeyStore for Checks {
    async fn signing_keys(&self) -> Stored<Vec<SigningKeyRecord>> {
        Ok(Vec::new())
    }

    async fn add_signing_key(&self, _: &SigningKeyRecord) -> Stored<bool> {
        Ok(false)
    }

    async fn drop_signing_keys(&self, _: Timestamp) -> Stored<()> {
        Ok(())
    }

    async fn reseal_signing_key(&self, _: &KeyId, _: &[u8], _: &[u8]) -> Stored<bool> {
        Ok(false)
    }

    async fn secret_checks(&self) -> Stored<Vec<(KeyId, Mac)>> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn add_secret_check(&self, id: &KeyId, check: &Mac) -> Stored<()> {
        let mut checks = self.0.lock().unwrap();
        if checks.iter().any(|(name, _)| name == id) {
            return Err(StoreError::Conflict("secret check"));
        }
        checks.push((id.clone(), *check));
        Ok(())
    }
}

#[tokio::test]
async fn a_store_admits_the_secrets_it_knows_and_their_successors() {
    let store = Checks::default();
    for ids in [&["k1"][..], &["k1"], &["k2", "k1"], &["k2"], &["k3", "k2"]] {
        admit_secrets(&ring(ids), &store).await.unwrap();
    }
    let known: Vec<_> = store
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|(id, _)| id.to_string())
        .collect();
    assert_eq!(known, ["*", "k1", "k2", "k3"]);
}

#[tokio::test]
async fn a_start_with_another_secret_is_refused() {
    // Threat A-SEC-16.
    let store = Checks::default();
    admit_secrets(&ring(&["k1"]), &store).await.unwrap();
    let before = store.0.lock().unwrap().clone();
    assert!(matches!(
        admit_secrets(&ring(&["other"]), &store).await,
        Err(SecretMismatch::Foreign)
    ));
    let impostor = Keyring::new(&SecretList::new(vec![raw("k1", root("x").key.expose())])).unwrap();
    assert!(matches!(
        admit_secrets(&impostor, &store).await,
        Err(SecretMismatch::Changed { id }) if id == KeyId::from("k1")
    ));
    let mixed = Keyring::new(&SecretList::new(vec![
        root("k1"),
        raw("k2", root("y").key.expose()),
    ]))
    .unwrap();
    admit_secrets(&ring(&["k2", "k1"]), &store).await.unwrap();
    assert!(matches!(
        admit_secrets(&mixed, &store).await,
        Err(SecretMismatch::Changed { id }) if id == KeyId::from("k2")
    ));
    assert_eq!(store.0.lock().unwrap()[..before.len()], before);
}

#[tokio::test]
async fn of_two_nodes_that_claim_an_empty_store_with_different_secrets_one_is_refused() {
    // Both saw it empty; this one comes second to the claim, before the first has added its roots.
    let store = Checks::default();
    let first = ring(&["a"]);
    store
        .add_secret_check(&KeyId::from(CLAIM), &first.checks()[0].1)
        .await
        .unwrap();
    assert!(matches!(
        admit_secrets(&ring(&["b"]), &store).await,
        Err(SecretMismatch::Foreign)
    ));
    admit_secrets(&first, &store).await.unwrap();
    admit_secrets(&ring(&["a"]), &store).await.unwrap();
}

const MAC_KAT: &str = "995df071f44d9913094ee0928b8e5373fff65d31ce1fde40fe7ae7aeafd9b3c4";
const CHECK_KAT: &str = "7ab8fa2ab48fffaeb417ab2752c7653c467f08afe0c32f20ecb111b6d0a03552";
