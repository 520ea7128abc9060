//! `GET /v1/stock`: pages, cursors and filters.

use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

/// `sku@location` of each item.
fn keys(page: &Answer) -> Vec<String> {
    let items = page.assert_status(200).at("/items");
    let field = |item: &Value, name: &str| item[name].as_str().expect("a name").to_owned();
    let name = |item: &Value| format!("{}@{}", field(item, "sku"), field(item, "location"));
    items.as_array().expect("items").iter().map(name).collect()
}

/// The path that a `Link: <path>; rel="next"` leads to.
fn next(page: &Answer) -> Option<String> {
    let link = page.header("link");
    let cursor = page.at("/next_cursor");
    assert_eq!(link.is_empty(), cursor.is_null(), "{link:?} and {cursor}");
    let path = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"").expect("a link to the next page");
    assert!(path.contains(&format!("cursor={}", cursor.as_str()?)), "{path} has the cursor {cursor}");
    Some(path.to_owned())
}

/// All keys along the links, and how many pages they took.
async fn walk(app: &TestApp, first: &str) -> (Vec<String>, usize) {
    let (mut all, mut pages, mut path) = (Vec::new(), 0, Some(first.to_owned()));
    while let Some(current) = path {
        let page = app.get(&current).await;
        all.extend(keys(&page));
        path = next(&page);
        pages += 1;
        assert!(pages <= 100, "the walk ends");
    }
    (all, pages)
}

for_each_strategy! {
    /// Walking the cursors, or the links, meets each level once, in order, whatever the size of the pages.
    async fn a_walk_meets_each_level_once(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        let mut expected = Vec::new();
        for number in 0..23 {
            for location in ["east", "main"] {
                app.create(&format!("S{number:02}?location={location}"), number).await;
                expected.push(format!("S{number:02}@{location}"));
            }
        }
        for limit in [1, 7, 45, 46, 47, 1_000] {
            let (walked, pages) = walk(&app, &format!("/v1/stock?limit={limit}")).await;
            assert_eq!(walked, expected, "limit {limit}");
            assert!((46_usize.div_ceil(limit)..=46 / limit + 1).contains(&pages), "{pages} pages of {limit}");
        }
        assert_eq!(keys(&app.get("/v1/stock").await).len(), 46);
    }

    /// Items are levels as they are; what is deleted is not listed, and what comes back is.
    async fn deleted_levels_are_not_listed(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1), ("B", 2), ("C", 3)]).await;
        app.remove("/v1/stock/B").await.assert_status(204);
        let page = app.get("/v1/stock").await;
        assert_eq!(keys(&page), ["A@main", "C@main"]);
        let level = json!({"sku": "C", "location": "main", "on_hand": 3, "reserved": 0, "available": 3, "version": 1});
        assert_eq!(page.at("/items/1"), level);
        app.create("B", 4).await;
        assert_eq!(keys(&app.get("/v1/stock").await), ["A@main", "B@main", "C@main"]);
    }

    /// Filters hold along the whole walk: the link carries them.
    async fn filters_hold_along_the_walk(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        for sku in ["a", "ab", "ab1", "ab2", "ab~", "ac", "b"] {
            for location in ["main", "shop"] {
                app.create(&format!("{sku}?location={location}"), 1).await;
            }
        }
        let (walked, _) = walk(&app, "/v1/stock?sku_prefix=ab&location=shop&limit=1").await;
        assert_eq!(walked, ["ab@shop", "ab1@shop", "ab2@shop", "ab~@shop"]);
        let (walked, _) = walk(&app, "/v1/stock?limit=3&location=main").await;
        assert_eq!(walked, ["a", "ab", "ab1", "ab2", "ab~", "ac", "b"].map(|sku| format!("{sku}@main")));
        assert_eq!(keys(&app.get("/v1/stock?sku_prefix=ab").await).len(), 8);
        assert_eq!(keys(&app.get("/v1/stock?sku_prefix=").await).len(), 14);
        let (walked, _) = walk(&app, "/v1/stock?sku=ab&limit=1").await;
        assert_eq!(walked, ["ab@main", "ab@shop"], "every location of one sku");
        assert_eq!(keys(&app.get("/v1/stock?sku=ab&location=shop").await), ["ab@shop"]);
        for nothing in ["sku_prefix=x", "location=nowhere", "sku=abc", "sku=a&sku_prefix=b"] {
            let page = app.get(&format!("/v1/stock?{nothing}")).await;
            assert_eq!((keys(&page).len(), next(&page)), (0, None), "{nothing}");
        }
    }

    /// A cursor stays good when the level it stands at is deleted, and levels created behind it do not come again.
    async fn a_walk_survives_changes(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1), ("C", 1), ("E", 1), ("G", 1)]).await;
        let first = app.get("/v1/stock?limit=2").await;
        assert_eq!(keys(&first), ["A@main", "C@main"]);
        app.remove("/v1/stock/C").await.assert_status(204);
        app.create("B", 1).await;
        app.create("F", 1).await;
        let (rest, _) = walk(&app, &next(&first).expect("more")).await;
        assert_eq!(rest, ["E@main", "F@main", "G@main"]);
    }
}

/// P10: a page has 1 to 1000 levels, 100 where nothing is said.
#[tokio::test]
async fn the_size_of_a_page_is_bounded() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    for number in 0..101 {
        app.create(&format!("S{number:03}"), 1).await;
    }
    let page = app.get("/v1/stock").await;
    assert_eq!(keys(&page).len(), 100);
    assert!(next(&page).is_some_and(|link| link.contains("limit=100")));
    assert_eq!(keys(&app.get("/v1/stock?limit=1000").await).len(), 101);
    for limit in ["0", "1001", "-1", "ten", "", "1.0", "99999999999999999999"] {
        app.get(&format!("/v1/stock?limit={limit}")).await.assert_parameter("limit");
    }
}

/// What is not a cursor, a filter, or a parameter at all is named, not ignored.
#[tokio::test]
async fn bad_parameters_are_named() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    // Not base64; without a location; with a bad sku; as no cursor ever was; not UTF-8.
    for cursor in ["!!!", "QQ", "IGEfbWFpbg", "YSBiIGMgZA", "_w", ""] {
        app.get(&format!("/v1/stock?cursor={cursor}")).await.assert_parameter("cursor");
    }
    app.get("/v1/stock?location=").await.assert_parameter("location");
    app.get(&format!("/v1/stock?location={}", "x".repeat(33))).await.assert_parameter("location");
    app.get("/v1/stock?sku=").await.assert_parameter("sku");
    app.get("/v1/stock?sku_prefix=%20b").await.assert_parameter("sku_prefix");
    app.get(&format!("/v1/stock?sku_prefix={}", "x".repeat(65))).await.assert_parameter("sku_prefix");
    app.get("/v1/stock?Limit=1").await.assert_parameter("Limit");
    app.get("/v1/stock?limit=1&limit=1").await.assert_parameter("limit");
    app.get("/v1/stock/A?locaton=x").await.assert_parameter("locaton");
    app.delete("/v1/stock/A?location=a&location=b").await.assert_parameter("location");
    assert_eq!(app.level("A?location=%6Dain").await, (1, 1));
}
