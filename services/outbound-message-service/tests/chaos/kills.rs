//! F1 to F3, F24: processes that end, at the worst moment or in order.

use std::time::Duration;

use crate::{
    generator::Load,
    stage::{Setup, Stage},
};

/// The process ends at the failpoint, after some messages, and is started again.
async fn dies_at(failpoint: &str) {
    let failpoints = format!("{failpoint}=15*off->1*return").leak();
    let mut stage = Stage::start(Setup {
        failpoints,
        settings: vec![("DELIVERY__UNKNOWN_HORIZON_SECONDS", "5")],
        ..Setup::default()
    })
    .await;
    stage.load(Load::default());
    stage.revive(0).await;
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_acceptance_dies_before_its_commit() {
    dies_at("accept.before-commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_acceptance_dies_after_its_commit() {
    dies_at("accept.after-commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_the_relay_dies_after_it_took_events() {
    dies_at("relay.after-claim").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_the_relay_dies_before_it_marks_what_was_confirmed() {
    dies_at("relay.before-mark").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_worker_dies_between_attempt_and_request() {
    dies_at("deliver.after-attempt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_worker_dies_between_answer_and_record() {
    dies_at("deliver.before-record").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_worker_dies_after_the_record() {
    dies_at("deliver.after-record").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_and_f4_processes_are_killed_again_and_again() {
    let mut stage = Stage::start(Setup {
        replicas: 2,
        settings: vec![("DELIVERY__UNKNOWN_HORIZON_SECONDS", "5")],
        ..Setup::default()
    })
    .await;
    stage
        .world
        .sandbox
        .set_graph_latency(Duration::from_millis(30));
    stage.load(Load::default());
    for number in [0, 1, 0] {
        let so_far = stage.accepted_so_far();
        stage.accepted(so_far + 15).await;
        stage.kill_and_start(number);
        stage.replica_is_ready(number).await;
    }
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f24_a_rollout_under_load_costs_nobody_anything() {
    let mut stage = Stage::start(Setup {
        replicas: 2,
        // So long that a busy machine makes no outcome unknown.
        settings: vec![
            ("META__TIMEOUT_MS", "30000"),
            ("DELIVERY__LEASE_SECONDS", "31"),
        ],
        ..Setup::default()
    })
    .await;
    stage
        .world
        .sandbox
        .set_graph_latency(Duration::from_millis(30));
    stage.load(Load {
        messages: 30,
        ..Load::default()
    });
    for number in [0, 1, 0, 1] {
        let so_far = stage.accepted_so_far();
        stage.accepted(so_far + 20).await;
        stage.stop_replica(number).await;
        stage.start_replica(number, "");
        stage.replica_is_ready(number).await;
    }
    assert_eq!(stage.server_errors(), [""; 0]);
    let evidence = stage.judge().await;
    let unknown: usize = evidence.rows.iter().map(|row| row.unknown_attempts).sum();
    assert_eq!(unknown, 0, "attempts that became unknown by a good stop");
}
