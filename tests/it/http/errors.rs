//! Requests that are wrong: each is a problem that names what is wrong with it, and changes nothing.

use axum::http::Method;
use inventory::http::scopes::TABLE;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;

const ADJUST: &str = "/v1/stock/A/adjust";
const MANY: &str = "/v1/adjustments";
const TRANSFERS: &str = "/v1/transfers";

async fn start() -> TestApp {
    TestApp::stocked(StrategyKind::Atomic, &[("A", 100)]).await
}

/// Nothing was changed since [`start`].
async fn assert_unchanged(app: &TestApp) {
    assert_eq!(app.level("A").await, (100, 1));
}

/// A path that no route has is 404, whatever is asked of it.
#[tokio::test]
async fn unknown_paths_are_problems() {
    let app = start().await;
    for path in [
        "/v1",
        "/v1/stock/",
        "/v1/stock/A/",
        "/v1/stock/A/B",
        "/V1/stock",
        "/v1/stock/A/adjust/",
        "/problems/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            app.call(method, path).send().await.assert_problem(404, "not-found");
        }
    }
}

/// A path that is one but for a slash, its letters' case or its version is answered with the one that was perhaps meant.
#[tokio::test]
async fn unknown_paths_are_told_what_was_perhaps_meant() {
    let app = start().await;
    for (path, meant) in [
        ("/v1/stock/", "/v1/stock "),
        ("/v1/stock/A/?location=main", "/v1/stock/A "),
        ("/v1/stock/A/adjust/", "/v1/stock/A/adjust "),
        ("/V1/stock/a", "/v1/stock/a "),
        ("/stock/a", "/v1/stock/a "),
    ] {
        let told = app.get(path).await;
        let detail = told.assert_problem(404, "not-found").at("/detail");
        assert!(detail.as_str().unwrap().contains(&format!("perhaps {meant}was meant")), "{path}: {detail}");
    }
    let far = app.get(&format!("/v1/stock/{}/", "x".repeat(5_000))).await;
    assert!(far.assert_problem(404, "not-found").text().len() < 1_000);
}

/// A method that a path does not have is told, with those it has, and where that method is taken.
#[tokio::test]
async fn wrong_methods_are_told_where_they_are_taken() {
    let app = start().await;
    for (method, path, words) in [
        (
            Method::POST,
            "/v1/stock/A",
            ["DELETE, GET, HEAD, PUT", "perhaps POST /v1/stock/A/adjust was meant"],
        ),
        (Method::PUT, "/v1/stock", ["GET, HEAD", "perhaps PUT /v1/stock/{sku} was meant"]),
        (Method::GET, ADJUST, ["POST", "perhaps GET /v1/stock/A was meant"]),
        (Method::PATCH, MANY, ["/v1/adjustments has POST", "not this method"]),
    ] {
        let told = app.call(method, path).send().await;
        let detail = told.assert_problem(405, "method-not-allowed").at("/detail");
        assert!(words.iter().all(|words| detail.as_str().unwrap().contains(words)), "{path}: {detail}");
    }
}

/// A method that a path does not have is 405, and `Allow` lists those it has.
#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let app = start().await;
    for (path, wrong, allowed) in [
        ("/v1/stock/A", Method::POST, "DELETE,GET,HEAD,OPTIONS,PUT"),
        ("/v1/stock/A", Method::PATCH, "DELETE,GET,HEAD,OPTIONS,PUT"),
        ("/v1/stock", Method::PUT, "GET,HEAD,OPTIONS,QUERY"),
        (ADJUST, Method::GET, "OPTIONS,POST"),
        (ADJUST, Method::HEAD, "OPTIONS,POST"),
        (MANY, Method::PUT, "OPTIONS,POST"),
        (TRANSFERS, Method::DELETE, "OPTIONS,POST"),
        ("/v1/status", Method::POST, "GET,HEAD,OPTIONS"),
        ("/metrics", Method::POST, "GET,HEAD,OPTIONS"),
        ("/docs", Method::PATCH, "GET,HEAD,OPTIONS"),
        ("/problems/contention", Method::POST, "GET,HEAD,OPTIONS"),
    ] {
        let answer = app.call(wrong.clone(), path).send().await;
        answer.assert_status(405);
        if wrong != Method::HEAD {
            answer.assert_problem(405, "method-not-allowed");
        }
        let mut told: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        told.sort_unstable();
        assert_eq!(told.join(","), allowed, "{wrong} {path}");
    }
}

/// What is not JSON is 400, on each route that takes a body.
#[tokio::test]
async fn what_is_not_json_is_not_understood() {
    let app = start().await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 14] = [
        b"",
        b" ",
        b"{",
        b"{\"delta\":1",
        b"{\"delta\":1}}",
        b"{\"delta\":1}{}",
        b"{delta:1}",
        b"{'delta':1}",
        b"{\"delta\":01}",
        b"{\"delta\":+1}",
        b"{\"delta\":.5}",
        b"{\"delta\":NaN}",
        b"{\"delta\":1,}",
        b"{\"reason\":\"\xff\"}",
    ];
    for path in [ADJUST, MANY, TRANSFERS] {
        for body in bodies {
            let answer = app.post_bytes(path, body).await;
            let is_field = path != ADJUST && answer.status == 422;
            if !is_field {
                answer.assert_problem(400, "invalid-request");
            }
        }
        let nested = app.post_bytes(path, format!("{{\"reason\":{deep}")).await;
        assert!([400, 413, 422].contains(&nested.status), "{}", nested.text());
    }
    let put = app.call(Method::PUT, "/v1/stock/B").header("content-type", "application/json");
    put.body("{\"on_hand\":").send().await.assert_problem(400, "invalid-request");
    assert_unchanged(&app).await;
}

/// JSON that is not what is asked for is 422 with a pointer to the field: of a change of one level.
#[tokio::test]
async fn wrong_fields_are_pointed_at() {
    let app = start().await;
    let delta = [
        "0",
        "-0",
        "0.0",
        "1.01",
        "1.5",
        "1e3",
        "1E0",
        "\"1\"",
        "null",
        "true",
        "[]",
        "{}",
        "1099511627776",
        "-1099511627776",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e999",
    ];
    for value in delta {
        let answer = app.post_bytes(ADJUST, format!("{{\"delta\":{value}}}")).await;
        if value != "1e999" || answer.status == 422 {
            answer.assert_fields(&["/delta"]);
        }
    }
    for (body, pointer) in [
        ("{}", "/delta"),
        ("{\"delta\":1,\"sku\":\"A\"}", "/sku"),
        ("{\"delta\":1,\"a/b~c\":1}", "/a~1b~0c"),
        ("{\"delta\":1,\"delta\":1}", "/delta"),
        ("{\"delta\":1,\"reason\":1}", "/reason"),
        ("{\"delta\":1,\"reference\":[]}", "/reference"),
        ("[1]", ""),
        ("[]", ""),
        ("1", ""),
        ("null", ""),
        ("\"delta\"", ""),
    ] {
        app.post_bytes(ADJUST, body).await.assert_fields(&[pointer]);
    }
    assert_unchanged(&app).await;
}

/// All that is wrong with a body is told at once, in the words of the service: of what it says and of what it leaves out.
#[tokio::test]
async fn all_faults_are_told_at_once() {
    let app = start().await;
    let long = "x".repeat(200);
    for (path, body, pointers) in [
        (ADJUST, r#"{"Delta":1}"#.to_owned(), vec!["/delta", "/Delta"]),
        (
            ADJUST,
            r#"{"reference":[],"delta":"3","colour":{},"reason":1}"#.to_owned(),
            vec!["/delta", "/reason", "/reference", "/colour"],
        ),
        (ADJUST, format!(r#"{{"delta":1,"reason":"{long}","reference":"{long}"}}"#), vec!["/reason", "/reference"]),
        (ADJUST, format!(r#"{{"delta":1.5,"reason":"{long}"}}"#), vec!["/delta", "/reason"]),
        (
            MANY,
            r#"{"mode":"both","lines":[{"sku":"a ","delta":0},{"sku":"A","delta":1},7,{"location":""}]}"#.to_owned(),
            vec![
                "/mode",
                "/lines/0/sku",
                "/lines/0/delta",
                "/lines/2",
                "/lines/3/sku",
                "/lines/3/location",
                "/lines/3/delta",
            ],
        ),
        (MANY, format!(r#"{{"lines":[{{"sku":"a\u0000b","delta":1}}],"reason":"{long}"}}"#), vec!["/lines/0/sku", "/reason"]),
        (
            TRANSFERS,
            r#"{"lines":[{"sku":"A","from":"b","to":"b","quantity":1},{"sku":"","from":"b","to":"b","quantity":1}]}"#
                .to_owned(),
            vec!["/lines/1/sku", "/lines/0/to"],
        ),
        ("/v1/backup", r#"{"to":"x"}"#.to_owned(), vec!["/name", "/to"]),
    ] {
        let told = app.post_bytes(path, body).await;
        told.assert_fields(&pointers);
        for word in ["u64", "i64", "struct", "sequence", "invalid", "expected"] {
            assert!(!told.text().contains(word), "{word}: {}", told.text());
        }
    }
    assert_unchanged(&app).await;
}

/// What a move may be is told in one way, whatever is wrong with it.
#[tokio::test]
async fn a_move_is_of_1_or_more() {
    let app = start().await;
    for quantity in ["-4", "0", "0.0", "1099511627776", "null"] {
        let line = format!(r#"{{"sku":"A","from":"main","to":"b","quantity":{quantity}}}"#);
        let told = app.post_bytes(TRANSFERS, format!("{{\"lines\":[{line}]}}")).await;
        let detail = told.assert_fields(&["/lines/0/quantity"]).at("/errors/0/detail");
        assert_eq!(detail, format!("must be an integer from 1 to 1099511627775; it is {quantity}"));
    }
}

/// `3.0` is an integer, as JSON Schema has it, wherever there is one; and what the answer is a replay of is the text as it was sent.
#[tokio::test]
async fn an_integer_may_have_zeros_behind_its_point() {
    let app = start().await;
    let put = app.call(Method::PUT, "/v1/stock/B").header("content-type", "application/json");
    put.body("{\"on_hand\":3.00,\"reason\":\"3.0\"}").send().await.assert_level(201, 3, 1);
    app.post_bytes(ADJUST, "{\"delta\":-3.0}").await.assert_level(200, 97, 2);
    let lines = "[{\"sku\":\"A\",\"delta\":1.0},{\"sku\":\"B\",\"delta\":2}]";
    app.post_bytes(MANY, format!("{{\"lines\":{lines}}}")).await.assert_status(200);
    let lines =
        "[{\"sku\":\"A\",\"delta\":1.0},{\"sku\":\"A\",\"delta\":1.5},{\"sku\":\"\\u0041\",\"delta\":1.0}]";
    let alone = app.post_bytes(MANY, format!("{{\"mode\":\"independent\",\"lines\":{lines}}}")).await;
    assert_eq!((alone.at("/applied"), alone.at("/refused")), (json!(2), json!(1)));
    let lines = "[{\"sku\":\"A\",\"from\":\"main\",\"to\":\"shop\",\"quantity\":4.0}]";
    app.post_bytes(TRANSFERS, format!("{{\"lines\":{lines}}}")).await.assert_status(200);
    let import = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
    import.body("{\"sku\":\"C\",\"on_hand\":7.0}\n").send().await.assert_status(200);
    assert_eq!((app.level("A").await, app.level("B").await), ((96, 6), (5, 2)));
    assert_eq!((app.level("C").await, app.level("A?location=shop").await), ((7, 1), (4, 1)));
    for (delta, replayed) in [("1.0", ""), ("1.0", "true")] {
        let call = app.call(Method::POST, ADJUST).header("idempotency-key", "k");
        let call = call.header("content-type", "application/json").body(format!("{{\"delta\":{delta}}}"));
        assert_eq!(call.send().await.assert_level(200, 97, 7).header("idempotent-replayed"), replayed);
    }
}

/// What JavaScript makes of an object that was not turned into JSON is told apart from other mistakes.
#[tokio::test]
async fn an_object_of_javascript_is_told_so() {
    let app = start().await;
    for path in [ADJUST, MANY, TRANSFERS] {
        let told = app.post_bytes(path, "[object Object]").await;
        let detail = told.assert_problem(400, "invalid-request").at("/detail");
        assert!(detail.as_str().unwrap().contains("JSON.stringify"), "{detail}");
    }
}

/// Quantities are integers from 0 to 2^40 - 1, and nothing else is one.
#[tokio::test]
async fn quantities_are_integers_in_range() {
    let app = start().await;
    let put = async |value: &str| {
        let call = app.call(Method::PUT, "/v1/stock/B").header("content-type", "application/json");
        call.body(format!("{{\"on_hand\":{value}}}")).send().await
    };
    for value in [
        "-1",
        "-0",
        "-1.0",
        "1.01",
        "1e3",
        "\"1\"",
        "null",
        "false",
        "[1]",
        "1099511627776",
        "18446744073709551616",
    ] {
        put(value).await.assert_fields(&["/on_hand"]);
    }
    app.get("/v1/stock/B").await.assert_problem(404, "stock-not-found");
    put("1099511627775").await.assert_level(201, 1_099_511_627_775, 1);
}

/// JSON that is not what is asked for is 422 with a pointer to the field: of a batch.
#[tokio::test]
async fn wrong_lines_are_pointed_at() {
    let app = start().await;
    let good = "{\"sku\":\"A\",\"delta\":1}";
    for (body, pointer) in [
        ("{}".to_owned(), "/lines"),
        ("{\"lines\":null}".to_owned(), "/lines"),
        ("{\"lines\":{}}".to_owned(), "/lines"),
        (format!("{{\"lines\":[{good},1]}}"), "/lines/1"),
        (format!("{{\"lines\":[{good},[\"A\",null,1]]}}"), "/lines/1"),
        (format!("{{\"lines\":[{good},{{\"sku\":\"A\"}}]}}"), "/lines/1/delta"),
        (format!("{{\"lines\":[{good},{{\"delta\":1}}]}}"), "/lines/1/sku"),
        (format!("{{\"lines\":[{good},{{\"sku\":\"A\",\"delta\":1.5}}]}}"), "/lines/1/delta"),
        (format!("{{\"lines\":[{good},{{\"sku\":\"A\",\"delta\":0}}]}}"), "/lines/1/delta"),
        (format!("{{\"lines\":[{good},{{\"sku\":1,\"delta\":1}}]}}"), "/lines/1/sku"),
        (format!("{{\"lines\":[{good},{{\"sku\":\"A\",\"delta\":1,\"on_hand\":2}}]}}"), "/lines/1/on_hand"),
        (format!("{{\"lines\":[{good},{{\"sku\":\"A\",\"sku\":\"A\",\"delta\":1}}]}}"), "/lines/1/sku"),
        (format!("{{\"lines\":[{good}],\"mode\":\"both\"}}"), "/mode"),
        (format!("{{\"lines\":[{good}],\"mode\":1}}"), "/mode"),
        (format!("{{\"lines\":[{good}],\"mode\":null}}"), "/mode"),
        (format!("{{\"lines\":[{good}],\"mode\":{{\"atomic\":null}}}}"), "/mode"),
        (format!("{{\"lines\":[{good}],\"lines\":[{good}]}}"), "/lines"),
        (format!("[\"atomic\",[{good}]]"), ""),
    ] {
        app.post_bytes(MANY, body).await.assert_fields(&[pointer]);
    }
    let array = "{\"lines\":[[\"A\",\"main\",\"b\",1]]}";
    app.post_bytes(TRANSFERS, array).await.assert_fields(&["/lines/0"]);
    let float = "{\"lines\":[{\"sku\":\"A\",\"from\":\"main\",\"to\":\"b\",\"quantity\":1.5}]}";
    app.post_bytes(TRANSFERS, float).await.assert_fields(&["/lines/0/quantity"]);
    assert_unchanged(&app).await;
}

/// `reason` and `reference` are bounded in characters, not bytes; null is none.
#[tokio::test]
async fn notes_are_bounded() {
    let app = start().await;
    let long = |count| "ä".repeat(count);
    let lines = json!([{"sku": "A", "delta": -1}]);
    let moves = json!([{"sku": "A", "from": "main", "to": "b", "quantity": 1}]);
    for (field, longest) in [("reason", 64), ("reference", 128)] {
        for (path, lines) in [(MANY, &lines), (TRANSFERS, &moves)] {
            let mut body = json!({ "lines": lines, field: long(longest) });
            app.post(path, &body).await.assert_status(200);
            body[field] = json!(long(longest + 1));
            app.post(path, &body).await.assert_fields(&[&format!("/{field}")]);
        }
        app.post(ADJUST, &json!({ "delta": 1, field: null })).await.assert_status(200);
        let over = json!({ "delta": 1, field: long(longest + 1) });
        app.post(ADJUST, &over).await.assert_fields(&[&format!("/{field}")]);
        app.put("/v1/stock/B", &json!({ "on_hand": 1, field: long(longest + 1) }))
            .await
            .assert_fields(&[&format!("/{field}")]);
    }
}

/// A sku or location that is none, however it is spelt in the URL, is named as the parameter it is.
#[tokio::test]
async fn names_in_the_path_are_checked() {
    let app = start().await;
    let long = "%C3%A4".repeat(33);
    for sku in ["a%20", "%20b", "%C2%A0b", "a%00", "a%0Ab", "%7F", "a%C2%85b", &"x".repeat(65), &long] {
        for call in [
            app.call(Method::GET, &format!("/v1/stock/{sku}")),
            app.call(Method::DELETE, &format!("/v1/stock/{sku}")),
        ] {
            call.send().await.assert_parameter("sku");
        }
        app.put(&format!("/v1/stock/{sku}"), &json!({ "on_hand": 1 })).await.assert_parameter("sku");
        app.post(&format!("/v1/stock/{sku}/adjust"), &json!({ "delta": 1 })).await.assert_parameter("sku");
    }
    for sku in ["%ff", "a%C3"] {
        app.get(&format!("/v1/stock/{sku}")).await.assert_parameter("sku");
    }
    for location in ["", "a%20", "+b", "%ff", "%C3&", "a%C3", "%1F", &"x".repeat(33), &long] {
        app.get(&format!("/v1/stock/A?location={location}")).await.assert_parameter("location");
    }
    assert_eq!(app.get("/v1/stock/%41").await.assert_level(200, 100, 1).at("/sku"), "A");
    // What is longer than a name can come down to is refused as it stands.
    app.get(&format!("/v1/stock/{}", "e%CC%81".repeat(2_000))).await.assert_parameter("sku");
}

/// Every route there is whose path has a parameter: what is no text in its place is told as every other name is that names nothing. No answer
/// of the framework is ever seen.
#[tokio::test]
async fn what_is_no_text_in_a_path_is_a_problem() {
    let app = start().await;
    let mut asked = 0;
    for (route, methods) in TABLE.iter().filter(|(route, _)| route.contains('{')) {
        let (before, after) = route.split_once('{').expect("it has one");
        let (parameter, after) = after.split_once('}').expect("it ends");
        for (method, _) in *methods {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let call = app.call(method.clone(), &format!("{before}%9d{after}"));
            let is_change = !method.is_safe();
            let answer = if is_change { call.json(&json!({})).send().await } else { call.send().await };
            asked += 1;
            assert!((400..500).contains(&answer.status), "{method} {route}: {}", answer.text());
            assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {route}");
            // Who sends no body that fits is told of that first.
            if answer.status == 422 && !is_change {
                assert!(answer.text().contains(&format!("\"parameter\":\"{parameter}\"")), "{route}");
            }
        }
    }
    assert!(asked >= 20, "{asked}");
}
