//! What is kept of webhooks: what was asked for, in a document beside the stock, which is written before it is answered; and how far each has
//! come, which is written now and then: in another document, or, where several processes share the stock, for each with the lease of who tells it.

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
    /// How often somebody had asked to go on with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    enabled: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptFailing {
    since_ms: u64,
    attempts: u32,
    last_error: String,
    /// For who looks at it, and does not make that attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_attempt_ms: Option<u64>,
}

impl KeptProgress {
    pub(super) fn of(id: HookId, enabled: u64, progress: &Progress) -> Self {
        let failing = progress.failing.clone().map(|failing| {
            let Failing { since_ms, attempts, last_error, next_attempt_ms } = failing;
            KeptFailing { since_ms, attempts, last_error, next_attempt_ms }
        });
        Self { id, after: progress.at, failing, notice: progress.notice.clone(), enabled }
    }

    /// As it is gone on with: what failed is tried at once.
    pub(super) fn into_progress(self, enabled: u64) -> Progress {
        let mut progress = self.into_shown(enabled);
        if let Some(failing) = &mut progress.failing {
            failing.next_attempt_ms = None;
        }
        progress
    }

    /// As it is shown, where somebody has asked so often to go on with it: how it failed before that is of no interest.
    pub(super) fn into_shown(self, enabled: u64) -> Progress {
        let is_past = self.enabled < enabled;
        let failing = self.failing.filter(|_| !is_past).map(|failing| {
            let KeptFailing { since_ms, attempts, last_error, next_attempt_ms } = failing;
            Failing { since_ms, attempts, last_error, next_attempt_ms }
        });
        Progress { at: self.after, failing, gap: None, notice: self.notice.filter(|_| !is_past) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
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
