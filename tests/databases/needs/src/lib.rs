//! [`macro@needs`]: marks a test by the database server that it needs. It never leaves one out: where the server is missing, the test is there, and ignored.
//!
//! The test runner can report a test as ignored only if it is so when it is compiled. So the build script of this crate looks for the servers, and this
//! attribute knows what it found. A build script of the package that is tested would do, too, but everybody who builds the service would run it;
//! this crate is built for tests alone.

use proc_macro::TokenStream;

/// The test needs that server: `#[databases::needs(Postgres)]` or `#[databases::needs(Redis)]`, above the attribute that makes it a test. Where it is not installed the test
/// is ignored, with the reason.
///
/// # Panics
///
/// Of any other server, which is told by the compiler.
#[proc_macro_attribute]
pub fn needs(server: TokenStream, test: TokenStream) -> TokenStream {
    let (is_missing, why) = match server.to_string().as_str() {
        "Postgres" => (cfg!(no_postgres), "PostgreSQL's programs (initdb) are not on this machine"),
        "Redis" => (cfg!(no_redis), "redis-server is not on this machine"),
        other => panic!("`{other}` is no server: Postgres, or Redis"),
    };
    if !is_missing {
        return test;
    }
    let mut marked: TokenStream = format!("#[ignore = {why:?}]").parse().expect("an attribute");
    marked.extend(test);
    marked
}
