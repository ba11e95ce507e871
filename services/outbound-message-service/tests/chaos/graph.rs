//! F16 to F19: a Graph API that takes messages and does not say so, is slow, refuses, or is gone.

use std::time::Duration;

use portal_sandbox::Outage;
use portal_test_harness::eventually;

use crate::{
    generator::Load,
    stage::{Setup, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn f16_taken_and_hung_up_is_settled_and_not_sent_again() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.load(Load {
        endings: &["999601", "100000"],
        ..Load::default()
    });
    let evidence = stage.judge().await;
    let unknown: usize = evidence.rows.iter().map(|row| row.unknown_attempts).sum();
    assert_ne!(unknown, 0, "no answer was lost: the case tries nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_taken_and_answered_too_late_is_settled_and_not_sent_again() {
    let mut stage = Stage::start(Setup {
        settings: vec![("META__TIMEOUT_MS", "400")],
        ..Setup::default()
    })
    .await;
    stage
        .world
        .sandbox
        .change_graph(|graph| graph.hang = Duration::from_secs(2));
    stage.load(Load {
        messages: 6,
        endings: &["999604", "100000"],
        ..Load::default()
    });
    let evidence = stage.judge().await;
    let unknown: usize = evidence.rows.iter().map(|row| row.unknown_attempts).sum();
    assert_ne!(unknown, 0, "no answer was lost: the case tries nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_storms_of_refusals_cost_nothing_but_time() {
    let mut stage = Stage::start(Setup {
        settings: vec![("DELIVERY__UNKNOWN_HORIZON_SECONDS", "5")],
        ..Setup::default()
    })
    .await;
    stage.load(Load {
        conversations: 6,
        messages: 5,
        // 130429 twice, 131056 once, 130429 three times, an HTML page, no id, connection closed once.
        endings: &["999712", "999751", "999713", "999606", "999605", "999761"],
        ..Load::default()
    });
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_dead_graph_keeps_order_and_loses_nothing() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.load(Load::default());
    stage.accepted(20).await;
    stage.world.sandbox.set_graph_outage(Outage::Unavailable);
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 40).await;
    eventually("Meta to have refused some", async || {
        let refused = stage
            .world
            .sandbox
            .journal()
            .graph_messages()
            .iter()
            .filter(|call| call.status == Some(503))
            .count();
        (refused > 0).then_some(())
    })
    .await;
    stage.world.sandbox.set_graph_outage(Outage::None);
    stage.judge().await;
}
