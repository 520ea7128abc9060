//! The binary, as scripts and containers use it (DESIGN section 7): what it prints where, and how it exits.
//!
//! Each test runs the real executable; none waits for time to pass: the first line of `serve` says when it listens.

mod access;
mod access_log;
mod certificates;
mod collector;
mod configuration;
mod data_dirs;
mod listening;
mod log;
mod offline;
mod supervised;
mod tokens;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use inventory::strategy::StrategyKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The executable, with none of the variables that this test may have been started with.
fn inventory(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    let is_read = |name: &str| name.starts_with("INVENTORY_") || name.starts_with("OTEL_");
    let own = std::env::vars_os().filter(|(name, _)| is_read(&name.to_string_lossy()));
    own.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.args(args).stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    end_of(&mut inventory(args))
}

/// How a command ends. One that begins to serve instead fails the test, and is not left behind.
fn end_of(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the executable");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut stdout = Vec::new();
    out.read_until(b'\n', &mut stdout).expect("a pipe");
    if stdout.starts_with(b"http://") {
        child.kill().expect("it runs");
        child.wait().expect("an end");
        panic!("it serves: {command:?}");
    }
    out.read_to_end(&mut stdout).expect("a pipe");
    Output { stdout, ..child.wait_with_output().expect("an end") }
}

/// What a command that succeeds prints.
pub(crate) fn printed(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = output(args);
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

/// The one line of a command that exits so, without its `error: `; of `serve`, which says it in JSON where nobody watches, what it says.
fn refused(args: &[&str], code: i32) -> String {
    told(&output(args), code)
}

fn told(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(output.stdout.is_empty(), "nothing but results is printed");
    let (line, rest) = errors.split_once('\n').expect("a line");
    assert_eq!(rest, "", "one line");
    if line.starts_with('{') {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["level"], "ERROR", "{line}");
        return line["fields"]["message"].as_str().expect("a message").to_owned();
    }
    line.strip_prefix("error: ").expect("an error").to_owned()
}

/// A service that runs; killed, by its own id, if a test ends before it does.
struct Served {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Served {
    fn start(command: &mut Command) -> Self {
        Self::logging_to(Stdio::null(), command)
    }

    fn logging_to(stderr: Stdio, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the executable");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut url = String::new();
        out.read_line(&mut url).expect("a first line");
        Self { child, out, url: url.trim_end().to_owned() }
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or_else(|| panic!("{:?} is a URL", self.url))
    }

    /// The body of a GET.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
    }

    /// The answer to a request with that JSON.
    fn send(&self, method: &str, path: &str, json: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json"
        );
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{json}", json.len()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("it runs");
    }

    /// Waits for its end: the exit code, and what else it printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("UTF-8");
        (self.child.wait().expect("an end").code(), rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn serve(args: &[&str]) -> Command {
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--log", "off", "--ephemeral"]);
    command.args(args);
    command
}

/// The address is the first and only line on standard output, and good to use at once; SIGTERM and SIGINT end it with 0.
#[test]
fn serve_prints_its_address_and_ends_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let served = Served::start(&mut serve(&[]));
        assert!(served.url.starts_with("http://127.0.0.1:") && !served.url.ends_with(":0"), "{}", served.url);
        assert_eq!(served.get("/readyz"), "ready\n");
        served.signal(signal);
        assert_eq!(served.end(), (Some(0), String::new()));
    }
}

/// An idle connection does not keep a service from ending.
#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let served = Served::start(&mut serve(&[]));
    let mut idle = TcpStream::connect(served.address()).unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
}

/// Each strategy serves under its name, by flag or by environment; a flag wins.
#[test]
fn the_strategy_is_chosen_by_flag_or_environment() {
    let strategy = |served: &Served| {
        let status: Value = serde_json::from_str(&served.get("/v1/status")).unwrap();
        status["strategy"].as_str().unwrap().to_owned()
    };
    for kind in StrategyKind::known() {
        let mut by_environment = serve(&[]);
        by_environment.env("INVENTORY_STRATEGY", kind.name());
        if !kind.is_correct() {
            by_environment.env("INVENTORY_ALLOW_RACY", "true");
        }
        assert_eq!(strategy(&Served::start(&mut by_environment)), kind.name());
    }
    let mut both = serve(&["--strategy", "sharded"]);
    both.env("INVENTORY_STRATEGY", "mutex");
    assert_eq!(strategy(&Served::start(&mut both)), "sharded");
    assert_eq!(strategy(&Served::start(&mut serve(&[]))), "atomic");
}

/// A flag beats a variable, and a variable that says no is off. What is said twice in the same place is refused.
#[test]
fn where_stock_is_kept_is_said_by_the_flag() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        command.args(flags).envs(variables.iter().copied()).current_dir(folder.path());
        command
    };
    let kept = |flags: &[&str], variables: &[(&str, &str)]| {
        let served = Served::start(&mut start(flags, variables));
        let status: Value = serde_json::from_str(&served.get("/v1/status")).unwrap();
        status["durability"].as_str().unwrap().to_owned()
    };
    let (on, off) = (("INVENTORY_EPHEMERAL", "true"), ("INVENTORY_EPHEMERAL", "false"));
    let data = ("INVENTORY_DATA_DIR", "of-the-environment");
    assert_eq!(kept(&["--data-dir", "of-the-flag"], &[on]), "durable");
    assert_eq!(kept(&["--ephemeral"], &[data]), "ephemeral");
    assert_eq!(kept(&["--ephemeral=false"], &[on]), "durable");
    assert_eq!(kept(&[], &[on]), "ephemeral");
    assert_eq!(kept(&[], &[off]), "durable");
    assert_eq!(kept(&["--data-dir", "of-the-flag"], &[off]), "durable");
    assert_eq!(kept(&[], &[off, data]), "durable");
    let folders =
        ["of-the-flag", "of-the-environment", "inventory-data"].map(|name| folder.path().join(name));
    assert!(folders.iter().all(|folder| folder.is_dir()));
    let line = told(&end_of(&mut start(&[], &[on, data])), 2);
    assert!(line.contains("INVENTORY_EPHEMERAL") && line.contains("INVENTORY_DATA_DIR"), "{line}");
}

/// The negative control is refused unless it is allowed, however it is asked for.
#[test]
fn racy_must_be_allowed() {
    let line = refused(&["serve", "--strategy", "racy"], 2);
    assert!(line.contains("racy") && line.contains("--allow-racy"), "{line}");
    let by_environment = end_of(serve(&[]).env("INVENTORY_STRATEGY", "racy"));
    assert!(told(&by_environment, 2).contains("--allow-racy"));
    let served = Served::start(&mut serve(&["--strategy", "racy", "--allow-racy"]));
    assert!(served.url.starts_with("http://"), "{}", served.url);
}

/// Bad usage and bad configuration: exit 2, and one line that names what is wrong.
#[test]
fn bad_usage_is_one_line_that_names_the_flag() {
    for (args, named) in [
        (&["serve", "--nonsense"][..], "--nonsense"),
        (&["serve", "--strategy", "fast"], "--strategy"),
        (&["serve", "--lock-timeout", "soon"], "--lock-timeout"),
        (&["serve", "--lock-timeout", "0s"], "--lock-timeout"),
        (&["serve", "--request-timeout", "9000years"], "--request-timeout"),
        (&["serve", "--header-timeout", "0s"], "--header-timeout"),
        (&["serve", "--shutdown-grace", "0ms"], "--shutdown-grace"),
        (&["serve", "--idempotency-keys", "0"], "--idempotency-keys"),
        (&["serve", "--idempotency-retention", "0s"], "--idempotency-retention"),
        (&["serve", "--snapshot-bytes", "0"], "--snapshot-bytes"),
        (&["serve", "--snapshot-interval", "0s"], "--snapshot-interval"),
        (&["serve", "--retain-age", "0s"], "--retain-age"),
        (&["serve", "--retain-bytes", "0MiB"], "--retain-bytes"),
        (&["serve", "--queue-discipline", "random"], "--queue-discipline"),
        (&["serve", "--queue-capacity", "0"], "--queue-capacity"),
        (&["serve", "--queue-capacity", "1000001"], "--queue-capacity"),
        (&["serve", "--order-workers", "0"], "--order-workers"),
        (&["serve", "--order-workers", "1025"], "--order-workers"),
        (&["serve", "--order-ageing", "0s"], "--order-ageing"),
        (&["serve", "--order-ageing", "25h"], "--order-ageing"),
        (&["serve", "--backorder-capacity", "0"], "--backorder-capacity"),
        (&["serve", "--waiters-max", "0"], "--waiters-max"),
        (&["serve", "--order-retention", "0s"], "--order-retention"),
        (&["serve", "--max-connections", "0"], "--max-connections"),
        (&["serve", "--max-connections=-1"], "--max-connections"),
        (&["serve", "--max-connections", "many"], "--max-connections"),
        (&["serve", "--max-connections", "18446744073709551615"], "--max-connections"),
        (&["serve", "--workers", "0"], "--workers"),
        (&["serve", "--listen", "nowhere"], "--listen"),
        (&["serve", "--listen", "127.0.0.1:99999"], "--listen"),
        (&["serve", "--listen", "unix:/no/such/folder/socket"], "--listen"),
        (&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "nowhere"], "--metrics-listen"),
        (&["serve", "--cors-origin", "*"], "--cors-origin"),
        (&["serve", "--cors-origin", "https://shop.example/path"], "--cors-origin"),
        (&["serve", "--drain-delay", "25h"], "--drain-delay"),
        (&["serve", "--tls-cert", "cert.pem"], "--tls-key"),
        (&["serve", "--tls-key", "key.pem"], "--tls-cert"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--tls-cert", "/none", "--tls-key", "/none"],
            "--tls-cert /none",
        ),
        (&["serve", "--max-body-memory", "0"], "--max-body-memory"),
        (&["serve", "--max-in-flight", "0"], "--max-in-flight"),
        (&["serve", "--admission-queue", "0"], "--admission-queue"),
        (&["serve", "--admission-wait", "0s"], "--admission-wait"),
        (&["serve", "--rate-limit", "100"], "--rate-limit"),
        (&["serve", "--rate-limit", "0/s"], "--rate-limit"),
        (&["serve", "--rate-limit-burst", "5"], "--rate-limit"),
        (&["serve", "--rate-limit", "1/h", "--rate-limit-burst", "0"], "--rate-limit-burst"),
        (&["serve", "--rate-limit", "1/h", "--rate-limit-burst", "25"], "--rate-limit-burst"),
        (&["serve", "--exports-max", "0"], "--exports-max"),
        (&["serve", "--max-connections-per-address", "0"], "--max-connections-per-address"),
        (&["serve", "--log-format", "xml"], "--log-format"),
        (&["serve", "--log", "inventory=loud"], "--log"),
        (&["serve", "--data-dir", "d", "--ephemeral"], "--data-dir"),
        (&["serve", "--workers"], "--workers"),
        (&["serve", "here"], "here"),
        (&["sevre"], "sevre"),
        (&["healthcheck"], "URL"),
        (&["strategies", "--yaml"], "--yaml"),
    ] {
        let line = refused(args, 2);
        assert!(line.contains(named), "{args:?}: {line}");
    }
    let by_environment = end_of(serve(&[]).env("INVENTORY_LOCK_TIMEOUT", "soon"));
    assert!(told(&by_environment, 2).contains("--lock-timeout"));
}

/// A port that is taken: exit 2, and one line that says which and why.
#[test]
fn a_port_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refused(&["serve", "--listen", &address], 2);
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
}

/// Without a command: the usage, and exit 2. Help and version are results: standard output, and 0.
#[test]
fn help_is_a_result() {
    let nothing = output(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(nothing.stdout.is_empty() && String::from_utf8_lossy(&nothing.stderr).contains("Usage:"));
    assert!(printed(&["--help"]).contains("Usage:"));
    assert!(printed(&["serve", "--help"]).contains("INVENTORY_STRATEGY"));
    assert_eq!(printed(&["--version"]), format!("inventory {}\n", env!("CARGO_PKG_VERSION")));
}

/// One strategy a line, its name first; as JSON the same in the same order.
#[test]
fn strategies_are_one_a_line() {
    let text = printed(&["strategies"]);
    let names: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().expect("a name")).collect();
    assert_eq!(names, StrategyKind::known().map(StrategyKind::name).collect::<Vec<_>>());
    let json: Value = serde_json::from_str(&printed(&["strategies", "--json"])).expect("JSON");
    for (kind, told) in StrategyKind::known().zip(json.as_array().expect("a list")) {
        assert_eq!(
            (told["name"].as_str(), told["correct"].as_bool()),
            (Some(kind.name()), Some(kind.is_correct()))
        );
        let words = ["shares", "cost", "choose_when"].map(|field| told[field].as_str().expect("a text"));
        let line = text.lines().find(|line| line.starts_with(kind.name())).expect("a line");
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
}

/// The document is what is committed, and its JSON says the same.
#[test]
fn openapi_prints_the_document() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml")).unwrap();
    assert!(
        printed(&["openapi"]) == committed,
        "openapi.yaml is out of date: cargo run -- openapi > openapi.yaml"
    );
    let json: Value = serde_json::from_str(&printed(&["openapi", "--json"])).expect("JSON");
    assert!(json["paths"]["/v1/stock/{sku}"].is_object());
}

/// `healthcheck` exits 0 for a 200 and 1, with one line, for anything else.
#[test]
fn healthcheck_tells_well_from_unwell() {
    let served = Served::start(&mut serve(&[]));
    for path in ["/readyz", "/livez", "/v1/stock?limit=1"] {
        assert_eq!(printed(&["healthcheck", &format!("{}{path}", served.url)]), "");
    }
    // By name, too: where it stands for ::1 first, nothing listens there, and the next address is tried.
    let by_name = served.url.replace("127.0.0.1", "localhost");
    assert_eq!(printed(&["healthcheck", &format!("{by_name}/readyz")]), "");
    let missing = refused(&["healthcheck", &format!("{}/v1/stock/A", served.url)], 1);
    assert_eq!(missing, r#"the service answered "HTTP/1.1 404""#);
    for wrong in ["https://127.0.0.1/", "127.0.0.1:80", "/readyz", "http://", ""] {
        assert!(refused(&["healthcheck", wrong], 1).contains("not a URL"), "{wrong}");
    }
    let closed = format!("{}/readyz", served.url);
    drop(served);
    let nobody = refused(&["healthcheck", &closed], 1);
    assert!(nobody.starts_with("no answer: Connection refused"), "{nobody}");
}

/// Where connections begin with the header of a proxy, the health check's does, too: told so, or by the variable that told the service.
#[test]
fn healthcheck_begins_as_a_proxy_does() {
    let served = Served::start(&mut serve(&["--proxy-protocol"]));
    let url = format!("{}/readyz", served.url);
    assert_eq!(printed(&["healthcheck", "--proxy-protocol", &url]), "");
    assert!(refused(&["healthcheck", &url], 1).starts_with("no answer"));
    let by_variable = inventory(&["healthcheck", &url]).env("INVENTORY_PROXY_PROTOCOL", "true").output();
    assert!(by_variable.expect("it ran").status.success());
}

/// A reader that has gone away ends `serve` rather than leaving a service nobody knows the address of.
#[test]
fn serve_needs_somebody_to_read_its_address() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = serve(&[]).stdout(writer).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
