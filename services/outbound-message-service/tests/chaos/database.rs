//! F11: a database that restarts, in order and as after a crash.

use std::time::Duration;

use portal_test_harness::{PrivatePostgres, TestDb};

use crate::{
    generator::Load,
    stage::{Setup, Stage},
    world::Servers,
};

async fn restarts(mode: &str) {
    let postgres = PrivatePostgres::start();
    let servers = Servers {
        db: TestDb::new_on(postgres.url()),
        ..Servers::shared()
    };
    let mut stage = Stage::start(Setup {
        servers,
        settings: vec![("DELIVERY__UNKNOWN_HORIZON_SECONDS", "5")],
        ..Setup::default()
    })
    .await;
    stage
        .world
        .sandbox
        .set_graph_latency(Duration::from_millis(20));
    stage.load(Load {
        messages: 20,
        ..Load::default()
    });
    for _ in 0..2 {
        let so_far = stage.accepted_so_far();
        stage.accepted(so_far + 30).await;
        postgres.stop(mode);
        postgres.resume();
    }
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_database_that_restarts_loses_nothing() {
    restarts("fast").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_database_that_crashes_loses_nothing() {
    restarts("immediate").await;
}
