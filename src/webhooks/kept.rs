//! What is kept of webhooks, in two documents beside the stock: what was asked for, which is written before it is answered, and how far each has
//! come, which is written now and then.

use serde::{Deserialize, Serialize};

use super::hook::{Failing, HookId, Progress, Settings};
use crate::store::MovementCursor;

/// The document of what was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct KeptHooks {
    pub(super) webhooks: Vec<Settings>,
}

/// The document of how far each has come.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct KeptPositions {
    pub(super) positions: Vec<KeptProgress>,
}

/// How far one has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptProgress {
    #[serde(with = "id")]
    pub(super) id: HookId,
    #[serde(with = "cursor")]
    after: MovementCursor,
    failing: Option<KeptFailing>,
    notice: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptFailing {
    since_ms: u64,
    attempts: u32,
    last_error: String,
}

impl KeptProgress {
    pub(super) fn of(id: HookId, progress: &Progress) -> Self {
        let failing = progress.failing.clone().map(|failing| {
            let Failing { since_ms, attempts, last_error, .. } = failing;
            KeptFailing { since_ms, attempts, last_error }
        });
        Self { id, after: progress.at, failing, notice: progress.notice.clone() }
    }

    /// As it is gone on with: what failed is tried at once.
    pub(super) fn into_progress(self) -> Progress {
        let failing = self.failing.map(|failing| {
            let KeptFailing { since_ms, attempts, last_error } = failing;
            Failing { since_ms, attempts, last_error, next_attempt_ms: None }
        });
        Progress { at: self.after, failing, gap: None, notice: self.notice }
    }
}

/// Names of webhooks, as text.
pub(super) mod id {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::HookId;

    pub(in crate::webhooks) fn serialize<S: Serializer>(
        id: &HookId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in crate::webhooks) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HookId, D::Error> {
        let text = String::deserialize(deserializer)?;
        HookId::parse(&text).ok_or_else(|| D::Error::custom("not the name of a webhook"))
    }
}

/// Places in the ledger, as text.
pub(super) mod cursor {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::store::MovementCursor;

    pub(in crate::webhooks) fn serialize<S: Serializer>(
        cursor: &MovementCursor,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cursor)
    }

    pub(in crate::webhooks) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MovementCursor, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// URLs, as text.
pub(super) mod url {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::outgoing::url::Url;

    pub(in crate::webhooks) fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(url)
    }

    pub(in crate::webhooks) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Url, D::Error> {
        Url::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
