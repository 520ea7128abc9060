//! Tokens of each algorithm, and each way to pass for somebody with one that is not good (RFC 8725); in one table.

use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::{Access, ApiKeys, Key, Scope, file};
use super::testing::{Pair, RSA_E, RSA_N, bytes, message, text};
use super::*;

/// An issuer with a key for each algorithm, and who trusts it.
struct House {
    folder: TempDir,
    rs256: Pair,
    es256: Pair,
    ed_dsa: Pair,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = Self { folder, rs256: Pair::rs256(), es256: Pair::es256(), ed_dsa: Pair::ed_dsa() };
        house
            .publish(&json!({ "keys": [house.rs256.jwk("r"), house.es256.jwk("e"), house.ed_dsa.jwk("d")] }));
        house
    }

    fn publish(&self, set: &Value) {
        std::fs::write(self.config().jwks, set.to_string()).unwrap();
    }

    fn config(&self) -> JwtConfig {
        JwtConfig::at(&self.folder.path().join("jwks.json"))
    }

    fn tokens(&self) -> Tokens {
        Tokens::open(self.config()).unwrap()
    }

    fn pairs(&self) -> [(&'static str, &Pair); 3] {
        [("r", &self.rs256), ("e", &self.es256), ("d", &self.ed_dsa)]
    }
}

fn head(pair: &Pair, kid: &str) -> Value {
    json!({ "alg": pair.alg(), "kid": kid })
}

fn claims() -> Value {
    json!({ "iss": "https://issuer.example", "aud": "inventory", "sub": "alice", "exp": now() + 3_600, "scope": "inventory:write" })
}

/// These, with some of them otherwise; or gone, where they are null.
fn with(mut of: Value, others: Value) -> Value {
    let Value::Object(others) = others else { panic!("{others}") };
    for (name, value) in others {
        match value {
            Value::Null => drop(of.as_object_mut().unwrap().remove(&name)),
            value => of[name] = value,
        }
    }
    of
}

fn refused(tokens: &Tokens, token: &str, what: &str) -> Refusal {
    match tokens.principal(token) {
        Err(Stranger::BadToken(refusal)) => {
            let told = refusal.to_string();
            let parts = token.split('.').filter(|part| part.len() > 8);
            assert!(parts.into_iter().all(|part| !told.contains(part)), "{what} is repeated: {told}");
            refusal
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn a_token_of_each_algorithm_is_its_subject() {
    let house = House::new();
    let tokens = house.tokens();
    for (kid, pair) in house.pairs() {
        for head in [
            head(pair, kid),
            with(head(pair, kid), json!({ "typ": "JWT" })),
            with(head(pair, kid), json!({ "typ": "application/AT+jwt", "x5t": "x" })),
        ] {
            let principal = tokens.principal(&pair.token(&head, claims())).unwrap();
            assert_eq!((principal.name(), principal.scope()), ("jwt:alice", Scope::Write), "{head}");
        }
    }
    // As some write the modulus: with zeros before it.
    let zeros = text(&[&[0, 0][..], &bytes(RSA_N)].concat());
    house.publish(&json!({ "keys": [with(house.rs256.jwk("r"), json!({ "n": zeros }))] }));
    assert_eq!(tokens.reload().unwrap(), 1);
    assert!(tokens.principal(&house.rs256.token(head(&house.rs256, "r"), claims())).is_ok());
    // Without a name where there is one key only.
    house.publish(&json!({ "keys": [with(house.es256.jwk(""), json!({ "kid": null }))] }));
    assert_eq!(tokens.reload().unwrap(), 1);
    assert!(tokens.principal(&house.es256.token(json!({ "alg": "ES256" }), claims())).is_ok());
    let named = house.es256.token(head(&house.es256, "e"), claims());
    assert_eq!(refused(&tokens, &named, "a name that is not there"), Refusal::UnknownKid);
}

/// RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.4.
#[test]
fn the_examples_of_the_rfcs_verify() {
    signature::by_ring();
    let (x, y) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let payload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rs256 = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
        Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwu\
        sC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let es256 = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let ed_dsa = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for (alg, head, payload, signature, jwk) in [
        (
            Algorithm::RS256,
            "eyJhbGciOiJSUzI1NiJ9",
            payload,
            rs256,
            json!({ "kty": "RSA", "n": RSA_N, "e": RSA_E }),
        ),
        (
            Algorithm::ES256,
            "eyJhbGciOiJFUzI1NiJ9",
            payload,
            es256,
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
        ),
        (
            Algorithm::EdDSA,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            ed_dsa,
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
        ),
    ] {
        let config = JwtConfig { issuer: "joe".to_owned(), ..JwtConfig::at(Path::new("jwks")) };
        let keys = Jwks::parse(&json!({ "keys": [jwk] }).to_string(), &config).unwrap();
        let key = keys.named(None).unwrap().key();
        let message = format!("{head}.{payload}");
        assert!(verify(signature, message.as_bytes(), key, alg).unwrap(), "{alg:?}");
        assert!(!verify(signature, &message.as_bytes()[1..], key, alg).unwrap(), "{alg:?}");
        let mut other = bytes(signature);
        other[7] ^= 1;
        assert!(!verify(&text(&other), message.as_bytes(), key, alg).unwrap(), "{alg:?}");
        // They are whole, but of 2011.
        let in_force = ArcSwap::from_pointee(InForce { keys, known: Known::new() });
        let tokens = Tokens { config, in_force };
        let why = refused(&tokens, &format!("{message}.{signature}"), "an example").to_string();
        let expected = match alg {
            Algorithm::EdDSA => "what was shown is neither a key in force nor a JSON Web Token",
            _ => "the token has no claim aud, or not as it must be",
        };
        assert_eq!(why, expected, "{alg:?}");
    }
    assert!(verify(es256, b"", &DecodingKey::from_ed_der(&[0; 32]), Algorithm::ES256).is_err());
}

/// What a token says of how it is to be verified, and what it is not: each in a way of its own.
fn forged(house: &House) -> Vec<(&'static str, String, Refusal)> {
    let (r, e, d) = (&house.rs256, &house.es256, &house.ed_dsa);
    let (stranger, of_e) = (Pair::es256(), head(e, "e"));
    let good = e.token(&of_e, claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let said = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let unsigned = |alg: &str| format!("{}.", message(said(alg, "e"), claims()));
    let by_public_key = |kid: &str, secret: &[u8]| {
        let message = message(said("HS256", kid), claims());
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let tag = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", text(tag.as_ref()))
    };
    let point =
        [&[4][..], &bytes(e.jwk("e")["x"].as_str().unwrap()), &bytes(e.jwk("e")["y"].as_str().unwrap())]
            .concat();
    let headed = |others: Value| e.token(with(of_e.clone(), others), claims());
    let by_stranger = |others: Value| stranger.token(with(of_e.clone(), others), claims());
    let other_claims = message(&of_e, with(claims(), json!({ "sub": "admin" })));
    let twice = r#"{"alg":"ES256","alg":"none","kid":"e"}"#;
    vec![
        ("none", unsigned("none"), Refusal::Head),
        ("None", unsigned("None"), Refusal::Head),
        ("no alg", e.token(json!({ "kid": "e" }), claims()), Refusal::Head),
        ("an algorithm there is not", unsigned("ES257"), Refusal::Head),
        ("two algorithms", e.token(twice, claims()), Refusal::Head),
        ("HS256 by the text of the modulus", by_public_key("r", RSA_N.as_bytes()), Refusal::Algorithm),
        ("HS256 by the modulus", by_public_key("r", &bytes(RSA_N)), Refusal::Algorithm),
        ("HS256 by the point", by_public_key("e", &point), Refusal::Algorithm),
        ("EC for RSA", r.token(said("RS256", "e"), claims()), Refusal::Algorithm),
        ("RSA for EC", e.token(said("ES256", "r"), claims()), Refusal::Algorithm),
        ("EC for Ed25519", d.token(said("EdDSA", "e"), claims()), Refusal::Algorithm),
        ("RSA of another hash", r.token(said("RS384", "r"), claims()), Refusal::Algorithm),
        ("RSA of another padding", r.token(said("PS256", "r"), claims()), Refusal::Algorithm),
        ("no signature", format!("{signed}."), Refusal::Signature),
        ("a signature of zeros", format!("{signed}.{}", text(&[0; 64])), Refusal::Signature),
        ("half a signature", format!("{signed}.{}", &signature[..40]), Refusal::Signature),
        ("another's signature", by_stranger(json!({})), Refusal::Signature),
        ("a key in the token", by_stranger(json!({ "jwk": stranger.jwk("e") })), Refusal::Signature),
        ("a place of keys", by_stranger(json!({ "jku": "https://evil.example" })), Refusal::Signature),
        (
            "a certificate",
            by_stranger(json!({ "x5c": ["AAAA"], "x5u": "https://evil.example" })),
            Refusal::Signature,
        ),
        ("other claims", format!("{other_claims}.{signature}"), Refusal::Signature),
        ("another name of a key", by_stranger(json!({ "kid": "f" })), Refusal::UnknownKid),
        ("a path for a name", headed(json!({ "kid": "../../dev/null" })), Refusal::UnknownKid),
        ("an empty name", headed(json!({ "kid": "" })), Refusal::UnknownKid),
        ("no name", headed(json!({ "kid": null })), Refusal::NoKid),
        ("an extension", headed(json!({ "crit": ["exp"], "exp": 1 })), Refusal::Critical),
        (
            "an extension that the library knows",
            headed(json!({ "crit": ["b64"], "b64": true })),
            Refusal::Critical,
        ),
        ("no extensions", headed(json!({ "crit": [] })), Refusal::Critical),
        ("claims that are not encoded", headed(json!({ "b64": false })), Refusal::Malformed),
        ("another kind", headed(json!({ "typ": "dpop+jwt" })), Refusal::Kind),
        ("no kind", headed(json!({ "typ": "" })), Refusal::Kind),
        ("nothing", String::new(), Refusal::Malformed),
        ("a password", "correct horse".to_owned(), Refusal::Malformed),
        ("two parts", signed.to_owned(), Refusal::Malformed),
        ("four parts", format!("{good}.x"), Refusal::Malformed),
        ("five parts, as what is encrypted", format!("{good}.x.x"), Refusal::Malformed),
        ("padding", format!("{good}=="), Refusal::Malformed),
        ("dots", "..".to_owned(), Refusal::Head),
        ("much", format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX)), Refusal::TooLong),
    ]
}

/// What is signed, and not for us, or not now, or of nobody.
fn ill_claimed(house: &House) -> Vec<(String, String, Refusal)> {
    let claim = |name: &str| Refusal::Claim(name.to_owned());
    let other_issuer = Refusal::Issuer("https://issuer.example".to_owned());
    let other_audience = Refusal::Audience("inventory".to_owned());
    let (past, future) = (now() - 40, now() + 3_600);
    let cases = [
        (json!({ "exp": null }), claim("exp")),
        (json!({ "exp": "tomorrow" }), claim("exp")),
        (json!({ "exp": -1 }), claim("exp")),
        (json!({ "exp": past }), Refusal::Expired(Moment(Some(past)))),
        (json!({ "exp": 1_300_819_380.5 }), Refusal::Expired(Moment(None))),
        (json!({ "exp": 0 }), Refusal::Malformed),
        (json!({ "nbf": future }), Refusal::Early(Moment(Some(future)))),
        (json!({ "nbf": u64::MAX }), Refusal::Early(Moment(Some(u64::MAX)))),
        (json!({ "nbf": "now" }), claim("nbf")),
        (json!({ "iss": null }), claim("iss")),
        (json!({ "iss": 1 }), claim("iss")),
        (json!({ "iss": ["https://issuer.example"] }), claim("iss")),
        (json!({ "iss": "https://issuer.example/" }), other_issuer),
        (json!({ "aud": null }), claim("aud")),
        (json!({ "aud": 1 }), claim("aud")),
        (json!({ "aud": "Inventory" }), other_audience.clone()),
        (json!({ "aud": ["shop", "inventory2"] }), other_audience.clone()),
        (json!({ "aud": [] }), other_audience),
        (json!({ "sub": null }), claim("sub")),
        (json!({ "sub": 7 }), claim("sub")),
        (json!({ "sub": "" }), Refusal::Subject),
        (json!({ "sub": "a".repeat(61) }), Refusal::Subject),
        (json!({ "sub": "ä".repeat(31) }), Refusal::Subject),
        (json!({ "sub": "a\nb" }), Refusal::Subject),
        (json!({ "sub": "a\u{9b}b" }), Refusal::Subject),
    ];
    let (e, of_e) = (&house.es256, head(&house.es256, "e"));
    let cases =
        cases.into_iter().map(|(others, why)| (others.to_string(), with(claims(), others).to_string(), why));
    let twice = claims().to_string().replace("\"sub\":", "\"sub\":\"bob\",\"sub\":");
    let raw = [twice, "[]".to_owned(), "no JSON".to_owned()];
    let cases = cases.chain(raw.map(|text| (text.clone(), text, Refusal::Malformed)));
    cases.map(|(what, claims, why)| (what, e.token(&of_e, claims), why)).collect()
}

/// Each is told why, and none is known afterwards.
#[test]
fn a_token_that_is_not_good_is_refused_and_never_known() {
    let house = House::new();
    let tokens = house.tokens();
    for _ in 0..2 {
        for (what, token, why) in forged(&house) {
            assert_eq!(refused(&tokens, &token, what), why, "{what}");
        }
        for (what, token, why) in ill_claimed(&house) {
            assert_eq!(refused(&tokens, &token, &what), why, "{what}");
        }
    }
    assert_eq!(tokens.in_force.load().known.len(), 0);
    let told = [Some(1_300_819_380), Some(u64::MAX), None].map(|at| Refusal::Expired(Moment(at)).to_string());
    assert_eq!(told[0], "the token expired at 2011-03-22T18:43:00Z");
    assert_eq!((&told[1], &told[2]), (&"the token expired at the time that it says".to_owned(), &told[1]));
}

/// At the edges, and with what else there may be in a token.
#[test]
fn a_token_that_is_good_is_taken() {
    let house = House::new();
    let tokens = house.tokens();
    for others in [
        json!({ "exp": now() - 10 }),
        json!({ "exp": now() + 10 }),
        json!({ "exp": u64::MAX }),
        json!({ "nbf": now() + 10 }),
        json!({ "nbf": 0, "iat": now() + 3_600, "jti": "x", "cnf": {}, "scp": 7 }),
        json!({ "aud": ["shop", "inventory"] }),
        json!({ "sub": "a".repeat(60) }),
        json!({ "sub": "auth0|5f7c8ec7c33c6c004bbafe82" }),
        json!({ "sub": "ä ö" }),
    ] {
        let claims = with(claims(), others);
        let principal = tokens.principal(&house.es256.token(head(&house.es256, "e"), &claims)).unwrap();
        assert_eq!(principal.name(), format!("jwt:{}", claims["sub"].as_str().unwrap()), "{claims}");
    }
    let padded = |bytes: usize| with(claims(), json!({ "pad": "x".repeat(bytes) }));
    let longest = house.es256.token(head(&house.es256, "e"), padded(5_880));
    assert!((TOKEN_BYTES_MAX - 100..=TOKEN_BYTES_MAX).contains(&longest.len()), "{}", longest.len());
    assert!(tokens.principal(&longest).is_ok());
}

#[test]
fn the_highest_scope_of_a_token_counts() {
    let house = House::new();
    let tokens = house.tokens();
    for (others, scope) in [
        (json!({ "scope": "inventory:read" }), Some(Scope::Read)),
        (json!({ "scope": "openid inventory:read email inventory:admin" }), Some(Scope::Admin)),
        (json!({ "scope": null, "scp": ["inventory:write", "inventory:read", 7] }), Some(Scope::Write)),
        (json!({ "scope": null, "scp": "openid inventory:write" }), Some(Scope::Write)),
        (json!({ "scope": "inventory:read", "scp": ["inventory:admin"] }), Some(Scope::Admin)),
        (json!({ "scope": null }), None),
        (json!({ "scope": "" }), None),
        (json!({ "scope": "admin read inventory inventory:" }), None),
        (json!({ "scope": "INVENTORY:READ inventory:Read xinventory:read inventory:reads" }), None),
        (json!({ "scope": "inventory:read,inventory:write" }), None),
        (json!({ "scope": ["inventory:read"] }), None),
        (json!({ "scope": { "inventory:read": true } }), None),
    ] {
        let token = house.ed_dsa.token(head(&house.ed_dsa, "d"), with(claims(), others.clone()));
        for _ in 0..2 {
            let found = match tokens.principal(&token) {
                Ok(principal) => Some(principal.scope()),
                Err(Stranger::NoScope(name)) => (name == "jwt:alice").then_some(None).unwrap(),
                other => panic!("{others}: {other:?}"),
            };
            assert_eq!(found, scope, "{others}");
        }
    }
}

/// A token is known when it was verified, and none outlives its key; a set that is spoilt changes nothing.
#[test]
fn keys_of_tokens_are_replaced_all_at_once_or_not_at_all() {
    let house = House::new();
    let tokens = house.tokens();
    let (by_e, by_d) = (
        house.es256.token(head(&house.es256, "e"), claims()),
        house.ed_dsa.token(head(&house.ed_dsa, "d"), claims()),
    );
    let good = || [&by_e, &by_d].map(|token| tokens.principal(token).is_ok());
    let known = || tokens.in_force.load().known.len();
    assert_eq!((good(), known()), ([true, true], 2));
    assert_eq!((good(), known()), ([true, true], 2));
    house.publish(&json!({ "keys": [house.ed_dsa.jwk("d")] }));
    assert_eq!((good(), known()), ([true, true], 2), "not before it is told to");
    assert_eq!((tokens.reload().unwrap(), known()), (1, 0));
    assert_eq!((good(), known()), ([false, true], 1));
    let private = with(house.ed_dsa.jwk("d"), json!({ "d": "AAAA" }));
    for spoilt in [json!({}), json!({ "keys": [] }), json!({ "keys": [house.es256.jwk("e"), private] })] {
        house.publish(&spoilt);
        tokens.reload().unwrap_err();
        assert_eq!((good(), known()), ([false, true], 1), "{spoilt}");
    }
    std::fs::remove_file(tokens.path()).unwrap();
    tokens.reload().unwrap_err();
    assert_eq!(good(), [false, true]);
}

/// Which of the two is asked is said by how it begins.
#[test]
fn a_key_is_no_token_and_a_token_is_no_key() {
    let house = House::new();
    let path = house.folder.path().join("keys");
    let key = Key::random().unwrap();
    std::fs::write(&path, file::line_of(&Principal::new("alice".into(), Scope::Admin), &key.digest()))
        .unwrap();
    let token = house.es256.token(head(&house.es256, "e"), claims());
    let both = Access::of(Some(ApiKeys::open(&path).unwrap()), Some(house.tokens())).unwrap();
    let names = [key.reveal(), &token].map(|shown| both.principal(shown).unwrap().actor());
    assert_eq!(names, ["alice", "jwt:alice"]);
    assert!(file::is_name("alice") && !file::is_name("jwt:alice") && !is_subject_name("alice"));
    assert_eq!(both.principal(&format!("inv_{token}")), Err(Stranger::UnknownKey));
    let tokens = Access::of(None, Some(house.tokens())).unwrap();
    assert_eq!(tokens.principal(key.reveal()), Err(Stranger::UnknownKey));
    assert!(tokens.principal(&token).is_ok());
    let keys = Access::of(Some(ApiKeys::open(&path).unwrap()), None).unwrap();
    assert_eq!(keys.principal(&token), Err(Stranger::UnknownKey));
    assert!(Access::of(None, None).is_none());
}
