//! Stock out and in as files of spreadsheets (`text/csv`): what they write is read, what is wrong in them is told, and what was exported is
//! imported as it is.

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;

const CSV: &str = "text/csv; charset=utf-8";

async fn import(app: &TestApp, content_type: &str, file: impl Into<Vec<u8>>) -> Answer {
    let call = app.call(Method::POST, "/v1/import").header("content-type", content_type);
    call.body(file).send().await
}

async fn export(app: &TestApp, query: &str, accept: &str) -> Answer {
    app.call(Method::GET, &format!("/v1/export{query}")).header("accept", accept).send().await
}

/// Whatever is in a name, and however the file is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_is_imported_as_it_is() {
    let names =
        ["1/2\"", "BANK CHARGES", "a,b", "\"", "\u{e4}", "=1+1", "-3", "007", ";\"\"", "\u{feff}x", "sku"];
    let app = TestApp::start(StrategyKind::Atomic).await;
    let line =
        |(n, name): (usize, &&str)| json!({ "sku": name, "location": name, "on_hand": n }).to_string() + "\n";
    let lines: Vec<String> = names.iter().enumerate().map(line).collect();
    let made = json!({ "levels": 11, "created": 11, "counted": 0 });
    assert_eq!(import(&app, "application/x-ndjson", lines.concat()).await.assert_status(200).json(), made);
    let csv = export(&app, "", "text/csv").await;
    assert_eq!(csv.assert_status(200).header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"stock.csv\"");
    assert_eq!(csv.header("vary"), "accept");
    assert!(!csv.header("event-cursor").is_empty());
    assert!(
        csv.text().starts_with("sku,location,on_hand,version\r\n\"\"\"\",\"\"\"\",3,1\r\n"),
        "{}",
        csv.text()
    );
    let ndjson = export(&app, "", "application/x-ndjson").await;
    assert_eq!(
        (ndjson.header("content-type"), ndjson.header("content-disposition")),
        ("application/x-ndjson", "")
    );
    assert_eq!(export(&app, "?format=csv", "*/*").await.text(), csv.text());
    assert_eq!(export(&app, "?format=ndjson", "text/csv").await.text(), ndjson.text());
    let same = json!({ "levels": 11, "created": 0, "counted": 0, "unchanged": 11 });
    for (content_type, file) in [(CSV, &csv), ("application/x-ndjson", &ndjson)] {
        assert_eq!(import(&app, content_type, file.text()).await.assert_status(200).json(), same);
    }
    assert_eq!(export(&app, "", "text/csv").await.text(), csv.text(), "no version has changed");
    assert_eq!(app.get("/v1/movements").await.count("/items"), 11, "nor is there a movement");
    // As a program writes it that spells names in another way, into a service that has nothing.
    let other = TestApp::start(StrategyKind::Mutex).await;
    let bare: String = csv.text().replace('\u{e4}', "a\u{308}").replace(",1\r\n", ",\r\n");
    assert_eq!(import(&other, CSV, bare).await.assert_status(200).json(), made);
    assert_eq!(export(&other, "?format=csv", "").await.text(), csv.text());
    app.get("/v1/export?format=xlsx")
        .await
        .assert_problem(422, "validation-failed")
        .assert_parameter("format");
    app.get("/v1/export?colour=red").await.assert_parameter("colour");
    let empty = TestApp::start(StrategyKind::Mutex).await;
    assert_eq!(export(&empty, "?format=csv", "").await.text(), "sku,location,on_hand,version\r\n");
}

/// As Excel, `LibreOffice` and Numbers write them; and one to which a hand has come.
#[tokio::test]
async fn files_of_spreadsheets_are_imported() {
    for file in [
        "\u{feff}sku;on_hand\r\n\"1/2\"\"\";5\r\na,b;7\r\n;\r\n",
        "\u{feff}sku,on_hand\r\n\"1/2\"\"\",5\r\n\"a,b\",7\r\n,,\r\n",
        "\"sku\",\"on_hand\"\n\"1/2\"\"\",5\n\"a,b\",7\n",
        "sku\ton_hand\n1/2\"\t5\na,b\t7",
        "on_hand,sku,location\r5,1/2\",\r7,\"a,b\",main\r",
    ] {
        let app = TestApp::start(StrategyKind::Mutex).await;
        let imported = import(&app, CSV, file).await;
        let expected = json!({ "levels": 2, "created": 2, "counted": 0 });
        assert_eq!(imported.assert_status(200).json(), expected, "{file}");
        assert_eq!((app.level("1%2F2%22").await, app.level("a,b").await), ((5, 1), (7, 1)), "{file}");
    }
    let app = TestApp::start(StrategyKind::Mutex).await;
    let marked = "\u{feff}{\"sku\":\"A\",\"on_hand\":1}\r\n\r\n{\"sku\":\"B\",\"on_hand\":2}";
    assert_eq!(import(&app, "application/x-ndjson", marked).await.assert_status(200).number("/created"), 2);
}

/// Line, column and value, in words of whoever keeps the stock; of all lines, whichever the form; and nothing is applied.
#[tokio::test]
async fn every_wrong_line_is_told_in_words() {
    let app = TestApp::start(StrategyKind::Atomic).await;
    let csv = "sku,location,on_hand\r\nA,,1\r\nA ,,ten\r\nB,,\r\n\"C,,1\r\n";
    let told = import(&app, CSV, csv).await;
    told.assert_problem(422, "validation-failed");
    let units = "is not a whole number from 0 to 1 099 511 627 775";
    let expected = json!([
        { "line": 3, "pointer": "/sku", "detail": format!("\"A \" must not begin or end with white space, found U+0020; on_hand: \"ten\" {units}") },
        { "line": 4, "pointer": "/on_hand", "detail": "is missing" },
        { "line": 5, "detail": "a quote (\") opens a cell and none closes it in this line" },
    ]);
    assert_eq!(told.at("/errors"), expected, "{}", told.text());
    let first = told.at("/detail");
    assert!(first.as_str().is_some_and(|detail| detail.starts_with("line 3, sku: \"A \" must")), "{first}");
    let ndjson = "{\"sku\":\"A\",\"on_hand\":\"ten\"}\n{\"sku\":\"A\",\"on_hand\":1";
    let told = import(&app, "application/x-ndjson", ndjson).await;
    let expected = json!([
        { "line": 1, "pointer": "/on_hand", "detail": format!("the string \"ten\" {units}") },
        { "line": 2, "detail": "is not JSON: it ends too early" },
    ]);
    assert_eq!(told.at("/errors"), expected, "{}", told.text());
    let twice = import(&app, CSV, "sku,on_hand\nA,1\n\nA,2\n").await;
    assert_eq!(twice.at("/errors/0/line"), 4, "{}", twice.text());
    let header = import(&app, CSV, "sku,on_hand,colour\nA,1,red\n").await;
    assert_eq!((header.at("/errors/0/line"), header.at("/errors/0/pointer")), (1.into(), "/colour".into()));
    for nothing in ["", "\n\n", "sku,on_hand\n", "\u{feff}"] {
        import(&app, CSV, nothing).await.assert_problem(422, "validation-failed");
    }
    let many: Vec<String> = (0..250).map(|n| format!("A{n},x\n")).collect();
    let many = import(&app, CSV, format!("sku,on_hand\n{}", many.concat())).await;
    assert_eq!((many.count("/errors"), many.at("/errors/99/line")), (100, 101.into()));
    let latin = import(&app, CSV, b"sku,on_hand\n\xe4,1\n".to_vec()).await;
    assert_eq!(latin.at("/errors/0/detail"), "is not UTF-8; save the file as UTF-8");
    for wrong in ["text/csv; charset=iso-8859-1", "text/plain", "application/vnd.ms-excel"] {
        import(&app, wrong, "sku,on_hand\nA,1\n").await.assert_problem(415, "unsupported-media-type");
    }
    assert_eq!(export(&app, "", "").await.text(), "");
}
