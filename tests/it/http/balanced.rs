//! Several services behind the nginx of `deploy/nginx-replicas.conf`: who asks for a sku is sent to one and the same of them, as long as it is there.

use inventory::strategy::StrategyKind;

use crate::support::app::TestApp;
use crate::support::nginx::Nginx;

const BALANCER: &str = include_str!("../../../deploy/nginx-replicas.conf");

/// As the file has it, but for where things are.
async fn before(apps: &[TestApp; 3]) -> Option<Nginx> {
    Nginx::start(|place, socket| {
        let mut configuration = format!("daemon off; master_process off;\n{BALANCER}")
            .replace("/tmp/", &format!("{place}/"))
            // Whoever asks here says at once that nothing more comes.
            .replace("access_log off;", "access_log off; proxy_ignore_client_abort on;")
            .replace("listen 8080;", &format!("listen unix:{socket};"));
        for (number, app) in apps.iter().enumerate() {
            configuration = configuration
                .replace(&format!("server replica-{}:8080", number + 1), &format!("server {}", app.address));
        }
        configuration
    })
    .await
}

async fn asked(nginx: &Nginx, method: &str, path: &str, body: &str) -> String {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    nginx.answers(request.as_bytes()).await
}

/// Here the services share nothing, so who has a level is who was asked for it: one of them for each sku however it is spelt and whatever is asked; none is left out; and
/// where one is gone, the others are asked instead of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sku_has_a_replica_of_its_own_until_that_is_gone() {
    let start = || TestApp::with(StrategyKind::Atomic).ephemeral().start();
    let mut apps = [start().await, start().await, start().await];
    let Some(nginx) = before(&apps).await else { return };
    let skus: Vec<String> =
        (0..40).map(|number| format!("sku-{number}")).chain(["%C3%A4".to_owned()]).collect();
    let mut homes = Vec::new();
    for sku in &skus {
        let made = asked(&nginx, "PUT", &format!("/v1/stock/{sku}"), r#"{"on_hand":5}"#).await;
        assert!(made.starts_with("HTTP/1.1 201 "), "{sku}: {made}");
        let adjusted =
            asked(&nginx, "POST", &format!("/v1/stock/{sku}/adjust?location=main"), r#"{"delta":-1}"#).await;
        assert!(adjusted.starts_with("HTTP/1.1 200 "), "{sku}: {adjusted}");
        let mut having = Vec::new();
        for (number, app) in apps.iter().enumerate() {
            if app.get(&format!("/v1/stock/{sku}")).await.status == 200 {
                having.push(number);
            }
        }
        assert_eq!(having.len(), 1, "{sku} is at {having:?}");
        homes.push(having[0]);
    }
    // Another spelling of the same name.
    let spelt = asked(&nginx, "GET", "/v1/stock/%73ku-0", "").await;
    assert!(spelt.starts_with("HTTP/1.1 200 "), "{spelt}");
    assert!((0..3).all(|number| homes.contains(&number)), "{homes:?}");
    // What has no sku goes anywhere.
    let ready = asked(&nginx, "GET", "/readyz", "").await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");

    let gone = homes[0];
    apps[gone].begin_shutdown();
    apps[gone].drained().await;
    for (sku, home) in skus.iter().zip(homes) {
        let expected = if home == gone { "HTTP/1.1 404 " } else { "HTTP/1.1 200 " };
        let answer = asked(&nginx, "GET", &format!("/v1/stock/{sku}"), "").await;
        assert!(answer.starts_with(expected), "{sku}: {answer}");
    }
}
