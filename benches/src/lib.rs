//! What the benchmark programs share.
//!
//! ```text
//!  bowline-bench-compare ──starts──> bowline-bench-peer, the peers in interop/peers, bowline-bench-limit
//!        │  lines of JSON on their stdout, one line on their stdin to start the job
//!        └─ reads /proc of both processes around the job
//! ```
//!
//! Every peer program, in whatever language, takes the same two subcommands and speaks the same lines, so that the
//! runner can put any of them on either side. The jobs and their flags stand in [`job`], the lines in [`lines`].

pub mod job;
pub mod lines;
