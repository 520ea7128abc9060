//! A shop that runs: its program, and the database under it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use databases::{Database, Postgres, Redis, StartError};
use serde_json::Value;
use targets::Way;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
}

/// A database that runs while this is there.
pub(crate) enum Running {
    Postgres(Database),
    Redis(Redis),
}

/// A program that ends when this is dropped.
pub(crate) struct Program(Child);

/// A shop that runs. The program ends before its database does.
pub(crate) struct Served {
    pub(crate) url: String,
    program: Program,
    pub(crate) database: Running,
    client: reqwest::Client,
}

/// Names a test for each shop and way, with one body: `async fn body(shop: &Served, way: Way)`.
macro_rules! for_each_shop {
    ($body:ident) => {
        for_each_shop! {
            $body:
            postgres_naive Postgres Naive, postgres_atomic Postgres Atomic, postgres_locked Postgres Locked,
            postgres_recorded Postgres Recorded,
            redis_naive Redis Naive, redis_atomic Redis Atomic
        }
    };
    ($body:ident: $($name:ident $kind:ident $way:ident),*) => {
        mod $body {
            use targets::Way;

            use crate::support::{Kind, Served};

            $(
                #[databases::needs($kind)]
                #[tokio::test]
                async fn $name() {
                    super::$body(&Served::start(Kind::$kind, Way::$way), Way::$way).await;
                }
            )*
        }
    };
}
pub(crate) use for_each_shop;

impl Running {
    /// A database that nothing else is in.
    pub(crate) fn shared(kind: Kind) -> Self {
        match kind {
            Kind::Postgres => databases::postgres().database().expect("a database").into(),
            Kind::Redis => Self::Redis(databases::redis()),
        }
    }

    /// One whose server ends with it.
    pub(crate) fn alone(kind: Kind) -> Self {
        let postgres = || -> Result<Self, StartError> { Ok(Arc::new(Postgres::start()?).database()?.into()) };
        match kind {
            Kind::Postgres => databases::started(postgres()),
            Kind::Redis => Self::shared(kind),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Redis(server) => server.url(),
        }
    }

    fn program(&self) -> &'static str {
        match self {
            Self::Postgres(_) => env!("CARGO_BIN_EXE_shop-postgres"),
            Self::Redis(_) => env!("CARGO_BIN_EXE_shop-redis"),
        }
    }
}

impl From<Database> for Running {
    fn from(database: Database) -> Self {
        Self::Postgres(database)
    }
}

impl Served {
    /// A shop over a database of its own.
    pub(crate) fn start(kind: Kind, way: Way) -> Self {
        Self::over(Running::shared(kind), way)
    }

    /// A shop over that database.
    pub(crate) fn over(database: Running, way: Way) -> Self {
        let way = match way {
            Way::Naive => "naive",
            Way::Atomic => "atomic",
            Way::Locked => "locked",
            Way::Recorded => "recorded",
        };
        let mut child = Command::new(database.program())
            .args(["--listen", "127.0.0.1:0", "--database", &database.url(), "--way", way])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut url).expect("its first line");
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        let program = Program(child);
        Self { url: url.trim().to_owned(), program, database, client: reqwest::Client::new() }
    }

    /// The file that describes it to `loadtest`.
    pub(crate) fn description(&self) -> &'static str {
        match self.database {
            Running::Postgres(_) => "postgres.toml",
            Running::Redis(_) => "redis.toml",
        }
    }

    /// Ends its database; it goes on without.
    pub(crate) fn without_database(self) -> (Program, String, reqwest::Client) {
        drop(self.database);
        (self.program, self.url, self.client)
    }

    /// Sends a request, with a body if there is one, and returns the status and the body of the answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        ask(&self.client, &self.url, method, path, body).await
    }
}

/// The same, wherever the server is.
pub(crate) async fn ask(
    client: &reqwest::Client,
    url: &str,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let request = client.request(method.parse().expect("a method"), format!("{url}{path}"));
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
