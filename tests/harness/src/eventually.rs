//! Waiting for a state.

use std::time::{Duration, Instant};

/// Calls `probe` until it answers `Some`, and gives that; fails the test when half a minute brought
/// none. The limit is a net for a hanging test, not a claim about speed.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
