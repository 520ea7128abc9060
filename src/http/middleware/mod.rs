//! The middleware, one a file: layer, service, future. [`super::stack`] puts them in order.

mod access;
pub mod cors;
mod observe;
mod protect;
mod request_id;

pub use access::AccessLayer;
pub use cors::CorsLayer;
pub use observe::ObserveLayer;
pub use protect::ProtectLayer;
pub use request_id::RequestIdLayer;
