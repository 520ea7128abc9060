//! [`WebhookConfig`]: the bounds of webhooks.

use std::time::Duration;

use ipnet::IpNet;

/// The bounds of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// How many there may be.
    pub hooks_max: usize,
    /// Addresses that messages are sent to although they are not public.
    pub allow: Vec<IpNet>,
    /// How long an attempt may take.
    pub attempt_timeout: Duration,
    /// The wait after the first attempt that failed; doubled after each.
    pub backoff_first: Duration,
    /// The longest wait between two attempts, whatever the receiver asks for.
    pub backoff_max: Duration,
    /// A hook is disabled after so many attempts that failed in a row ...
    pub attempts_max: u32,
    /// ... if they did so for at least so long.
    pub failing_max: Duration,
    /// How long a secret that was replaced signs as well.
    pub old_secret: Duration,
    /// How often at most it is written down how far each has come.
    pub positions_every: Duration,
    /// Of several processes one tells a hook, for as long at a time; another takes over so long after it was heard of last.
    pub lease: Duration,
    /// How often it is looked what other processes were asked for, and what they do not tell any more.
    pub look_every: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            hooks_max: 100,
            allow: Vec::new(),
            attempt_timeout: Duration::from_secs(10),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_hours(1),
            attempts_max: 20,
            failing_max: Duration::from_hours(5 * 24),
            old_secret: Duration::from_hours(24),
            positions_every: Duration::from_secs(1),
            lease: Duration::from_secs(6),
            look_every: Duration::from_millis(250),
        }
    }
}
