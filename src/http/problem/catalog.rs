//! [`ProblemKind`]: every problem the service can answer with, as it is documented at `/problems/{name}`.
//!
//! The names are the stable contract; titles and explanations may be reworded.

use axum::http::StatusCode;

/// What went wrong, as a client's code may tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// 400
    InvalidRequest,
    /// 400
    IdempotencyKeyRequired,
    /// 401
    Unauthenticated,
    /// 403
    CrossOriginRequest,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 404
    StockNotFound,
    /// 404
    ReservationNotFound,
    /// 404
    OrderNotFound,
    /// 404
    AlertNotFound,
    /// 404
    WebhookNotFound,
    /// 404
    BackupNotFound,
    /// 404
    ProblemNotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    InsufficientStock,
    /// 409
    BelowReserved,
    /// 409
    StockReserved,
    /// 404
    LedgerNotKept,
    /// 409
    ReservationCommitted,
    /// 409
    ReservationReleased,
    /// 409
    ReservationExpired,
    /// 409
    OrderFulfilled,
    /// 409
    OrderRejected,
    /// 409
    OrderNotFulfilled,
    /// 409
    StockPromised,
    /// 409
    ReturnedAlready,
    /// 409
    IdempotencyKeyInProgress,
    /// 409
    BackupExists,
    /// 409
    AlreadyRunning,
    /// 410
    HistoryCompacted,
    /// 412
    VersionMismatch,
    /// 413
    RequestTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    ValidationFailed,
    /// 422
    QuantityOverflow,
    /// 422
    TooManyLines,
    /// 422
    IdempotencyKeyReused,
    /// 428
    PreconditionRequired,
    /// 429
    RateLimited,
    /// 500
    InternalError,
    /// 501
    NotSupported,
    /// 503
    Contention,
    /// 503
    NotReady,
    /// 503
    Overloaded,
    /// 503
    QueueFull,
    /// 503
    JournalUnavailable,
    /// 503
    StoreUnavailable,
    /// 503, or 408 where it is the body that did not come.
    RequestTimeout,
}

/// What the page of a problem says.
#[derive(Debug, Clone, Copy)]
pub struct ProblemPage {
    /// The last segment of the problem's `type`.
    pub name: &'static str,
    /// The status it is answered with.
    pub status: StatusCode,
    /// A short summary that never varies.
    pub title: &'static str,
    /// What it means and what to do about it.
    pub explanation: &'static str,
}

impl ProblemKind {
    /// Every kind, by status.
    pub const ALL: [Self; 48] = [
        Self::InvalidRequest,
        Self::IdempotencyKeyRequired,
        Self::Unauthenticated,
        Self::CrossOriginRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::StockNotFound,
        Self::ReservationNotFound,
        Self::OrderNotFound,
        Self::AlertNotFound,
        Self::WebhookNotFound,
        Self::BackupNotFound,
        Self::ProblemNotFound,
        Self::LedgerNotKept,
        Self::MethodNotAllowed,
        Self::InsufficientStock,
        Self::BelowReserved,
        Self::StockReserved,
        Self::ReservationCommitted,
        Self::ReservationReleased,
        Self::ReservationExpired,
        Self::OrderFulfilled,
        Self::OrderRejected,
        Self::OrderNotFulfilled,
        Self::StockPromised,
        Self::ReturnedAlready,
        Self::IdempotencyKeyInProgress,
        Self::BackupExists,
        Self::AlreadyRunning,
        Self::HistoryCompacted,
        Self::VersionMismatch,
        Self::RequestTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationFailed,
        Self::QuantityOverflow,
        Self::TooManyLines,
        Self::IdempotencyKeyReused,
        Self::PreconditionRequired,
        Self::RateLimited,
        Self::InternalError,
        Self::NotSupported,
        Self::Contention,
        Self::NotReady,
        Self::Overloaded,
        Self::QueueFull,
        Self::JournalUnavailable,
        Self::StoreUnavailable,
        Self::RequestTimeout,
    ];

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.page().name == name)
    }

    /// Whether it is answered with that status: the one of its page, but for a body that did not come.
    pub fn has_status(self, status: StatusCode) -> bool {
        let of_body = self == Self::RequestTimeout && status == StatusCode::REQUEST_TIMEOUT;
        of_body || status == self.page().status
    }

    /// What there is to say of it.
    #[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
    pub const fn page(self) -> ProblemPage {
        match self {
            Self::InvalidRequest => ProblemPage {
                name: "invalid-request",
                status: StatusCode::BAD_REQUEST,
                title: "The request cannot be understood",
                explanation: "The body is not JSON, or a header is missing, malformed or there twice. The detail says which. Correct the request; repeating it as it is cannot succeed.",
            },
            Self::CrossOriginRequest => ProblemPage {
                name: "cross-origin-request",
                status: StatusCode::FORBIDDEN,
                title: "A page of another site sent this",
                explanation: "A browser says of a request which page sent it (Sec-Fetch-Site, Origin), and this one is not of this service: whoever looks at that page may not know of the request. Nothing was changed. Programs send neither header, and are not concerned. If it is a page of this service behind a proxy, let the proxy pass on the Host header that the browser sent.",
            },
            Self::Unauthenticated => ProblemPage {
                name: "unauthenticated",
                status: StatusCode::UNAUTHORIZED,
                title: "A key or a token is needed",
                explanation: "This service asks for a key (--auth-file) or a token (--jwt-jwks), and none was shown, or one that is not in force: a key was never made, was taken back, or is not written as it must be; a token has expired, is of another issuer or for another audience, or its signature is not of a key of the issuer. The detail says which. Send it as Authorization: Bearer KEY. Nothing was changed. Who runs the service makes a key with inventory key new; a token comes from the issuer.",
            },
            Self::Forbidden => ProblemPage {
                name: "forbidden",
                status: StatusCode::FORBIDDEN,
                title: "The key or the token is good for less",
                explanation: "The key or the token is good, and its scope is too small for this: read is to look, write to change stock as well, admin to run the service as well; in a token inventory:read and so on. The answer names the scope that is needed. Nothing was changed.",
            },
            Self::NotFound => ProblemPage {
                name: "not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is nothing at this path",
                explanation: "No route of the service has this path. /docs lists them all.",
            },
            Self::StockNotFound => ProblemPage {
                name: "stock-not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is no such stock level",
                explanation: "The sku is not kept at this location: it was never created, or it was deleted. Each line carries the version that was seen, 0 for a level that never existed. PUT /v1/stock/{sku} creates it.",
            },
            Self::ReservationNotFound => ProblemPage {
                name: "reservation-not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is no such reservation",
                explanation: "No reservation has this name, or it was finished so long ago that it is not kept any more (--reservation-retention, 24 hours unless said otherwise, and the newest 100 000). Nothing was changed.",
            },
            Self::ReservationCommitted => ProblemPage {
                name: "reservation-committed",
                status: StatusCode::CONFLICT,
                title: "The reservation was committed",
                explanation: "Its units have left the house, and what was not committed was let go: nothing else can become of it. To commit it once more with the same lines is answered as the first time; this request asked for something else, and changed nothing.",
            },
            Self::ReservationReleased => ProblemPage {
                name: "reservation-released",
                status: StatusCode::CONFLICT,
                title: "The reservation was released",
                explanation: "Its units were let go: nothing else can become of it. Reserve again.",
            },
            Self::ReservationExpired => ProblemPage {
                name: "reservation-expired",
                status: StatusCode::CONFLICT,
                title: "The reservation has expired",
                explanation: "Its deadline came before this request: its units were let go. Reserve again, for longer, or extend a reservation before it expires.",
            },
            Self::OrderNotFound => ProblemPage {
                name: "order-not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is no such order",
                explanation: "No order has this name, or it was fulfilled, rejected or cancelled so long ago that it is not kept any more (--order-retention, 30 days unless said otherwise, and the newest 100 000). Nothing was changed.",
            },
            Self::AlertNotFound => ProblemPage {
                name: "alert-not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is no such alert",
                explanation: "This stock level has no alert. PUT /v1/alerts/{sku} gives it one; GET /v1/alerts lists those there are. Nothing was changed.",
            },
            Self::WebhookNotFound => ProblemPage {
                name: "webhook-not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is no such webhook",
                explanation: "No webhook has this name, or it was deleted. GET /v1/webhooks lists those there are. Nothing was changed.",
            },
            Self::BackupNotFound => ProblemPage {
                name: "backup-not-found",
                status: StatusCode::NOT_FOUND,
                title: "No such backup",
                explanation: "There is no backup of that name, or none that is whole. GET /v1/backups lists those there are; those that were made elsewhere (inventory backup --to) are not among them.",
            },
            Self::OrderFulfilled => ProblemPage {
                name: "order-fulfilled",
                status: StatusCode::CONFLICT,
                title: "The order was fulfilled",
                explanation: "Its units have left the house before it could be cancelled. POST /v1/orders/{id}/returns without a body gives all of them back.",
            },
            Self::OrderRejected => ProblemPage {
                name: "order-rejected",
                status: StatusCode::CONFLICT,
                title: "The order was rejected",
                explanation: "When it was its turn it found too little stock, and took none: there is nothing to cancel. The order says in problem what it lacked.",
            },
            Self::OrderNotFulfilled => ProblemPage {
                name: "order-not-fulfilled",
                status: StatusCode::CONFLICT,
                title: "The order is not fulfilled",
                explanation: "Only what an order took can be given back, and this one has taken nothing: the detail says in which state it is. Cancel one that is queued or backordered with DELETE.",
            },
            Self::StockPromised => ProblemPage {
                name: "stock-promised",
                status: StatusCode::CONFLICT,
                title: "The stock is promised to an order that waits",
                explanation: "In the problem of a rejected order: there may be units of the level, but an order that came before waits for more of them than there are, and is first. Order again with backorder: true, which waits in turn, or once there is more.",
            },
            Self::ReturnedAlready => ProblemPage {
                name: "returned-already",
                status: StatusCode::CONFLICT,
                title: "That was given back before",
                explanation: "Each unit that an order took can be given back once. The line says how many units of the level are left to be given back; nothing was changed. After a request whose answer was lost, read the order: its returned says what has come back.",
            },
            Self::ProblemNotFound => ProblemPage {
                name: "problem-not-found",
                status: StatusCode::NOT_FOUND,
                title: "There is no such problem",
                explanation: "This service never answers with a problem of that name.",
            },
            Self::MethodNotAllowed => ProblemPage {
                name: "method-not-allowed",
                status: StatusCode::METHOD_NOT_ALLOWED,
                title: "This path does not have this method",
                explanation: "The Allow header lists the methods it has; OPTIONS asks for just that.",
            },
            Self::InsufficientStock => ProblemPage {
                name: "insufficient-stock",
                status: StatusCode::CONFLICT,
                title: "Not enough stock",
                explanation: "At least one line asks for more units than are available (on hand less reserved), and nothing was changed. The lines say which, how many were asked for, how many there were, and at which version of the level. Lines that name the same level count together.",
            },
            Self::BelowReserved => ProblemPage {
                name: "below-reserved",
                status: StatusCode::CONFLICT,
                title: "A count below the units reserved",
                explanation: "The count is lower than the units held by reservations. Release or commit reservations first, then count again.",
            },
            Self::StockReserved => ProblemPage {
                name: "stock-reserved",
                status: StatusCode::CONFLICT,
                title: "Units are reserved",
                explanation: "A stock level cannot be deleted while units of it are reserved.",
            },
            Self::VersionMismatch => ProblemPage {
                name: "version-mismatch",
                status: StatusCode::PRECONDITION_FAILED,
                title: "The level is not at the version demanded",
                explanation: "If-Match, or a line of an import, named a version that is not the current one, or there is no such level; or If-None-Match: * was sent and the level exists. Nothing was changed. Read the level again, decide again, and repeat with its new ETag.",
            },
            Self::RequestTooLarge => ProblemPage {
                name: "request-too-large",
                status: StatusCode::PAYLOAD_TOO_LARGE,
                title: "The body is too large",
                explanation: "Bodies are limited to 64 KiB, those of reservations and orders to 512 KiB, of /v1/adjustments, /v1/transfers and /v1/stock/query to 4 MiB, that of /v1/import to 1 GiB. Split the request.",
            },
            Self::UnsupportedMediaType => ProblemPage {
                name: "unsupported-media-type",
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                title: "The body is not declared as what is asked for",
                explanation: "Send Content-Type: application/json, uncompressed. With curl, --json does it. For /v1/import it is application/x-ndjson or text/csv.",
            },
            Self::ValidationFailed => ProblemPage {
                name: "validation-failed",
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: "A field is not as it must be",
                explanation: "Each entry of errors names a field of the body by JSON pointer (of an import with its line), or a query parameter, and says what it must be. Nothing was changed.",
            },
            Self::QuantityOverflow => ProblemPage {
                name: "quantity-overflow",
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: "The result would be too large",
                explanation: "A stock level holds at most 1 099 511 627 775 units (2^40 - 1) and sees at most 2^44 - 1 changes. Nothing was changed.",
            },
            Self::TooManyLines => ProblemPage {
                name: "too-many-lines",
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: "Too many lines in one request",
                explanation: "A request has at most 10 000 lines, a reservation or an order 1 000. Split it.",
            },
            Self::PreconditionRequired => ProblemPage {
                name: "precondition-required",
                status: StatusCode::PRECONDITION_REQUIRED,
                title: "Say which version is meant",
                explanation: "PUT without a precondition only creates, and DELETE without one only removes a level that has no units. To record a count over an existing level, or to remove one with its units, send If-Match with the ETag you read, or If-Match: * for whatever is there. To change stock relative to what is there, POST to .../adjust. A service may ask for a precondition with each PUT and DELETE of a level (--require-precondition): to create one, send If-None-Match: *.",
            },
            Self::RateLimited => ProblemPage {
                name: "rate-limited",
                status: StatusCode::TOO_MANY_REQUESTS,
                title: "This client has asked as often as it may",
                explanation: "The service lets one client ask only so often (--rate-limit): one client is who has a key of one name or, without keys, whoever comes from one address, of IPv6 from one network of 64 bits. Nothing was changed: repeat the request after Retry-After. RateLimit-Policy says how many requests a client may make in how many seconds, RateLimit how many it has left.",
            },
            Self::InternalError => ProblemPage {
                name: "internal-error",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "The service failed",
                explanation: "A defect. The log has the details. Whether the change was made is unknown: read the level before repeating it.",
            },
            Self::Contention => ProblemPage {
                name: "contention",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The stock was contended for too long",
                explanation: "The request waited for other changes of the same stock until the lock timeout. Nothing was changed, and it says nothing about how much stock there is: repeat it after Retry-After.",
            },
            Self::NotReady => ProblemPage {
                name: "not-ready",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Not serving",
                explanation: "The service is starting or shutting down; /readyz says so, too, where its disk is full or its database is away. Nothing was changed: repeat the request after Retry-After, or at another instance.",
            },
            Self::LedgerNotKept => ProblemPage {
                name: "ledger-not-kept",
                status: StatusCode::NOT_FOUND,
                title: "This service keeps nothing on disk",
                explanation: "It runs with --ephemeral: stock and its recent movements are in memory only, so there is nothing to verify and nothing to back up. Start it with --data-dir to have a ledger that lasts.",
            },
            Self::IdempotencyKeyInProgress => ProblemPage {
                name: "idempotency-key-in-progress",
                status: StatusCode::CONFLICT,
                title: "A request with this key is under way",
                explanation: "Two requests with the same Idempotency-Key met. This one changed nothing; send it again after a moment, and it is answered as the other one was.",
            },
            Self::BackupExists => ProblemPage {
                name: "backup-exists",
                status: StatusCode::CONFLICT,
                title: "There is a backup of that name",
                explanation: "Backups are never overwritten. Choose another name, or remove the old one (DELETE /v1/backups/{name}).",
            },
            Self::AlreadyRunning => ProblemPage {
                name: "already-running",
                status: StatusCode::CONFLICT,
                title: "One of these is under way",
                explanation: "Verifications, backups and imports run one at a time each, and no backup is taken while an import is applied. This request did nothing; send it again when the other one is over.",
            },
            Self::IdempotencyKeyRequired => ProblemPage {
                name: "idempotency-key-required",
                status: StatusCode::BAD_REQUEST,
                title: "Each change needs a key",
                explanation: "This service takes no change of stock by POST without an Idempotency-Key (--require-idempotency-key). Nothing was changed. Make a key for each thing you want done, such as a UUID, send it with the request, and send the same key whenever you repeat that request: it takes effect once.",
            },
            Self::IdempotencyKeyReused => ProblemPage {
                name: "idempotency-key-reused",
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: "The key belongs to another request",
                explanation: "An Idempotency-Key stands for one request: the same method, path, parameters and If-Match, however they are spelt, and the same body, byte for byte. This key was used with another, at this path or elsewhere. Nothing was changed; use a fresh key for each new request.",
            },
            Self::HistoryCompacted => ProblemPage {
                name: "history-compacted",
                status: StatusCode::GONE,
                title: "That part of the ledger is not there any more",
                explanation: "Movements of that age are past the retention of this service, and the answer says which is the oldest that is kept; or the cursor or number is of a history that was taken back, as a backup was restored. Read the stock again, and begin with the oldest movement.",
            },
            Self::Overloaded => ProblemPage {
                name: "overloaded",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "More is asked than can be taken in",
                explanation: "A bound was reached: as many requests are being carried out as may be (--max-in-flight), and this one has waited for that for too long (--admission-wait) or finds as many waiting as may (--admission-queue); the journal is slower than the changes that come, its disk is full, all room for idempotency keys is taken, as many requests wait for stock as may (--waiters-max), or as many exports are under way (--exports-max). Where applied is no, nothing was changed: repeat the request after Retry-After. Where it is unknown, the change was let in just before the disk was full: it is kept once there is room, and lost if the service ends before; repeat it with the same Idempotency-Key, or read the level. A read says so as well where what it would show is not on disk yet.",
            },
            Self::QueueFull => ProblemPage {
                name: "queue-full",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The queue of orders is full",
                explanation: "As many orders are queued as may be (--queue-capacity). The order was not accepted and nothing was changed: place it again after Retry-After, which is when there is likely to be room, by how fast orders have had their turn lately.",
            },
            Self::JournalUnavailable => ProblemPage {
                name: "journal-unavailable",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The journal has failed",
                explanation: "The disk refused a write, and the service is stopping. Where applied is unknown, the change may or may not be on disk: repeat it with the same Idempotency-Key, or read the level, once the service runs again.",
            },
            Self::NotSupported => ProblemPage {
                name: "not-supported",
                status: StatusCode::NOT_IMPLEMENTED,
                title: "The store of this service does not do that",
                explanation: "With --store the stock is in a database that several replicas share, and what was asked for is done by no store but that of one process: backups, which are the database's own affair there. Nothing was changed.",
            },
            Self::StoreUnavailable => ProblemPage {
                name: "store-unavailable",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The database cannot be reached",
                explanation: "With --store the stock is in a database, which is away just now: it restarts, another one takes over, it takes no changes, or the network is cut. The service goes on by itself once it is back, and /readyz says 503 until then. Where applied is no, nothing was changed: repeat the request after Retry-After. Where it is unknown, the connection was lost while the change was committed: repeat it with the same Idempotency-Key, which settles it, or read the level.",
            },
            Self::RequestTimeout => ProblemPage {
                name: "request-timeout",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The request took too long",
                explanation: "The request, its body included, did not finish within the request timeout. With status 408 it is the body that did not come, and nothing was changed: send it again, faster. With 503, whether the change was made is unknown: read the level before repeating it.",
            },
        }
    }
}
