//! What benchmarks of a running installation share: the installation, a load generator that costs
//! little, and `pgbench` as the measure of the machine.
//!
//! Absolute figures move from hour to hour on any shared machine. What counts is a ratio of two
//! things measured in turn within one run.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark stops at what it did not expect"
)]

mod latency;
mod load;
mod pgbench;
mod portal;
mod process;
mod world;

pub use latency::Latencies;
pub use load::{Load, Request, Round};
pub use pgbench::PgBench;
pub use portal::{Person, Portal};
pub use process::{Ended, Process};
pub use world::{Running, Tenant, World};
