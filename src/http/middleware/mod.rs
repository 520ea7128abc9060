//! The middleware, one a file: layer, service, future. [`super::stack`] puts them in order.

mod access;
mod admit;
pub mod cors;
mod head;
mod limit;
mod no_store;
mod observe;
mod origin;
mod protect;
mod request_id;
mod vet;

pub use access::AccessLayer;
pub use admit::AdmitLayer;
pub(in crate::http) use admit::needs_a_place;
pub use cors::CorsLayer;
pub use limit::LimitLayer;
pub use no_store::no_store;
pub use observe::ObserveLayer;
pub use protect::ProtectLayer;
pub(in crate::http) use request_id::REQUEST_ID;
pub use request_id::RequestIdLayer;
pub use vet::VetLayer;
