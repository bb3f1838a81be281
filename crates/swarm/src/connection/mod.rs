//! A secured connection: the session that the streams share, and the task that owns the socket.
//!
//! ```text
//!  Stream ──┐                                   ┌── driver task: socket, cipher, two buffers
//!  Stream ──┼─ Mutex<{session, wakers}> ────────┤   read → open → (lock) feed
//!  Stream ──┘  copies only, never I/O or crypto └── (lock) drain → seal → write
//! ```

mod driver;
mod input;
mod outbound;
mod output;
mod session;

pub(crate) use driver::{Buffers, Driver};
