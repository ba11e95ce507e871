//! F15: a Redis that is away, or has forgotten everything.

use portal_test_harness::PrivateRedis;

use crate::{generator::Load, stage::Stage, world::Servers};

async fn on(redis: &PrivateRedis) -> Stage {
    Stage::on(Servers {
        redis_url: redis.operator_url(),
        ..Servers::shared()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_without_redis_messages_go_on() {
    let redis = PrivateRedis::start();
    let mut stage = on(&redis).await;
    stage.load(Load::default());
    stage.accepted(20).await;
    redis.stop();
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 40).await;
    redis.resume();
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_wiped_redis_loses_nothing() {
    let redis = PrivateRedis::start();
    let mut stage = on(&redis).await;
    stage.load(Load::default());
    for _ in 0..4 {
        let so_far = stage.accepted_so_far();
        stage.accepted(so_far + 20).await;
        redis.flush();
    }
    stage.judge().await;
}
